"""Does each InstrumentationRule change anything, and if not, why?

Owns the condition Applied of InstrumentationRules (odigos-instrumentor-rules). The decision is domain/rules.py's; what
a rule changes goes into the plan of each application by domain/injection.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.meta import Key
from odigos_cp.api.rules import RULES
from odigos_cp.controllers import changes
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain import rules
from odigos_cp.domain.rules import Observed
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings


def observe(stores: Stores, key: Key, system_namespace: str) -> Observed | None:
    rule = stores[RULES].get(key)
    if rule is None or rule.metadata.deletion_timestamp:
        return None
    return Observed(
        rule=rule,
        applications=tuple(a for a in stores[APPLICATIONS].values() if a.spec.enabled),
        system_namespace=system_namespace,
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key, settings.namespace)
        return await apply(rules.plan(observed, clock.now())) if observed else None

    def if_the_wish_changed(change: Change[InstrumentedApplication]) -> Iterable[Key]:
        if not changes.is_of_wish(change):
            return ()
        return [k for k in stores[RULES] if k.namespace in (settings.namespace, change.key.namespace)]

    watches: list[Watch[Any]] = [Watch(RULES), Watch(APPLICATIONS, if_the_wish_changed)]
    return [Controller("instrumentor/rules", reconcile, watches, stores)]
