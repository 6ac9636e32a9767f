"""Which groups of collectors exist, what runs for them, and are they ready?

Owns spec, status.ready, endpoint, replicas and the conditions Deployed and Ready of CollectorsGroups, and the objects
behind them (odigos-autoscaler-groups). The decision is domain/groups.py's, the objects are domain/objects.py's. A key
is a group's; both groups are looked at even when neither exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS, NODE_GROUP
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key
from odigos_cp.controllers import changes, configuration
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.autoscaler import observing
from odigos_cp.domain import groups
from odigos_cp.domain.groups import NAMES, Observed
from odigos_cp.domain.objects import Collector, config_map_name
from odigos_cp.kube import clock
from odigos_cp.kube.client import Written
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import ApiError, Conflict, Forbidden, Invalid
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

ENABLED = "enabled"


def observe(stores: Stores, key: Key, collector: Collector) -> Observed:
    group = stores[GROUPS].get(key)
    hash_ = group.status.config_hash if group else ""
    destinations = (d for d in stores[DESTINATIONS].values() if not d.metadata.deletion_timestamp)
    return Observed(
        key=key,
        wanted=any(not d.spec.disabled for d in destinations) or bool(stores[APPLICATIONS].by(ENABLED, True)),
        collector=collector,
        sizes=configuration.spec(stores, key.namespace).collectors,
        group=group,
        config=stores[CONFIG_MAPS].get(Key(key.namespace, config_map_name(key.name, hash_))),
        workload=stores[DAEMON_SETS if key.name == NODE_GROUP else DEPLOYMENTS].get(key),
        gateway_service=stores[SERVICES].get(Key(key.namespace, GATEWAY_GROUP)) is not None,
        pods=observing.pods(stores, key.name, key.namespace),
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)
    stores[APPLICATIONS].add_index(ENABLED, lambda a: (a.spec.enabled,))
    collector = Collector(settings.collector_image, settings.collector_command)
    both = tuple(Key(settings.namespace, name) for name in NAMES)

    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key, collector)
        refusal: ApiError | None = None
        written: list[Written] = []
        try:
            for wanted in groups.behind(observed):
                written.extend(await apply.ensure(wanted, stores))
        except (Conflict, Forbidden, Invalid) as error:
            refusal, observed = error, replace(observed, refused=error.message)
        result = await apply(groups.plan(observed, clock.now()))
        if refusal:
            raise refusal  # it is told, and tried again: a quota or a policy may change
        return Result(result.requeue_after, (*written, *result.written))

    def always(change: Change[Any]) -> Iterable[Key]:
        return both

    def if_the_wish_changed(change: Change[InstrumentedApplication]) -> Iterable[Key]:
        return both if changes.is_of_wish(change) else ()

    def of_its_name(change: Change[Any]) -> Iterable[Key]:
        return both if change.key in both else ()

    def of_its_label(change: Change[Any]) -> Iterable[Key]:
        resource = change.after or change.before
        names = observing.group_of(resource) if resource and change.key.namespace == settings.namespace else ()
        return tuple(key for key in both if key.name in names)

    def own_namespace(change: Change[Any]) -> Iterable[Key]:
        """Always there, so both groups are looked at in the beginning, whatever else there is."""
        return both if change.key.name == settings.namespace and change.before is None else ()

    watches: list[Watch[Any]] = [
        Watch(NAMESPACES, own_namespace),
        Watch(GROUPS, always),
        Watch(DESTINATIONS, always),
        Watch(CONFIGURATIONS, always),
        Watch(APPLICATIONS, if_the_wish_changed),
        Watch(CONFIG_MAPS, of_its_label),
        Watch(PODS, of_its_label),
        *(Watch(kind, of_its_name) for kind in (DEPLOYMENTS, DAEMON_SETS, SERVICES)),
    ]
    return [Controller("autoscaler/groups", reconcile, watches, stores)]
