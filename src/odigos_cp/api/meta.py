"""What every Kubernetes object has: a kind, a key, metadata, conditions.

A `Kind` tells how objects of one resource are addressed and decoded; it is the only thing `kube` needs to know of one.
Custom resources are pydantic models (their schemas become CRDs), built-in kinds are msgspec structs (see builtin.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "odigos.io"
VERSION = "v1alpha1"
SYSTEM_NAMESPACE = "odigos-system"

INSTRUMENTED_LABEL: Final = "odigos.io/instrumented"
"""The one thing odigos-cp writes on a user's workload: a pod-template label with the hash of the injection plan."""

INJECTED_ANNOTATION: Final = "odigos.io/injected"
"""On live Pods only, set by the webhook: the hash of the plan that was injected."""

MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "odigos-cp"


class Key(NamedTuple):
    """An object's address within its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Metadata(Protocol):
    """The part of metadata that caches and controllers read, in pydantic models and msgspec structs alike."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def generation(self) -> int: ...


class Resource(Protocol):
    """Any decoded Kubernetes object."""

    @property
    def metadata(self) -> Metadata: ...


R = TypeVar("R", bound=Resource)


def key_of(resource: Resource) -> Key:
    return Key(resource.metadata.namespace, resource.metadata.name)


@dataclass(frozen=True)
class Kind(Generic[R]):
    """How objects of one resource are addressed on the API server, and decoded from its JSON."""

    group: str
    version: str
    plural: str
    kind: str
    decode: Callable[[bytes], R]
    namespaced: bool = True
    view: type[R] | None = None
    """What `decode` gives, if it is a msgspec struct: then whole lists and events of it are decoded in one go."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + scope + "/" + "/".join(part for part in (self.plural, name, subresource) if part)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Model(BaseModel):
    """Base of every custom resource part: camelCase on the wire, immutable in memory, unknown fields ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """The JSON form with unset optional fields left out: what goes into an apply."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


class OwnerReference(Model):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Model):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One answer to "why": a reason for machines, a message for a person."""

    type: str = Field(description="What the condition is about.")
    status: ConditionStatus
    reason: str = Field(description="One word of the enum of this condition's reasons.")
    message: str = Field(default="", description="Written for a person: what happened, why, what to do.")
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    observed_generation: int | None = None


VALID = "Valid"
"""The condition of an object that cannot be understood; one that can has no such condition."""


class ValidReason(StrEnum):
    """Reasons of the condition `Valid` of every custom resource."""

    INVALID = "Invalid"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that does not fit its kind: what could be read of it, and why not the rest, for a person.

    Without a uid it could not be fetched at all.
    """

    key: Key
    resource_version: str = ""
    uid: str = ""
    generation: int = 0
    why: str = ""
    told: Condition | None = None
    """What its own status says of it: its condition Valid."""


def map_list(key: str, *more: str) -> dict[str, Any]:
    """JSON schema extra of a list that server-side apply merges entry by entry."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key, *more]}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}


class CustomResource(Model):
    """Base of the custom resources: subclasses add `spec` and `status`."""

    metadata: ObjectMeta = ObjectMeta()


C = TypeVar("C", bound=CustomResource)


def custom(model: type[C], kind: str, plural: str) -> Kind[C]:
    return Kind(GROUP, VERSION, plural, kind, model.model_validate_json)


def find_condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    return next((c for c in conditions if c.type == type_), None)
