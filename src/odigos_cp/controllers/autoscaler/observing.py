"""Where are the collectors' pods and ConfigMaps in the caches? Found by their group's label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.builtin import CONFIG_MAPS, PODS, ConfigMap, Pod
from odigos_cp.domain.objects import GROUP_LABEL
from odigos_cp.kube.stores import Stores

INDEX = "collectors-group"


def prepare(stores: Stores) -> None:
    """Before the caches run."""
    stores[PODS].add_index(INDEX, group_of)
    stores[CONFIG_MAPS].add_index(INDEX, group_of)


def group_of(resource: Any) -> Iterable[str]:
    group = resource.metadata.labels.get(GROUP_LABEL)
    return (group,) if group else ()


def pods(stores: Stores, group: str, namespace: str) -> tuple[Pod, ...]:
    """Labels are anybody's to set: only pods of our own namespace count."""
    return tuple(p for p in stores[PODS].by(INDEX, group) if p.metadata.namespace == namespace)


def config_maps(stores: Stores, group: str) -> tuple[ConfigMap, ...]:
    return stores[CONFIG_MAPS].by(INDEX, group)
