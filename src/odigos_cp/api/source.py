"""Source: the user's wish to instrument one workload, or every workload of a namespace.

| field | writer |
|---|---|
| spec | the user, or the UI for the user (`odigos-ui`) |
| condition Matched | instrumentor/discovery (odigos-instrumentor-discovery) |
| condition Valid, while it cannot be understood | instrumentor/validity (odigos-instrumentor-validity) |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from odigos_cp.api.meta import Condition, CustomResource, Model, custom, map_list

WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet"]
WORKLOAD_KINDS: tuple[WorkloadKind, ...] = ("Deployment", "StatefulSet", "DaemonSet")


class SourceReason(StrEnum):
    """Reasons of the Source condition `Matched`."""

    MATCHED = "Matched"
    NOTHING_MATCHES = "NothingMatches"
    NAMESPACE_NOT_FOUND = "NamespaceNotFound"
    NAMESPACE_IGNORED = "NamespaceIgnored"
    WORKLOAD_NOT_FOUND = "WorkloadNotFound"
    KIND_NOT_SUPPORTED = "KindNotSupported"
    WRONG_NAMESPACE = "WrongNamespace"
    INVALID_PATTERN = "InvalidPattern"
    OVERRIDDEN = "Overridden"


class WorkloadReference(Model):
    namespace: str = Field(description="Namespace of the workload; the Source lives in the same one.")
    kind: str = Field(description="Deployment, StatefulSet, DaemonSet, or Namespace for all of them.")
    name: str = Field(description="Name of the workload, or of the namespace itself.")


class RuntimeInfo(Model):
    language: str = Field(description="java, python, nodejs, go, ...")
    runtime_version: str = ""


class ContainerOverride(Model):
    container_name: str
    runtime_info: RuntimeInfo | None = Field(default=None, description="What the user knows better than detection.")
    otel_distro_name: str = Field(default="", description="The agent to use instead of the language's default one.")


class SourceSpec(Model):
    workload: WorkloadReference = Field(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "workload is immutable: delete the Source and write another one"}
            ]
        }
    )
    disable_instrumentation: bool = Field(default=False, description="True keeps the workload out, whatever else says.")
    otel_service_name: str = Field(
        default="", description="service.name of the telemetry; the workload's name if empty."
    )
    match_workload_name_as_regex: bool = Field(
        default=False, description="workload.name is a regular expression that must match the whole name."
    )
    container_overrides: tuple[ContainerOverride, ...] = Field(default=(), json_schema_extra=map_list("containerName"))


class SourceStatus(Model):
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class Source(CustomResource):
    """The wish to instrument a workload, or every workload of a namespace."""

    spec: SourceSpec
    status: SourceStatus = SourceStatus()


SOURCES = custom(Source, "Source", "sources")
