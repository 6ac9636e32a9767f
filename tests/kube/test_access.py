"""The access to the cluster is read from real files, which change under us, in a pod and elsewhere."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS
from odigos_cp.kube import errors
from odigos_cp.kube.access import load
from odigos_cp.kube.client import Client
from tests.kube.certificates import server_context
from tests.kube.scripted import Answer, ScriptedServer, bookmark, line, listed, serving, status, streamed


def token(name: str) -> str:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'sub': name, 'exp': 2**40})}.c2lnbmF0dXJl"


class Pod:
    """The mounted files of a service account; `write` swaps them as the kubelet does, by one link."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._life = 0
        directory.mkdir()
        for name in ("token", "ca.crt"):
            (directory / name).symlink_to(f"..data/{name}")

    def write(self, token: str, authority: bytes) -> None:
        self._life += 1
        real = self.directory / f"..{self._life}"
        real.mkdir()
        (real / "token").write_text(token)
        (real / "ca.crt").write_bytes(authority)
        link = self.directory / "..new"
        link.symlink_to(real.name)
        os.replace(link, self.directory / "..data")


class Cluster:
    """Its pod, and what proves that it is itself, by name."""

    def __init__(self, tmp_path: Path) -> None:
        self.pod = Pod(tmp_path / "serviceaccount")
        self.contexts = {name: server_context(tmp_path / name)[1] for name in ("old", "new")}
        self._tmp_path = tmp_path
        self.write("first", "old")

    def write(self, token_name: str, authority: str) -> None:
        self.pod.write(token(token_name), (self._tmp_path / authority / "crt").read_bytes())

    @asynccontextmanager
    async def serving(self, *answers: Answer, as_: str = "old") -> AsyncIterator[ScriptedServer]:
        async with serving(*answers, ssl_context=self.contexts[as_]) as server:
            yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@asynccontextmanager
async def client_in(cluster: Cluster, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    host, _, port = server.url.removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    async with await Client.connect(service_account=cluster.pod.directory) as client:
        yield client


def told(server: ScriptedServer) -> list[str]:
    """Which tokens came."""
    names = {f"Bearer {token(name)}": name for name in ("first", "second")}
    return [names[request[4]["Authorization"]] for request in server.requests]


def a_minute_passes(client: Client) -> None:
    client._loaded_at = float("-inf")


async def test_a_pod_says_who_it_is_and_trusts_its_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.serving(listed()) as server, client_in(cluster, server, monkeypatch) as client:
        await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first"]


async def test_a_rotated_token_is_used_from_the_next_minute_on_and_an_open_watch_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [line("BOOKMARK", {"metadata": {"resourceVersion": v}}) for v in ("11", "12")]
    async with (
        cluster.serving(streamed(marks[0], 0.05, marks[1]), listed()) as server,
        client_in(cluster, server, monkeypatch) as client,
        client.watch(CONFIG_MAPS, resource_version="10") as events,
    ):
        assert await anext(events) == bookmark(11)
        cluster.write("second", "old")
        a_minute_passes(client)
        await client.list_page(CONFIG_MAPS)
        assert await anext(events) == bookmark(12)
    assert told(server) == ["first", "second"]


async def test_a_token_that_is_refused_is_read_again_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.serving(status(401), listed()) as server, client_in(cluster, server, monkeypatch) as client:
        client._loaded_at = anyio.current_time() - 11
        cluster.write("second", "old")
        await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first", "second"]


async def test_a_rotated_authority_is_trusted_h8(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.serving(listed(), as_="new") as server, client_in(cluster, server, monkeypatch) as client:
        with pytest.raises(errors.NotSent, match="not trusted"):
            await client.list_page(CONFIG_MAPS)
        cluster.write("first", "new")
        a_minute_passes(client)
        await client.list_page(CONFIG_MAPS)


@pytest.mark.parametrize("half", ["", "\n", token("second")[:20], token("second").rpartition(".")[0], "a.b.c"])
async def test_a_token_file_that_is_empty_or_half_written_does_not_replace_a_good_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    async with cluster.serving(listed(), listed()) as server, client_in(cluster, server, monkeypatch) as client:
        (cluster.pod.directory / "token").write_text(half)
        a_minute_passes(client)
        await client.list_page(CONFIG_MAPS)
        cluster.write("second", "old")
        a_minute_passes(client)
        await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first", "second"]


@pytest.mark.parametrize("damage", ["empty", "half", "gone"])
async def test_an_authority_that_cannot_be_read_does_not_replace_a_good_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    async with cluster.serving(listed()) as server, client_in(cluster, server, monkeypatch) as client:
        file = cluster.pod.directory / "ca.crt"
        good = file.read_bytes()
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(good[: len(good) // 2] if damage == "half" else b"")
        a_minute_passes(client)
        await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first"]


async def test_an_address_of_ipv6_is_written_as_urls_want_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    access = await load(None, None, cluster.pod.directory)
    assert access.host == "https://[fd00::1]:6443"
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert access.tls.check_hostname


async def test_a_pod_without_a_whole_token_says_so_at_the_start(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (cluster.pod.directory / "token").write_text("")
    with pytest.raises(errors.Unreachable, match=r"service account.*its token is empty"):
        await load(None, None, cluster.pod.directory)


def test_a_pod_does_not_pay_for_the_reading_of_kubeconfigs(cluster: Cluster) -> None:
    """63 MB, and up to a second."""
    code = (
        "import anyio, sys; from pathlib import Path; from odigos_cp.kube import access;"
        f"anyio.run(access.load, None, None, Path({str(cluster.pod.directory)!r}));"
        "sys.exit('kubernetes_asyncio' in sys.modules)"
    )
    environment = os.environ | {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=15)


# A kubeconfig


def kubeconfig(directory: Path, server: str, user: str, cluster: str = "") -> str:
    file = directory / "config"
    file.write_text(
        f"{{current-context: c, clusters: [{{name: c, cluster: {{server: '{server}'{cluster}}}}}],"
        f" users: [{{name: u, user: {{{user}}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    )
    return str(file)


async def test_the_token_file_of_a_kubeconfig_is_read_again_when_its_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token("first"))
    async with serving(listed(), status(401), listed()) as server:
        config = kubeconfig(tmp_path, server.url, f"tokenFile: {tmp_path}/token")
        async with await Client.connect(config) as client:
            await client.list_page(CONFIG_MAPS)
            (tmp_path / "token").write_text(token("second") + "\n")
            a_minute_passes(client)
            await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first", "first", "second"]


async def test_an_empty_token_file_of_a_kubeconfig_does_not_replace_a_good_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token("first"))
    async with serving(status(401), listed()) as server:
        config = kubeconfig(tmp_path, server.url, f"tokenFile: {tmp_path}/token")
        async with await Client.connect(config) as client:
            (tmp_path / "token").write_text("")
            a_minute_passes(client)
            await client.list_page(CONFIG_MAPS)
    assert told(server) == ["first", "first"]


async def test_the_authority_file_of_a_kubeconfig_is_read_again_when_it_trusts_no_more_h8(tmp_path: Path) -> None:
    contexts = {name: server_context(tmp_path / name)[1] for name in ("old", "new")}
    authority = tmp_path / "ca.crt"
    authority.write_bytes((tmp_path / "old" / "crt").read_bytes())
    async with serving(listed(), ssl_context=contexts["new"]) as server:
        config = kubeconfig(tmp_path, server.url, "token: t", f", certificate-authority: {authority}")
        async with await Client.connect(config) as client:
            with pytest.raises(errors.NotSent, match="not trusted"):
                await client.list_page(CONFIG_MAPS)
            authority.write_bytes((tmp_path / "new" / "crt").read_bytes())
            a_minute_passes(client)
            await client.list_page(CONFIG_MAPS)
