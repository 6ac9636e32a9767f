"""Who listens: one ASGI app on one address, by uvicorn, as a service of ours.

uvicorn wants to own the process: it takes over SIGTERM, waits for open streams for ever, and keeps sockets that never
finish a request (reliability.md H9). Here it is one coroutine like all others: it says when it listens, ends within
`STOP_SECONDS` of being cancelled with an open stream too, and holds each connection to its `Limits`.

Flow of a stop: cancel -> `on_stop` (event streams say `bye`) -> uvicorn's own graceful end, shielded -> what is still
open after the grace is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass

import anyio
import h11
import structlog
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger(__name__)

KIB = 1024
GRACE_SECONDS = 2
STOP_SECONDS = 3
HEADERS_BYTES = 16 * KIB


@dataclass(frozen=True)
class Limits:
    """What one connection may cost. `body` is the polite limit (413 by the app); twice as much is cut off."""

    body: int = 256 * KIB
    request_seconds: float = 10.0
    """From the first byte (or the connection) to the last byte of the request's body."""
    connections: int = 1024
    keep_alive: int = 5


UI_LIMITS = Limits()
PROBE_LIMITS = Limits(body=KIB, connections=64)
WEBHOOK_LIMITS = Limits(body=8 * KIB * KIB, connections=256, keep_alive=120)
"""A review holds a whole Pod, escaped; the API server keeps its connections for 90 s: it shall be the one to close."""


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    name: str = "http",
    limits: Limits = UI_LIMITS,
    on_stop: Callable[[], None] = lambda: None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled. Started, with the port as value (0 asks for a free one), when it listens.

    An address that cannot be had is an OSError that says which one and what to do.
    """
    listener = _listen(name, host, port)
    bound: int = listener.getsockname()[1]
    server = _Server(_config(app, tls, limits), on_started=lambda: task_status.started(bound))
    log.info("listening", listener=name, host=host, port=bound, tls=tls is not None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_when_cancelled, server, on_stop)
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[listener])
        if not server.stopping.is_set():
            raise RuntimeError(f"the {name} listener on {host}:{bound} ended by itself")
        tasks.cancel_scope.cancel()


async def _stop_when_cancelled(server: _Server, on_stop: Callable[[], None]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        on_stop()
        server.should_exit = True
        server.stopping.set()


def _listen(name: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot listen on {host}:{port} for the {name} listener: {error.strerror or error}. "
            f"Stop what uses the port, or choose another one with --{name}-port.",
        ) from error
    listener.setblocking(False)
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol, which these do not:
    # without it, every answer on a kept connection comes 40 ms late.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _config(app: ASGIApp, tls: ssl.SSLContext | None, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_protocol(limits),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEADERS_BYTES,
        ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self.stopping = anyio.Event()
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the composition root."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        """Wakes once a second for the Date header, instead of ten times, and at once for a stop."""
        while not await self.on_tick(0):
            with anyio.move_on_after(1.0):
                await self.stopping.wait()


_UNFINISHED = frozenset({h11.IDLE, h11.SEND_BODY})


def _protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn makes the protocol by itself, so the limits are bound into a class."""

    class Limited(_LimitedProtocol):
        pass

    Limited.limits = limits
    return Limited


class _LimitedProtocol(H11Protocol):
    """A connection that must finish its requests: in time, and in bytes."""

    limits: Limits
    _deadline: asyncio.TimerHandle | None = None
    _request_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._make_room()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._request_bytes += len(data)
        if self._request_bytes > HEADERS_BYTES + 2 * self.limits.body:
            self.transport.abort()
            return
        super().data_received(data)
        if self.conn.their_state in _UNFINISHED:
            self._arm()
        else:
            self._request_bytes = 0
            self._disarm()

    @property
    def is_owed_an_answer(self) -> bool:
        """A whole request has come and its response has not gone yet."""
        return self._deadline is None and self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        """An idle connection goes, else the one that is slowest with its request; if all are busy, the new one."""
        others = (c for c in self.connections if isinstance(c, _LimitedProtocol) and c is not self)
        victim = min(
            (c for c in others if not c.is_owed_an_answer),
            key=lambda c: c._deadline.when() if c._deadline else 0.0,
            default=self,
        )
        self.connections.discard(victim)
        victim.transport.abort()

    def _arm(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
