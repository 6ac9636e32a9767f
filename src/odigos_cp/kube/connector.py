"""How does a connection end? With the call that wants no more of it, at the latest with the client: none stays open
behind its end, whatever was cancelled, and when."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Final

import aiohttp
import anyio.lowlevel
from aiohttp.client_proto import ResponseHandler

LINGER_SECONDS: Final = 0.1
"""So long the end waits for connections that are just being made."""


class Connector(aiohttp.TCPConnector):
    """Whoever makes it ends it with `end`, before its session is closed.

    A connection whose caller is cancelled while it is made is made all the same, and then cut off: asyncio's TLS would
    leave it open for good if it were cancelled at the wrong moment, and nobody would know of it. At the end those that
    still say goodbye to the server are cut off, too.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._making: set[asyncio.Task[ResponseHandler]] = set()
        self._made: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def _create_connection(self, *what: Any, **how: Any) -> ResponseHandler:
        """Only the making has a task of its own: a call that finds a connection that was kept needs none."""
        making = asyncio.get_running_loop().create_task(super()._create_connection(*what, **how))
        self._making.add(making)
        making.add_done_callback(self._remember)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_cut_off)
            raise

    def _remember(self, making: asyncio.Task[ResponseHandler]) -> None:
        self._making.discard(making)
        if (made := _transport(making)) is not None:
            self._made.add(made)

    async def end(self) -> None:
        """A server that does not answer is not waited for."""
        if self._making:
            await asyncio.wait(self._making, timeout=LINGER_SECONDS)
        for making in self._making:
            making.cancel()
        await self.close()
        for transport in self._made:
            transport.abort()
        for _ in range(2):
            await anyio.lowlevel.checkpoint()  # what was aborted is closed in the loop's next rounds


def _transport(making: asyncio.Task[ResponseHandler]) -> asyncio.Transport | None:
    if making.cancelled() or making.exception() is not None:
        return None
    return making.result().transport


def _cut_off(making: asyncio.Task[ResponseHandler]) -> None:
    if (made := _transport(making)) is not None:
        made.abort()
