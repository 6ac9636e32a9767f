"""The real server on loopback: what stays open, what is cut, and how fast it ends."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from odigos_cp.web import certificates
from odigos_cp.web.events import Hub
from odigos_cp.web.security import Guard, Rules
from odigos_cp.web.server import STOP_SECONDS, Limits, serve

QUICK = Limits(body=1024, request_seconds=0.2, connections=4)


async def _ok(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("ok")


APP = Starlette(routes=[Route("/{path:path}", _ok, methods=["GET", "POST"])])


@asynccontextmanager
async def running(
    app: ASGIApp = APP, limits: Limits = QUICK, on_stop: Callable[[], None] = lambda: None
) -> AsyncIterator[int]:
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve, app, "127.0.0.1", 0, limits=limits, on_stop=on_stop))
        yield port
        tasks.cancel_scope.cancel()


async def is_closed(stream: SocketStream, writing: bytes = b"") -> None:
    """Reads until the server closes, at most 5 s; writes all the while, if there is something to write."""
    with anyio.fail_after(5), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            if writing:
                await stream.send(writing)
            with anyio.move_on_after(0.01 if writing else None):
                await stream.receive()


async def test_a_taken_port_is_an_error_that_says_which_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} for the ui listener.*--ui-port"):
            await serve(APP, "127.0.0.1", port, name="ui")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nfew",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["silence", "half a header", "half a body", "half a chunk"],
)
async def test_a_request_that_does_not_come_to_its_end_is_cut(sent: bytes) -> None:
    async with running() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        if sent:
            await stream.send(sent)
        await is_closed(stream)


async def test_a_trickled_header_does_not_buy_time() -> None:
    async with running() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\n")

        await is_closed(stream, writing=b"a")


async def test_a_flood_of_body_is_cut_though_nobody_reads_it() -> None:
    async with running() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"POST / HTTP/1.1\r\nHost: evil\r\nContent-Length: 200000000\r\n\r\n")
        await is_closed(stream, writing=b"x" * 65536)


async def test_honest_requests_are_served_while_idle_sockets_hold_every_place() -> None:
    limits = Limits(request_seconds=60, connections=4)
    async with running(limits=limits) as port, anyio.create_task_group() as tasks:
        idle = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(8)]
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/")
        assert answer.text == "ok"
        for stream in idle:
            tasks.start_soon(stream.aclose)


async def test_a_connection_is_reused_for_the_next_request() -> None:
    async with running() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answers = [await client.post("/", content=b"x" * 1000) for _ in range(5)]
    assert [a.text for a in answers] == ["ok"] * 5


async def test_answers_on_a_kept_connection_are_not_held_back_by_nagle() -> None:
    async with running() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        began = anyio.current_time()
        for _ in range(50):
            await client.get("/")
    assert anyio.current_time() - began < 50 * 0.030


async def test_a_slow_answer_is_not_cut_by_the_deadline_of_the_request() -> None:
    async def slow(request: Request) -> Response:
        """Takes as long as it takes a later, silent connection to be cut."""
        assert request.url.port is not None
        async with await anyio.connect_tcp("127.0.0.1", request.url.port) as silent:
            await is_closed(silent)
        return PlainTextResponse("at last")

    async with running(Starlette(routes=[Route("/", slow)])) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "at last"


async def test_it_ends_in_time_with_an_event_stream_open_and_says_bye() -> None:
    hub = Hub("boot")

    async def stream_events(request: Request) -> Response:
        return hub.open(request)

    app = Guard(Starlette(routes=[Route("/api/events", stream_events)]), Rules())
    heard: list[str] = []

    async def listen(port: int, connected: anyio.Event) -> None:
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"http://127.0.0.1:{port}/api/events") as answer,
        ):
            async for line in answer.aiter_lines():
                heard.append(line)
                connected.set()

    async with anyio.create_task_group() as tasks:
        async with running(app, Limits(), hub.close) as port:
            connected = anyio.Event()
            tasks.start_soon(listen, port, connected)
            await connected.wait()
            began = anyio.current_time()
        assert anyio.current_time() - began < 1.0
    assert "event: bye" in heard


async def test_it_ends_in_time_though_a_handler_never_does() -> None:
    entered = anyio.Event()

    async def never(request: Request) -> Response:
        entered.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def ask(port: int) -> None:
        async with httpx.AsyncClient(timeout=None) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 500

    async with anyio.create_task_group() as tasks:
        async with running(Starlette(routes=[Route("/", never)])) as port:
            tasks.start_soon(ask, port)
            await entered.wait()
            began = anyio.current_time()
        assert anyio.current_time() - began < STOP_SECONDS


async def test_a_renewed_certificate_is_served_by_the_listener_that_runs() -> None:
    now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the real clock
    old, new = certificates.issue("odigos-system", now), certificates.issue("odigos-system", now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.load(context, old)

    async def ask(port: int, trusted: bytes) -> str:
        verify = ssl.create_default_context(cadata=trusted.decode())
        async with httpx.AsyncClient(verify=verify) as client:
            name = {"sni_hostname": "odigos-webhook.odigos-system.svc"}
            return (await client.get(f"https://127.0.0.1:{port}/", extensions=name)).text

    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve, APP, "127.0.0.1", 0, context))
        assert await ask(port, old.ca) == "ok"
        certificates.load(context, new)
        assert await ask(port, new.ca) == "ok"
        with pytest.raises(httpx.ConnectError):
            await ask(port, old.ca)
        tasks.cancel_scope.cancel()
