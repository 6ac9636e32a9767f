"""A leader whose time is over writes nothing: not when it wakes up, not with a connection that came late."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from odigos_cp.api.builtin import CONFIG_MAPS
from odigos_cp.kube import errors, fence
from odigos_cp.kube.client import Access, Client
from odigos_cp.kube.fence import Fence, NotLeading
from tests.kube.scripted import Answer, ScriptedServer, key, serving, status, streamed, wire


def lasting(seconds: float) -> Fence:
    made = Fence()
    made.open_until(anyio.current_time() + seconds)
    return made


@asynccontextmanager
async def talking(*answers: Answer, timeout: float = 5) -> AsyncIterator[tuple[Client, ScriptedServer]]:
    async with serving(*answers) as server, Client(Access(server.url), timeout=timeout) as client:
        yield client, server


WRITES: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "apply": lambda client: client.apply(CONFIG_MAPS, wire("a", 1), manager="m"),
    "create": lambda client: client.create(CONFIG_MAPS, wire("a", 1)),
    "replace": lambda client: client.replace(CONFIG_MAPS, key("a"), wire("a", 1)),
    "delete": lambda client: client.delete(CONFIG_MAPS, key("a")),
    "post": lambda client: client.post("/apis/x", {}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_no_write_leaves_after_the_end(write: Callable[[Client], Awaitable[Any]]) -> None:
    async with talking() as (client, server):
        with fence.within(lasting(-1)), pytest.raises(NotLeading, match="another may lead"):
            await write(client)
    assert server.requests == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_no_write_leaves_when_the_end_comes_while_the_connection_is_made(
    write: Callable[[Client], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking() as (client, server):
        closing = lasting(60)
        connect = client._connector.connect

        async def slow(*what: Any, **how: Any) -> Any:
            made = await connect(*what, **how)
            closing.close()
            return made

        monkeypatch.setattr(client._connector, "connect", slow)
        with anyio.fail_after(2), fence.within(closing), pytest.raises(NotLeading):
            await write(client)
    assert server.requests == []


async def test_reads_go_on_after_the_end() -> None:
    async with talking(web.json_response(wire("a", 1))) as (client, _):
        with fence.within(lasting(-1)):
            assert (await client.get(CONFIG_MAPS, key("a"))).metadata.name == "a"


async def test_what_is_outside_the_fence_writes_on() -> None:
    async with talking(web.json_response(wire("a", 1))) as (client, server):
        with fence.within(lasting(-1)):
            pass
        await WRITES["apply"](client)
    assert "timeout" not in server.requests[0][2]


async def test_tasks_that_are_started_within_have_the_fence() -> None:
    refused = []

    async def write(client: Client) -> None:
        try:
            await WRITES["apply"](client)
        except NotLeading as error:
            refused.append(error)

    async with talking() as (client, _):
        with fence.within(lasting(-1)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, client)
    assert len(refused) == 1


async def test_a_write_under_way_is_cut_off_at_the_end_and_the_server_knows_when() -> None:
    async with talking(streamed(60.0), timeout=30) as (client, server):
        with anyio.fail_after(2), fence.within(lasting(0.2)), pytest.raises(errors.Unreachable, match="deadline"):
            await WRITES["apply"](client)
        given = server.requests[0][2]["timeout"]
    assert given.endswith("ms")
    assert int(given.removesuffix("ms")) <= 200


async def test_a_renewal_moves_the_end() -> None:
    async with talking(web.json_response(wire("a", 1))) as (client, _):
        moved = lasting(-1)
        with fence.within(moved):
            moved.open_until(anyio.current_time() + 60)
            await WRITES["apply"](client)


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        (web.json_response(wire("a", 1)), False),
        (status(409), False),
        (status(422), False),
        (status(504), True),
        (streamed(b"{", None), True),
    ],
    ids=["done", "conflict", "invalid", "server gave up", "broke off"],
)
async def test_only_an_answer_makes_an_outcome_known(answer: Answer, unknown: bool) -> None:
    async with talking(answer) as (client, _):
        with fence.within(lasting(60)) as _:
            held = fence._fence.get()
            assert held
            with suppress(errors.ApiError):
                await WRITES["apply"](client)
            assert (held.unknown_seconds > 0) is unknown


@pytest.mark.looptime
async def test_an_outcome_that_is_unknown_is_known_after_the_deadline_of_the_write() -> None:
    held = lasting(60)
    with pytest.raises(errors.Unreachable):
        async with held.writing("w", 10):
            raise errors.Unreachable("no answer")
    assert held.unknown_seconds == pytest.approx(10)
    await anyio.sleep(11)
    assert held.unknown_seconds == 0


@pytest.mark.looptime
async def test_draining_waits_for_what_is_under_way_and_lets_nothing_begin() -> None:
    held = lasting(60)
    done: list[str] = []

    async def write(name: str, seconds: float) -> None:
        async with held.writing(name, 30):
            await anyio.sleep(seconds)
        done.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, "begun", 0.5)
        await anyio.sleep(0.1)
        tasks.start_soon(held.drain, 1)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(write, "late", 0)
        await anyio.sleep(10)
        tasks.cancel_scope.cancel()
    assert (done, held.unknown_seconds) == (["begun"], 0)


@pytest.mark.looptime
async def test_draining_does_not_wait_for_ever() -> None:
    held = lasting(60)

    async def hang() -> None:
        async with held.writing("hangs", 30):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hang)
        await anyio.sleep(1)
        with anyio.fail_after(1.5):
            await held.drain(1)
        tasks.cancel_scope.cancel()
    assert held.unknown_seconds > 0


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """Takes the connection, and reads nothing: the network behind it is dead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield listener


async def test_a_write_that_is_given_up_on_does_not_arrive_later(deaf: socket.socket) -> None:
    """What the kernel holds for a server that does not read would be delivered when it reads again."""
    sent = 900_000
    async with Client(Access(f"http://127.0.0.1:{deaf.getsockname()[1]}"), timeout=0.2) as client:
        with pytest.raises(errors.Unreachable):
            await client.apply(CONFIG_MAPS, wire("a", 1, text="x" * sent), manager="m")
    taken, _ = deaf.accept()
    with taken, taken.makefile("rb") as rest, pytest.raises(ConnectionResetError):
        rest.read()


async def test_a_client_that_is_left_in_a_cancellation_is_closed_all_the_same(deaf: socket.socket) -> None:
    """Even while a connection is being made: else its session would be found open at the end of the process."""
    with anyio.CancelScope() as scope:
        async with (
            Client(Access(f"https://127.0.0.1:{deaf.getsockname()[1]}")) as client,
            anyio.create_task_group() as t,
        ):
            t.start_soon(client.get, CONFIG_MAPS, key("a"))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert client._session.closed
