"""The UI's writes and the published certificate, on a real API server: accepted, owned by their manager, taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import msgspec
import pytest
import pytest_asyncio

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, WEBHOOKS, WORKLOADS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key, Kind
from odigos_cp.api.source import SOURCES
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.web.app import build_ui_app
from odigos_cp.web.certificates import Certificates
from odigos_cp.web.routes import Info
from odigos_cp.web.static import Bundle
from odigos_cp.web.waiting import Changes
from tests.cluster import background

OF_THE_NAMESPACE: tuple[Kind[Any], ...] = (
    *WORKLOADS.values(),
    APPLICATIONS,
    SOURCES,
    PODS,
    CONFIGURATIONS,
    DESTINATIONS,
    GROUPS,
    CONFIG_MAPS,
)

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Ui:
    http: httpx.AsyncClient
    client: Client
    stores: Stores
    namespace: str

    async def raw(self, path: str) -> dict[str, Any]:
        """The object with all that the API server keeps of it; NotFound if there is none."""
        found: dict[str, Any] = msgspec.json.decode(await self.client.get_text(path))
        return found

    async def source(self) -> dict[str, Any]:
        return await self.raw(SOURCES.path(self.namespace, "deployment-cart"))


@pytest_asyncio.fixture
async def ui(client: Client, namespace: str, custom_resources: None) -> AsyncIterator[Ui]:
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "app", "image": "cart:1"}]}}
    spec = {"selector": {"matchLabels": {"app": "cart"}}, "template": template}
    await client.apply(
        DEPLOYMENTS, {"metadata": {"name": "cart", "namespace": namespace}, "spec": spec}, manager="test"
    )
    stores = Stores(client)
    for kind in OF_THE_NAMESPACE:
        stores.add(kind, namespace=namespace)
    stores.add(NAMESPACES)
    stores.add(WEBHOOKS)
    app = build_ui_app(stores, client, Info(namespace=namespace), bundle=Bundle({}))
    headers = {"x-odigos-ui": "1", "content-type": "application/json"}
    async with (
        background.running(stores.run),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers) as http,
    ):
        yield Ui(http, client, stores, namespace)


async def test_a_switch_writes_one_source_that_the_ui_owns_and_takes_it_back(ui: Ui) -> None:
    path = f"/api/sources/{ui.namespace}/Deployment/cart"
    assert (await ui.http.put(path, json={"instrument": True})).status_code == 202
    owners = {entry["manager"] for entry in (await ui.source())["metadata"]["managedFields"]}
    assert owners == {"odigos-ui"}
    assert (await ui.http.get("/api/sources")).json()["items"][0]["wantedBy"] == "deployment-cart"
    assert (await ui.http.put(path, json={"instrument": False})).status_code == 202
    with pytest.raises(NotFound):
        await ui.source()


async def test_clicks_that_follow_each_other_at_once_end_as_the_last_one_says(ui: Ui) -> None:
    path = f"/api/sources/{ui.namespace}/Deployment/cart"
    for on in (True, False, True, False, True):
        assert (await ui.http.put(path, json={"instrument": on})).status_code == 202
    assert (await ui.source())["spec"]["disableInstrumentation"] is False


async def test_keeping_one_workload_out_of_an_instrumented_namespace_and_letting_it_in_again(ui: Ui) -> None:
    await ui.http.put(f"/api/sources/{ui.namespace}/Namespace/{ui.namespace}", json={"instrument": True})
    path = f"/api/sources/{ui.namespace}/Deployment/cart"
    await ui.http.put(path, json={"instrument": False})
    assert (await ui.source())["spec"]["disableInstrumentation"] is True
    await ui.http.put(path, json={"instrument": True})
    with pytest.raises(NotFound):
        await ui.source()


async def test_a_destination_with_a_secret_is_made_and_removed_whole(ui: Ui) -> None:
    data = {"OTLP_GRPC_ENDPOINT": "vendor.example:4317", "OTLP_GRPC_AUTHORIZATION": "Bearer a$b"}
    wish = {"type": "otlp", "display": "Vendor", "signals": ["TRACES"], "data": data}
    answer = await ui.http.post("/api/destinations", json=wish)
    assert answer.status_code == 202, answer.text
    name = answer.json()["object"]
    made = await ui.raw(DESTINATIONS.path(ui.namespace, name))
    secret_path = f"/api/v1/namespaces/{ui.namespace}/secrets/{made['spec']['secretRef']['name']}"
    assert (await ui.raw(secret_path))["immutable"] is True
    assert "Bearer" not in str(made)
    assert (await ui.http.delete(f"/api/destinations/{name}")).status_code == 202
    for gone in (secret_path, DESTINATIONS.path(ui.namespace, name)):
        with pytest.raises(NotFound):
            await ui.raw(gone)


async def test_the_webhooks_ca_is_published_for_its_pod_and_healed(ui: Ui) -> None:
    nobodys = {"schedulerName": "nobody", "containers": [{"name": "a", "image": "a:1"}]}  # it stays as it is
    pod = {"metadata": {"name": "odigos-1", "namespace": ui.namespace}, "spec": nobodys}
    uid = (await ui.client.create(PODS, pod)).uid
    service = Certificates(ui.client, ui.stores, pod_name="odigos-1", pod_uid=uid, namespace=ui.namespace)
    key = Key(ui.namespace, "odigos-webhook-ca-odigos-1")

    store = ui.stores[CONFIG_MAPS]
    changes = Changes(store)
    async with anyio.create_task_group() as tasks:
        await tasks.start(service.run)
        assert await changes.wait_until(lambda: store.get(key) is not None, 10)
        await ui.client.delete(CONFIG_MAPS, key)
        assert await changes.wait_until(lambda: store.get(key) is None, 10)
        assert await changes.wait_until(lambda: store.get(key) is not None, 10)
        tasks.cancel_scope.cancel()
