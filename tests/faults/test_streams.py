"""Faults 4, 5, 6, 10 and 11: the stream of a watch is cut, falls silent, ends at once, or ends all the time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from aiohttp import web

from odigos_cp.api.meta import Kind
from odigos_cp.kube import client as kube_client
from odigos_cp.kube.client import Client
from odigos_cp.kube.reflector import RECONNECTS
from tests.faults import faults
from tests.faults.following import LISTS, WATCHES, Followed, InTurn, following, quick
from tests.faults.proxy import Exchange, Fault, Lines, Proxy, proxying
from tests.faults.relay import Relay
from tests.faults.rig import Rig

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]

SILENT_SECONDS = 1.0


@pytest.fixture
def proxy(rig: Rig) -> Iterator[Proxy]:
    with proxying(rig.url, rig.tls("reader")) as made:
        yield made


class Impatient(Client):
    """The client, with another deadline for silence than a minute's."""

    def watch(self, kind: Kind[Any], **how: Any) -> AbstractAsyncContextManager[Any]:  # type: ignore[override]
        return super().watch(kind, **how | {"read_timeout": SILENT_SECONDS})


def cut_after_events(number: int, *, cleanly: bool) -> Fault:
    async def fault(exchange: Exchange) -> web.StreamResponse:
        async def edit(lines: Lines) -> Lines:
            left = number
            async for line in lines:
                yield line
                left -= 1
                if not left:
                    return

        response = await exchange.forward(edit=edit)
        return response if cleanly else exchange.hang_up()

    return fault


async def line_of(followed: Followed, proxy: Proxy, name: str) -> bytes:
    """The line of the watch that said the object's last change."""
    seen: list[bytes] = []

    async def keep(lines: Lines) -> Lines:
        async for line in lines:
            seen.append(line)
            yield line

    with proxy.on(WATCHES, faults.edited(keep)):
        proxy.reset()
        await followed.until(lambda: proxy.requests(WATCHES)[-1].status == 200, "the watch goes through the edit")
        await followed.write(name, "1")
        await followed.until(lambda: followed.value(name) == "1", "the first change is seen")
    return seen[-1]


@pytest.mark.parametrize("cleanly", [True, False], ids=["cleanly", "by_a_reset"])
async def test_fault_04_a_watch_cut_at_every_byte_of_an_event_loses_and_invents_nothing_h4(
    rig: Rig, proxy: Proxy, cleanly: bool
) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        line = await line_of(followed, proxy, "a")
        cuts = InTurn(*(faults.cut_at_byte(byte, cleanly=cleanly) for byte in range(1, len(line) + 1)))
        lists = proxy.count(LISTS)
        proxy.on(WATCHES, cuts.fault)
        proxy.reset()
        await followed.write("a", "2")
        await followed.until(lambda: followed.value("a") == "2", "the change is seen in the end", 50)
        assert not cuts.left, "a part of the line was taken for all of it"
        assert followed.told("a") == ["1", "2"]
        assert proxy.count(LISTS) == lists
        await followed.until_true()


@pytest.mark.parametrize("cleanly", [True, False], ids=["cleanly", "by_a_reset"])
async def test_fault_05_a_watch_cut_between_events_tells_each_of_them_once_and_in_order(
    rig: Rig, proxy: Proxy, cleanly: bool
) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        lists = proxy.count(LISTS)
        proxy.on(WATCHES, cut_after_events(1, cleanly=cleanly))
        proxy.reset()
        values = [str(n) for n in range(100)]
        for value in values:
            await followed.write("a", value)
        await followed.until(lambda: followed.value("a") == values[-1], "the last change is seen")
        assert followed.told("a") == values
        assert proxy.count(LISTS) == lists


async def test_fault_06_a_half_open_connection_is_noticed_when_the_bookmarks_stay_away_h1(rig: Rig) -> None:
    relay = Relay(("127.0.0.1", int(rig.url.rsplit(":", 1)[1])))
    try:
        url = f"https://127.0.0.1:{relay.port}"
        async with following(rig, url, connect=Impatient, backoff=quick()) as followed:
            await followed.write("a", "1")
            await followed.until(lambda: followed.value("a") == "1", "the watch is well")
            relay.forget()
            began = anyio.current_time()
            await followed.write("a", "2")
            await followed.until(lambda: followed.value("a") == "2", "the change behind the dead connection", 10)
            assert anyio.current_time() - began >= SILENT_SECONDS / 2, "the connection was not dead"
    finally:
        relay.close()


def test_fault_06_half_open_is_noticed_within_75_seconds_by_default() -> None:
    default = inspect.signature(Client.watch).parameters["read_timeout"].default
    assert default == kube_client.READ_SECONDS <= 75


async def test_h1_a_list_in_a_black_hole_ends_and_is_asked_again(
    rig: Rig, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_client, "LIST_SECONDS", 0.5)
    async with following(rig, proxy.url, timeout=0.5, backoff=quick()) as followed:
        hole = proxy.on(LISTS, InTurn(faults.black_hole).fault)
        proxy.on(WATCHES, InTurn(faults.refuse(410, "Expired")).fault)
        proxy.reset()
        await followed.write("a", "1")
        await followed.until(lambda: followed.value("a") == "1", "the list after the one in the hole", 10)
        assert hole.fits == 2


async def test_fault_10_watches_that_end_each_second_lose_no_update(rig: Rig, proxy: Proxy) -> None:
    async with following(rig, proxy.url, watch_seconds=lambda: 1.0) as followed:
        ended = RECONNECTS.value("configmaps", "ended")
        lists = proxy.count(LISTS)
        rounds = 0
        while RECONNECTS.value("configmaps", "ended") - ended < 4:
            await followed.write_many(50, f"round-{rounds}", objects=10)
            rounds += 1
        await followed.until_true()
        assert proxy.count(LISTS) == lists, "a watch that ends is gone on with, not listed anew"
        assert _in_order(followed), "an object went back"


async def test_fault_11_empty_watches_are_asked_for_less_than_once_a_second_h6(rig: Rig, proxy: Proxy) -> None:
    async with following(rig, proxy.url) as followed:
        with proxy.on(WATCHES, faults.empty_watch) as empty:
            began = anyio.current_time()
            proxy.reset()
            await followed.until(lambda: empty.hits == 5, "five empty watches")
            assert anyio.current_time() - began >= 4, "more than one a second"
            await followed.write("a", "1")
        await followed.until(lambda: followed.value("a") == "1", "the change in the gap", 5)


def _in_order(followed: Followed) -> bool:
    """Each object's versions only ever rise."""
    newest: dict[str, int] = {}
    for change in followed.changes:
        assert change.after is not None
        version = int(change.after.metadata.resource_version)
        if version <= newest.get(change.key.name, 0):
            return False
        newest[change.key.name] = version
    return True
