"""How does a cache follow the API server? List once in pages, then watch; when the watch cannot go on, list again.

The states are named, for /metrics and the UI. Every reconnect pauses with jitter, longer after each failure; an event
resets it. 410, in either form, means the version is too old: list again. A kind that cannot be read for a while keeps
what was last known of it: acting on an empty cache would take agents off applications.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Generic

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.meta import Key, R
from odigos_cp.kube import metrics
from odigos_cp.kube.backoff import Backoff
from odigos_cp.kube.client import Client, WatchEvent
from odigos_cp.kube.errors import ApiError, Gone, Unreachable
from odigos_cp.kube.store import Store

log = structlog.get_logger(__name__)

STATE = metrics.gauge("odigos_kube_reflector_state", "1 for the state a reflector is in.", "resource", "state")
LISTS = metrics.counter("odigos_kube_reflector_lists_total", "Complete lists.", "resource")
EVENTS = metrics.counter("odigos_kube_reflector_events_total", "Events of watches.", "resource", "type")
RECONNECTS = metrics.counter("odigos_kube_reflector_reconnects_total", "Why a new watch was begun.", "resource", "why")

WATCH_SECONDS: Final = (240.0, 360.0)
"""The server ends a watch after a time between these, so that watches spread over API servers again."""
UNREACHABLE_CAP: Final = 8.0
"""A server that is away costs nothing to ask, and shall not be missed for long when it is back."""
SHORT_WATCH: Final = 10.0
EMPTY_PAUSE: Final = 1.5
"""After a watch that ended at once and said nothing: some servers answer so for ever."""
FAILURES_BEFORE_LIST: Final = 5
"""A version that is refused so often may be of another history of the cluster (etcd restored)."""
OVERLONG_PAUSE: Final = 30.0


class ReflectorState(StrEnum):
    IDLE = "idle"
    LISTING = "listing"
    WATCHING = "watching"
    BACKING_OFF = "backing_off"


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
        self._client = client
        self._namespace = namespace or store.namespace
        self._label_selector = label_selector or store.label_selector
        self._field_selector = field_selector or store.field_selector
        self._backoff = backoff or Backoff()
        self._watch_seconds = watch_seconds
        self._version = ""
        self._refused = 0
        self._heal_at = float("inf")
        self._healed_at = float("-inf")

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; `started` is said when the cache has its first content."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._say_when_synced, task_status)
            while True:
                pause = await self._once()
                self._become(ReflectorState.BACKING_OFF)
                await anyio.sleep(pause)

    async def _say_when_synced(self, task_status: TaskStatus[None]) -> None:
        await self.store.wait_synced()
        task_status.started()

    async def _once(self) -> float:
        """Lists if need be, then watches until that ends. Returns how long to pause."""
        try:
            if not self._version:
                await self._list()
            return await self._watch()
        except Gone as error:
            self._note("gone", error)
            self._version = ""
            return self._backoff.next()
        except Unreachable as error:
            self._note("unreachable", error)
            return self._backoff.next(UNREACHABLE_CAP)
        except ApiError as error:
            self._note(error.reason or str(error.status), error)
            self._refused += 1
            if self._refused >= FAILURES_BEFORE_LIST:
                self._version, self._refused = "", 0
            return max(self._backoff.next(), error.retry_after or 0.0)

    async def _list(self) -> None:
        self._become(ReflectorState.LISTING)
        items: list[R] = []
        skipped: list[Key] = []
        token = version = ""
        while True:
            page = await self._client.list_page(
                self.store.kind,
                namespace=self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                continue_token=token,
            )
            items.extend(page.items)
            skipped.extend(page.skipped)
            version, token = page.resource_version, page.continue_token
            if not token:
                break
        self.store.replace(items, version, keep=skipped)
        self._version = version
        self._heal_at = float("inf")
        self.last_error = ""
        LISTS.inc(str(self.store.kind))
        log.debug("listed", kind=str(self.store.kind), objects=len(items), resource_version=version)

    async def _watch(self) -> float:
        """Follows one watch to its end, which is no error."""
        began = anyio.current_time()
        alive = False
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
                if anyio.current_time() >= self._heal_at:
                    self._healed_at = anyio.current_time()
                    self._version = ""
                    RECONNECTS.inc(str(self.store.kind), "overlong")
                    return 0.0
        RECONNECTS.inc(str(self.store.kind), "ended")
        if alive or anyio.current_time() - began >= SHORT_WATCH:
            self._well()
            return self._backoff.next()
        return EMPTY_PAUSE * self._backoff.factor()

    def _take(self, event: WatchEvent[R]) -> None:
        EVENTS.inc(str(self.store.kind), event.type)
        store = self.store
        if event.type == "OVERLONG":
            self._heal_at = min(self._heal_at, max(anyio.current_time(), self._healed_at + OVERLONG_PAUSE))
            log.warning("watch_line_overlong", kind=str(store.kind), hint="an object is too large; listing again")
        elif event.type == "DELETED":
            store.remove(event.key, event.resource_version)
        elif event.object is not None:
            store.put(event.object)
        else:
            store.seen(event.resource_version)
        self._version = store.resource_version

    def _well(self) -> None:
        self._backoff.reset()
        self._refused = 0
        self.last_error = ""

    def _note(self, why: str, error: ApiError) -> None:
        RECONNECTS.inc(str(self.store.kind), why)
        self.last_error = str(error)
        level = log.info if isinstance(error, Gone) else log.warning
        level("reflector_interrupted", kind=str(self.store.kind), state=self.state.value, why=str(error))

    def _become(self, state: ReflectorState) -> None:
        self.state = state
        for each in ReflectorState:
            STATE.set(float(each is state), str(self.store.kind), each.value)
