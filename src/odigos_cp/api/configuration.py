"""OdigosConfiguration: the one object `odigos-config` in odigos-system that sets what is not set elsewhere.

| field | writer |
|---|---|
| spec | the user (`odigos-ui` for the UI) |
| status.effective, condition InUse | instrumentor/discovery (odigos-instrumentor-discovery) |
| condition Valid, while it cannot be understood | instrumentor/validity (odigos-instrumentor-validity) |
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.api.meta import Condition, CustomResource, Model, custom, map_list

CONFIGURATION_NAME = "odigos-config"
ALWAYS_IGNORED_NAMESPACES = frozenset({"odigos-system", "kube-system", "kube-public", "kube-node-lease"})
"""Never instrumented, whatever a Source says: breaking these breaks the cluster, or the cure."""

SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}


class Collectors(Model):
    node: ResourceSizes = ResourceSizes()
    gateway: ResourceSizes = ResourceSizes()
    gateway_min_replicas: int = Field(default=1, ge=1)
    gateway_max_replicas: int = Field(default=10, ge=1)


class Dedicated(Model):
    share: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of all traffic above which one is made.")
    minimum_rate: float = Field(default=1000.0, description="Items a second below which none is made.")
    hold_seconds: int = Field(default=300, description="How long both must last, and how long before it goes.")


class RolloutSettings(Model):
    max_concurrent: int = Field(default=10, ge=1, description="Workloads restarting at the same time.")
    automatic: bool = Field(default=True, description="False: odigos-cp waits until somebody restarts the workload.")


class RollbackSettings(Model):
    grace_seconds: int = 300
    window_seconds: int = 3600


class InjectionSettings(Model):
    method: Literal["auto", "initContainer", "imageVolume"] = "auto"


class ConfigurationSpec(Model):
    instrumentation_mode: Literal["OPT_IN", "OPT_OUT"] = Field(
        default="OPT_IN", description="OPT_IN: only what a Source names. OPT_OUT: all but what a Source disables."
    )
    ignored_namespaces: tuple[str, ...] = Field(default=(), json_schema_extra=SET)
    ignored_containers: tuple[str, ...] = Field(
        default=("istio-proxy", "linkerd-proxy", "vault-agent"), json_schema_extra=SET
    )
    collectors: Collectors = Collectors()
    dedicated: Dedicated = Dedicated()
    rollout: RolloutSettings = RolloutSettings()
    rollback: RollbackSettings = RollbackSettings()
    injection: InjectionSettings = InjectionSettings()


class ConfigurationStatus(Model):
    effective: dict[str, str] = Field(default={}, description="Each setting by its path, with where it came from.")
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class OdigosConfiguration(CustomResource):
    """What is not set elsewhere."""

    spec: ConfigurationSpec = ConfigurationSpec()
    status: ConfigurationStatus = ConfigurationStatus()


CONFIGURATIONS = custom(OdigosConfiguration, "OdigosConfiguration", "odigosconfigurations")
