"""What the kubelet and Prometheus ask."""

from __future__ import annotations

import httpx

from odigos_cp.web.app import Check, build_probe_app, caches_check
from tests.web.fake_cluster import FakeCluster


def probes(**checks: Check) -> httpx.AsyncClient:
    app = build_probe_app(checks)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://10.0.0.7:8080")


async def test_a_process_that_is_not_ready_yet_is_alive() -> None:
    async with probes(caches=lambda: "still reading") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503


async def test_every_check_is_named_with_its_reason() -> None:
    async with probes(caches=lambda: "", webhook=lambda: "no CA yet") as client:
        answer = await client.get("/readyz")
    assert answer.text == "[+] caches: ok\n[-] webhook: no CA yet\nnot ready\n"


async def test_it_is_ready_when_every_check_is() -> None:
    cluster = FakeCluster()
    async with probes(caches=caches_check(cluster.stores)) as client:
        assert "0 of " in (await client.get("/readyz")).text
        cluster.sync_all()
        assert (await client.get("/readyz")).status_code == 200


async def test_metrics_are_in_the_text_format() -> None:
    async with probes() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE " in answer.text
