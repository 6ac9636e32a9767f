"""A TCP connection that goes through us, to be cut, frozen, or refused: what happens below HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
CHUNK = 65536


class Loop:
    """An event loop in a thread of its own, so that synchronous and asynchronous tests can use what runs in it."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def call(self, what: Callable[[], T]) -> T:
        async def work() -> T:
            return what()

        return self.run(work())

    def close(self) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)


class Relay:
    """Listens on a loopback port; `upstream` is where it leads and may be moved."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.port = 0
        self.accepted = 0
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = Loop("relay")
        self._server = self._loop.run(self._listen())

    def cut(self) -> None:
        """Every connection is reset and new ones are too, until `mend`."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """The connections that are open are reset; new ones may come."""
        self._loop.call(self._abort_all)

    def freeze(self) -> None:
        """Half-open: connections stay, new ones are accepted, and not a byte passes in either direction."""
        self._loop.call(self._flowing.clear)

    def forget(self) -> None:
        """Half-open for good: what is open now stays open, and not a byte passes; new connections work."""
        self._loop.call(self._forget_all)

    def mend(self) -> None:
        """What was frozen stays dead, as it would behind a router that has forgotten it; new connections work."""
        self._refusing = False
        if not self._flowing.is_set():
            self.reset()
            self._loop.call(self._flowing.set)

    def close(self) -> None:
        self._loop.call(self._server.close)
        self._loop.call(self._abort_all)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair, flowing = {writer, up_writer}, self._flowing
        self._open |= pair
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(self._pump, reader, up_writer, flowing, both.cancel_scope)
                both.start_soon(self._pump, up_reader, writer, flowing, both.cancel_scope)
        finally:
            for end in pair:
                end.transport.abort()
            self._open -= pair

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        flowing: asyncio.Event,
        both: anyio.CancelScope,
    ) -> None:
        try:
            while chunk := await source.read(CHUNK):
                await flowing.wait()
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        both.cancel()

    def _forget_all(self) -> None:
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def _abort_all(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()
