"""What did the running reconcile write, or may it have written? The client notes every write, the controller reads.

A reconcile may fail, be cancelled or run out of time after a write: what it wrote must be known all the same, or the
next decision is made on a cache that does not hold it yet. So it is not the reconcile that tells: within `noted()`
each write of the client leaves a note, in this task and in those it starts, whatever comes after.

A call that ended without an answer, or with the server's failure, may have happened: its note has no version, and only
a look at the object that began after the call's end settles it. Caveat: a server that is given up on may still carry
out the call a moment later; then the look comes too early, as it does for every other writer of the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import anyio

from odigos_cp.api.meta import Key, Kind
from odigos_cp.kube.errors import ApiError, NotSent, ServerError, Unreachable


@dataclass(frozen=True, slots=True)
class Note:
    """One write. It is in a cache that holds this version of the object, or in which no object has this uid any more,
    or that was filled by a look that began after the write had ended."""

    kind: Kind[Any]
    key: Key
    ended: float
    resource_version: str = ""
    deleted_uid: str = ""

    @property
    def ambiguous(self) -> bool:
        """Whether it happened is unknown."""
        return not (self.resource_version or self.deleted_uid)

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.key}"


_notes: ContextVar[list[Note] | None] = ContextVar("odigos_notes", default=None)


@contextmanager
def noted() -> Iterator[list[Note]]:
    """The writes that are made within, in their order, as they are made."""
    notes: list[Note] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(kind: Kind[Any], key: Key, *, resource_version: str = "", deleted_uid: str = "") -> None:
    """A write ended just now; without a version and a uid it may have happened."""
    notes = _notes.get()
    if notes is not None:
        notes.append(Note(kind, key, anyio.current_time(), resource_version, deleted_uid))


@contextmanager
def ambiguous_unless_answered(kind: Kind[Any], key: Key) -> Iterator[None]:
    """Around one write: a failure that leaves open whether it happened is noted as such."""
    try:
        yield
    except BaseException as error:
        if _may_have_happened(error):
            note(kind, key)
        raise


def _may_have_happened(error: BaseException) -> bool:
    """A refusal (4xx) is certain; a cancellation in the middle is not."""
    if isinstance(error, NotSent):
        return False
    return not isinstance(error, ApiError) or isinstance(error, (Unreachable, ServerError))
