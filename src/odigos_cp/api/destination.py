"""Destination: a back end that telemetry is sent to. Field names and `data` keys are the ones Odigos users have.

| field | writer (field manager) |
|---|---|
| spec | the user, or the UI for the user (`odigos-ui`) |
| condition Configured | autoscaler/config (odigos-autoscaler-config) |
| condition Valid, while it cannot be understood | autoscaler/validity (odigos-autoscaler-validity) |
| status.throughput, status.lastError, condition Delivering | autoscaler/traffic (odigos-autoscaler-traffic) |
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from odigos_cp.api.application import Signal
from odigos_cp.api.meta import Condition, CustomResource, Model, custom, map_list


class DestinationCondition(StrEnum):
    CONFIGURED = "Configured"
    DELIVERING = "Delivering"


class ConfiguredReason(StrEnum):
    CONFIGURED = "Configured"
    DISABLED = "Disabled"
    UNKNOWN_TYPE = "UnknownType"
    INVALID_FIELD = "InvalidField"
    MISSING_FIELD = "MissingField"
    SIGNAL_NOT_SUPPORTED = "SignalNotSupported"
    NO_SIGNALS = "NoSignals"


class DeliveringReason(StrEnum):
    DELIVERING = "Delivering"
    NO_DATA_YET = "NoDataYet"
    NOT_ACCEPTING = "NotAccepting"
    GATEWAY_NOT_READY = "GatewayNotReady"
    METRICS_UNREADABLE = "MetricsUnreadable"


class SecretReference(Model):
    name: str = Field(description="A Secret in odigos-system whose keys are the secret fields of the type.")


class SourceSelector(Model):
    namespaces: tuple[str, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})


class DestinationSpec(Model):
    type: str = Field(description="otlp, otlphttp, debug, ...")
    destination_name: str = Field(default="", description="The name people see.")
    data: dict[str, str] = Field(default={}, description="Settings of the type, for example OTLP_GRPC_ENDPOINT.")
    secret_ref: SecretReference | None = None
    signals: tuple[Signal, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})
    disabled: bool = False
    source_selector: SourceSelector | None = None


class Throughput(Model):
    """Items the destination accepted since the gateway started, as the gateway's own metrics count them."""

    spans: int = 0
    metric_points: int = 0
    log_records: int = 0
    queued_bytes: int = 0
    read_at: str = ""


class DestinationStatus(Model):
    last_error: str = Field(default="", description="What the back end last answered, cut to a bounded length.")
    throughput: Throughput | None = None
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class Destination(CustomResource):
    """A back end that telemetry is sent to."""

    spec: DestinationSpec
    status: DestinationStatus = DestinationStatus()


DESTINATIONS = custom(Destination, "Destination", "destinations")
