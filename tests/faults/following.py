"""One cache of the runtime in this process, behind a fault proxy, beside a writer whom no fault meets.

    async with following(rig, proxy.url) as followed:
        await followed.write("a", "1")
        await followed.until_true()

What is true is asked of the API server, on the way without faults; `changes` is all that the cache told its readers.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from aiohttp import web

from odigos_cp.api.builtin import CONFIG_MAPS, NAMESPACES, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.kube.backoff import Backoff
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.errors import ApiError
from odigos_cp.kube.reflector import Reflector, ReflectorState
from odigos_cp.kube.store import Change, Store
from tests.faults.proxy import Aim, Exchange, Fault
from tests.faults.rig import Rig
from tests.waiting import becomes

WATCHES = Aim("watch", "configmaps")
LISTS = Aim("list", "configmaps")
FOLLOWED = "followed=yes"
"""Else Kubernetes' own ConfigMap of each namespace would be among them, sometimes later than sooner."""
WRITERS = 16
"""So many at once are the fastest."""


@dataclass
class Followed:
    """`straight` is the writer's way."""

    namespace: str
    straight: Client
    reflector: Reflector[ConfigMap]
    changes: list[Change[ConfigMap]] = field(default_factory=list)

    @property
    def store(self) -> Store[ConfigMap]:
        return self.reflector.store

    def key(self, name: str) -> Key:
        return Key(self.namespace, name)

    def body(self, name: str, value: str) -> dict[str, Any]:
        metadata = {"namespace": self.namespace, "name": name, "labels": {"followed": "yes"}}
        return {"metadata": metadata, "data": {"value": value}}

    async def write(self, name: str, value: str) -> Written:
        return await self.straight.apply(CONFIG_MAPS, self.body(name, value), manager="writer")

    async def write_many(self, count: int, value: str, objects: int = 0) -> None:
        """`count` writes of as many objects, or of fewer, again and again."""
        numbers = iter(range(count))

        async def write() -> None:
            for n in numbers:
                await self.write(f"many-{n % (objects or count)}", f"{value}-{n}")

        async with anyio.create_task_group() as tasks:
            for _ in range(WRITERS):
                tasks.start_soon(write)

    async def delete(self, name: str) -> None:
        await self.straight.delete(CONFIG_MAPS, self.key(name))

    def value(self, name: str) -> str | None:
        held = self.store.get(self.key(name))
        return None if held is None else held.data.get("value", "")

    def told(self, name: str) -> list[str | None]:
        """The values of one object that readers were told, in their order; None is that it was gone."""
        mine = [change for change in self.changes if change.key.name == name]
        return [change.after.data["value"] if change.after else None for change in mine]

    async def truth(self) -> dict[str, str]:
        """Name -> uid and version, of all objects, as the API server has them."""
        page = await self.straight.list_page(CONFIG_MAPS, namespace=self.namespace, label_selector=FOLLOWED, limit=0)
        return {item.metadata.name: _version(item) for item in page.items}

    def held(self) -> dict[str, str]:
        return {item.metadata.name: _version(item) for item in self.store.values()}

    async def until_true(self, seconds: float = 30.0) -> None:
        """Until the cache is as the cluster is; nothing may be written meanwhile."""
        truth = await self.truth()
        await becomes(lambda: self.held() == truth, f"the cache of {len(truth)} objects is true", seconds)

    async def until(self, look: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        return await becomes(look, what, seconds)


def _version(item: ConfigMap) -> str:
    return f"{item.metadata.uid} {item.metadata.resource_version}"


class InTurn:
    """The k-th request meets the k-th fault; when none is left, requests go through."""

    def __init__(self, *order: Fault) -> None:
        self.left = list(order)

    async def fault(self, exchange: Exchange) -> web.StreamResponse:
        return await self.left.pop(0)(exchange) if self.left else await exchange.forward()


def quick() -> Backoff:
    """For faults that come a thousand times."""
    return Backoff(base=0.001, cap=0.001, factor=lambda: 0.001)


@asynccontextmanager
async def following(
    rig: Rig, url: str = "", *, connect: type[Client] = Client, timeout: float = 15.0, **how: Any
) -> AsyncIterator[Followed]:
    """The cache of a namespace of its own, complete and empty; `how` is given to the reflector."""
    namespace = f"followed-{uuid.uuid4().hex[:6]}"
    async with (
        await Client.connect(str(rig.kubeconfig("writer"))) as straight,
        await connect.connect(str(rig.kubeconfig("reader", server=url)), timeout=timeout) as client,
        anyio.create_task_group() as tasks,
    ):
        await straight.apply(NAMESPACES, {"metadata": {"name": namespace}}, manager="writer")
        store = Store(CONFIG_MAPS, namespace=namespace, label_selector=FOLLOWED)
        followed = Followed(namespace, straight, Reflector(client, store, **how))
        store.subscribe(followed.changes.append)
        await tasks.start(followed.reflector.run)
        await followed.until(lambda: followed.reflector.state is ReflectorState.WATCHING, "the watch is open")
        yield followed
        tasks.cancel_scope.cancel()
        with suppress(ApiError):
            await straight.delete(NAMESPACES, Key("", namespace))
