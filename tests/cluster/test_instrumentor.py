"""One wish and back on a real API server, by the real controllers, also when they die at any write.

Injection's decision is written by the tests, so that the walk does not depend on what runs in a pod; the workload has
no pods, so that the real Deployment controller is done with a new template at once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
import pytest_asyncio

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import DEPLOYMENTS, NAMESPACES, PODS, WORKLOADS
from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS, OdigosConfiguration
from odigos_cp.api.meta import INSTRUMENTED_LABEL, Key, Kind, find_condition
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import detection, discovery, rollout
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.errors import NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]

SECONDS = 20.0
HASH = "0123456789abcdef"
CACHED: tuple[Kind[Any], ...] = (*WORKLOADS.values(), PODS, APPLICATIONS, SOURCES, CONFIGURATIONS)


@dataclass
class Writer:
    """The controllers' client: counts what they write, and can stop for ever before or after one of them."""

    client: Client
    stop: tuple[str, int] = ("", 0)
    writes: list[str] = field(default_factory=list)
    stopped: anyio.Event = field(default_factory=anyio.Event)

    async def apply(self, kind: Kind[Any], body: Mapping[str, Any], **how: Any) -> Written:
        made: Written = await self._write(f"apply {kind}", lambda: self.client.apply(kind, body, **how))
        return made

    async def create(self, kind: Kind[Any], body: Mapping[str, Any]) -> Written:
        made: Written = await self._write(f"create {kind}", lambda: self.client.create(kind, body))
        return made

    async def delete(self, kind: Kind[Any], key: Key, **how: Any) -> None:
        await self._write(f"delete {kind}", lambda: self.client.delete(kind, key, **how))

    async def get(self, kind: Kind[Any], key: Key) -> Any:
        return await self.client.get(kind, key)

    async def _write(self, what: str, write: Callable[[], Any]) -> Any:
        self.writes.append(what)
        number = len(self.writes)
        if ("before", number) == self.stop:
            await self._stop()
        made = await write()
        if ("after", number) == self.stop:
            await self._stop()
        return made

    async def _stop(self) -> None:
        self.stopped.set()
        await anyio.sleep_forever()


@asynccontextmanager
async def running(client: Client, namespace: str, writer: Writer) -> AsyncIterator[None]:
    """The controllers of the instrumentor, on caches of this one namespace; left, they die as they are."""
    stores = Stores(client)
    for kind in CACHED:
        stores.add(kind, namespace=namespace)
    stores.add(NAMESPACES, field_selector=f"metadata.name={namespace}")
    settings = Settings(namespace=namespace, detector_image="none")
    applier = Applier(writer)
    parts = [c for module in (discovery, detection, rollout) for c in module.build(stores, applier, settings)]
    async with anyio.create_task_group() as tasks:
        await tasks.start(stores.run)
        for part in parts:
            await tasks.start(part.run)
        yield
        tasks.cancel_scope.cancel()


@dataclass(frozen=True)
class Shop:
    """A namespace with the Deployment cart, and what a user and injection do there."""

    client: Client
    namespace: str
    before: str

    @property
    def cart(self) -> Key:
        return Key(self.namespace, "cart")

    async def raw(self, kind: Kind[Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(await self.client.get_text(kind.path(self.namespace, name)))
        return found

    async def template(self) -> str:
        return json.dumps((await self.raw(DEPLOYMENTS, "cart"))["spec"]["template"], sort_keys=True)

    async def ask(self, name: str = "deployment-cart", **spec: Any) -> None:
        workload = {"namespace": self.namespace, "kind": "Deployment", "name": "cart"}
        body = {"metadata": {"name": name, "namespace": self.namespace}, "spec": {"workload": workload} | spec}
        await self.client.apply(SOURCES, body, manager="user")

    async def decide(self, hash_: str = HASH) -> None:
        """What injection would write."""
        await self.until(lambda: self.application())
        metadata = {"name": "deployment-cart", "namespace": self.namespace}
        body = {"metadata": metadata, "status": {"injection": {"hash": hash_, "containers": []}}}
        await self.client.apply(APPLICATIONS, body, manager="test-injection", subresource="status")

    async def application(self) -> InstrumentedApplication | None:
        try:
            return await self.client.get(APPLICATIONS, Key(self.namespace, "deployment-cart"))
        except NotFound:
            return None

    async def source(self, name: str = "deployment-cart") -> Source:
        return await self.client.get(SOURCES, Key(self.namespace, name))

    async def is_rolled_out(self) -> bool:
        return await self.says("RolledOut", "True") and HASH in await self.template()

    async def is_gone(self) -> bool:
        return await self.application() is None and HASH not in await self.template()

    async def has_settings(self) -> bool:
        try:
            found = await self.client.get(CONFIGURATIONS, Key(self.namespace, CONFIGURATION_NAME))
        except NotFound:
            return False
        return bool(found.status.effective)

    async def says(self, type_: str, status: str, reason: str = "") -> bool:
        app = await self.application()
        said = find_condition(app.status.conditions, type_) if app else None
        return said is not None and said.status == status and (not reason or said.reason == reason)

    async def until(self, look: Callable[[], Any]) -> None:
        """Waits for what another process does: by looking, as a user would."""
        with anyio.fail_after(SECONDS):
            while not await look():  # noqa: ASYNC110 - it happens in the API server
                await anyio.sleep(0.05)


@pytest_asyncio.fixture
async def shop(client: Client, namespace: str, custom_resources: None) -> Shop:
    template = {
        "metadata": {"labels": {"app": "cart"}, "annotations": {"team": "a"}},
        "spec": {"containers": [{"name": "app", "image": "cart:1", "env": [{"name": "X", "value": "1e3"}]}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "cart"}}, "template": template}
    await client.apply(
        DEPLOYMENTS, {"metadata": {"name": "cart", "namespace": namespace}, "spec": spec}, manager="user"
    )
    made = Shop(client, namespace, "")
    return Shop(client, namespace, await made.template())


async def test_a_wish_becomes_an_application_that_its_workload_owns(shop: Shop) -> None:
    await shop.ask(otelServiceName="basket")
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.until(lambda: shop.says("Marked", "True", "WorkloadSource"))
        await shop.until(lambda: shop.says("RuntimeDetected", "Unknown", "WaitingForReadyPod"))
    app = await shop.application()
    assert app is not None
    assert app.metadata.owner_references[0].uid == (await shop.raw(DEPLOYMENTS, "cart"))["metadata"]["uid"]
    assert app.spec.service_name == "basket"
    matched = find_condition((await shop.source()).status.conditions, "Matched")
    assert matched is not None
    assert matched.status == "True"
    assert await shop.template() == shop.before, "nothing is decided yet, so nothing is touched"


async def test_the_template_gets_the_one_label_and_comes_back_byte_for_byte(shop: Shop) -> None:
    await shop.ask()
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.decide()
        await shop.until(shop.is_rolled_out)
        labelled = json.loads(await shop.template())
        assert labelled["metadata"]["labels"].pop(INSTRUMENTED_LABEL) == HASH
        assert json.dumps(labelled, sort_keys=True) == shop.before
        await shop.client.delete(SOURCES, Key(shop.namespace, "deployment-cart"))
        await shop.until(shop.is_gone)
    assert await shop.template() == shop.before
    managers = {entry["manager"] for entry in (await shop.raw(DEPLOYMENTS, "cart"))["metadata"]["managedFields"]}
    assert not {name for name in managers if name.startswith("odigos")}


async def test_each_field_has_the_writer_that_the_table_of_the_kind_names(shop: Shop) -> None:
    await shop.ask()
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.decide()
        await shop.until(shop.is_rolled_out)
    owned: dict[str, set[str]] = {}
    for entry in (await shop.raw(APPLICATIONS, "deployment-cart"))["metadata"]["managedFields"]:
        fields = entry["fieldsV1"]
        status = fields.get("f:status", {})
        told = {f"condition {json.loads(k[2:])['type']}" for k in status.get("f:conditions", {}) if k.startswith("k:")}
        named = {f"status.{k[2:]}" for k in status if k != "f:conditions"} | ({"spec"} if "f:spec" in fields else set())
        owned.setdefault(entry["manager"], set()).update(told | named)
    assert owned == {
        "odigos-instrumentor-discovery": {"spec", "condition Marked"},
        "odigos-instrumentor-detection": {"condition RuntimeDetected"},
        "odigos-instrumentor-rollout": {"status.rollout", "condition RolledOut", "condition PodsInjected"},
        "test-injection": {"status.injection"},
    }


async def test_what_is_right_is_written_by_nobody_also_not_after_a_restart(shop: Shop) -> None:
    await shop.ask()
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.decide()
        await shop.until(shop.is_rolled_out)
        for type_, status in (("Marked", "True"), ("RuntimeDetected", "Unknown"), ("PodsInjected", "Unknown")):
            await shop.until(partial(shop.says, type_, status))
        await shop.until(shop.has_settings)
    again = Writer(shop.client)
    async with running(shop.client, shop.namespace, again):
        await shop.ask("other", disableInstrumentation=True)  # something to do, so that the rest is known to be done

        async def other_is_told() -> bool:
            return find_condition((await shop.source("other")).status.conditions, "Matched") is not None

        await shop.until(other_is_told)
    touched = [w for w in again.writes if "sources" not in w]
    assert touched == []


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_process_that_dies_at_any_write_is_gone_on_with(shop: Shop, side: str) -> None:
    """There and back once for each write: the next process ends where this one would have."""
    ordinary = Writer(shop.client)
    async with running(shop.client, shop.namespace, ordinary):
        await there_and_back(shop)
    assert len(ordinary.writes) >= 6
    for number in range(1, len(ordinary.writes) + 1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dying_once, shop, (side, number))
            await there_and_back(shop)
            tasks.cancel_scope.cancel()
        assert await shop.template() == shop.before, f"died {side} write {number} of {ordinary.writes}"


async def dying_once(shop: Shop, stop: tuple[str, int]) -> None:
    """A process that dies at this write, and the one that Kubernetes starts after it."""
    dying = Writer(shop.client, stop)
    async with running(shop.client, shop.namespace, dying):
        await dying.stopped.wait()
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await anyio.sleep_forever()


async def there_and_back(shop: Shop) -> None:
    await shop.ask()
    await shop.decide()
    await shop.until(shop.is_rolled_out)
    await shop.client.delete(SOURCES, Key(shop.namespace, "deployment-cart"))
    await shop.until(shop.is_gone)


async def test_a_label_that_another_manager_set_is_left_to_him_and_told(shop: Shop) -> None:
    label = {"template": {"metadata": {"labels": {INSTRUMENTED_LABEL: "mine"}}}}
    body = {"metadata": {"name": "cart", "namespace": shop.namespace}, "spec": label}
    await shop.client.apply(DEPLOYMENTS, body, manager="argo")
    await shop.ask()
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.decide()
        await shop.until(lambda: shop.says("RolledOut", "False", "Conflict"))
    app = await shop.application()
    assert app is not None
    said = find_condition(app.status.conditions, "RolledOut")
    assert said is not None
    assert "argo" in said.message
    assert '"mine"' in await shop.template()


async def test_a_workload_made_again_gets_an_application_of_its_own(shop: Shop) -> None:
    await shop.ask()
    raw = await shop.raw(DEPLOYMENTS, "cart")
    async with running(shop.client, shop.namespace, Writer(shop.client)):
        await shop.until(lambda: shop.says("Marked", "True"))
        await shop.client.delete(DEPLOYMENTS, shop.cart)
        fresh = {"metadata": {"name": "cart", "namespace": shop.namespace}, "spec": raw["spec"]}
        uid = (await shop.client.apply(DEPLOYMENTS, fresh, manager="user")).uid

        async def has_a_new_one() -> bool:
            app = await shop.application()
            return app is not None and app.metadata.owner_references[0].uid == uid

        await shop.until(has_a_new_one)
        await shop.until(lambda: shop.says("Marked", "True"))


async def test_the_settings_say_where_they_come_from(shop: Shop) -> None:
    body = {
        "metadata": {"name": CONFIGURATION_NAME, "namespace": shop.namespace},
        "spec": {"rollout": {"maxConcurrent": 2}},
    }
    await shop.client.apply(CONFIGURATIONS, body, manager="user")
    key = Key(shop.namespace, CONFIGURATION_NAME)
    async with running(shop.client, shop.namespace, Writer(shop.client)):

        async def effective() -> Mapping[str, str]:
            found: OdigosConfiguration = await shop.client.get(CONFIGURATIONS, key)
            return found.status.effective

        await shop.until(effective)
        told = await effective()
    assert told["rollout.maxConcurrent"] == "2 (OdigosConfiguration)"
    assert told["rollout.automatic"] == "True (default)"
