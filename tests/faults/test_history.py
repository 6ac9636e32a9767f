"""Faults 7, 8, 9, 14, 25, 46 and 47: the version is too old, history is gone, a list is overtaken or stale, an event is
missed. What a cache has missed, it finds by listing; what it knows, no older list takes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from aiohttp import web

from odigos_cp.api.builtin import CONFIG_MAPS, PODS, Pod
from odigos_cp.kube.client import PAGE_OBJECTS, Client
from odigos_cp.kube.reflector import LISTS as LISTED
from odigos_cp.kube.reflector import Reflector
from odigos_cp.kube.store import Store
from tests.faults import faults
from tests.faults.faults import Gate
from tests.faults.following import FOLLOWED, LISTS, WATCHES, Followed, following, quick
from tests.faults.proxy import Aim, Exchange, Fault, Proxy, proxying
from tests.faults.rig import Rig, Second, standing

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

MANY = 10_000
BEHIND_SECONDS = 4.0
"""An API server waits 3 s for its own cache before it asks the store."""
PODS_LISTED = Aim("list", "pods")
GONE = pytest.mark.parametrize(
    "gone",
    [
        pytest.param(faults.refuse(410, "Expired"), id="fault_07_as_a_status"),
        pytest.param(faults.error_event(410, "Expired"), id="fault_08_in_the_stream"),
    ],
)


@pytest.fixture
def proxy(rig: Rig) -> Iterator[Proxy]:
    with proxying(rig.url, rig.tls("reader")) as made:
        yield made


@asynccontextmanager
async def gap(followed: Followed, proxy: Proxy, end: Fault = Exchange.forward) -> AsyncIterator[None]:
    """No watch is answered within; after it the one that was asked for is answered by `end`."""
    over = asyncio.Event()

    async def wait(exchange: Exchange) -> web.StreamResponse:
        await over.wait()
        return await end(exchange)

    with proxy.on(WATCHES, wait) as waiting:
        proxy.reset()
        await followed.until(lambda: waiting.hits, "the gap has begun")
        yield
    proxy.call(over.set)


@GONE
async def test_a_version_that_is_too_old_leads_to_one_list_that_finds_what_was_missed_h5(
    rig: Rig, proxy: Proxy, gone: Fault
) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        for name in ("changed", "deleted"):
            await followed.write(name, "1")
        await followed.until_true()
        lists = proxy.count(LISTS)
        async with gap(followed, proxy, gone):
            await followed.write("changed", "2")
            await followed.write("added", "1")
            await followed.delete("deleted")
        await followed.until_true()
        told = {name: followed.told(name) for name in ("changed", "added", "deleted")}
        assert told == {"changed": ["1", "2"], "added": ["1"], "deleted": ["1", None]}
        assert proxy.count(LISTS) == lists + 1
        assert proxy.requests(LISTS)[-1].request.query.count("resourceVersion") == 0, "a list is as fresh as can be"


async def test_fault_09_ten_thousand_writes_behind_a_held_watch_and_a_compaction_are_all_found(
    own_rig: Rig,
) -> None:
    with proxying(own_rig.url, own_rig.tls("reader")) as proxy:
        gate = Gate(proxy)
        proxy.on(WATCHES, gate.fault)
        async with following(own_rig, proxy.url, backoff=quick()) as followed:
            gate.close()
            gone = LISTED.value("configmaps", "gone")
            await followed.write("one-00000", "1")
            await anyio.to_thread.run_sync(own_rig.crowd, "configmaps", followed.namespace, "one-00000", MANY)
            await anyio.to_thread.run_sync(_compact_and_restart, own_rig)
            gate.open()
            await followed.until_true()
            assert gate.held > 0, "the watch was held"
            # The list is counted when all its changes are told, some thousand of them after its content is there.
            await followed.until(lambda: LISTED.value("configmaps", "gone") > gone, "a list, its version was too old")


def _compact_and_restart(rig: Rig) -> None:
    rig.compact()
    rig.a.kill()
    rig.a.start()


@pytest.fixture
def second(rig: Rig) -> Iterator[Second]:
    made = rig.second()
    yield made
    made.down()


async def test_fault_14_a_first_list_is_never_that_of_a_server_that_has_fallen_behind(rig: Rig, second: Second) -> None:
    async with (
        following(rig) as truth,
        await Client.connect(str(rig.kubeconfig("reader", server=second.url))) as client,
        anyio.create_task_group() as tasks,
    ):
        await truth.write("a", "old")
        assert await _listed(client, truth) == ["old"]
        second.relay.freeze()
        await truth.write("a", "new")
        assert await _listed(client, truth, resource_version="0") == ["old"], "the server is behind, and would say so"
        store = Store(CONFIG_MAPS, namespace=truth.namespace, label_selector=FOLLOWED)
        tasks.start_soon(Reflector(client, store, backoff=quick()).run)
        with anyio.move_on_after(BEHIND_SECONDS):
            await store.wait_synced()
            pytest.fail("a cache was filled by a server that knew nothing newer")
        second.relay.mend()
        await truth.until(lambda: store.synced, "the first list, once the server is back")
        assert [item.data["value"] for item in store.values()] == ["new"]
        tasks.cancel_scope.cancel()


async def _listed(client: Client, followed: Followed, resource_version: str = "") -> list[str]:
    page = await client.list_page(
        CONFIG_MAPS, namespace=followed.namespace, label_selector=FOLLOWED, limit=0, resource_version=resource_version
    )
    return [item.data["value"] for item in page.items]


async def test_fault_46_an_object_deleted_and_made_again_in_a_gap_is_another_object(rig: Rig, proxy: Proxy) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        await followed.write("a", "1")
        await followed.until_true()
        async with gap(followed, proxy, faults.refuse(410, "Expired")):
            await followed.delete("a")
            await followed.write("a", "1")
        await followed.until_true()
        before, after = followed.changes[-1].before, followed.changes[-1].after
        assert before is not None
        assert after is not None
        assert before.metadata.uid != after.metadata.uid, "the readers are told that it is another one"


async def test_fault_46_without_a_list_both_the_end_and_the_new_object_are_told(rig: Rig, proxy: Proxy) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        await followed.write("a", "1")
        await followed.until_true()
        async with gap(followed, proxy):
            await followed.delete("a")
            await followed.write("a", "2")
        await followed.until_true()
        assert followed.told("a") == ["1", None, "2"]


async def test_fault_47_a_deletion_that_was_missed_is_found_by_the_next_list_and_told_once(
    rig: Rig, proxy: Proxy
) -> None:
    async with following(rig, proxy.url, backoff=quick()) as followed:
        missing = faults.edited(faults.dropping(lambda type_, name: type_ == "DELETED"))
        with proxy.on(WATCHES, missing):
            proxy.reset()
            await followed.write("a", "1")
            await followed.write("other", "1")
            await followed.until_true()
            await followed.delete("a")
            await followed.write("other", "2")
            await followed.until(lambda: followed.value("other") == "2", "what came after the deletion")
            assert followed.value("a") == "1", "the deletion was missed"
            proxy.on(WATCHES, faults.error_event(410, "Expired"))
        proxy.reset()
        await followed.until_true()
        assert followed.told("a") == ["1", None]


@pytest.fixture(scope="module")
def ten_thousand_pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with standing(tmp_path_factory.mktemp("crowded")) as rig:
        rig.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        pod = {"metadata": {"name": "pod-00000"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
        rig.call("POST", "/api/v1/namespaces/default/pods", pod)
        rig.crowd("pods", "default", "pod-00000", MANY - 1)
        yield rig


async def _cached(rig: Rig, proxy: Proxy) -> Store[Pod]:
    """The cache of all pods, once it is complete."""
    store = Store(PODS)
    async with (
        await Client.connect(str(rig.kubeconfig("reader", server=proxy.url))) as client,
        anyio.create_task_group() as tasks,
    ):
        with anyio.fail_after(60):
            await tasks.start(Reflector(client, store, backoff=quick()).run)
        tasks.cancel_scope.cancel()
    return store


async def test_fault_25_a_list_whose_token_expires_in_the_middle_is_begun_anew(ten_thousand_pods: Rig) -> None:
    rig = ten_thousand_pods

    async def overtake(exchange: Exchange) -> web.StreamResponse:
        await anyio.to_thread.run_sync(_change_compact_and_restart, rig)
        return await exchange.forward()

    with proxying(rig.url, rig.tls("reader")) as proxy:
        proxy.on(replace(PODS_LISTED, nth=6), overtake)
        store = await _cached(rig, proxy)
        pages = proxy.requests(PODS_LISTED)
    assert len(store) == MANY
    assert [page.status for page in pages].index(410) == 5, "etcd's own history was gone"
    assert len(pages) == 6 + MANY // PAGE_OBJECTS


def _change_compact_and_restart(rig: Rig) -> None:
    metadata = {"namespace": "default", "name": "later"}
    rig.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    _compact_and_restart(rig)


async def test_fault_25_a_list_that_is_overtaken_each_time_is_asked_for_without_pages(ten_thousand_pods: Rig) -> None:
    rig = ten_thousand_pods

    async def expire(exchange: Exchange) -> web.StreamResponse:
        if "continue=" in exchange.request.query:
            return exchange.answer(410, "Expired")
        return await exchange.forward()

    with proxying(rig.url, rig.tls("reader")) as proxy:
        proxy.on(PODS_LISTED, expire)
        store = await _cached(rig, proxy)
        queries = [page.request.query for page in proxy.requests(PODS_LISTED)]
    assert len(store) == MANY
    assert ["limit=" in query for query in queries] == [True, True, True, True, False]
