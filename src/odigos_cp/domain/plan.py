"""A decision as data: the writes that would make the world right, and when to look again.

Domain functions return a Plan; controllers/applying.py carries it out. An empty plan means that the world is right:
nothing is written when nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odigos_cp.api.meta import Condition, CustomResource, Key, Kind, key_of

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Apply:
    """One server-side apply: `body` holds exactly the fields that `manager` owns."""

    kind: Kind[Any]
    body: Json
    manager: str
    subresource: str = ""
    force: bool = True

    @property
    def key(self) -> Key:
        metadata = self.body["metadata"]
        return Key(metadata.get("namespace", ""), metadata["name"])


@dataclass(frozen=True)
class Create:
    """A create whose name is deterministic: AlreadyExists means that it was done before, which is success."""

    kind: Kind[Any]
    body: Json

    @property
    def key(self) -> Key:
        metadata = self.body["metadata"]
        return Key(metadata.get("namespace", ""), metadata["name"])


@dataclass(frozen=True)
class Delete:
    """A delete of the very object that was seen (`uid`); an object that is gone already is success."""

    kind: Kind[Any]
    key: Key
    uid: str


Write = Apply | Create | Delete


@dataclass(frozen=True)
class Plan:
    writes: tuple[Write, ...] = ()
    requeue_after: float | None = None
    """Seconds until the decision must be made again without any event; None: only events matter."""
    because: str = field(default="", compare=False)
    """For the log only: why these writes."""


NOTHING = Plan()


def apply_status(
    kind: Kind[Any],
    resource: CustomResource,
    manager: str,
    fields: Mapping[str, Any],
    conditions: Sequence[Condition] = (),
) -> tuple[Apply, ...]:
    """The apply that makes these status fields true, or nothing when they are true already.

    `fields` has every status field that `manager` owns by its wire name; None means that the field must be absent.
    Values are JSON, or pydantic parts. The uid makes sure that a successor of the same name is not written to.
    """
    present: dict[str, Any] = resource.status.wire() if hasattr(resource, "status") else {}
    wanted = {name: _wire(value) for name, value in fields.items()}
    told = [c.wire() for c in conditions]
    unchanged = all(present.get(name) == value for name, value in wanted.items()) and all(
        c in present.get("conditions", ()) for c in told
    )
    if unchanged:
        return ()
    status = {name: value for name, value in wanted.items() if value is not None}
    if told:
        status["conditions"] = told
    body = identity(kind, key_of(resource), resource.metadata.uid) | {"status": status}
    return (Apply(kind, body, manager, subresource="status"),)


def identity(kind: Kind[Any], key: Key, uid: str) -> dict[str, Any]:
    """The beginning of a body that is for that very object."""
    metadata = {"name": key.name, "uid": uid}
    if kind.namespaced:
        metadata["namespace"] = key.namespace
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _wire(value: Any) -> Any:
    if hasattr(value, "wire"):
        return value.wire()
    if isinstance(value, list | tuple):
        return [_wire(v) for v in value]
    return value
