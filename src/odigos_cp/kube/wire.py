"""What do the API server's lists and watch lines hold? Envelopes are decoded here, objects by their kind, from bytes.

Nothing is ever decoded to a dict of the whole object: memory and time go into the fields that the views have.
Lists and events of built-in kinds are decoded with their envelopes in one pass over the bytes; only what does not fit,
and custom resources, which are pydantic models, are cut out and decoded one by one. An object that its kind cannot
decode is counted and given on as Unreadable (unreadable.py), with the reason; it never stops the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec
import structlog

from odigos_cp.api.meta import Key, Kind, R, Unreadable, key_of
from odigos_cp.kube import errors, metrics, unreadable

log = structlog.get_logger(__name__)

UNDECODABLE = metrics.counter(
    "odigos_kube_undecodable_total", "Objects that could not be decoded and were passed over.", "resource"
)

T = TypeVar("T")

_OF_OBJECTS: Final = ("ADDED", "MODIFIED", "DELETED")
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "OVERLONG"]


@dataclass(frozen=True)
class Page(Generic[R]):
    """One page of a list; `skipped` are the objects that could not be decoded."""

    items: tuple[R, ...]
    continue_token: str
    resource_version: str
    skipped: tuple[Unreadable, ...] = ()


class WatchEvent(NamedTuple, Generic[R]):
    """One line of a watch. `object` is None for a bookmark, and for an object that is `unreadable`.

    OVERLONG stands for a line that was too long to keep; its key has no name when that was not to be had.
    """

    type: EventType
    object: R | None
    resource_version: str
    key: Key
    unreadable: Unreadable | None = None


@dataclass(frozen=True)
class Written:
    """What the API server says that a write made of an object."""

    kind: Kind[Any]
    key: Key
    resource_version: str
    uid: str
    generation: int


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0


class _Object(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class _DeletedDetails(msgspec.Struct, frozen=True):
    uid: str = ""


class _Deleted(msgspec.Struct, frozen=True):
    kind: str = ""
    metadata: _Meta = _Meta()
    details: _DeletedDetails | None = None


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, Generic[T], frozen=True):
    kind: str = ""
    metadata: _ListMeta = _ListMeta()
    items: list[T] | None = None


class _Event(msgspec.Struct, Generic[T], frozen=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: T


class _Decoders(Generic[T]):
    """Of the envelopes around objects of one type, which a type checker cannot follow: it is known at run time only."""

    def __init__(self, item: type[T]) -> None:
        self.list: Callable[[bytes], _List[T]] = msgspec.json.Decoder(_List[item]).decode  # type: ignore[valid-type]
        self.event: Callable[[bytes], _Event[T]] = msgspec.json.Decoder(_Event[item]).decode  # type: ignore[valid-type]


_undecoded = _Decoders(msgspec.Raw)
_by_view: dict[type[Any], _Decoders[Any]] = {}
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_deleted = msgspec.json.Decoder(_Deleted).decode
_decode_status = msgspec.json.Decoder(errors.Status).decode

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def page(kind: Kind[R], body: bytes) -> Page[R]:
    """ValueError for what is no list."""
    if kind.view is not None:
        try:
            whole = _decoders(kind.view).list(body)
        except (ValueError, RecursionError):
            pass  # one of them does not fit: which one?
        else:
            return _page(kind, whole, tuple(whole.items or ()))
    envelope = _undecoded.list(body)
    items: list[R] = []
    skipped: list[Unreadable] = []
    for raw in envelope.items or ():
        found = decode(kind, raw)
        if isinstance(found, Unreadable):
            skipped.append(found)
        else:
            items.append(found)
    return _page(kind, envelope, tuple(items), tuple(skipped))


def _page(kind: Kind[R], envelope: _List[Any], items: tuple[R, ...], skipped: tuple[Unreadable, ...] = ()) -> Page[R]:
    if not envelope.metadata.resource_version or not envelope.kind.endswith("List"):
        raise ValueError(f"it is a {envelope.kind or 'nothing'}, not a list of {kind.plural} with a version")
    return Page(items, envelope.metadata.continue_, envelope.metadata.resource_version, skipped)


def event(kind: Kind[R], line: bytes) -> WatchEvent[R]:
    """Raises the ApiError that an ERROR event holds."""
    if kind.view is not None:
        try:
            whole = _decoders(kind.view).event(line)
        except (ValueError, RecursionError):
            pass  # a bookmark, an error, an object that does not fit, or no event
        else:
            if whole.type in _OF_OBJECTS:
                return WatchEvent(
                    whole.type, whole.object, whole.object.metadata.resource_version, key_of(whole.object)
                )
    action = f"watch {kind}"
    try:
        envelope = _undecoded.event(line)
        if envelope.type == "ERROR":
            raise errors.from_status(_decode_status(envelope.object), action=action)
        if envelope.type == "BOOKMARK":
            version = _decode_object(envelope.object).metadata.resource_version
            return WatchEvent("BOOKMARK", None, version, Key("", ""))
    except (ValueError, RecursionError) as error:
        raise errors.ServerError(f"a line of the watch is no event: {error}", status=200, action=action) from None
    found = decode(kind, envelope.object)
    if isinstance(found, Unreadable):
        return WatchEvent(envelope.type, None, found.resource_version, found.key, found)
    return WatchEvent(envelope.type, found, found.metadata.resource_version, key_of(found))


def _decoders(view: type[T]) -> _Decoders[T]:
    found = _by_view.get(view)
    if found is None:
        found = _by_view[view] = _Decoders(view)
    return found


def written(kind: Kind[Any], body: bytes) -> Written:
    try:
        meta = _decode_object(body).metadata
    except (ValueError, RecursionError) as error:
        raise _no_object(kind, error) from None
    return Written(kind, Key(meta.namespace, meta.name), meta.resource_version, meta.uid, meta.generation)


def deleted(kind: Kind[Any], body: bytes) -> tuple[str, str]:
    """The version at which the object is gone or going, and the uid of what is gone: what the answer has of them.

    An object that is gone at once is answered by a Status with its uid, one that ends later by itself.
    """
    try:
        found = _decode_deleted(body)
    except (ValueError, RecursionError) as error:
        raise _no_object(kind, error) from None
    if found.kind == "Status":
        return "", found.details.uid if found.details else ""
    return found.metadata.resource_version, ""


def _no_object(kind: Kind[Any], error: Exception) -> errors.ServerError:
    return errors.ServerError(f"the answer is no {kind.kind}: {error}", status=200, action=f"write {kind}")


def decode(kind: Kind[R], raw: msgspec.Raw) -> R | Unreadable:
    """Never fails: whoever may write objects must not be able to blind us."""
    try:
        return kind.decode(bytes(raw))
    except (ValueError, RecursionError) as error:  # msgspec's and pydantic's errors are ValueErrors
        meta = _metadata(raw)
        key, why, told = Key(meta.namespace, meta.name), unreadable.why(error), unreadable.told(raw)
        found = Unreadable(key, meta.resource_version, meta.uid, meta.generation, why, told)
        UNDECODABLE.inc(str(kind))
        log.warning(
            "object_undecodable",
            kind=str(kind),
            key=str(found.key),
            resource_version=found.resource_version,
            why=found.why,
            hint="correct or delete the object; until then odigos-cp goes on with what it last understood of it",
        )
        return found


def _metadata(raw: msgspec.Raw) -> _Meta:
    """Of an object that does not fit; empty if not even that can be read."""
    try:
        return _decode_object(raw).metadata
    except (ValueError, RecursionError):
        return _Meta()


def decode_dict(body: bytes) -> dict[str, Any]:
    """For the few small answers that have no kind here."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise errors.ServerError(f"the answer is no JSON object: {error}", status=200) from None
    return found
