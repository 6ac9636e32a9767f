"""Which InstrumentedApplication does a workload have, and what does its spec say?

One exists for every workload that is wanted, and stays until nothing of ours is left on a workload that no longer is:
its status is the memory that the way back needs. Kubernetes removes it with its workload, which owns it.

While a Source cannot be understood, and what it said before is not known either (this process has begun since), the
applications of its namespace stay as they are: it may be what asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from odigos_cp.api.application import APPLICATIONS, ApplicationCondition, ApplicationSpec, InstrumentedApplication
from odigos_cp.api.builtin import Namespace, Workload
from odigos_cp.api.meta import MANAGED_BY, MANAGED_LABEL, Key, key_of
from odigos_cp.api.source import WorkloadReference
from odigos_cp.domain import conditions, ownership
from odigos_cp.domain.ownership import Progress
from odigos_cp.domain.plan import NOTHING, Apply, Delete, Plan, apply_status
from odigos_cp.domain.selection import MANAGER, Wish

API_VERSION = "apps/v1"


@dataclass(frozen=True)
class Observed:
    key: Key
    kind: str
    name: str
    workload: Workload | None
    namespace: Namespace | None
    application: InstrumentedApplication | None
    wish: Wish
    blind: bool = False
    """Whether there is more to the wish than can be understood."""


def plan(observed: Observed, now: datetime) -> Plan:
    workload, application = observed.workload, observed.application
    if workload is None or workload.metadata.deletion_timestamp or _is_ending(observed.namespace):
        return NOTHING
    if application is not None and application.metadata.deletion_timestamp:
        return NOTHING
    if application is not None and not _is_of(application, workload):
        gone = Delete(APPLICATIONS, key_of(application), application.metadata.uid)
        return Plan((gone,), because="it belongs to an earlier workload of the same name")
    if observed.blind and application is not None and application.spec.enabled:
        return NOTHING
    if not observed.wish.enabled and (application is None or _is_clean(observed.kind, workload, application)):
        if application is None:
            return NOTHING
        gone = Delete(APPLICATIONS, key_of(application), application.metadata.uid)
        return Plan((gone,), because=f"nothing of ours is left and {observed.wish.reason}")
    spec = ApplicationSpec(
        workload=WorkloadReference(namespace=observed.key.namespace, kind=observed.kind, name=observed.name),
        enabled=observed.wish.enabled,
        service_name=observed.wish.service_name or observed.name,
        containers=observed.wish.containers,
    )
    if application is None or application.spec != spec:
        return Plan((_body(observed.key, workload, observed.kind, spec),), because=f"the wish: {observed.wish.reason}")
    return Plan(_marked(application, observed.wish, now), because=f"the wish: {observed.wish.reason}")


def _is_ending(namespace: Namespace | None) -> bool:
    """Nothing can be created there any more."""
    return namespace is None or namespace.status.phase == "Terminating"


def _is_of(application: InstrumentedApplication, workload: Workload) -> bool:
    return any(owner.uid == workload.metadata.uid for owner in application.metadata.owner_references)


def _is_clean(kind: str, workload: Workload, application: InstrumentedApplication) -> bool:
    """Whether the workload runs without anything of ours, as far as its template goes."""
    if workload.instrumented_hash:
        return False
    rollout = application.status.rollout
    return rollout is None or rollout.state != "rolling" or ownership.rolled(kind, workload).progress is Progress.DONE


def _body(key: Key, workload: Workload, kind: str, spec: ApplicationSpec) -> Apply:
    owner = {"apiVersion": API_VERSION, "kind": kind, "name": workload.metadata.name, "uid": workload.metadata.uid}
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": {MANAGED_LABEL: MANAGED_BY},
        "ownerReferences": [owner],
    }
    return Apply(APPLICATIONS, {"metadata": metadata, "spec": spec.wire()}, MANAGER)


def _marked(application: InstrumentedApplication, wish: Wish, now: datetime) -> tuple[Apply, ...]:
    said = conditions.about(application, ApplicationCondition.MARKED, wish.enabled, wish.reason, wish.message, now)
    return apply_status(APPLICATIONS, application, MANAGER, {}, [said])
