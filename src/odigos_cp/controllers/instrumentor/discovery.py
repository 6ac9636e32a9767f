"""Which applications are wanted, and what does each Source mean?

Owns spec and the condition Marked of InstrumentedApplications, the condition Matched of Sources, and the status of the
OdigosConfiguration (odigos-instrumentor-discovery). The decisions are domain/discovery.py's, selection.py's and
effective.py's. A key of the first controller is an application's, which names its workload's kind too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.application import APPLICATIONS, application_key
from odigos_cp.api.builtin import NAMESPACES, WORKLOADS, Namespace
from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS
from odigos_cp.api.meta import Key, key_of
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.controllers import changes, configuration
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import observing
from odigos_cp.domain import discovery, effective, ownership, selection
from odigos_cp.domain.discovery import Observed
from odigos_cp.domain.selection import Arrangement, ObservedSource, Target
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings


def observe(stores: Stores, key: Key, system_namespace: str) -> Observed | None:
    found = ownership.workload_of(key)
    if found is None:
        return None
    kind, name = found
    sources = Arrangement(stores[SOURCES].by(observing.BY_NAMESPACE, key.namespace))
    settings = configuration.spec(stores, system_namespace)
    return Observed(
        key=key,
        kind=kind,
        name=name,
        workload=observing.workload(stores, key),
        namespace=stores[NAMESPACES].get(Key("", key.namespace)),
        application=stores[APPLICATIONS].get(key),
        wish=selection.wish(Target(key.namespace, kind, name), sources, settings),
        blind=_is_blind(stores, key.namespace, system_namespace),
    )


def _is_blind(stores: Stores, namespace: str, system_namespace: str) -> bool:
    """Whether a Source that counts here, or the configuration, can neither be understood nor ever was."""
    unknown = [key.namespace for key in stores[SOURCES].unreadable if key not in stores[SOURCES]]
    settings = Key(system_namespace, CONFIGURATION_NAME)
    configurations = stores[CONFIGURATIONS]
    return namespace in unknown or (settings in configurations.unreadable and settings not in configurations)


def observe_source(stores: Stores, key: Key, system_namespace: str) -> ObservedSource | None:
    source = stores[SOURCES].get(key)
    if source is None:
        return None
    return ObservedSource(
        source=source,
        sources=Arrangement(stores[SOURCES].by(observing.BY_NAMESPACE, key.namespace)),
        configuration=configuration.spec(stores, system_namespace),
        namespace=stores[NAMESPACES].get(Key("", key.namespace)),
        workloads={
            name: [w.metadata.name for w in stores[kind].by(observing.BY_NAMESPACE, key.namespace)]
            for name, kind in WORKLOADS.items()
        },
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)

    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key, settings.namespace)
        return await apply(discovery.plan(observed, clock.now())) if observed else None

    async def reconcile_source(key: Key) -> Result | None:
        observed = observe_source(stores, key, settings.namespace)
        return await apply(selection.plan_source(observed, clock.now())) if observed else None

    async def reconcile_configuration(key: Key) -> Result | None:
        found = stores[CONFIGURATIONS].get(key)
        if found is None and key.name != CONFIGURATION_NAME:
            return None
        return await apply(effective.plan(found, settings.namespace, clock.now()))

    def of_own_namespace(change: Change[Namespace]) -> Iterable[Key]:
        """Always there, so the configuration is looked at in the beginning, also when there is none."""
        is_new = change.key.name == settings.namespace and change.before is None
        return (Key(settings.namespace, CONFIGURATION_NAME),) if is_new else ()

    configurations: list[Watch[Any]] = [Watch(CONFIGURATIONS), Watch(NAMESPACES, of_own_namespace)]

    return [
        Controller("instrumentor/discovery", reconcile, _watches(stores), stores),
        Controller("instrumentor/sources", reconcile_source, _source_watches(stores), stores),
        Controller("instrumentor/configuration", reconcile_configuration, configurations, stores),
    ]


def _watches(stores: Stores) -> list[Watch[Any]]:
    def in_namespace(namespace: str) -> list[Key]:
        return [
            application_key(namespace, kind, workload.metadata.name)
            for kind, cached in WORKLOADS.items()
            for workload in stores[cached].by(observing.BY_NAMESPACE, namespace)
        ]

    def of_source(change: Change[Source]) -> Iterable[Key]:
        return in_namespace(change.key.namespace) if changes.is_of_spec(change) else ()

    def of_namespace(change: Change[Any]) -> Iterable[Key]:
        return in_namespace(change.key.name)

    def of_configuration(change: Change[Any]) -> Iterable[Key]:
        if change.key.name != CONFIGURATION_NAME or not changes.is_of_spec(change):
            return ()
        return [key for namespace in stores[NAMESPACES] for key in in_namespace(namespace.name)]

    return [
        *observing.workload_watches(),
        Watch(APPLICATIONS),
        Watch(SOURCES, of_source, unreadable=True),
        Watch(NAMESPACES, of_namespace),
        Watch(CONFIGURATIONS, of_configuration, unreadable=True),
    ]


def _source_watches(stores: Stores) -> list[Watch[Any]]:
    def in_namespace(namespace: str) -> list[Key]:
        return [key_of(source) for source in stores[SOURCES].by(observing.BY_NAMESPACE, namespace)]

    def neighbours(change: Change[Source]) -> Iterable[Key]:
        """A Source may take the last word from another, or give it back."""
        return in_namespace(change.key.namespace) if changes.is_of_spec(change) else (change.key,)

    def if_it_came_or_went(change: Change[Any]) -> Iterable[Key]:
        return in_namespace(change.key.namespace) if change.before is None or change.after is None else ()

    def of_namespace(change: Change[Any]) -> Iterable[Key]:
        return in_namespace(change.key.name)

    def of_configuration(change: Change[Any]) -> Iterable[Key]:
        return tuple(stores[SOURCES].keys()) if changes.is_of_spec(change) else ()

    return [
        Watch(SOURCES, neighbours),
        *(Watch(kind, if_it_came_or_went) for kind in WORKLOADS.values()),
        Watch(NAMESPACES, of_namespace),
        Watch(CONFIGURATIONS, of_configuration),
    ]
