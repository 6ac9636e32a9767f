"""What is brought into each application's containers, or why nothing is?

Owns status.injection and the condition AgentEnabled of InstrumentedApplications (odigos-instrumentor-injection). The
decision is domain/injection.py's; the admission webhook (web/admission.py) carries it out on the pods.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from odigos_cp.api.application import APPLICATIONS, application_key
from odigos_cp.api.builtin import WORKLOADS, Workload
from odigos_cp.api.collectors import GROUPS, CollectorsGroup
from odigos_cp.api.configuration import CONFIGURATIONS, OdigosConfiguration
from odigos_cp.api.meta import Key
from odigos_cp.api.rules import RULES, InstrumentationRule
from odigos_cp.controllers import configuration
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import observing
from odigos_cp.domain import injection
from odigos_cp.domain.injection import Observed
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

BY_GROUP = "collectors-group"


def observe(stores: Stores, key: Key, settings: Settings, *, ipv6: bool = False) -> Observed | None:
    application, workload = stores[APPLICATIONS].get(key), observing.workload(stores, key)
    if application is None or application.metadata.deletion_timestamp or workload is None:
        return None
    assigned = application.status.collector
    return Observed(
        application=application,
        workload=workload,
        group=stores[GROUPS].get(Key(settings.namespace, assigned.group)) if assigned else None,
        configuration=configuration.spec(stores, settings.namespace),
        rules=stores[RULES].values(),
        images=settings.agent_images,
        system_namespace=settings.namespace,
        ipv6=ipv6,
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)
    stores[APPLICATIONS].add_index(BY_GROUP, lambda a: (a.status.collector.group,) if a.status.collector else ())
    # A cluster whose services have IPv6 addresses gives its nodes such, too.
    ipv6 = ":" in os.environ.get("KUBERNETES_SERVICE_HOST", "")

    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key, settings, ipv6=ipv6)
        return await apply(injection.plan(observed, clock.now())) if observed else None

    watches: list[Watch[Any]] = [
        Watch(APPLICATIONS),
        *(Watch(cached, _if_the_containers_changed(kind)) for kind, cached in WORKLOADS.items()),
        Watch(GROUPS, partial(_assigned_to, stores)),
        Watch(RULES, partial(_concerned_by, stores, settings.namespace)),
        Watch(CONFIGURATIONS, partial(_all_if_it_matters, stores)),
    ]
    return [Controller("instrumentor/injection", reconcile, watches, stores)]


def _if_the_containers_changed(kind: str) -> Callable[[Change[Workload]], Iterable[Key]]:
    def keys(change: Change[Workload]) -> Iterable[Key]:
        before, after = change.before, change.after
        if after is None or (before is not None and before.spec.template.spec == after.spec.template.spec):
            return ()
        return (application_key(change.key.namespace, kind, change.key.name),)

    return keys


def _assigned_to(stores: Stores, change: Change[CollectorsGroup]) -> Iterable[Key]:
    """Load and replicas change all the time; only what a plan depends on counts."""
    before, after = change.before, change.after
    if before is not None and after is not None and _essence(before) == _essence(after):
        return ()
    return [Key(a.metadata.namespace, a.metadata.name) for a in stores[APPLICATIONS].by(BY_GROUP, change.key.name)]


def _essence(group: CollectorsGroup) -> tuple[Any, ...]:
    return group.status.ready, group.status.receiver_signals, bool(group.status.config_hash)


def _concerned_by(stores: Stores, system_namespace: str, change: Change[InstrumentationRule]) -> Iterable[Key]:
    before, after = change.before, change.after
    if before is not None and after is not None and before.spec == after.spec:
        return ()
    everywhere = change.key.namespace == system_namespace
    return [k for k in stores[APPLICATIONS] if everywhere or k.namespace == change.key.namespace]


def _all_if_it_matters(stores: Stores, change: Change[OdigosConfiguration]) -> Iterable[Key]:
    before, after = change.before, change.after
    if before is not None and after is not None and before.spec == after.spec:
        return ()
    return tuple(stores[APPLICATIONS].keys())
