"""An API server that does as the test's script says: once as an HTTP server, once as a client without any network."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import msgspec
from aiohttp import web

from odigos_cp.api.builtin import ConfigMap
from odigos_cp.api.meta import Key, Unreadable
from odigos_cp.kube.client import Client, Page, WatchEvent
from odigos_cp.kube.errors import ApiError

Answer = web.StreamResponse | Callable[[web.Request], Awaitable[web.StreamResponse]]


def wire(name: str, version: int, **data: str) -> dict[str, Any]:
    """A ConfigMap as the API server has it."""
    metadata = {"name": name, "namespace": "ns", "resourceVersion": str(version), "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def config_map(name: str, version: int, **data: str) -> ConfigMap:
    return msgspec.convert(wire(name, version, **data), ConfigMap)


def key(name: str) -> Key:
    return Key("ns", name)


def listed(*items: Any, version: int = 10, token: str = "") -> web.Response:
    metadata = {"resourceVersion": str(version), "continue": token}
    return web.json_response({"kind": "ConfigMapList", "metadata": metadata, "items": list(items)})


def status(code: int, reason: str = "", message: str = "said so", **headers: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


def line(type_: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"


def streamed(*steps: bytes | float | None) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Sends bytes, pauses for seconds, or breaks the connection (None), one after the other."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for step in steps:
            if step is None:
                assert request.transport
                request.transport.close()
            elif isinstance(step, bytes):
                await response.write(step)
            else:
                await asyncio.sleep(step)
        return response

    return answer


@dataclass
class ScriptedServer:
    """Gives the answers in their order, and keeps what was asked."""

    answers: deque[Answer]
    url: str = ""
    requests: list[tuple[str, str, dict[str, str], Any, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append(
            (
                request.method,
                request.raw_path.partition("?")[0],
                dict(request.query),
                json.loads(body) if body else None,
                dict(request.headers),
            )
        )
        answer = self.answers.popleft()
        return answer if isinstance(answer, web.StreamResponse) else await answer(request)


@asynccontextmanager
async def serving(*answers: Answer, ssl_context: Any = None) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(deque(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        scheme = "https" if ssl_context else "http"
        server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def added(item: ConfigMap) -> WatchEvent[ConfigMap]:
    return WatchEvent("ADDED", item, item.metadata.resource_version, Key("ns", item.metadata.name))


def modified(item: ConfigMap) -> WatchEvent[ConfigMap]:
    return WatchEvent("MODIFIED", item, item.metadata.resource_version, Key("ns", item.metadata.name))


def deleted(name: str, version: int) -> WatchEvent[ConfigMap]:
    return WatchEvent("DELETED", config_map(name, version), str(version), key(name))


def misfit(name: str, version: int, uid: str = "", why: str = "data is missing") -> Unreadable:
    """An object that cannot be understood."""
    return Unreadable(key(name), str(version), uid, why=why)


def misfitting(unreadable: Unreadable) -> WatchEvent[ConfigMap]:
    return WatchEvent("MODIFIED", None, unreadable.resource_version, unreadable.key, unreadable)


def bookmark(version: int) -> WatchEvent[ConfigMap]:
    return WatchEvent("BOOKMARK", None, str(version), Key("", ""))


def overlong(name: str = "", version: int = 0) -> WatchEvent[ConfigMap]:
    return WatchEvent("OVERLONG", None, str(version or ""), key(name) if name else Key("", ""))


def page(
    *items: ConfigMap, version: int = 10, token: str = "", skipped: tuple[Unreadable, ...] = ()
) -> Page[ConfigMap]:
    return Page(items, token, str(version), skipped)


Step = WatchEvent[ConfigMap] | ApiError | float
"""An event, an error, or seconds of silence."""


@dataclass
class ScriptedClient:
    """Lists and watches as scripted, then a watch that never says anything again."""

    lists: deque[Page[ConfigMap] | ApiError]
    watches: deque[list[Step]]
    looks: deque[Page[ConfigMap] | ApiError]
    list_seconds: float = 0.0
    """How long an answer to a list takes."""
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    """When, what (list, look, watch), and from which continue token, of which name, from which version."""
    limits: list[int] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return cast(Client, self)

    def times(self, what: str) -> list[float]:
        return [at for at, verb, _ in self.asked if verb == what]

    def versions(self, what: str) -> list[str]:
        return [version for _, verb, version in self.asked if verb == what]

    async def list_page(
        self,
        kind: object,
        *,
        continue_token: str = "",
        field_selector: str = "",
        limit: int = 500,
        one_object: bool = False,
        **_: object,
    ) -> Page[ConfigMap]:
        if one_object:
            self.asked.append((anyio.current_time(), "look", field_selector.removeprefix("metadata.name=")))
            return await self._answered(self.looks)
        self.asked.append((anyio.current_time(), "list", continue_token))
        self.limits.append(limit)
        return await self._answered(self.lists)

    async def _answered(self, answers: deque[Page[ConfigMap] | ApiError]) -> Page[ConfigMap]:
        answer = answers.popleft() if len(answers) > 1 or answers is self.lists else answers[0]
        await anyio.sleep(self.list_seconds)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    @asynccontextmanager
    async def watch(self, kind: object, *, resource_version: str, **_: object) -> AsyncIterator[AsyncIterator[Any]]:
        self.asked.append((anyio.current_time(), "watch", resource_version))
        silence: list[Step] = [1e9]
        steps = self.watches.popleft() if self.watches else silence
        if steps and isinstance(steps[0], ApiError):
            raise steps[0]
        yield self._events(steps)

    async def _events(self, steps: list[Step]) -> AsyncIterator[Any]:
        for step in steps:
            if isinstance(step, ApiError):
                raise step
            if isinstance(step, (int, float)):
                await anyio.sleep(step)
            else:
                yield step


def scripted(
    *lists: Page[ConfigMap] | ApiError,
    watches: tuple[list[Step], ...] = (),
    looks: tuple[Page[ConfigMap] | ApiError, ...] = (),
) -> ScriptedClient:
    """The last answer to a look is given again and again."""
    return ScriptedClient(deque(lists), deque(watches), deque(looks))
