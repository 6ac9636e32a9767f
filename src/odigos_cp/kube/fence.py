"""May what runs here still write? Only while no other replica can have become the leader.

Flow. The leader gate runs its work `within` a fence and moves the fence's end with each renewal of the Lease. A context
variable leads to it: every task that the work starts has the fence; the gate's own calls, the UI, the webhook and the
certificates have none, for their writes are protected by a version, or are each replica's own. The client asks before
each write (`writing`), and again at the last moment before the first byte leaves (`check`), for getting a connection
may take long.
Guarantees. After its end nothing within the fence begins a write, whether the process was stopped and continued or its
loop was blocked: the refusal is `NotLeading`, and surely nothing was sent. A write under way is cut off at the end at
the latest: its own deadline is not later, the API server is told the same deadline, and the connection is reset, which
also takes back what the kernel has not delivered.
Caveat. What the API server has received whole before the end may still be committed by it a moment later: until it
sees the reset or its deadline passes, and etcd has answered. A third of the Lease lies between our end and the first
moment of another leader. And the clock stands still while a whole machine is suspended, as it does for all who use it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import anyio

from odigos_cp.kube import metrics
from odigos_cp.kube.errors import ApiError, NotSent

REFUSED = metrics.counter("odigos_fence_refused_total", "Writes that were not sent because the Lease was at its end.")


class NotLeading(NotSent):
    """The Lease has not been renewed in time, so another replica may lead: the write was not sent."""


class Allowed(NamedTuple):
    """How a write is to be made."""

    seconds: float
    params: Mapping[str, str]
    """Of the query: how long the API server shall try."""


class Fence:
    """Open until a moment of `anyio.current_time()`; closed when it is made."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._under_way = 0
        self._drained: anyio.Event | None = None
        self._unknown_until = float("-inf")

    def open_until(self, moment: float) -> None:
        self._until = moment

    def close(self) -> None:
        self._until = float("-inf")

    def left(self, action: str) -> float:
        """The seconds until the end; NotLeading when it has passed."""
        left = self._until - anyio.current_time()
        if left > 0:
            return left
        REFUSED.inc()
        raise NotLeading("not sent: this replica's Lease was not renewed in time, another may lead now", action=action)

    @property
    def unknown_seconds(self) -> float:
        """So long a write whose outcome is not known may still happen; 0 when there is none."""
        return max(0.0, self._unknown_until - anyio.current_time())

    async def drain(self, seconds: float) -> None:
        """From now on no write begins: who wants to waits to be cancelled. Those under way have so long to end."""
        self._drained = anyio.Event()
        if self._under_way:
            with anyio.move_on_after(seconds):
                await self._drained.wait()

    @asynccontextmanager
    async def writing(self, action: str, seconds: float) -> AsyncIterator[Allowed]:
        if self._drained is not None:
            await anyio.sleep_forever()
        seconds = min(seconds, self.left(action))
        ends = anyio.current_time() + seconds
        self._under_way += 1
        try:
            yield Allowed(seconds, {"timeout": f"{max(1, int(seconds * 1000))}ms"})
        except BaseException as error:
            if not _is_certain(error):
                self._unknown_until = max(self._unknown_until, ends)
            raise
        finally:
            self._under_way -= 1
            if self._drained is not None and not self._under_way:
                self._drained.set()


def _is_certain(error: BaseException) -> bool:
    """A refusal says that nothing was written; silence, a cancellation and a failure of the server say nothing."""
    return isinstance(error, NotSent) or (isinstance(error, ApiError) and 0 < error.status < 500)


_fence: ContextVar[Fence | None] = ContextVar("odigos_fence", default=None)


@contextmanager
def within(fence: Fence) -> Iterator[None]:
    """Whatever runs inside, and every task it starts, writes only while the fence is open."""
    token = _fence.set(fence)
    try:
        yield
    finally:
        _fence.reset(token)


@asynccontextmanager
async def writing(action: str, seconds: float) -> AsyncIterator[Allowed]:
    """Around one write: how long it may take, at most `seconds`. NotLeading when it may not begin."""
    fence = _fence.get()
    if fence is None:
        yield Allowed(seconds, {})
        return
    async with fence.writing(action, seconds) as allowed:
        yield allowed


def check(action: str) -> None:
    """NotLeading when a write may not be sent any more."""
    fence = _fence.get()
    if fence is not None:
        fence.left(action)
