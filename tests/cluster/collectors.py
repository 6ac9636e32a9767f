"""The autoscaler and the scheduler on a real cluster, in a namespace that stands for odigos-system.

They have the rights of the manifests and no others: what is missing in controllers/access.py fails here.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
import yaml

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES, Pod
from odigos_cp.api.collectors import GROUPS, CollectorsGroup
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Condition, CustomResource, Key, Kind, find_condition
from odigos_cp.api.rules import ACTIONS
from odigos_cp.controllers import access, scheduler
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.autoscaler import config, groups, traffic
from odigos_cp.domain.objects import GROUP_LABEL
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.controller import Controller
from odigos_cp.kube.errors import NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings
from tests.cluster import background

SECONDS = 90.0
IMAGE, COMMAND = "odigos-cp/collector:local", "/otelcol"
CACHED: tuple[Kind[Any], ...] = (
    *(PODS, APPLICATIONS, ACTIONS, DEPLOYMENTS, DAEMON_SETS),
    *(CONFIG_MAPS, SERVICES, DESTINATIONS, GROUPS, CONFIGURATIONS),
)
OTHERS: dict[str, Kind[Any]] = {
    kind: Kind(group, "v1", plural, kind, NAMESPACES.decode, namespaced)
    for kind, group, plural, namespaced in (
        ("ServiceAccount", "", "serviceaccounts", True),
        ("Role", "rbac.authorization.k8s.io", "roles", True),
        ("RoleBinding", "rbac.authorization.k8s.io", "rolebindings", True),
        ("ClusterRole", "rbac.authorization.k8s.io", "clusterroles", False),
        ("ClusterRoleBinding", "rbac.authorization.k8s.io", "clusterrolebindings", False),
    )
}


@dataclass
class Place:
    """`admin` is the test, `ours` is the process with its rights."""

    admin: Client
    ours: Client
    namespace: str

    # What users do

    async def write(self, kind: Kind[Any], name: str, spec: Mapping[str, Any]) -> None:
        body = {"metadata": {"name": name, "namespace": self.namespace}, "spec": dict(spec)}
        await self.admin.apply(kind, body, manager="kubectl")

    async def destination(self, name: str = "debug", **spec: Any) -> None:
        wish = {"type": "debug", "destinationName": name, "signals": ["TRACES"]} | spec
        await self.write(DESTINATIONS, name, wish)

    async def application(self, name: str = "deployment-cart", enabled: bool = True) -> None:
        workload = {"namespace": self.namespace, "kind": "Deployment", "name": "cart"}
        await self.write(APPLICATIONS, name, {"workload": workload, "enabled": enabled})

    async def delete(self, kind: Kind[Any], name: str) -> None:
        await self.admin.delete(kind, Key(self.namespace, name))

    # What is there

    async def raw(self, kind: Kind[Any], name: str) -> dict[str, Any]:
        """With all that the API server keeps of it."""
        return dict(msgspec.json.decode(await self.admin.get_text(kind.path(self.namespace, name), limit_bytes=2**20)))

    async def names(self, kind: Kind[Any]) -> set[str]:
        page = await self.admin.list_page(kind, namespace=self.namespace)
        return {item.metadata.name for item in page.items if not item.metadata.name.startswith("kube-root-ca")}

    async def versions(self) -> dict[str, str]:
        """Of all that is ours to write."""
        found = {}
        kinds: tuple[Kind[Any], ...] = (GROUPS, DESTINATIONS, APPLICATIONS, CONFIG_MAPS, SERVICES)
        for kind in kinds:
            for item in (await self.admin.list_page(kind, namespace=self.namespace)).items:
                found[f"{kind} {item.metadata.name}"] = item.metadata.resource_version
        return found

    # The control plane

    @asynccontextmanager
    async def running(self, client: Client | None = None, **settings: Any) -> AsyncIterator[Running]:
        client = client or self.ours
        stores = Stores(client)
        stores.add(NAMESPACES)
        for kind in CACHED:
            stores.add(kind, namespace=self.namespace)
        chosen = Settings(
            **{"namespace": self.namespace, "collector_image": IMAGE, "collector_command": COMMAND} | settings
        )
        applier = Applier(client)
        controllers = [c for module in (groups, config, scheduler) for c in module.build(stores, applier, chosen)]
        counts = traffic.build(stores, applier, client, chosen, scrape=self._scrape(stores))
        async with background.running(stores.run, *(c.run for c in controllers), counts):
            yield Running(self, stores, controllers)

    def _scrape(self, stores: Stores) -> traffic.Scrape:
        """The test is no pod: it reads a pod's metrics through the API server."""

        async def scrape(url: str) -> str:
            address = urlsplit(url)
            (name,) = [p.metadata.name for p in stores[PODS].values() if p.status.pod_ip == address.hostname]
            path = PODS.path(self.namespace, f"{name}:{address.port}", "proxy") + address.path
            return await self.admin.get_text(path, limit_bytes=4 * 1024 * 1024)

        return scrape


@dataclass
class Running:
    """The controllers at work, and what they see."""

    place: Place
    stores: Stores
    controllers: list[Controller]

    def get(self, kind: Kind[Any], name: str) -> Any:
        return self.stores[kind].get(Key(self.place.namespace, name))

    def group(self, name: str) -> CollectorsGroup | None:
        found: CollectorsGroup | None = self.get(GROUPS, name)
        return found

    def condition(self, kind: Kind[Any], name: str, type_: str) -> Condition | None:
        found: CustomResource | None = self.get(kind, name)
        return find_condition(found.status.conditions, type_) if found else None  # type: ignore[attr-defined]

    def reason(self, kind: Kind[Any], name: str, type_: str) -> str:
        said = self.condition(kind, name, type_)
        return said.reason if said else ""

    def pods(self, group: str, *, ready: bool = True) -> list[Pod]:
        pods: list[Pod] = [p for p in self.stores[PODS].values() if p.metadata.labels.get(GROUP_LABEL) == group]
        return [p for p in pods if p.ready or not ready]

    async def until(self, what: str, look: Callable[[], Any], seconds: float = SECONDS) -> Any:
        with anyio.move_on_after(seconds):
            while not (seen := look()):  # noqa: ASYNC110 - what is waited for happens in another process
                await anyio.sleep(0.05)
            return seen
        raise AssertionError(f"{what}: not within {seconds:.0f} s\n{self.told()}")

    async def seen(self, kind: Kind[Any], written: Written) -> None:
        store = self.stores[kind]
        await self.until(f"{kind} is seen", lambda: store.has_seen(written.key, written.resource_version))

    async def settled(self) -> None:
        await self.until("nothing is queued", lambda: not any(c.status.queue_depth for c in self.controllers))

    def told(self) -> str:
        """Every condition, for the one who must find out."""
        lines = []
        kinds: tuple[Kind[Any], ...] = (GROUPS, DESTINATIONS, APPLICATIONS)
        for kind in kinds:
            for item in self.stores[kind].values():
                lines += [
                    f"{kind.kind} {item.metadata.name}: {c.type}={c.status} {c.reason}: {c.message}"
                    for c in item.status.conditions
                ]
        for pod in self.stores[PODS].values():
            lines.append(f"Pod {pod.metadata.name}: {pod.status.phase}, ready: {pod.ready}")
        return "\n".join(lines)


async def put_rights(admin: Client, namespace: str) -> str:
    """The rights of the manifests, in this namespace; a token of who has them."""
    for body in copy.deepcopy(access.manifests()):
        kind = OTHERS[body["kind"]]
        if body["metadata"].get("namespace"):
            body["metadata"]["namespace"] = namespace
        else:
            body["metadata"]["name"] += f"-{namespace}"
        for subject in body.get("subjects", ()):
            subject["namespace"] = namespace
        if body.get("roleRef", {}).get("kind") == "ClusterRole":
            body["roleRef"]["name"] += f"-{namespace}"
        await admin.apply(kind, body, manager="test")
    path = OTHERS["ServiceAccount"].path(namespace, access.SERVICE_ACCOUNT, "token")
    answer = await admin.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    return str(answer["status"]["token"])


async def take_rights(admin: Client, namespace: str) -> None:
    """Those that do not go with the namespace."""
    for kind in ("ClusterRoleBinding", "ClusterRole"):
        try:
            await admin.delete(OTHERS[kind], Key("", f"odigos-{namespace}"))
        except NotFound:
            continue


def kubeconfig_of(token: str, like: Path, target: Path) -> Path:
    """The same cluster, as another user."""
    found = yaml.safe_load(like.read_text())
    found["users"] = [{"name": "odigos", "user": {"token": token}}]
    for context in found["contexts"]:
        context["context"]["user"] = "odigos"
    target.write_text(yaml.safe_dump(found))
    return target
