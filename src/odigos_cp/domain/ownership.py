"""Which workload does a pod belong to, and how far has Kubernetes brought the workload's newest template?

A Deployment's pods are owned by a ReplicaSet whose name is the Deployment's and the template's hash, which the pod
carries as a label: so no ReplicaSet needs to be looked at. Pods of anything else (Jobs, bare pods) are nobody's here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from odigos_cp.api.application import application_key
from odigos_cp.api.builtin import Pod, Workload
from odigos_cp.api.meta import Key
from odigos_cp.api.source import WORKLOAD_KINDS

TEMPLATE_HASH: Final = "pod-template-hash"
_BY_PREFIX = {f"{kind.lower()}-": kind for kind in WORKLOAD_KINDS}


def application_of(pod: Pod, namespace: str = "") -> Key | None:
    """The key of the InstrumentedApplication of the workload that made the pod.

    A pod that is only being made does not know its namespace yet; then it is given.
    """
    namespace = namespace or pod.metadata.namespace
    owner = next((o for o in pod.metadata.owner_references if o.controller), None)
    if owner is None:
        return None
    if owner.kind in ("StatefulSet", "DaemonSet"):
        return application_key(namespace, owner.kind, owner.name)
    ending = f"-{pod.metadata.labels.get(TEMPLATE_HASH, '')}"
    if owner.kind == "ReplicaSet" and len(ending) > 1 and owner.name.endswith(ending):
        return application_key(namespace, "Deployment", owner.name.removesuffix(ending))
    return None


def workload_of(key: Key) -> tuple[str, str] | None:
    """Kind and name of the workload that an InstrumentedApplication of this key is about."""
    for prefix, kind in _BY_PREFIX.items():
        if key.name.startswith(prefix) and len(key.name) > len(prefix):
            return kind, key.name.removeprefix(prefix)
    return None


def is_alive(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is None and pod.status.phase not in ("Succeeded", "Failed")


class Progress(StrEnum):
    """How far the newest template is."""

    DONE = "done"
    ROLLING = "rolling"
    UNSEEN = "unseen"
    """Its status says that it is done or stuck, of what it was before somebody edited the workload a moment ago."""
    STUCK = "stuck"
    PAUSED = "paused"
    ON_DELETE = "onDelete"
    """Kubernetes waits until somebody deletes the old pods."""


@dataclass(frozen=True)
class Rolled:
    progress: Progress
    updated: int
    wanted: int
    message: str = ""
    """Kubernetes' own words, where it has some."""


def rolled(kind: str, workload: Workload) -> Rolled:
    spec, status = workload.spec, workload.status
    if kind == "DaemonSet":
        wanted, updated = status.desired_number_scheduled, status.updated_number_scheduled
        all_there = status.number_available >= wanted
    else:
        wanted, updated = spec.replicas, status.updated_replicas
        available = status.available_replicas if kind == "Deployment" else status.ready_replicas
        all_there = status.replicas <= wanted and available >= wanted
    observed = status.observed_generation >= workload.metadata.generation
    if updated >= wanted and all_there:
        return Rolled(Progress.DONE if observed else Progress.UNSEEN, updated, wanted)
    if spec.paused:
        return Rolled(Progress.PAUSED, updated, wanted)
    if kind != "Deployment" and spec.update_strategy.type == "OnDelete" and updated < wanted:
        return Rolled(Progress.ON_DELETE, updated, wanted)
    stuck = next((c for c in status.conditions if c.type == "Progressing" and c.status == "False"), None)
    if stuck is not None:
        return Rolled(Progress.STUCK if observed else Progress.UNSEEN, updated, wanted, stuck.message)
    return Rolled(Progress.ROLLING, updated, wanted)
