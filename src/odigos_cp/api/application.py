"""InstrumentedApplication (IA): everything odigos-cp knows and decided about one workload, and why.

Lives in the workload's namespace, named `<kind lower-case>-<name>`, owned by the workload. One writer a field; each
writer is a field manager of its own, so that one writer's apply never takes away another's fields:

| field | writer (field manager) |
|---|---|
| spec, condition Marked | instrumentor/discovery (odigos-instrumentor-discovery) |
| status.runtimes, detection, condition RuntimeDetected | instrumentor/detection (odigos-instrumentor-detection) |
| status.collector, condition CollectorAssigned | scheduler (odigos-scheduler) |
| status.injection, condition AgentEnabled | instrumentor/injection (odigos-instrumentor-injection) |
| status.rollout, conditions RolledOut, PodsInjected | instrumentor/rollout (odigos-instrumentor-rollout) |
| condition Valid, while it cannot be understood | instrumentor/validity (odigos-instrumentor-validity) |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from odigos_cp.api.meta import ATOMIC, Condition, CustomResource, Key, Model, custom, map_list
from odigos_cp.api.source import ContainerOverride, WorkloadReference

Signal = Literal["TRACES", "METRICS", "LOGS"]
SIGNALS: tuple[Signal, ...] = ("TRACES", "METRICS", "LOGS")


class ApplicationCondition(StrEnum):
    """The chain a user reads from left to right."""

    MARKED = "Marked"
    RUNTIME_DETECTED = "RuntimeDetected"
    COLLECTOR_ASSIGNED = "CollectorAssigned"
    AGENT_ENABLED = "AgentEnabled"
    ROLLED_OUT = "RolledOut"
    PODS_INJECTED = "PodsInjected"


class MarkedReason(StrEnum):
    WORKLOAD_SOURCE = "WorkloadSource"
    NAMESPACE_SOURCE = "NamespaceSource"
    OPT_OUT_MODE = "OptOutMode"
    DISABLED_BY_SOURCE = "DisabledBySource"
    NO_SOURCE = "NoSource"
    NAMESPACE_IGNORED = "NamespaceIgnored"


class DetectedReason(StrEnum):
    DETECTED = "Detected"
    PARTLY_DETECTED = "PartlyDetected"
    NO_KNOWN_LANGUAGE = "NoKnownLanguage"
    WAITING_FOR_POD = "WaitingForReadyPod"
    RUNNING = "DetectorRunning"
    DETECTOR_FAILED = "DetectorFailed"
    DETECTOR_TIMED_OUT = "DetectorTimedOut"
    INVALID_REPORT = "InvalidReport"
    OVERRIDDEN = "OverriddenByUser"
    NOT_WANTED = "NotWanted"


class AssignedReason(StrEnum):
    ASSIGNED = "Assigned"
    NO_COLLECTOR = "NoCollectorReady"
    NO_DESTINATION = "NoDestination"
    NOT_WANTED = "NotWanted"


class AgentReason(StrEnum):
    """Reasons of AgentEnabled, and of each container's verdict."""

    ENABLED = "Enabled"
    PARTLY_ENABLED = "PartlyEnabled"
    NOT_WANTED = "NotWanted"
    WAITING_FOR_DETECTION = "WaitingForDetection"
    WAITING_FOR_COLLECTOR = "WaitingForCollector"
    NO_SIGNALS = "NoSignals"
    UNKNOWN_LANGUAGE = "UnknownLanguage"
    NO_AGENT = "NoAgentForLanguage"
    COMPILED_LANGUAGE = "CompiledLanguage"
    VERSION_NOT_SUPPORTED = "VersionNotSupported"
    OTHER_AGENT = "OtherAgentPresent"
    ENVIRONMENT_UNKNOWN = "EnvironmentUnknown"
    IGNORED_CONTAINER = "IgnoredContainer"
    UNKNOWN_AGENT = "UnknownAgent"
    SECURE_EXECUTION = "SecureExecution"


class RolledOutReason(StrEnum):
    ROLLED_OUT = "RolledOut"
    IN_PROGRESS = "InProgress"
    QUEUED = "Queued"
    NOT_NEEDED = "NotNeeded"
    CONFLICT = "Conflict"
    FAILED = "Failed"
    PAUSED = "Paused"
    MANUAL = "WaitingForRestart"


class PodsInjectedReason(StrEnum):
    ALL = "AllPodsInjected"
    SOME = "SomePodsInjected"
    NONE = "NoPodInjected"
    NO_PODS = "NoPods"
    NOT_WANTED = "NotWanted"


class Evidence(Model):
    rule: str = Field(description="Which rule of the detector spoke.")
    saw: str = Field(default="", description="What it saw, cut to a bounded length.")
    says: str = Field(default="", description="The language it says.")
    weight: int = Field(default=0, description="How strong, 0 to 100.")


class Runtime(Model):
    """What runs in one container, and how we know."""

    container: str
    language: str = Field(description="java, python, nodejs, go, ..., or unknown.")
    version: str = ""
    libc: str = ""
    confidence: int = 0
    reason: str = Field(default="", description="Why the language is unknown, if it is.")
    evidence: tuple[Evidence, ...] = Field(default=(), json_schema_extra=ATOMIC)
    other_agents: tuple[str, ...] = Field(default=(), json_schema_extra=ATOMIC)
    secure_execution: bool = False
    env_known: bool = Field(default=False, description="False: the process wiped or hid its environment.")
    env: dict[str, str] = Field(
        default={}, description="Allow-listed variables as the container's first process has them (image and pod spec)."
    )
    image_id: str = Field(default="", alias="imageID", description="A new image is detected again.")


class Detection(Model):
    """The detector's bookkeeping: status is the only memory."""

    attempts: int = 0
    last_attempt: str = Field(default="", description="RFC 3339.")
    node: str = ""
    pod: str = Field(default="", description="Pod that was looked at.")


class CollectorAssignment(Model):
    group: str = Field(description="Name of the CollectorsGroup.")
    reason: str = ""
    since: str = ""


class FieldReference(Model):
    field_path: str


class EnvEdit(Model):
    """One variable of one container. `merge` says what happens when the pod already has it."""

    name: str
    value: str = ""
    field_path: str = Field(default="", description="Take the value from this field of the Pod instead.")
    merge: Literal["keep", "append", "prepend", "attributes"] = Field(
        default="keep",
        description="keep: the pod's own value wins. append, prepend: joined by `separator`. "
        "attributes: comma-separated k=v, only absent keys are added.",
    )
    separator: str = ""
    base: str = Field(default="", description="Value of the image's own ENV that a pod-spec value would hide.")


class ContainerInjection(Model):
    name: str
    method: Literal["agent", "ebpf", "none"] = "none"
    agent: str = Field(default="", description="Name of the distribution, for example java-opentelemetry.")
    language: str = ""
    image: str = Field(default="", description="Init-container image that holds the agent's files.")
    env: tuple[EnvEdit, ...] = Field(default=(), json_schema_extra=map_list("name"))
    image_id: str = Field(
        default="",
        alias="imageID",
        description="The container's own image for which it was decided what the image itself sets: once for each.",
    )
    reason: str = AgentReason.ENABLED
    message: str = ""


class Injection(Model):
    """The plan that the webhook carries out on pods whose label has `hash`."""

    hash: str = Field(default="", description="Empty: nothing is to be injected.")
    containers: tuple[ContainerInjection, ...] = Field(default=(), json_schema_extra=map_list("name"))


class Rollout(Model):
    state: Literal["idle", "queued", "rolling", "done", "failed"] = "idle"
    queued_since: str = ""
    hash: str = Field(default="", description="The label's value this rollout brings.")
    previous_hash: str = ""


class ApplicationSpec(Model):
    workload: WorkloadReference
    enabled: bool = Field(description="The effective wish.")
    service_name: str = ""
    containers: tuple[ContainerOverride, ...] = Field(default=(), json_schema_extra=map_list("containerName"))


class ApplicationStatus(Model):
    runtimes: tuple[Runtime, ...] = Field(default=(), json_schema_extra=map_list("container"))
    detection: Detection | None = None
    collector: CollectorAssignment | None = None
    injection: Injection | None = None
    rollout: Rollout | None = None
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class InstrumentedApplication(CustomResource):
    """What odigos-cp knows and decided about one workload."""

    spec: ApplicationSpec
    status: ApplicationStatus = ApplicationStatus()


APPLICATIONS = custom(InstrumentedApplication, "InstrumentedApplication", "instrumentedapplications")


def application_key(namespace: str, kind: str, name: str) -> Key:
    return Key(namespace, f"{kind.lower()}-{name}")
