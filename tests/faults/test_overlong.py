"""H7: whoever may create a pod could blind a runtime by it: a megabyte of `<` is six on the wire."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import pytest

from odigos_cp.api.builtin import NAMESPACES, PODS, Pod
from odigos_cp.api.meta import Key
from odigos_cp.kube.client import OVERLONG, Client
from odigos_cp.kube.lines import MAX_LINE_BYTES
from odigos_cp.kube.reflector import Reflector
from odigos_cp.kube.store import Store
from tests.faults.proxy import Aim, Proxy, proxying
from tests.faults.rig import Rig
from tests.waiting import becomes, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]

WATCHES = Aim("watch", "pods")
LISTS = Aim("list", "pods")
CHANGED: Final = "app.kubernetes.io/component"
"""One of the labels that a pod's view keeps."""
MIB = 1024 * 1024
ESCAPED = len("\\u003c")
BOMB = 1_450_000
"""Bytes of `<`: nearly all that etcd takes in one request."""


@pytest.fixture
def proxy(rig: Rig) -> Iterator[Proxy]:
    with proxying(rig.url, rig.tls("reader")) as made:
        yield made


@dataclass
class Pods:
    """A cache of the pods of one namespace."""

    rig: Rig
    namespace: str
    straight: Client
    store: Store[Pod]

    def holds(self, name: str) -> bool:
        return Key(self.namespace, name) in self.store

    async def add(self, name: str, size: int = 0) -> None:
        container: dict[str, Any] = {"name": "app", "image": "app:1", "env": [{"name": "X", "value": "<" * size}]}
        body = {"metadata": {"name": name}, "spec": {"containers": [container]}}
        await anyio.to_thread.run_sync(self.rig.call, "POST", f"/api/v1/namespaces/{self.namespace}/pods", body)

    async def label(self, name: str) -> None:
        body = {"metadata": {"namespace": self.namespace, "name": name, "labels": {CHANGED: "yes"}}}
        await self.straight.apply(PODS, body, manager="writer")

    def is_labelled(self, name: str) -> bool:
        held = self.store.get(Key(self.namespace, name))
        return held is not None and held.metadata.labels.get(CHANGED) == "yes"

    async def delete(self, name: str) -> None:
        await self.straight.delete(PODS, Key(self.namespace, name), grace_seconds=0)

    async def until(self, look: Any, what: str) -> None:
        await becomes(look, what, 15)


@asynccontextmanager
async def pods(rig: Rig, proxy: Proxy) -> AsyncIterator[Pods]:
    namespace = f"bombs-{uuid.uuid4().hex[:6]}"
    async with (
        await Client.connect(str(rig.kubeconfig("writer"))) as straight,
        await Client.connect(str(rig.kubeconfig("reader", server=proxy.url))) as client,
        anyio.create_task_group() as tasks,
    ):
        await straight.apply(NAMESPACES, {"metadata": {"name": namespace}}, manager="writer")
        await anyio.to_thread.run_sync(_wait_for_account, rig, namespace)
        store = Store(PODS, namespace=namespace)
        await tasks.start(Reflector(client, store).run)
        yield Pods(rig, namespace, straight, store)
        tasks.cancel_scope.cancel()
        await straight.delete(NAMESPACES, Key("", namespace))


def _wait_for_account(rig: Rig, namespace: str) -> None:
    def look() -> Any:
        names = rig.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"]
        return any(item["metadata"]["name"] == "default" for item in names)

    eventually(look, "the namespace's service account")


async def test_h7_a_pod_whose_event_is_six_mebibytes_is_an_event_like_others(rig: Rig, proxy: Proxy) -> None:
    async with pods(rig, proxy) as cached:
        overlong = OVERLONG.value("pods")
        await cached.add("large", MIB)
        await cached.add("small")
        await cached.until(lambda: cached.holds("large") and cached.holds("small"), "both pods are seen")
        assert OVERLONG.value("pods") == overlong
        assert (proxy.count(WATCHES), proxy.count(LISTS)) == (1, 1)


async def test_h7_an_event_over_the_limit_heals_its_object_alone_and_the_watch_goes_on(rig: Rig, proxy: Proxy) -> None:
    assert BOMB * ESCAPED > MAX_LINE_BYTES, "an object of etcd's size can be over the limit"
    async with pods(rig, proxy) as cached:
        overlong = OVERLONG.value("pods")
        await cached.add("before")
        await cached.add("bomb", BOMB)
        await cached.add("after")
        await cached.until(lambda: all(map(cached.holds, ("before", "bomb", "after"))), "all three pods are seen")
        assert OVERLONG.value("pods") > overlong
        looks = proxy.requests(LISTS)[1:]
        assert looks, "the object was asked for"
        assert all("fieldSelector=metadata.name%3Dbomb" in look.request.query for look in looks), "and nothing else"
        assert proxy.count(WATCHES) == 1


async def test_h7_changes_and_the_end_of_an_object_over_the_limit_are_seen_too(rig: Rig, proxy: Proxy) -> None:
    async with pods(rig, proxy) as cached:
        await cached.add("bomb", BOMB)
        await cached.until(lambda: cached.holds("bomb"), "the pod is seen")
        await cached.label("bomb")
        await cached.until(lambda: cached.is_labelled("bomb"), "its change is seen")
        await cached.delete("bomb")
        await cached.until(lambda: not cached.holds("bomb"), "its end is seen")
        assert proxy.count(WATCHES) == 1
