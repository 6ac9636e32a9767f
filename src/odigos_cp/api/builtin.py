"""Narrow views of built-in kinds: only the fields that odigos-cp reads, decoded once from the API server's bytes.

Reading a field that is not here means adding it here, so what the control plane depends on stands in one file.
Of pods there are many, and each is held: of their labels and annotations only those with a name below are read, and a
word of a few that are known is an enum, for which no text is kept; one that is not known makes no pod unreadable.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Protocol, TypedDict, TypeVar

import msgspec
from msgspec.structs import force_setattr

from odigos_cp.api.meta import INSTRUMENTED_LABEL, Kind, Metadata

P = TypeVar("P")


class Struct(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Base of the views: immutable, camelCase on the wire, no garbage-collector bookkeeping."""


class Meta(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


class LabelSelector(Struct, frozen=True):
    match_labels: dict[str, str] = {}


class Variable(Struct, frozen=True):
    name: str = ""


class TemplateContainer(Struct, frozen=True):
    name: str = ""
    image: str = ""
    env: tuple[Variable, ...] = ()


class TemplateMeta(Struct, frozen=True):
    labels: dict[str, str] = {}


class TemplateSpec(Struct, frozen=True):
    containers: tuple[TemplateContainer, ...] = ()


class PodTemplate(Struct, frozen=True):
    metadata: TemplateMeta = TemplateMeta()
    spec: TemplateSpec = TemplateSpec()


class UpdateStrategy(Struct, frozen=True):
    type: str = ""


class WorkloadSpec(Struct, frozen=True):
    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()
    paused: bool = False
    update_strategy: UpdateStrategy = UpdateStrategy()
    """Of StatefulSets and DaemonSets; a Deployment has another field of another shape."""


class WorkloadCondition(Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class WorkloadStatus(Struct, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    # DaemonSets count under other names.
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_ready: int = 0
    conditions: tuple[WorkloadCondition, ...] = ()


class Workload(Struct, frozen=True):
    """A Deployment, StatefulSet or DaemonSet."""

    kind: str = ""
    metadata: Meta = Meta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def instrumented_hash(self) -> str:
        """The value of our one label, or empty."""
        return self.spec.template.metadata.labels.get(INSTRUMENTED_LABEL, "")


class Owner(Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool = False


PodLabels = TypedDict(
    "PodLabels",
    {
        "odigos.io/instrumented": str,
        "odigos.io/collectors-group": str,
        "app.kubernetes.io/component": str,
        "pod-template-hash": str,
    },
    total=False,
)
PodAnnotations = TypedDict(
    "PodAnnotations",
    {"odigos.io/injected": str, "odigos.io/config-hash": str, "odigos.io/detects": str, "odigos.io/question": str},
    total=False,
)


class PodMeta(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: PodLabels = {}
    annotations: PodAnnotations = {}
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


class PodSpec(Struct, frozen=True):
    node_name: str = ""


class Terminated(Struct, frozen=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Waiting(Struct, frozen=True):
    reason: str = ""
    message: str = ""


class ContainerState(Struct, frozen=True):
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True):
    name: str = ""
    ready: bool = False
    image_id: str = msgspec.field(default="", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class Phase(StrEnum):
    NONE = ""
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, value: object) -> Phase:
        return cls.UNKNOWN


class PodConditionType(StrEnum):
    READY = "Ready"
    OTHER = ""

    @classmethod
    def _missing_(cls, value: object) -> PodConditionType:
        return cls.OTHER


class Truth(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, value: object) -> Truth:
        return cls.UNKNOWN


class PodCondition(Struct, frozen=True):
    type: PodConditionType = PodConditionType.OTHER
    status: Truth = Truth.UNKNOWN
    message: str = ""


class PodStatus(Struct, frozen=True):
    phase: Phase = Phase.NONE
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


_RUNNING: Final = ContainerState()
SHARED_PARTS: Final = 20_000


class _Shared(dict[Any, Any]):
    """Parts of pods by themselves. When there are too many all are forgotten, and those that come are shared anew."""

    def __missing__(self, part: Any) -> Any:
        return self._remember(part, part)

    def labels(self, labels: PodLabels) -> PodLabels:
        key = frozenset(labels.items())
        return self[key] if key in self else self._remember(key, labels)

    def _remember(self, key: Any, part: P) -> P:
        if len(self) >= SHARED_PARTS:
            self.clear()
        self[key] = part
        return part


_shared: Final = _Shared()


class Pod(Struct, frozen=True):
    metadata: PodMeta = PodMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def __post_init__(self) -> None:
        """What is the same in many pods is held once: it is more than half of what a pod takes."""
        meta, status = self.metadata, self.status
        force_setattr(meta, "namespace", _shared[meta.namespace])
        force_setattr(meta, "labels", _shared.labels(meta.labels))
        force_setattr(meta, "owner_references", _shared[meta.owner_references])
        force_setattr(self, "spec", _shared[self.spec])
        force_setattr(status, "conditions", _shared[status.conditions])
        for container in status.container_statuses:
            force_setattr(container, "name", _shared[container.name])
            force_setattr(container, "image_id", _shared[container.image_id])
            if container.state == _RUNNING:
                force_setattr(container, "state", _RUNNING)
            if container.last_state == _RUNNING:
                force_setattr(container, "last_state", _RUNNING)

    @property
    def ready(self) -> bool:
        return self.metadata.deletion_timestamp is None and any(
            c.type is PodConditionType.READY and c.status is Truth.TRUE for c in self.status.conditions
        )


class NamespaceStatus(Struct, frozen=True):
    phase: str = ""


class Namespace(Struct, frozen=True):
    metadata: Meta = Meta()
    status: NamespaceStatus = NamespaceStatus()


class Node(Struct, frozen=True):
    metadata: Meta = Meta()


class ConfigMap(Struct, frozen=True):
    metadata: Meta = Meta()
    data: dict[str, str] = {}


class Service(Struct, frozen=True):
    metadata: Meta = Meta()


class ClientConfig(Struct, frozen=True):
    ca_bundle: str = ""


class Webhook(Struct, frozen=True):
    name: str = ""
    client_config: ClientConfig = ClientConfig()


class WebhookConfiguration(Struct, frozen=True):
    metadata: Meta = Meta()
    webhooks: tuple[Webhook, ...] = ()


class LeaseSpec(Struct, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Struct, frozen=True):
    metadata: Meta = Meta()
    spec: LeaseSpec = LeaseSpec()


class View(Protocol):
    """Any of the structs above that has metadata."""

    @property
    def metadata(self) -> Metadata: ...


S = TypeVar("S", bound=View)


def _builtin(view: type[S], group: str, plural: str, kind: str, *, namespaced: bool = True) -> Kind[S]:
    return Kind(group, "v1", plural, kind, msgspec.json.Decoder(view).decode, namespaced, view)


PODS = _builtin(Pod, "", "pods", "Pod")
NAMESPACES = _builtin(Namespace, "", "namespaces", "Namespace", namespaced=False)
NODES = _builtin(Node, "", "nodes", "Node", namespaced=False)
CONFIG_MAPS = _builtin(ConfigMap, "", "configmaps", "ConfigMap")
SERVICES = _builtin(Service, "", "services", "Service")
DEPLOYMENTS = _builtin(Workload, "apps", "deployments", "Deployment")
STATEFUL_SETS = _builtin(Workload, "apps", "statefulsets", "StatefulSet")
DAEMON_SETS = _builtin(Workload, "apps", "daemonsets", "DaemonSet")
LEASES = _builtin(Lease, "coordination.k8s.io", "leases", "Lease")
WEBHOOKS = _builtin(
    WebhookConfiguration,
    "admissionregistration.k8s.io",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)

WORKLOADS: dict[str, Kind[Workload]] = {
    "Deployment": DEPLOYMENTS,
    "StatefulSet": STATEFUL_SETS,
    "DaemonSet": DAEMON_SETS,
}
