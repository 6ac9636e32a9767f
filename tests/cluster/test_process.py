"""The process as Kubernetes runs it: ready when it is, stopped when it is told, led by one, in parts if so wished."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.kubectl import Kubectl
from odigos_cp.api.source import SOURCES
from odigos_cp.settings import CONTROLLERS
from tests import replicas
from tests.ports import free_port
from tests.replicas import Replica

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

OURS = SOURCES.api_version


@dataclass
class Place:
    """A namespace that stands for odigos-system, and the processes started in it."""

    kubectl: Kubectl
    namespace: str
    directory: Path
    started: list[Replica] = field(default_factory=list)

    def start(self, *flags: str) -> Replica:
        log = self.directory / f"replica-{len(self.started)}.log"
        made = replicas.start(self.kubectl.kubeconfig, self.namespace, log, *flags)
        self.started.append(made)
        return made

    def lease(self) -> dict[str, Any]:
        found = self.kubectl("get", "lease", "odigos-controllers", "-n", self.namespace, "-o", "json", check=False)
        return dict(json.loads(found)["spec"]) if found else {}

    def names(self, kind: str) -> list[str]:
        return [o["metadata"]["name"] for o in self.kubectl.json("get", kind, "-n", self.namespace)["items"]]

    def add_destination(self) -> None:
        spec = {"type": "debug", "destinationName": "Debug", "signals": ["TRACES"]}
        metadata = {"name": "debug", "namespace": self.namespace}
        self.kubectl.apply(
            {"apiVersion": "odigos.io/v1alpha1", "kind": "Destination", "metadata": metadata, "spec": spec}
        )

    def ask(self) -> None:
        """A workload, and a Source for it."""
        template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": "cart"}}, "template": template}
        metadata = {"name": "cart", "namespace": self.namespace}
        workload = {"namespace": self.namespace, "kind": "Deployment", "name": "cart"}
        self.kubectl.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
            {
                "apiVersion": "odigos.io/v1alpha1",
                "kind": "Source",
                "metadata": metadata,
                "spec": {"workload": workload},
            },
        )


@pytest.fixture
def place(kubectl: Kubectl, namespace: str, custom_resources: None, tmp_path: Path) -> Iterator[Place]:
    with _stopped_at_the_end(Place(kubectl, namespace, tmp_path)) as made:
        yield made


@contextmanager
def _stopped_at_the_end(place: Place) -> Iterator[Place]:
    try:
        yield place
    finally:
        for one in place.started:
            one.end()


def test_it_gets_ready_serves_and_stops_at_once_giving_its_lease_back(place: Place) -> None:
    replica = place.start()
    replica.wait_ready()
    replica.wait_leading()
    assert replica.get("/healthz")[0] == 200
    assert "odigos_controller_outcomes_total" in replica.get("/metrics")[1]
    status, meta = replica.get("/api/meta", replica.ui)
    assert (status, json.loads(meta)["namespace"]) == (200, place.namespace)
    assert place.lease()["holderIdentity"]
    began = time.monotonic()
    assert replica.stop() == 0
    assert time.monotonic() - began < 5
    assert not place.lease().get("holderIdentity")
    assert "Traceback" not in replica.log.read_text()


def test_a_second_replica_serves_at_once_and_leads_when_the_first_is_killed(place: Place) -> None:
    first = place.start("--lease-seconds=3")
    first.wait_leading()
    second = place.start("--lease-seconds=3")
    second.wait_ready()
    assert second.events("leading") == []
    first.stop(signal.SIGKILL)
    second.wait_leading()
    assert place.lease()["leaseTransitions"] >= 1


@pytest.mark.parametrize("off", CONTROLLERS)
def test_each_task_can_be_switched_off_and_the_rest_go_on(place: Place, off: str) -> None:
    replica = place.start(f"--controllers=*,-{off}")
    replica.wait_leading()
    place.add_destination()
    place.ask()
    running = replica.events("leading")[0]["controllers"]
    assert not [name for name in running if name.split("/")[0] == off]
    if off != "instrumentor":
        replica.wait("the application", lambda: place.names("instrumentedapplications"))
    if off != "autoscaler":
        replica.wait("the groups", lambda: len(place.names("collectorsgroups")) == 2)
    if off != "ui":
        assert replica.get("/api/meta", replica.ui)[0] == 200
    else:
        assert replica.get("/api/meta", replica.ui)[0] == 0
    if off == "autoscaler":
        assert place.names("collectorsgroups") == []
    if off == "instrumentor":
        assert place.names("instrumentedapplications") == []


def test_an_api_server_that_is_not_there_ends_with_code_1_and_says_so(place: Place) -> None:
    config = place.directory / "kubeconfig"
    server = f"https://127.0.0.1:{free_port()}"
    cluster = {"name": "x", "cluster": {"server": server, "insecure-skip-tls-verify": True}}
    context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
    users = [{"name": "x", "user": {"token": "x"}}]
    body = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "x"}
    config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"} | body))
    replica = place.start(f"--kubeconfig={config}")
    assert replica.process.wait(timeout=30) == 1
    assert server in replica.log.read_text()
