"""Does the API server trust every replica's webhook?

Owns the caBundle of the MutatingWebhookConfiguration (odigos-instrumentor-webhook). The replicas publish their CAs
themselves (web/certificates.py); the decision is domain/trust.py's. There is one key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.builtin import CONFIG_MAPS, WEBHOOKS, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain import trust
from odigos_cp.domain.trust import Observed
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

ONLY = Key("", trust.CONFIGURATION)
PUBLISHED = "webhook-ca"


def observe(stores: Stores) -> Observed:
    return Observed(stores[WEBHOOKS].get(ONLY), stores[CONFIG_MAPS].by(PUBLISHED, True))


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    def is_published(found: ConfigMap) -> bool:
        return found.metadata.namespace == settings.namespace and trust.CA_LABEL in found.metadata.labels

    stores[CONFIG_MAPS].add_index(PUBLISHED, lambda found: (is_published(found),))

    async def reconcile(key: Key) -> Result | None:
        return await apply(trust.plan(observe(stores)))

    def of_ours(change: Change[Any]) -> Iterable[Key]:
        return (ONLY,) if change.key == ONLY else ()

    def if_published(change: Change[ConfigMap]) -> Iterable[Key]:
        return (ONLY,) if any(c and is_published(c) for c in (change.before, change.after)) else ()

    watches: list[Watch[Any]] = [Watch(WEBHOOKS, of_ours), Watch(CONFIG_MAPS, if_published)]
    return [Controller("instrumentor/webhook", reconcile, watches, stores)]
