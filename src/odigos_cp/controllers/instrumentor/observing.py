"""Where are workloads, their pods and what is known of them in the caches? Found by namespace and by owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from odigos_cp.api.application import application_key
from odigos_cp.api.builtin import PODS, WORKLOADS, Pod, Workload
from odigos_cp.api.meta import Key
from odigos_cp.api.source import SOURCES
from odigos_cp.domain import ownership
from odigos_cp.kube.controller import Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores

BY_NAMESPACE = "namespace"
BY_APPLICATION = "application"


def prepare(stores: Stores) -> None:
    """Before the caches run."""
    stores[SOURCES].add_index(BY_NAMESPACE, _namespace)
    for kind in WORKLOADS.values():
        stores[kind].add_index(BY_NAMESPACE, _namespace)
    stores[PODS].add_index(BY_APPLICATION, application_of)


def _namespace(resource: Any) -> Iterable[str]:
    return (resource.metadata.namespace,)


def application_of(pod: Pod) -> Iterable[Key]:
    key = ownership.application_of(pod)
    return (key,) if key else ()


def workload(stores: Stores, key: Key) -> Workload | None:
    """The workload that an application of this key is about."""
    found = ownership.workload_of(key)
    return stores[WORKLOADS[found[0]]].get(Key(key.namespace, found[1])) if found else None


def pods(stores: Stores, key: Key) -> tuple[Pod, ...]:
    """The pods of the application's workload that have not ended."""
    return tuple(p for p in stores[PODS].by(BY_APPLICATION, key) if ownership.is_alive(p))


def workload_watches() -> list[Watch[Any]]:
    """Every workload, by the key of its application."""
    return [Watch(kind, _application_key_of(name)) for name, kind in WORKLOADS.items()]


def _application_key_of(kind: str) -> Callable[[Change[Workload]], Iterable[Key]]:
    def keys(change: Change[Workload]) -> Iterable[Key]:
        return (application_key(change.key.namespace, kind, change.key.name),)

    return keys
