"""odigos-cp installed on the real cluster, with the demo shop and the destination that stores what it receives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cluster import images, walk
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster
from odigos_cp.api.meta import INJECTED_ANNOTATION


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here waits for real pods: a minute is nothing unusual."""
    for item in items:
        if "tests/e2e" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


@dataclass
class Shop:
    """The demo shop, and its pod templates as they were before anything was instrumented."""

    kubectl: Kubectl
    before: dict[str, str]

    def templates(self) -> dict[str, str]:
        deployments = self.kubectl.json("get", "deployments", "-n", walk.SHOP)["items"]
        return {d["metadata"]["name"]: json.dumps(d["spec"]["template"], sort_keys=True) for d in deployments}

    def take_back(self) -> None:
        """Nobody wishes anything of the shop any more, it is as it was before, and what it sent is forgotten."""
        self.kubectl("delete", "sources", "--all", "-n", walk.SHOP)

        def is_as_before() -> bool | None:
            names = [name for name, template in self.templates().items() if template != self.before[name]]
            return True if not (names or walk.applications(self.kubectl) or self.leaving()) else None

        walk.until("the shop as it was before", 240, is_as_before, lambda: walk.why_not(self.kubectl))
        self.kubectl("delete", "--raw", f"{walk.STORE_API}/api/data")

    def leaving(self) -> list[str]:
        """Pods that are on their way out, or still carry an agent: they may send until they are gone."""
        pods = self.kubectl.json("get", "pods", "-n", walk.SHOP)["items"]
        return [
            p["metadata"]["name"]
            for p in pods
            if "deletionTimestamp" in p["metadata"] or INJECTED_ANNOTATION in p["metadata"].get("annotations", {})
        ]

    def pods(self) -> list[dict[str, Any]]:
        pods = self.kubectl.json("get", "pods", "-n", walk.SHOP)["items"]
        return [p for p in pods if "deletionTimestamp" not in p["metadata"]]


@pytest.fixture(scope="session")
def stays(request: pytest.FixtureRequest) -> bool:
    """Whether the cluster is there for another session, so that what was made in it must be taken away."""
    return bool(request.config.getoption("--keep-cluster"))


@pytest.fixture(scope="session")
def installed(local_cluster: LocalCluster, kubectl: Kubectl, stays: bool) -> Iterator[Kubectl]:
    """odigos-cp as a user installs it, from images built here."""
    built = images.ensure(images.all_images(), print)
    local_cluster.import_images([image.archive for image in built])
    walk.install(kubectl, built)
    yield kubectl
    if stays:
        kubectl("delete", "-k", str(walk.ROOT / "manifests/overlays/local"), "--ignore-not-found", timeout=180)


@pytest.fixture(scope="session")
def shop(installed: Kubectl, stays: bool) -> Iterator[Shop]:
    walk.deploy_store(installed)
    walk.deploy_shop(installed)
    shop = Shop(installed, {})
    shop.before.update(shop.templates())
    yield shop
    if stays:
        installed("delete", "namespace", walk.SHOP, walk.STORE, "--ignore-not-found", timeout=180)


@pytest.fixture(scope="module", autouse=True)
def unchosen(shop: Shop) -> None:
    """Each story begins with a shop of which nobody has chosen anything, whatever became of the one before."""
    shop.take_back()
