"""Which collectors does an application send to?

So far every enabled application goes to the shared gateway, once that is ready and somebody wants what it carries. An
assignment stays while its group exists: a group that is not ready for a moment keeps its applications, because taking
them away would restart them, and their node's collector keeps their data meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from odigos_cp.api.application import (
    APPLICATIONS,
    ApplicationCondition,
    AssignedReason,
    CollectorAssignment,
    InstrumentedApplication,
)
from odigos_cp.api.collectors import GATEWAY_GROUP, CollectorsGroup
from odigos_cp.api.meta import Condition, ConditionStatus
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import Plan, apply_status

MANAGER = "odigos-scheduler"
SHARED = "the gateway that all applications share"


@dataclass(frozen=True)
class Observed:
    application: InstrumentedApplication
    groups: Mapping[str, CollectorsGroup]
    """By name; those that are being deleted are not there."""


def plan(observed: Observed, now: datetime) -> Plan:
    application = observed.application

    def decide(
        status: ConditionStatus, reason: AssignedReason, message: str, collector: CollectorAssignment | None = None
    ) -> Plan:
        said: Condition = conditions.about(
            application, ApplicationCondition.COLLECTOR_ASSIGNED, status, reason, message, now
        )
        writes = apply_status(APPLICATIONS, application, MANAGER, {"collector": collector}, [said])
        return Plan(writes, because=reason)

    if not application.spec.enabled:
        return decide("False", AssignedReason.NOT_WANTED, "The application is not to be instrumented.")
    current = application.status.collector
    if current and (kept := observed.groups.get(current.group)):
        return decide("True", AssignedReason.ASSIGNED, _assigned(kept), current)
    gateway = observed.groups.get(GATEWAY_GROUP)
    if gateway is None or not gateway.status.receiver_signals:
        return decide(
            "False",
            AssignedReason.NO_DESTINATION,
            "There is nowhere to send telemetry to. Add a destination; the application waits for it unchanged.",
        )
    if not gateway.status.ready:
        return decide(
            "False",
            AssignedReason.NO_COLLECTOR,
            f"The collectors are starting: {GATEWAY_GROUP} is not ready yet. Its conditions say why.",
        )
    chosen = CollectorAssignment(group=GATEWAY_GROUP, reason=SHARED, since=conditions.rfc3339(now))
    return decide("True", AssignedReason.ASSIGNED, _assigned(gateway), chosen)


def _assigned(group: CollectorsGroup) -> str:
    return f"Telemetry goes by the collector of its own node to {group.metadata.name}."
