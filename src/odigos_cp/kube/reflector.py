"""How does a cache follow the API server? List once in pages, then watch; when the watch cannot go on, list again.

The states are named, for /metrics. Every reconnect pauses with jitter, longer after each failure; an event
resets it. 410, in either form, means the version is too old: list again; when it comes in the middle of lists, again
and again, the list is asked for in one piece. A kind that cannot be read for a while keeps what was last known of it:
acting on an empty cache would take agents off applications.

Beside the watch, which has its own pace, the reflector looks at single objects while it watches: those whose event was
too long to keep, and those of whose write nobody knows whether it happened (`look`). Such a look is a list of one
object, so its answer has a version even when there is no such object. Lists and looks take turns: what one found, no
older other takes back.

Metrics, all by resource: the state (`..._reflector_state`), changes of it (`..._transitions_total`), events by type
(`..._events_total`), complete lists (`..._lists_total`: start, gone, refused, overlong, many_looks), looks by
outcome (`..._looks_total`: done, failed, too_large), and why a watch was begun anew (`..._reconnects_total`: ended,
unreachable, gone, asked, or the kind of refusal).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Generic

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.meta import Key, R, Unreadable, key_of
from odigos_cp.kube import metrics, versions
from odigos_cp.kube.backoff import Backoff, pause_after
from odigos_cp.kube.client import PAGE_OBJECTS, Client, WatchEvent
from odigos_cp.kube.errors import ApiError, Forbidden, Gone, NotFound, TooLarge, Unauthorized, Unreachable
from odigos_cp.kube.queue import Queue
from odigos_cp.kube.store import Store

log = structlog.get_logger(__name__)

STATE = metrics.gauge("odigos_kube_reflector_state", "1 for the state a reflector is in.", "resource", "state")
TRANSITIONS = metrics.counter(
    "odigos_kube_reflector_transitions_total", "Times a reflector came into a state.", "resource", "state"
)
LISTS = metrics.counter("odigos_kube_reflector_lists_total", "Complete lists, and why.", "resource", "why")
LOOKS = metrics.counter("odigos_kube_reflector_looks_total", "Lists of one object.", "resource", "outcome")
EVENTS = metrics.counter("odigos_kube_reflector_events_total", "Events of watches.", "resource", "type")
RECONNECTS = metrics.counter("odigos_kube_reflector_reconnects_total", "Why a new watch was begun.", "resource", "why")

WATCH_SECONDS: Final = (240.0, 360.0)
"""The server ends a watch after a time between these, so that watches spread over API servers again."""
AWAY_CAP: Final = 8.0
"""A server, or a kind, that is away costs nothing to ask, and shall not be missed for long when it is back."""
SHORT_WATCH: Final = 10.0
EMPTY_PAUSE: Final = 1.5
"""After a watch that ended at once and said nothing: some servers answer so for ever."""
FAILURES_BEFORE_LIST: Final = 5
"""A version that is refused so often may be of another history of the cluster (etcd restored)."""
RELIST_PAUSE: Final = 30.0
"""Between lists that were asked for while the watch is well."""
LOOK_PAUSE: Final = (1.0, 60.0)
"""Between looks at one object, doubling: it may be changed, or be too long, again and again."""
LOOK_MEMORY: Final = 600.0
"""After so long without a look at it, an object is looked at without a pause again."""
MAX_LOOKS: Final = 200
"""More objects than this are cheaper to list all at once."""
PROGRESS_SECONDS: Final = 5.0
GONE_BEFORE_WHOLE: Final = 2
"""So often a list may be overtaken by compactions; then it is asked for without pages."""


class ReflectorState(StrEnum):
    IDLE = "idle"
    LISTING = "listing"
    WATCHING = "watching"
    BACKING_OFF = "backing_off"
    NOT_SERVED = "not_served"
    """The API server does not know the kind: its definition is gone. Asked again all the time."""
    DENIED = "denied"
    """We may not read the kind. Asked again all the time."""


_RESTING: Final[tuple[tuple[tuple[type[ApiError], ...], ReflectorState], ...]] = (
    ((NotFound,), ReflectorState.NOT_SERVED),
    ((Forbidden, Unauthorized), ReflectorState.DENIED),
)
"""How a reflector rests after an error; after all others it backs off."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """When an object was last looked at, and how often of late."""

    at: float
    times: int

    def is_fresh(self, now: float) -> bool:
        return now - self.at < LOOK_MEMORY


class Reflector(Generic[R]):
    """One coroutine a kind. `last_error` is empty while all is well."""

    def __init__(
        self,
        client: Client,
        store: Store[R],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        backoff: Backoff | None = None,
        watch_seconds: Callable[[], float] = lambda: random.uniform(*WATCH_SECONDS),  # noqa: S311 - spreads load
    ) -> None:
        self.store = store
        self.state = ReflectorState.IDLE
        self.last_error = ""
        self._resource = str(store.kind)
        self._client = client
        self._namespace = namespace or store.namespace
        self._label_selector = label_selector or store.label_selector
        self._field_selector = field_selector or store.field_selector
        self._backoff = backoff or Backoff()
        self._watch_seconds = watch_seconds
        self._version = ""
        self._why = "start"
        self._refused = 0
        self._overtaken = 0
        self._page_objects = PAGE_OBJECTS
        self._reading = anyio.Lock()
        self._watching: anyio.CancelScope | None = None
        self._is_watching = anyio.Event()
        self._relist_asked = anyio.Event()
        self._relist_asked_at = 0.0
        self._relisted_at = float("-inf")
        self._looks = Queue(f"looks at {store.kind}", base=LOOK_PAUSE[0], cap=AWAY_CAP)
        self._looked: dict[Key, _Looked] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; `started` is said when the cache has its first content."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._say_when_synced, task_status)
            tasks.start_soon(self._look_for_ever)
            tasks.start_soon(self._relist_for_ever)
            while True:
                pause, resting = await self._once()
                self._become(resting)
                await anyio.sleep(pause)

    async def _say_when_synced(self, task_status: TaskStatus[None]) -> None:
        await self.store.wait_synced()
        task_status.started()

    # What others ask for

    def look(self, key: Key) -> None:
        """Asks for this one object, soon; of one that was looked at of late not at once."""
        if not self.store.synced or self._looks.failures(key):
            return  # the first list is about to tell, or the next try
        if self._looks.depth + self._looks.waiting >= MAX_LOOKS:
            self.relist("many_looks")
            return
        self._looks.add(key, after=self._pause_before(key))

    def relist(self, why: str) -> None:
        """Lists all anew, soon; while the watch is well not more often than each half minute."""
        if not self._relist_asked.is_set():
            self._relist_asked.set()
            self._relist_asked_at = anyio.current_time()
            self._why = why

    async def _relist_for_ever(self) -> None:
        while True:
            await self._relist_asked.wait()
            await anyio.sleep(max(0.0, self._relisted_at + RELIST_PAUSE - anyio.current_time()))
            if self._relist_asked.is_set():  # else a list came in between
                self._relisted_at = anyio.current_time()
                self._version = ""
                if self._watching:
                    self._watching.cancel()

    async def _look_for_ever(self) -> None:
        while True:
            key = await self._looks.get()
            await self._wait_watching()
            self._remember_look(key)
            try:
                await self._look(key)
            except TooLarge as error:
                LOOKS.inc(self._resource, "too_large")
                self.store.not_fetched(key, f"it is too large to be read: {error.message}")
                self._looks.retry(key, at_least=LOOK_PAUSE[1])
                log.warning(
                    "object_too_large",
                    kind=self._resource,
                    key=str(key),
                    why=str(error),
                    hint="make the object smaller or delete it; until then odigos-cp goes on with what it last knew",
                )
            except ApiError as error:
                LOOKS.inc(self._resource, "failed")
                self._looked.pop(key, None)
                pause = self._looks.retry(key, at_least=error.retry_after or 0.0)
                log.info("look_failed", kind=self._resource, key=str(key), why=str(error), retry_in=round(pause, 2))
            else:
                LOOKS.inc(self._resource, "done")
                self._looks.forget(key)
            finally:
                self._looks.done(key)

    async def _wait_watching(self) -> None:
        """A server that is away, or sheds load, is asked by the list and the watch alone: one pace for one kind."""
        while self.state is not ReflectorState.WATCHING:
            await self._is_watching.wait()

    async def _look(self, key: Key) -> None:
        async with self._reading:
            began = anyio.current_time()
            name = f"metadata.name={key.name}"
            page = await self._client.list_page(
                self.store.kind,
                namespace=key.namespace or self._namespace,
                label_selector=self._label_selector,
                field_selector=f"{name},{self._field_selector}" if self._field_selector else name,
                one_object=True,
            )
            found = next((item for item in page.items if key_of(item) == key), None)
            unreadable = next((replace(each, key=key) for each in page.skipped), None)
            self.store.looked(key, found, page.resource_version, began=began, unreadable=unreadable)

    def _remember_look(self, key: Key) -> None:
        now, known = anyio.current_time(), self._looked.pop(key, None)
        self._looked[key] = _Looked(now, known.times + 1 if known and known.is_fresh(now) else 1)
        if len(self._looked) > MAX_LOOKS:
            del self._looked[next(iter(self._looked))]

    def _pause_before(self, key: Key) -> float:
        now, known = anyio.current_time(), self._looked.get(key)
        if known is None or not known.is_fresh(now):
            return 0.0
        return max(0.0, known.at + pause_after(known.times - 1, *LOOK_PAUSE) - now)

    # List and watch

    async def _once(self) -> tuple[float, ReflectorState]:
        """Lists if need be, then watches until that ends. Returns how long to pause, and as what."""
        resting = ReflectorState.BACKING_OFF
        try:
            if not self._version:
                await self._list()
            return await self._watch(), resting
        except Gone as error:
            self._note("gone", error)
            self._version, self._why = "", "gone"
            return self._backoff.next(), resting
        except Unreachable as error:
            self._note("unreachable", error)
            return self._backoff.next(AWAY_CAP), resting
        except ApiError as error:
            self._note(error.reason or str(error.status), error)
            self._refused += 1
            if self._refused >= FAILURES_BEFORE_LIST:
                self._version, self._why, self._refused = "", "refused", 0
            resting = next((state for types, state in _RESTING if isinstance(error, types)), resting)
            cap = AWAY_CAP if resting is ReflectorState.NOT_SERVED else None
            return max(self._backoff.next(cap), error.retry_after or 0.0), resting

    async def _list(self) -> None:
        self._become(ReflectorState.LISTING)
        async with self._reading:
            began = said = anyio.current_time()
            items: list[R] = []
            skipped: list[Unreadable] = []
            token = version = ""
            while True:
                try:
                    page = await self._client.list_page(
                        self.store.kind,
                        namespace=self._namespace,
                        label_selector=self._label_selector,
                        field_selector=self._field_selector,
                        continue_token=token,
                        limit=self._page_objects if self._overtaken < GONE_BEFORE_WHOLE else 0,
                    )
                except Gone:
                    self._overtaken += 1
                    raise
                except TooLarge:
                    if self._page_objects == 1:
                        raise
                    self._page_objects = max(1, self._page_objects // 10)
                    continue
                items.extend(page.items)
                skipped.extend(page.skipped)
                # All pages have one version; if not, the oldest is the one from which nothing is missed.
                if not version or versions.is_older(page.resource_version, version):
                    version = page.resource_version
                token = page.continue_token
                del page
                if not token:
                    break
                if anyio.current_time() - said >= PROGRESS_SECONDS:
                    said = anyio.current_time()
                    log.info("listing", kind=self._resource, objects=len(items), seconds=round(said - began, 1))
            for _ in self.store.replace_in_steps(items, version, keep=skipped, began=began):
                await anyio.lowlevel.checkpoint()
        self._version = version
        self._overtaken, self._page_objects = 0, PAGE_OBJECTS
        if self._relist_asked.is_set() and began >= self._relist_asked_at:
            self._relist_asked = anyio.Event()
        self.last_error = ""
        LISTS.inc(self._resource, self._why)
        log.debug("listed", kind=self._resource, objects=len(items), resource_version=version, because=self._why)

    async def _watch(self) -> float:
        """Follows one watch to its end, which is no error."""
        began = anyio.current_time()
        alive = False
        with anyio.CancelScope() as scope:
            self._watching = scope
            async with self._client.watch(
                self.store.kind,
                resource_version=self._version,
                namespace=self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                timeout_seconds=self._watch_seconds(),
            ) as events:
                self._become(ReflectorState.WATCHING)
                async for event in events:
                    alive = True
                    self._well()
                    self._take(event)
        self._watching = None
        if scope.cancel_called:
            self._version = ""
            RECONNECTS.inc(self._resource, "asked")
            return 0.0
        RECONNECTS.inc(self._resource, "ended")
        if alive or anyio.current_time() - began >= SHORT_WATCH:
            self._well()
            return self._backoff.next()
        return EMPTY_PAUSE * self._backoff.factor()

    def _take(self, event: WatchEvent[R]) -> None:
        EVENTS.inc(self._resource, event.type)
        store = self.store
        if event.type == "OVERLONG":
            self._heal(event)
        elif event.type == "DELETED":
            store.remove(event.key, event.resource_version)
        elif event.object is not None:
            store.put(event.object)
        elif event.type == "BOOKMARK":
            store.seen(event.resource_version)
        elif event.unreadable is not None:
            store.pass_over(event.unreadable)
        self._version = store.resource_version

    def _heal(self, event: WatchEvent[R]) -> None:
        """An event that was too long to keep: its object is asked for, or all of them if its name was not to be had."""
        is_known = event.key.name and (event.key.namespace or not self.store.kind.namespaced)
        name = str(event.key) if is_known else ""
        log.warning(
            "watch_line_overlong",
            kind=self._resource,
            key=name,
            resource_version=event.resource_version,
            hint="the object is very large: shorten its annotations, environment or data; "
            + ("it is asked for by itself" if name else "its name was not to be found, so all are listed again"),
        )
        if name:
            self.look(event.key)
        else:
            self.relist("overlong")

    def _well(self) -> None:
        self._backoff.reset()
        self._refused = 0
        self.last_error = ""

    def _note(self, why: str, error: ApiError) -> None:
        RECONNECTS.inc(self._resource, why)
        self.last_error = str(error)
        level = log.info if isinstance(error, Gone) else log.warning
        level("reflector_interrupted", kind=self._resource, state=self.state.value, why=str(error))

    def _become(self, state: ReflectorState) -> None:
        if state is self.state:
            return
        self.state = state
        if state is ReflectorState.WATCHING:
            self._is_watching.set()
        elif self._is_watching.is_set():
            self._is_watching = anyio.Event()
        TRANSITIONS.inc(self._resource, state.value)
        for each in ReflectorState:
            STATE.set(float(each is state), self._resource, each.value)
