"""When is which key reconciled, and what follows from the outcome? One loop for all controllers.

Changes of the watched caches are mapped to keys, the keys are queued, workers reconcile them. All outcomes are in one
place (`_settle`), each with a metric and a log line. A reconcile that fails is retried with back-off; errors of the
machinery around it (a mapping, a cache) end the process. A changed object may not be reconciled twice at once; that is
the queue's promise.

A controller reads its own writes, for deciding on a stale cache is the most common fault of controllers: a key is put
off until the caches hold all that its last reconcile wrote, however that ended (see writes.py). What does not come by
itself, and what only may have been written, the API server is asked for; while it does not answer, the key waits.

Metrics, by controller: `..._outcomes_total` (success, requeue, terminal, api_error, timeout, bug), `..._seconds`,
`..._put_off_total` (each time a key is put off), `..._unseen_total` (writes that did not come by themselves in time),
`..._ambiguous_total` (writes that may have happened), `..._waiting` (keys that wait for their own writes now).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.meta import Key, Kind, R
from odigos_cp.kube import clock, metrics, writes
from odigos_cp.kube.client import Written
from odigos_cp.kube.errors import ApiError, Terminal
from odigos_cp.kube.queue import Queue
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.kube.writes import Note

log = structlog.get_logger(__name__)

OUTCOMES = metrics.counter("odigos_controller_outcomes_total", "How reconciles ended.", "controller", "outcome")
SECONDS = metrics.histogram("odigos_controller_seconds", "How long reconciles took.", "controller")
PUT_OFF = metrics.counter(
    "odigos_controller_put_off_total", "Keys put off until the cache held their last write.", "controller"
)
UNSEEN = metrics.counter("odigos_controller_unseen_total", "Writes that did not reach the cache in time.", "controller")
AMBIGUOUS = metrics.counter("odigos_controller_ambiguous_total", "Writes that may have happened.", "controller")
WAITING = metrics.gauge("odigos_controller_waiting", "Keys that wait for their own writes.", "controller")

UNSEEN_SECONDS: Final = 10.0
"""So long a key waits for its own writes to come back by themselves; then the API server is asked for them."""
PUT_OFF_SECONDS: Final = (0.02, 2.0)
PRUNE_FROM: Final = 1000
RECONCILE_SECONDS: Final = 120.0
"""Each call has its own deadline; this one is for what none of them bounds."""


@dataclass(frozen=True)
class Result:
    """When a reconcile wants to look again without being told, and what it wrote: for those who called it.

    The controller does not need to be told what was written, it knows from the client.
    """

    requeue_after: float | None = None
    written: tuple[Written, ...] = ()


Reconcile = Callable[[Key], Awaitable[Result | None]]


def _own_key(change: Change[Any]) -> Iterable[Key]:
    return (change.key,)


@dataclass(frozen=True)
class Watch(Generic[R]):
    """Which keys a change concerns: by default the object's own."""

    kind: Kind[R]
    keys: Callable[[Change[R]], Iterable[Key]] = _own_key
    unreadable: bool = False
    """Whether objects that cannot be understood concern it, too: as changes of what was last understood of them."""


@dataclass(frozen=True)
class ControllerStatus:
    """For the UI; the times are RFC 3339."""

    name: str
    running: bool
    queue_depth: int
    last_success: str = ""
    last_error: str = ""
    waiting: int = 0
    """Keys that wait until the caches hold their own writes."""


class _Because:
    """Why a key was added: text for the log, which seldom asks."""

    __slots__ = ("_event", "_key", "_kind")

    def __init__(self, event: str, kind: Kind[Any], key: Key) -> None:
        self._event, self._kind, self._key = event, kind, key

    def __repr__(self) -> str:
        return f"{self._event} of {self._kind.kind} {self._key}"


class Outcome(StrEnum):
    SUCCESS = "success"
    REQUEUE = "requeue"
    TERMINAL = "terminal"
    API_ERROR = "api_error"
    TIMEOUT = "timeout"
    BUG = "bug"


@dataclass
class _Unseen:
    """Writes of one key that the caches do not hold yet."""

    notes: tuple[Note, ...]
    since: float = field(default_factory=clock.seconds)
    put_off: bool = False
    """Whether the key came meanwhile and had to wait."""
    said: bool = False


class Controller:
    """Subscribes when it is made, so make it before the caches run; it works only while `run` does."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        watches: Sequence[Watch[Any]],
        stores: Stores,
        *,
        concurrency: int = 4,
        resync: float | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._watches = tuple(watches)
        self._stores = stores
        self._concurrency = concurrency
        self._resync = resync
        self._queue = Queue(name)
        self._running = False
        self._unseen: dict[Key, _Unseen] = {}
        self._last_success: datetime | None = None
        self._last_error = ""
        self._waiting = 0
        self._prune_at = PRUNE_FROM
        for watch in self._watches:
            stores[watch.kind].subscribe(self._handler(watch))
            if watch.unreadable:
                stores[watch.kind].on_unreadable(self._unreadable_handler(watch))

    @property
    def status(self) -> ControllerStatus:
        return ControllerStatus(
            self.name,
            self._running,
            self._queue.depth,
            _text(self._last_success) if self._last_success else "",
            self._last_error,
            self._waiting,
        )

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled, which ends reconciles in the middle: status is the only memory."""
        for watch in self._watches:
            await self._stores[watch.kind].wait_synced()
        self._running = True
        try:
            async with anyio.create_task_group() as tasks:
                self._add_all("start")
                for _ in range(self._concurrency):
                    tasks.start_soon(self._work)
                if self._resync is not None:
                    tasks.start_soon(self._resync_for_ever, self._resync)
                task_status.started()
        finally:
            self._running = False

    def _handler(self, watch: Watch[Any]) -> Callable[[Change[Any]], None]:
        def on_change(change: Change[Any]) -> None:
            # Before the start there is nothing to lose: the start takes every key from the caches.
            if self._running:
                self._add(watch, change, "change")

        return on_change

    def _unreadable_handler(self, watch: Watch[Any]) -> Callable[[Key], None]:
        def on_unreadable(key: Key) -> None:
            if self._running:
                self._add_unreadable(watch, key)

        return on_unreadable

    def _add_unreadable(self, watch: Watch[Any], key: Key) -> None:
        held = self._stores[watch.kind].get(key)
        self._add(watch, Change(held, held, key), "unreadable state")

    def _add(self, watch: Watch[Any], change: Change[Any], why: str) -> None:
        because = _Because(why, watch.kind, change.key)
        for key in watch.keys(change):
            self._queue.add(key, why=because)

    def _add_all(self, why: str) -> None:
        for watch in self._watches:
            store = self._stores[watch.kind]
            for key in tuple(store.keys()):
                self._add(watch, Change(None, store.get(key), key), why)
            for key in tuple(store.unreadable) if watch.unreadable else ():
                self._add_unreadable(watch, key)

    async def _resync_for_ever(self, seconds: float) -> None:
        while True:
            await anyio.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load
            self._add_all("resync")

    async def _work(self) -> None:
        structlog.contextvars.bind_contextvars(controller=self.name)
        while True:
            key = await self._queue.get()
            try:
                if not self._put_off(key):
                    await self._settle(key)
            finally:
                self._queue.done(key)

    def _put_off(self, key: Key) -> bool:
        """Whether the caches do not hold yet what this controller last wrote for the key."""
        unseen = self._unseen.get(key)
        if unseen is None:
            return False
        unseen.notes = tuple(note for note in unseen.notes if not self._stores.hold(note))
        if not unseen.notes:
            del self._unseen[key]
            self._count_waiting(-unseen.put_off)
            return False
        self._count_waiting(not unseen.put_off)
        unseen.put_off = True
        waited = clock.seconds() - unseen.since
        if waited >= UNSEEN_SECONDS:
            self._ask_for(key, unseen)
        PUT_OFF.inc(self.name)
        least, most = PUT_OFF_SECONDS
        self._queue.add(key, after=min(most, max(least, waited / 4)), why="own write not seen yet")
        return True

    def _ask_for(self, key: Key, unseen: _Unseen) -> None:
        """What did not come by itself; a cache asks for one object not too often, however often it is told to."""
        for note in unseen.notes:
            self._stores.look(note.kind, note.key)
        if unseen.said:
            return
        unseen.said = True
        UNSEEN.inc(self.name, by=len(unseen.notes))
        objects = [str(note) for note in unseen.notes]
        self._failed(f"{key}: waits until the cache holds what was written: {', '.join(objects)}")
        log.warning(
            "own_write_not_seen",
            controller=self.name,
            key=str(key),
            objects=objects,
            hint="the watch lags or the API server is away; the key waits, and the API server is asked for the objects",
        )

    def _remember_writes(self, key: Key, notes: list[Note]) -> None:
        unseen = tuple(note for note in notes if not self._stores.hold(note))
        if not unseen:
            return
        if len(self._unseen) >= self._prune_at:
            self._prune()
        self._unseen[key] = _Unseen(unseen)
        for note in unseen:
            if note.ambiguous:  # no event can tell that it did not happen
                AMBIGUOUS.inc(self.name)
                self._stores.look(note.kind, note.key)

    def _prune(self) -> None:
        """Keys that never come again, for their objects are gone, leave their writes behind."""
        for key, unseen in tuple(self._unseen.items()):
            if not unseen.put_off and all(self._stores.hold(note) for note in unseen.notes):
                del self._unseen[key]
        self._prune_at = max(PRUNE_FROM, 2 * len(self._unseen))

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        WAITING.set(self._waiting, self.name)

    async def _settle(self, key: Key) -> None:
        """One reconcile, and all that can come of it."""
        began = clock.seconds()
        structlog.contextvars.bind_contextvars(key=str(key))  # until this worker's next key
        why = self._queue.why(key)
        notes: list[Note] = []
        try:
            with writes.noted() as notes:
                async with asyncio.timeout(RECONCILE_SECONDS):
                    result = await self._reconcile(key)
        except Terminal as error:
            outcome = Outcome.TERMINAL
            self._queue.forget(key)
            log.warning("reconcile_terminal", because=why, why=str(error))
        except ApiError as error:
            outcome = Outcome.API_ERROR
            pause = self._queue.retry(key, at_least=error.retry_after or 0.0)
            self._failed(str(error))
            log.warning("reconcile_failed", because=why, why=str(error), retry_in=round(pause, 2))
        except TimeoutError:
            outcome = Outcome.TIMEOUT
            pause = self._queue.retry(key)
            self._failed(f"{key}: not done within {RECONCILE_SECONDS:.0f} s")
            log.warning("reconcile_timed_out", because=why, retry_in=round(pause, 2))
        except Exception as error:
            outcome = Outcome.BUG
            pause = self._queue.retry(key)
            self._failed(f"{type(error).__name__}: {error}")
            log.exception("reconcile_crashed", because=why, retry_in=round(pause, 2))
        else:
            outcome = self._succeeded(key, result)
            log.debug("reconciled", because=why, outcome=outcome.value, writes=len(notes))
        self._remember_writes(key, notes)
        OUTCOMES.inc(self.name, outcome.value)
        SECONDS.observe(clock.seconds() - began, self.name)

    def _succeeded(self, key: Key, result: Result | None) -> Outcome:
        self._queue.forget(key)
        self._last_success = clock.now()
        if result is None or result.requeue_after is None:
            return Outcome.SUCCESS
        self._queue.add(key, after=result.requeue_after, why="wanted to look again")
        return Outcome.REQUEUE

    def _failed(self, message: str) -> None:
        self._last_error = f"{_text(clock.now())} {message}"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
