"""What changed: turns changes of the caches into versions (for ETags) and into one event stream per browser.

Flow: a cache changes -> `Hub.changed(topics)` counts one up and marks the topics at every open stream -> each stream
waits 250 ms, so that a storm becomes one event, and says which topics to read again.
Guarantees: never blocks a cache; a stream's backlog is a set of at most four topics, whatever comes, so a slow reader
costs nothing and loses nothing; a lost event costs nothing, because the next read has everything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal, get_args

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from odigos_cp.web.problems import Problem
from odigos_cp.web.views import ChangedEvent, HelloEvent

Topic = Literal["sources", "destinations", "collectors", "meta"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

COALESCE_SECONDS = 0.25
COMMENT_SECONDS = 10.0
SEND_SECONDS = 30.0
"""A reader that takes nothing for so long is gone."""
MAX_STREAMS = 32
RETRY_MILLIS = 2000


class Hub:
    """The versions of the topics, and the open streams."""

    def __init__(self, boot: str) -> None:
        self.boot = boot
        self.seq = 0
        self.closing = False
        self._versions: dict[Topic, int] = dict.fromkeys(TOPICS, 0)
        self._streams: set[_Backlog] = set()

    def changed(self, topics: Iterable[Topic]) -> None:
        marked = frozenset(topics)
        if not marked:
            return
        self.seq += 1
        self._versions.update(dict.fromkeys(marked, self.seq))
        for backlog in self._streams:
            backlog.mark(marked)

    def handler(self, *topics: Topic, matters: Callable[[Any], bool] = lambda change: True) -> Callable[[Any], None]:
        """For `Store.subscribe`: any change that matters marks the topics."""
        marked = frozenset(topics)

        def on_change(change: Any) -> None:
            if matters(change):
                self.changed(marked)

        return on_change

    def version(self, *topics: Topic) -> int:
        """The `seq` at which one of the topics last changed."""
        return max(self._versions[topic] for topic in topics)

    @property
    def streams(self) -> int:
        return len(self._streams)

    def close(self) -> None:
        """Every open stream says `bye` and ends; new ones are refused."""
        self.closing = True
        for backlog in self._streams:
            backlog.event.set()

    def open(self, request: Request) -> Response:
        """The response to GET /api/events."""
        if self.closing or len(self._streams) >= MAX_STREAMS:
            why = "odigos-cp is stopping" if self.closing else f"{MAX_STREAMS} event streams are open already"
            raise Problem(
                503,
                "streams",
                f"No event stream for you: {why}.",
                fix="Ask again later; until then read the parts again every 5 seconds.",
                headers={"retry-after": "5"},
            )
        last = request.headers.get("last-event-id", "")
        return _EventStream(self, reset=bool(last) and last != f"{self.boot}-{self.seq}")

    async def _events(self, backlog: _Backlog, reset: bool) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MILLIS}\n".encode()
        yield self._event("hello", HelloEvent(boot=self.boot, seq=self.seq, reset=reset).model_dump_json(by_alias=True))
        while True:
            with anyio.move_on_after(COMMENT_SECONDS) as quiet:
                await backlog.event.wait()
                if not self.closing:
                    await anyio.sleep(COALESCE_SECONDS)
            if self.closing:
                yield self._event("bye", f'{{"retry":{RETRY_MILLIS}}}')
                return
            if quiet.cancelled_caught:
                yield b": still here\n\n"
                continue
            changed = ChangedEvent(seq=self.seq, topics=backlog.take())
            yield self._event("changed", changed.model_dump_json(by_alias=True))

    def _event(self, name: str, data: str) -> bytes:
        return f"id: {self.boot}-{self.seq}\nevent: {name}\ndata: {data}\n\n".encode()


class _Backlog:
    """What one stream has still to say."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self._topics: set[Topic] = set()

    def mark(self, topics: frozenset[Topic]) -> None:
        self._topics |= topics
        self.event.set()

    def take(self) -> list[Topic]:
        taken = [topic for topic in TOPICS if topic in self._topics]
        self._topics.clear()
        self.event = anyio.Event()
        return taken


class _EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, hub: Hub, reset: bool) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        backlog = _Backlog()
        self._hub._streams.add(backlog)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_when_gone, receive, tasks.cancel_scope)
                await self._send_all(backlog, send)
                tasks.cancel_scope.cancel()
        finally:
            self._hub._streams.discard(backlog)

    async def _send_all(self, backlog: _Backlog, send: Send) -> None:
        with anyio.move_on_after(SEND_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._hub._events(backlog, self._reset):
            with anyio.move_on_after(SEND_SECONDS) as patience:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if patience.cancelled_caught:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
