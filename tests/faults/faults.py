"""What can go wrong on the way to the API server and back: each a function, or a function that makes one.

The plain ones are given to `proxy.on` as they are (`lose_the_reply`), the others are made (`refuse(429, ...)`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.faults.proxy import Edit, Exchange, Fault, Lines, Proxy, lines_of

Kill = Callable[[], object]


# Writes and reads


def refuse(status: int, reason: str = "", message: str = "by the fault proxy", **headers: str) -> Fault:
    """Answered by us; the API server never hears of it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return exchange.answer(status, reason, message, **headers)

    return fault


async def lose_the_request(exchange: Exchange) -> web.StreamResponse:
    """The connection breaks before the API server has heard of it."""
    return exchange.hang_up()


async def lose_the_reply(exchange: Exchange) -> web.StreamResponse:
    """Done, and the connection breaks before the client hears of it: the ambiguous write."""
    await exchange.commit()
    return exchange.hang_up()


def done_but_answered(status: int, reason: str = "", message: str = "by the fault proxy") -> Fault:
    """Done, and the client is told otherwise."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await exchange.commit()
        return exchange.answer(status, reason, message)

    return fault


class OnceForEachKind:
    """The first write of each kind meets the fault, or the first `times`; `kinds` are those that met it so often."""

    def __init__(self, fault: Fault, times: int = 1) -> None:
        self._met: Counter[str] = Counter()
        self._fault = fault
        self._times = times

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, met in self._met.items() if met == self._times}

    async def fault(self, exchange: Exchange) -> web.StreamResponse:
        kind = exchange.request.kind_of_write
        if self._met[kind] == self._times:
            return await exchange.forward()
        self._met[kind] += 1
        return await self._fault(exchange)


def delay(seconds: float, after_commit: bool = False) -> Fault:
    """Slow; a client that gives up before the API server was asked has asked nothing."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        if not after_commit:
            await asyncio.sleep(seconds)
            return await exchange.forward()
        answer = await exchange.forward()
        await asyncio.sleep(seconds)
        return answer

    return fault


async def black_hole(exchange: Exchange) -> web.StreamResponse:
    """The API server hears nothing and the client neither, until it hangs up."""
    await asyncio.Event().wait()
    return exchange.hang_up()


def kill_before(kill: Kill) -> Fault:
    """The process dies, and what it asked for is not done."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(kill)
        return exchange.hang_up()

    return fault


def kill_after(kill: Kill) -> Fault:
    """The process dies when what it asked for is done, and it has not heard so."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await exchange.commit()
        await asyncio.to_thread(kill)
        return exchange.hang_up()

    return fault


def moved_to(url: str) -> Fault:
    """Another API server answers."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await exchange.forward(url)

    return fault


# Watches


async def empty_watch(exchange: Exchange) -> web.StreamResponse:
    """200, and the end at once."""
    return await exchange.open_stream()


def error_event(code: int, reason: str, message: str = "by the fault proxy", **details: Any) -> Fault:
    """200, and an ERROR event in the stream."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open_stream()
        status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
        body = {"type": "ERROR", "object": status | ({"details": details} if details else {})}
        await response.write(json.dumps(body).encode() + b"\n")
        return response

    return fault


def says(body: bytes, content_type: str = "application/json") -> Fault:
    """200 and these bytes: what a proxy on the way may answer."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        exchange.seen.status = 200
        return web.Response(body=body, headers={"Content-Type": content_type})

    return fault


def edited(edit: Edit) -> Fault:
    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await exchange.forward(edit=edit)

    return fault


def cut_at_byte(number: int, *, cleanly: bool) -> Fault:
    """The stream ends after so many bytes: as a stream should, in the middle of an event, or by a reset."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        left = number

        async def edit(lines: Lines) -> Lines:
            nonlocal left
            async for line in lines:
                whole = line + b"\n"
                yield whole[:left]
                left -= len(whole)
                if left <= 0:
                    return

        async with exchange.ask() as upstream:
            response = await exchange.open_stream()
            async for part in edit(lines_of(upstream)):
                await response.write(part)
            return response if cleanly else exchange.hang_up()

    return fault


class Gate:
    """Holds a stream's lines while it is closed: `proxy.on(Aim("watch", "pods"), gate.fault)`. It begins open."""

    def __init__(self, proxy: Proxy) -> None:
        self.held = 0
        self._proxy = proxy
        self._is_open = asyncio.Event()
        self._is_open.set()

    def close(self) -> None:
        self._proxy.call(self._is_open.clear)

    def open(self) -> None:
        """What was held comes, in its order."""
        self._proxy.call(self._is_open.set)

    async def fault(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.forward(edit=self._edit)

    async def _edit(self, lines: Lines) -> Lines:
        async for line in lines:
            self.held += not self._is_open.is_set()
            await self._is_open.wait()
            yield line


def of_event(line: bytes) -> tuple[str, str, str]:
    """Type, namespace and name."""
    event = json.loads(line)
    metadata = event["object"].get("metadata", {})
    return event["type"], metadata.get("namespace", ""), metadata.get("name", "")


def dropping(which: Callable[[str, str], bool], times: int = 1) -> Edit:
    """The first events of this type and name never come."""
    left = times

    async def edit(lines: Lines) -> Lines:
        nonlocal left
        async for line in lines:
            type_, _, name = of_event(line)
            if left and which(type_, name):
                left -= 1
                continue
            yield line

    return edit


async def doubling(lines: Lines) -> Lines:
    """Each event comes twice."""
    async for line in lines:
        yield line
        yield line


async def swapping(lines: Lines) -> Lines:
    """Each two neighbours change places. The last one of an odd number waits for the next."""
    async for line in lines:
        if of_event(line)[0] == "BOOKMARK":
            yield line
            continue
        async for following in lines:
            yield following
            break
        yield line
