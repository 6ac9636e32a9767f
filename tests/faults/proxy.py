"""The fault proxy: plain HTTP in, TLS to an API server out, and at the k-th request that fits an aim, a fault.

    with proxying(rig.url, rig.tls("replica-a")) as proxy:
        rule = proxy.on(Aim("write", "deployments", nth=3), lose_the_reply)
        ...
        assert rule.hits == 1

A fault is a coroutine over an `Exchange`: it may wait, answer, forward, forward to another server, edit the lines of a
watch, kill a process, or hang up. Everything that came by is in `proxy.seen`, with what was answered. Only the first
rule that fires for a request is obeyed; a rule counts the requests that fit its aim and that no rule before it took.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from odigos_cp.kube.connector import Connector
from tests.faults.relay import Loop

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"})
MAX_BODY = 16 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What is asked, in the words of Kubernetes' audit log. `body` is None when there is none, or it is no JSON."""

    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    method: str
    path: str
    query: str
    body: Any = field(default=None, hash=False, compare=False)

    @property
    def manager(self) -> str:
        return str(URL.build(path="/", query_string=self.query).query.get("fieldManager", ""))

    @property
    def kind_of_write(self) -> str:
        """Which line of the product it comes from, nearly: verb, resource and field manager, but of which object."""
        return kind_of_write(self.verb, self.resource, self.subresource, self.manager)

    def __str__(self) -> str:
        place = "/".join(part for part in (self.namespace, self.name) if part)
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource} {place}".rstrip()


def kind_of_write(verb: str, resource: str, subresource: str, manager: str) -> str:
    return " ".join(part for part in (verb, "/".join(p for p in (resource, subresource) if p), manager) if part)


@dataclass
class Seen:
    """A request that came by. `status` is 0 until it was answered, and stays 0 if it never was."""

    request: Request
    at: float
    status: int = 0
    committed: bool = False
    """The API server has answered us, whatever the client was told."""


@dataclass(frozen=True)
class Aim:
    """Which requests: patterns as of a shell; the verb may also be `write`. `nth` counts from 1; 0 is each of them."""

    verb: str = "*"
    resource: str = "*"
    name: str = "*"
    namespace: str = "*"
    subresource: str = "*"
    nth: int = 0

    def fits(self, request: Request) -> bool:
        verb = "write" if self.verb == "write" and request.verb in WRITES else request.verb
        pairs = (
            (verb, self.verb),
            (request.resource, self.resource),
            (request.name, self.name),
            (request.namespace, self.namespace),
            (request.subresource, self.subresource),
        )
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


Fault = Callable[["Exchange"], Awaitable[web.StreamResponse]]
Lines = AsyncIterator[bytes]
Edit = Callable[[Lines], Lines]
"""Of the lines of a watch, each without its line end."""


@dataclass(eq=False)
class Rule:
    """A fault that waits for its aim. `fits` and `hits` say how often the aim and the fault came true."""

    aim: Aim
    fault: Fault
    proxy: Proxy
    fits: int = 0
    hits: int = 0

    def takes(self, request: Request) -> bool:
        if not self.aim.fits(request):
            return False
        self.fits += 1
        fires = self.aim.nth in (0, self.fits)
        self.hits += fires
        return fires

    def remove(self) -> None:
        self.proxy.remove(self)

    def __enter__(self) -> Rule:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Exchange:
    """One request on its way; the building blocks of faults."""

    def __init__(self, proxy: Proxy, incoming: web.Request, data: bytes, seen: Seen) -> None:
        self.proxy = proxy
        self.request = seen.request
        self.seen = seen
        self._incoming = incoming
        self._data = data

    async def forward(self, to: str = "", edit: Edit | None = None) -> web.StreamResponse:
        """Asks the API server, and answers as it does. A watch is edited line by line, if `edit` is given."""
        async with self.ask(to) as upstream:
            if self.request.verb == "watch" and upstream.status == 200:
                return await self._stream(upstream, edit)
            body = await upstream.read()
            self.seen.committed = True
            self.seen.status = upstream.status
            return web.Response(status=upstream.status, body=body, headers=_end_to_end(upstream.headers))

    async def commit(self) -> int:
        """Asks the API server and keeps the answer to itself; the status."""
        async with self.ask() as upstream:
            await upstream.read()
            self.seen.committed = True
            return upstream.status

    def answer(
        self, status: int, reason: str = "", message: str = "by the fault proxy", **headers: str
    ) -> web.Response:
        """A Status of the API server's form. Headers are given with `_` for `-`."""
        self.seen.status = status
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body | {"message": message}, status=status, headers=named)

    def hang_up(self) -> web.Response:
        """The connection is reset; the client gets no answer, or not all of it."""
        if self._incoming.transport is not None:
            self._incoming.transport.abort()
        return web.Response(status=500)

    async def open_stream(self) -> web.StreamResponse:
        """The head of a watch's answer, for faults that write its body themselves."""
        self.seen.status = 200
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(self._incoming)
        return response

    def ask(self, to: str = "") -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The API server's answer, for faults that pass it on in their own way."""
        url = URL((to or self.proxy.upstream) + self._incoming.raw_path, encoded=True)
        headers = _end_to_end(self._incoming.headers) | {"Accept-Encoding": "identity"}
        session = self.proxy.session
        return session.request(
            self.request.method,
            url,
            data=self._data or None,
            headers=headers,
            ssl=self.proxy.tls,
            allow_redirects=False,
        )

    async def _stream(self, upstream: aiohttp.ClientResponse, edit: Edit | None) -> web.StreamResponse:
        response = await self.open_stream()
        if edit is None:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            return response
        async for line in edit(lines_of(upstream)):
            await response.write(line + b"\n")
        return response


class Proxy:
    """Made by `with proxying(...)`. `upstream` may be moved to another server while it runs."""

    def __init__(self, upstream: str, tls: ssl.SSLContext) -> None:
        self.upstream = upstream
        self.tls = tls
        self.seen: list[Seen] = []
        self.url = ""
        self.session: aiohttp.ClientSession
        self._rules: tuple[Rule, ...] = ()
        self._lock = threading.Lock()
        self._loop = Loop("fault-proxy")
        self._loop.run(self._start())

    def on(self, aim: Aim, fault: Fault) -> Rule:
        rule = Rule(aim, fault, self)
        with self._lock:
            self._rules = (*self._rules, rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """What the fault holds up at the moment, it goes on to hold up."""
        with self._lock:
            self._rules = tuple(each for each in self._rules if each is not rule)

    def count(self, aim: Aim) -> int:
        return sum(aim.fits(seen.request) for seen in tuple(self.seen))

    def requests(self, aim: Aim) -> list[Seen]:
        return [seen for seen in tuple(self.seen) if aim.fits(seen.request)]

    def reset(self) -> None:
        """Every connection to us is cut; the next ones work."""
        self._loop.call(self._cut)

    def call(self, what: Callable[[], object]) -> None:
        """In the proxy's own loop: for what faults wait for."""
        self._loop.call(what)

    def close(self) -> None:
        self._loop.run(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        self._connector = Connector(limit=0, force_close=True)
        self.session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        self._cut()
        await self._runner.cleanup()
        await self._connector.end()
        await self.session.close()

    def _cut(self) -> None:
        server = self._runner.server
        assert server is not None
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        data = await incoming.read()
        request = parse(incoming.method, incoming.raw_path, data)
        seen = Seen(request, time.monotonic())
        self.seen.append(seen)
        exchange = Exchange(self, incoming, data, seen)
        fault = next((rule.fault for rule in self._rules if rule.takes(request)), Exchange.forward)
        try:
            return await fault(exchange)
        except (aiohttp.ClientError, OSError):
            return exchange.hang_up()


@contextmanager
def proxying(upstream: str, tls: ssl.SSLContext) -> Iterator[Proxy]:
    proxy = Proxy(upstream, tls)
    try:
        yield proxy
    finally:
        proxy.close()


def parse(method: str, raw_path: str, data: bytes = b"") -> Request:
    """What a request of Kubernetes' API asks for."""
    url = URL(raw_path, encoded=True)
    parts = [part for part in url.path.split("/") if part]
    parts = parts[2:] if parts[:1] == ["api"] else parts[3:] if parts[:1] == ["apis"] else []
    namespace = ""
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    resource, name, subresource = (*parts[:3], "", "", "")[:3]
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
    if verb == "get" and resource and not name:
        verb = "watch" if url.query.get("watch") in ("true", "1") else "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    try:
        body = json.loads(data) if data else None
    except ValueError:
        body = None
    if verb == "create" and isinstance(body, dict) and not name:
        name = body.get("metadata", {}).get("name", "")
    return Request(verb, resource, namespace, name, subresource, method, url.path, url.query_string, body)


async def lines_of(upstream: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in upstream.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def _end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
