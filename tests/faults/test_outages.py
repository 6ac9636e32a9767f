"""Faults 1, 2 and 3: the API server is killed again and again, the store is killed, the store writes nothing.

A controller copies what a user writes; whatever happens on the way, in the end each wish is copied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, NAMESPACES
from odigos_cp.api.meta import Key
from odigos_cp.kube.client import Client
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import ApiError
from odigos_cp.kube.stores import Stores
from tests.faults.faults import Gate
from tests.faults.following import LISTS, WATCHES
from tests.faults.proxy import Aim, Proxy, proxying
from tests.faults.rig import Rig
from tests.waiting import becomes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

KILLS = 20
WISH_PAUSE = 0.05
OBJECTS = 20
READY_TO_CONVERGED = 15.0
REQUESTS_A_SECOND = 2.0
WISH, COPY = "wish-", "copy-"
WRITES = Aim("patch", "configmaps")


@dataclass
class Copying:
    """A controller that copies the wishes of a namespace, and a user who changes them, tirelessly."""

    namespace: str
    user: Client
    stores: Stores
    wishes: dict[str, str] = field(default_factory=dict)
    """What was asked for last."""

    refused: int = 0
    enough: bool = False

    def body(self, name: str, value: str) -> dict[str, object]:
        return {"metadata": {"namespace": self.namespace, "name": name}, "data": {"value": value}}

    async def wish(self, number: int) -> None:
        """Asks until the answer is yes."""
        name = f"{number % OBJECTS}"
        self.wishes[name] = f"value-{number}"
        body = self.body(WISH + name, self.wishes[name])
        while True:
            try:
                await self.user.apply(CONFIG_MAPS, body, manager="user")
                return
            except ApiError:
                self.refused += 1
                await anyio.sleep(0.05)

    async def wish_until_enough(self) -> None:
        number = 0
        while not self.enough:
            await self.wish(number)
            await anyio.sleep(WISH_PAUSE)
            number += 1

    async def copies(self) -> dict[str, str]:
        page = await self.user.list_page(CONFIG_MAPS, namespace=self.namespace)
        found = {item.metadata.name: item.data.get("value", "") for item in page.items}
        return {name.removeprefix(COPY): value for name, value in found.items() if name.startswith(COPY)}

    async def until_copied(self, seconds: float) -> None:
        """By what the API server says."""
        copies: dict[str, str] = {}
        with anyio.move_on_after(seconds):
            while copies != self.wishes:
                copies = await self.copies()
                await anyio.sleep(0.05)
        assert copies == self.wishes, f"not all is copied {seconds:.0f} s after all was well"


@asynccontextmanager
async def copying(rig: Rig, proxy: Proxy) -> AsyncIterator[Copying]:
    async with (
        await Client.connect(str(rig.kubeconfig("user")), timeout=5) as user,
        await Client.connect(str(rig.kubeconfig("copier", server=proxy.url))) as client,
        anyio.create_task_group() as tasks,
    ):
        await user.apply(NAMESPACES, {"metadata": {"name": "copied"}}, manager="user")
        stores = Stores(client)
        store = stores.add(CONFIG_MAPS, namespace="copied")
        made = Copying("copied", user, stores)

        async def reconcile(key: Key) -> Result:
            wish = store.get(key)
            if wish is not None and key.name.startswith(WISH):
                name = COPY + key.name.removeprefix(WISH)
                copy = store.get(Key(key.namespace, name))
                if copy is None or copy.data != wish.data:
                    await client.apply(CONFIG_MAPS, made.body(name, wish.data["value"]), manager="copier")
            return Result()

        controller = Controller("copier", reconcile, [Watch(CONFIG_MAPS)], stores)
        await tasks.start(stores.run)
        await tasks.start(controller.run)
        yield made
        tasks.cancel_scope.cancel()


@pytest.fixture
def proxy(own_rig: Rig) -> Iterator[Proxy]:
    with proxying(own_rig.url, own_rig.tls("copier")) as made:
        yield made


async def test_fault_01_an_api_server_killed_20_times_loses_no_wish_and_is_not_stormed(
    own_rig: Rig, proxy: Proxy
) -> None:
    api, storms = own_rig.a, []
    async with copying(own_rig, proxy) as copier, anyio.create_task_group() as tasks:
        tasks.start_soon(copier.wish_until_enough)
        for _ in range(KILLS):
            began, reads = anyio.current_time(), _reads(proxy)
            await anyio.to_thread.run_sync(api.kill)
            await anyio.to_thread.run_sync(api.start)
            storms.append((_reads(proxy) - reads) / (anyio.current_time() - began))
            await _one_more_write(proxy)
        copier.enough = True
        await copier.until_copied(READY_TO_CONVERGED)
    assert copier.refused >= KILLS, "the user has felt it, too"
    assert max(storms) <= REQUESTS_A_SECOND, f"reads a second while it was away: {storms}"


async def test_fault_02_a_store_that_is_killed_and_comes_back_loses_no_wish(own_rig: Rig, proxy: Proxy) -> None:
    async with copying(own_rig, proxy) as copier, anyio.create_task_group() as tasks:
        tasks.start_soon(copier.wish_until_enough)
        for _ in range(3):
            await _one_more_write(proxy)
            await anyio.to_thread.run_sync(own_rig.etcd.kill)
            await anyio.to_thread.run_sync(own_rig.etcd.start)
            await anyio.to_thread.run_sync(own_rig.a.wait_ready)
        copier.enough = True
        await copier.until_copied(READY_TO_CONVERGED)


async def test_fault_03_a_store_that_is_full_is_read_and_written_again_when_it_has_room(
    own_rig: Rig, proxy: Proxy
) -> None:
    gate = Gate(proxy)
    proxy.on(WATCHES, gate.fault)
    async with copying(own_rig, proxy) as copier:
        await copier.wish(0)
        await copier.until_copied(READY_TO_CONVERGED)
        gate.close()
        await copier.wish(1)
        with own_rig.full_disk():
            gate.open()
            await becomes(lambda: _refused(proxy) >= 3, "the copy is refused, and tried again")
            assert await copier.copies() == {"0": "value-0"}, "what is there is read"
            assert copier.stores.synced() == (1, 1)
        await copier.until_copied(READY_TO_CONVERGED)


async def _one_more_write(proxy: Proxy) -> None:
    written = _written(proxy)
    await becomes(lambda: _written(proxy) > written, "a copy is written", 60)


def _written(proxy: Proxy) -> int:
    return sum(seen.status in (200, 201) for seen in proxy.requests(WRITES))


def _refused(proxy: Proxy) -> int:
    return sum(seen.status >= 500 for seen in proxy.requests(WRITES))


def _reads(proxy: Proxy) -> int:
    """Those that found it away, or not yet ready."""
    return sum(seen.status != 200 for aim in (WATCHES, LISTS) for seen in proxy.requests(aim))
