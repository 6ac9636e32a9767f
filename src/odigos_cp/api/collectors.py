"""CollectorsGroup: one set of collectors with one role, in odigos-system.

| field | writer (field manager) |
|---|---|
| spec, status.ready, endpoint, replicas, conditions Deployed, Ready | autoscaler/groups (odigos-autoscaler-groups) |
| status.configHash, receiverSignals, condition ConfigValid | autoscaler/config (odigos-autoscaler-config) |
| status.load | autoscaler/traffic (odigos-autoscaler-traffic) |
| condition Valid, while it cannot be understood | autoscaler/validity (odigos-autoscaler-validity) |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from odigos_cp.api.application import Signal
from odigos_cp.api.meta import ATOMIC, Condition, CustomResource, Model, custom, map_list

Role = Literal["node", "gateway", "dedicated"]
NODE_GROUP = "odigos-node"
GATEWAY_GROUP = "odigos-gateway"


class GroupCondition(StrEnum):
    CONFIG_VALID = "ConfigValid"
    DEPLOYED = "Deployed"
    READY = "Ready"


class GroupReason(StrEnum):
    RENDERED = "Rendered"
    NO_DESTINATION = "NoDestination"
    DESTINATIONS_LEFT_OUT = "DestinationsLeftOut"
    RENDER_FAILED = "RenderFailed"
    APPLIED = "Applied"
    WAITING_FOR_CONFIG = "WaitingForConfig"
    WAITING_FOR_GATEWAY = "WaitingForGateway"
    APPLY_FAILED = "ApplyFailed"
    READY = "Ready"
    PODS_NOT_READY = "PodsNotReady"
    NO_NODES = "NoNodes"


class ResourceSizes(Model):
    memory_request_mib: int = Field(default=256, alias="memoryRequestMiB")
    memory_limit_mib: int = Field(default=512, alias="memoryLimitMiB")
    cpu_request_millis: int = 100
    cpu_limit_millis: int = 1000


class GroupSpec(Model):
    role: Role
    application: str = Field(default="", description="dedicated only: namespace/name of the InstrumentedApplication.")
    min_replicas: int = 1
    max_replicas: int = 10
    resources: ResourceSizes = ResourceSizes()


class ApplicationLoad(Model):
    application: str
    spans: float = 0.0


class Load(Model):
    """Rates, each a second."""

    spans: float = 0.0
    metric_points: float = 0.0
    log_records: float = 0.0
    bytes: float = 0.0
    top: tuple[ApplicationLoad, ...] = Field(default=(), json_schema_extra=ATOMIC)


class GroupStatus(Model):
    ready: bool = False
    endpoint: str = Field(default="", description="Where data for this group is sent, host:port.")
    receiver_signals: tuple[Signal, ...] = Field(default=(), json_schema_extra=ATOMIC)
    replicas: int = 0
    config_hash: str = ""
    load: Load | None = None
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class CollectorsGroup(CustomResource):
    """One set of collectors with one role."""

    spec: GroupSpec
    status: GroupStatus = GroupStatus()


GROUPS = custom(CollectorsGroup, "CollectorsGroup", "collectorsgroups")
