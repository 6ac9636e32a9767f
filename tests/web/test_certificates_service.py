"""The service that keeps the webhook trusted: what it publishes, when it switches, and what /readyz says meanwhile."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, WEBHOOKS
from odigos_cp.api.meta import Key
from odigos_cp.kube import errors
from odigos_cp.web import certificates
from odigos_cp.web.certificates import RENEW_AFTER, Certificates
from tests.builders import webhook_configuration
from tests.web.fake_cluster import FakeCluster

KEY = Key("odigos-system", "odigos-webhook-ca-odigos-1")
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Replica:
    """One replica of the control plane, with a clock that the test moves."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.time = START
        self.certificates = Certificates(
            cluster.client, cluster.stores, pod_name="odigos-1", pod_uid="uid-1", now=lambda: self.time
        )

    @property
    def published(self) -> str:
        found = self.cluster.stores[CONFIG_MAPS].get(KEY)
        return found.data["ca.crt"] if found else ""

    def configure(self, pem: str) -> None:
        self.cluster.put(WEBHOOKS, webhook_configuration(base64.b64encode(pem.encode()).decode()))

    async def publishes(self, number: int) -> None:
        with anyio.fail_after(5):
            while self.published.count("BEGIN CERTIFICATE") != number:
                await anyio.lowlevel.checkpoint()


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    monkeypatch.setattr(certificates, "BETWEEN_WRITES_SECONDS", 0.0)
    cluster = FakeCluster()
    cluster.sync_all()
    return Replica(cluster)


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(replica.certificates.run)
        yield
        tasks.cancel_scope.cancel()


async def test_the_ca_is_published_and_readiness_waits_for_the_configuration(replica: Replica) -> None:
    async with running(replica):
        await replica.publishes(1)
        assert "does not exist" in replica.certificates.check()
        replica.configure("")
        assert "does not have this replica's CA yet" in replica.certificates.check()
        replica.configure(replica.published)
        assert replica.certificates.check() == ""


async def test_the_published_object_goes_with_its_pod_and_is_found_by_its_label(replica: Replica) -> None:
    body = replica.certificates._config_map("pem")
    assert body["metadata"]["labels"]["odigos.io/webhook-ca"] == "true"
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "odigos-1", "uid": "uid-1"}
    ]
    async with running(replica):
        await replica.publishes(1)
    assert "PRIVATE KEY" not in replica.published


async def test_a_deleted_config_map_is_back_at_once_and_nothing_else_is_ever_written(replica: Replica) -> None:
    async with running(replica):
        await replica.publishes(1)
        replica.cluster.drop(CONFIG_MAPS, KEY)
        await replica.publishes(1)
        replica.configure(replica.published)
        replica.configure("")
        await anyio.wait_all_tasks_blocked()
    assert len(replica.cluster.requests) == 2


async def test_a_renewal_switches_only_when_the_configuration_has_the_new_ca(replica: Replica) -> None:
    async with running(replica):
        await replica.publishes(1)
        replica.configure(replica.published)
        first = replica.certificates.state.current
        replica.time = START + RENEW_AFTER + timedelta(seconds=1)
        replica.configure(replica.published)  # any change of the caches makes it look at the clock
        await replica.publishes(2)
        assert replica.certificates.state.current is first
        replica.configure(replica.published)
        await replica.publishes(1)
        assert replica.certificates.state.current is not first
        assert replica.certificates.check() == ""


async def test_an_api_server_that_refuses_is_asked_again(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "RETRY_SECONDS", (0.0,))
    for _ in range(3):
        replica.cluster.fail_next(errors.Forbidden("no", status=403))
    async with running(replica):
        await replica.publishes(1)
    assert len(replica.cluster.requests) == 4
