"""What do the collectors run, and is each Destination part of it?

Owns status.configHash, receiverSignals and the condition ConfigValid of CollectorsGroups, the condition Configured of
Destinations, the condition Applied of Actions, and the collectors' ConfigMaps (odigos-autoscaler-config). All
destinations make one configuration, so there is one key. The decision is domain/configuring.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.builtin import CONFIG_MAPS, PODS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key
from odigos_cp.api.rules import ACTIONS
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.autoscaler import observing
from odigos_cp.domain import configuring
from odigos_cp.domain.configuring import Observed
from odigos_cp.domain.groups import NAMES
from odigos_cp.domain.objects import CONFIG_HASH_ANNOTATION, config_map_name
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings


def observe(stores: Stores, namespace: str) -> Observed:
    groups = {name: stores[GROUPS].get(Key(namespace, name)) for name in NAMES}
    running = {
        config_map_name(name, hash_)
        for name in NAMES
        for pod in observing.pods(stores, name, namespace)
        if (hash_ := pod.metadata.annotations.get(CONFIG_HASH_ANNOTATION))
    }
    return Observed(
        destinations=tuple(d for d in stores[DESTINATIONS].values() if not d.metadata.deletion_timestamp),
        actions=tuple(a for a in stores[ACTIONS].values() if not a.metadata.deletion_timestamp),
        groups={name: g for name, g in groups.items() if g and not g.metadata.deletion_timestamp},
        config_maps=tuple(c for name in NAMES for c in observing.config_maps(stores, name)),
        running=frozenset(running),
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)
    only = Key(settings.namespace, "collectors")

    async def reconcile(key: Key) -> Result | None:
        return await apply(configuring.plan(observe(stores, key.namespace), clock.now()))

    def always(change: Change[Any]) -> Iterable[Key]:
        return (only,)

    def if_ours(change: Change[Any]) -> Iterable[Key]:
        resource = change.after or change.before
        return (only,) if resource and observing.group_of(resource) else ()

    def if_ours_is_gone(change: Change[Any]) -> Iterable[Key]:
        """A pod that ended may have been the last with an old configuration."""
        return if_ours(change) if change.after is None else ()

    watches: list[Watch[Any]] = [
        Watch(DESTINATIONS, always),
        Watch(ACTIONS, always),
        Watch(GROUPS, always),
        Watch(CONFIG_MAPS, if_ours),
        Watch(PODS, if_ours_is_gone),
    ]
    return [Controller("autoscaler/config", reconcile, watches, stores)]
