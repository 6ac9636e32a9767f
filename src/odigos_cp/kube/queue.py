"""Which key is next? A queue that holds each key once, never hands one out twice at a time, and knows when to wait.

Keys come out in the order in which they went in. A key that is added while it is being worked on comes back afterwards.
A key that failed comes back after a pause that doubles; events bring it forward, but not those that came while it
failed (a reconcile that fails after a write of its own would call itself for ever), and never into a pause that the
API server asked for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from heapq import heappop, heappush
from typing import Final, NamedTuple

from odigos_cp.api.meta import Key
from odigos_cp.kube import clock, metrics
from odigos_cp.kube.backoff import jitter, pause_after

DEPTH = metrics.gauge("odigos_kube_queue_depth", "Keys that are due.", "queue")
WAITED = metrics.histogram("odigos_kube_queue_seconds", "How long due keys waited for a worker.", "queue")

BASE_SECONDS: Final = 0.2
CAP_SECONDS: Final = 60.0


class _Due(NamedTuple):
    at: float
    why: object


class Queue:
    """All methods but `get` are immediate; all are called in one event loop."""

    def __init__(self, name: str = "", *, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> None:
        self.name = name
        self._base = base
        self._cap = cap
        self._ready: OrderedDict[Key, _Due] = OrderedDict()  # a dict is slow to give its first key again and again
        self._later: dict[Key, _Due] = {}
        self._heap: list[tuple[float, Key]] = []
        self._running: dict[Key, _Due] = {}
        self._again: dict[Key, _Due] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}  # of keys that wait; who is handed out has waited
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    @property
    def depth(self) -> int:
        """Keys that are due now."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """Keys that will be due."""
        return len(self._later)

    def failures(self, key: Key) -> int:
        return self._failures.get(key, 0)

    def why(self, key: Key) -> object:
        """Why the running key was added; for the log only, which makes text of it."""
        due = self._running.get(key)
        return due.why if due else ""

    def add(self, key: Key, after: float = 0.0, *, why: object = "") -> None:
        """The key is due after so many seconds, or sooner if it is already due sooner."""
        now = clock.seconds()
        due = _Due(max(now + max(0.0, after), self._not_before.get(key, 0.0)), why)
        if key in self._running:
            known = self._again.get(key)
            if known is None or due.at < known.at:
                self._again[key] = due
        elif key not in self._ready:
            self._schedule(key, due, now)

    async def get(self) -> Key:
        """The next key; it is the caller's until `done`."""
        while not self._ready:
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                if getter.done() and not getter.cancelled():
                    self._wake()  # the call that was meant for this one goes to the next
                elif getter in self._getters:  # else a call has passed over it, cancelled as it was
                    self._getters.remove(getter)
                raise
        key, due = self._ready.popitem(last=False)
        self._running[key] = due
        self._not_before.pop(key, None)
        DEPTH.set(len(self._ready), self.name)
        WAITED.observe(max(0.0, clock.seconds() - due.at), self.name)
        return key

    def done(self, key: Key) -> None:
        """The work on the key is over; if it was added meanwhile, it is queued again."""
        del self._running[key]
        if due := self._again.pop(key, None):
            self._schedule(key, due, clock.seconds())

    def forget(self, key: Key) -> None:
        """The key went well: its next failure counts as the first."""
        self._failures.pop(key, None)

    def retry(self, key: Key, *, at_least: float = 0.0) -> float:
        """The key failed: it comes back after the returned pause, whatever happened to it while it ran.

        `at_least` is kept whatever happens later, too.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = max(at_least, pause_after(failures, self._base, self._cap) * jitter())
        now = clock.seconds()
        due = _Due(now + pause, "retry")
        if at_least:
            self._not_before[key] = now + at_least
        if key in self._running:
            self._again[key] = due
        elif key not in self._ready:
            self._schedule(key, due, now)
        return pause

    def _schedule(self, key: Key, due: _Due, now: float) -> None:
        if due.at <= now:
            self._later.pop(key, None)
            self._ready[key] = due
            DEPTH.set(len(self._ready), self.name)
            self._wake()
            return
        known = self._later.get(key)
        if known is None or due.at < known.at:
            self._later[key] = due
            heappush(self._heap, (due.at, key))
            self._set_timer()

    def _ripen(self) -> None:
        """Moves what is due; entries of the heap that were brought forward meanwhile are passed over."""
        self._timer, self._timer_at = None, float("inf")
        # The loop's clock may call a little early.
        now = clock.seconds() + 0.001
        while self._heap and self._heap[0][0] <= now:
            at, key = heappop(self._heap)
            due = self._later.get(key)
            if due is not None and due.at == at:
                del self._later[key]
                self._ready[key] = due
                self._wake()
        DEPTH.set(len(self._ready), self.name)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._heap and self._heap[0][0] < self._timer_at:
            if self._timer:
                self._timer.cancel()
            self._timer_at = self._heap[0][0]
            self._timer = asyncio.get_running_loop().call_at(self._timer_at, self._ripen)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
