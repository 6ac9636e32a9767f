"""Faults 19, 20, 21, 24 and hazard H8: what proves who we are, who the API server is, and what we may do, changes.

Nobody is restarted for it. What is refused is said, asked for again at a slow pace, and done when it is allowed.
"""

from __future__ import annotations

import datetime
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from cluster import credentials
from cluster.credentials import Holder
from odigos_cp.api.builtin import CONFIG_MAPS
from odigos_cp.api.meta import Key
from odigos_cp.controllers import access
from odigos_cp.kube import client as kube_client
from odigos_cp.kube import clock
from odigos_cp.kube.backoff import Backoff
from odigos_cp.kube.client import Access, Client
from odigos_cp.kube.errors import ApiError, NotSent, Unauthorized
from odigos_cp.kube.reflector import Reflector, ReflectorState
from odigos_cp.kube.store import Store
from tests.faults.audit import AuditLog, Entry
from tests.faults.proxy import proxying
from tests.faults.rig import Rig, standing
from tests.faults.stage import Reference, Stage
from tests.replicas import Replica
from tests.waiting import becomes, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVED = ("localhost", "127.0.0.1")
ALL = ("get", "list", "watch", "patch")


class Pod:
    """What a pod has of its service account: a directory with a token and a CA, which the kubelet rotates."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.namespace = f"pod-{uuid.uuid4().hex[:6]}"
        self.directory = directory
        self._rig = rig
        self._accounts = f"/api/v1/namespaces/{self.namespace}/serviceaccounts"
        directory.mkdir()
        rig.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        rig.apply(self._account(), self.config_map("1"))
        self.allow(*ALL)
        self.trust("ca")
        self.write_token(self.new_token("first"))

    def trust(self, authority: str) -> None:
        self._replace("ca.crt", (self._rig.spec.pki / f"{authority}.crt").read_bytes())

    def new_token(self, bound_to: str) -> str:
        """Of a token that ends with the Secret it is bound to: Kubernetes knows none that ends sooner by itself."""
        metadata = {"name": bound_to, "namespace": self.namespace}
        self._rig.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        secret = self._rig.call("GET", self._secret(bound_to))
        bound = {"apiVersion": "v1", "kind": "Secret", "name": bound_to, "uid": secret["metadata"]["uid"]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
        return str(self._rig.call("POST", f"{self._accounts}/odigos/token", body)["status"]["token"])

    def write_token(self, token: str) -> None:
        self._replace("token", token.encode())

    def end_token(self, bound_to: str) -> None:
        self._rig.call("DELETE", self._secret(bound_to))

    def tls(self) -> ssl.SSLContext:
        """Of nobody: the token alone tells who asks."""
        return ssl.create_default_context(cafile=str(self._rig.authority))

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text()

    def is_believed(self, token: str) -> bool:
        request = urllib.request.Request(
            f"{self._rig.url}/api/v1/namespaces/{self.namespace}/configmaps/thing",
            headers={"Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5, context=self.tls()):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code != 401

    def config_map(self, value: str) -> dict[str, Any]:
        metadata = {"name": "thing", "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}

    @property
    def thing(self) -> Key:
        return Key(self.namespace, "thing")

    def _secret(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/{name}"

    def _account(self) -> dict[str, Any]:
        metadata = {"name": "odigos", "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

    def allow(self, *verbs: str) -> None:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}
        self._rig.apply(*role("Role", self.namespace, "pod", [rule], service_account=self.namespace))

    def _replace(self, name: str, content: bytes) -> None:
        unfinished = self.directory / f"{name}.new"
        unfinished.write_bytes(content)
        unfinished.rename(self.directory / name)


def role(
    kind: str, namespace: str, name: str, rules: list[dict[str, Any]], *, user: str = "", service_account: str = ""
) -> tuple[dict[str, Any], ...]:
    """A role and its binding to one user, or to the service account `odigos` of a namespace."""
    version = "rbac.authorization.k8s.io/v1"
    metadata = {"name": name} | ({"namespace": namespace} if kind == "Role" else {})
    subject = (
        {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        if user
        else {"kind": "ServiceAccount", "name": "odigos", "namespace": service_account}
    )
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    binding = {"kind": f"{kind}Binding", "subjects": [subject], "roleRef": reference}
    common = {"apiVersion": version, "metadata": metadata}
    return common | {"kind": kind, "rules": rules}, common | binding


@pytest.fixture(scope="module")
def changing_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with standing(tmp_path_factory.mktemp("changing")) as made:
        yield made


@pytest.fixture
def changing(changing_rig: Rig) -> Iterator[Rig]:
    """One whose API server is started again with another certificate, and at the end with its own."""
    yield changing_rig
    changing_rig.a.stop()
    give_certificate(changing_rig, "ca")
    changing_rig.a.start()


def serve_anew(rig: Rig, authority: str, names: tuple[str, ...] = SERVED, *, expired: bool = False) -> None:
    """Whether it is ready cannot be asked by those who believe in the old authority."""
    rig.a.stop()
    give_certificate(rig, authority, names, expired=expired)
    rig.a.begin()


def give_certificate(rig: Rig, authority: str, names: tuple[str, ...] = SERVED, *, expired: bool = False) -> None:
    now, day = clock.now(), datetime.timedelta(days=1)
    how: dict[str, Any] = {"begins": now - 2 * day, "lifetime": day} if expired else {}
    holder = Holder("kube-apiserver", "kube-apiserver", served=names, authority=authority)
    credentials.issue(rig.spec, holder, **how)


@asynccontextmanager
async def in_cluster(rig: Rig, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    host, port = rig.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    async with await Client.connect(service_account=pod.directory) as client:
        yield client


@asynccontextmanager
async def following(client: Client, namespace: str) -> AsyncIterator[Reflector[Any]]:
    reflector = Reflector(client, Store(CONFIG_MAPS, namespace=namespace), backoff=Backoff(base=0.1, cap=0.5))
    async with anyio.create_task_group() as tasks:
        await tasks.start(reflector.run)
        await becomes(lambda: reflector.state is ReflectorState.WATCHING, "the watch is open")
        yield reflector
        tasks.cancel_scope.cancel()


async def refused(client: Client, pod: Pod, error: type[ApiError], message: str) -> ApiError:
    """The error that says this, which a write ends with sooner or later."""
    for _ in range(400):
        try:
            await client.apply(CONFIG_MAPS, pod.config_map("no"), manager="odigos")
        except error as seen:
            if message in str(seen):
                return seen
        await anyio.sleep(0.05)
    raise AssertionError("it is never refused so")


async def allowed(client: Client, pod: Pod) -> None:
    for _ in range(400):
        try:
            await client.apply(CONFIG_MAPS, pod.config_map("yes"), manager="odigos")
        except ApiError:
            await anyio.sleep(0.05)
        else:
            return
    raise AssertionError("it is never allowed")


def seen_value(reflector: Reflector[Any], pod: Pod) -> str:
    held = reflector.store.get(pod.thing)
    return str(held.data["value"]) if held else ""


# 19


async def test_fault_19_a_token_that_has_ended_is_replaced_by_the_one_on_disk(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call fails for it, and the watch that was opened with the old one goes on."""
    pod = Pod(rig, tmp_path / "account")
    monkeypatch.setattr(kube_client, "REFRESH_SECONDS", 0.5)
    async with in_cluster(rig, pod, monkeypatch) as client, following(client, pod.namespace) as reflector:
        first = pod.token
        pod.write_token(pod.new_token("second"))
        pod.end_token("first")
        await becomes(lambda: not pod.is_believed(first), "the API server, which remembers tokens, asks again")
        await client.apply(CONFIG_MAPS, pod.config_map("2"), manager="odigos")
        await becomes(lambda: seen_value(reflector, pod) == "2", "the watch goes on")
        assert reflector.last_error == ""


async def test_fault_19_without_a_new_token_the_error_says_so_until_there_is_one(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(rig, tmp_path / "account")
    monkeypatch.setattr(kube_client, "REFRESH_SECONDS", 0.5)
    async with in_cluster(rig, pod, monkeypatch) as client:
        pod.end_token("first")
        await refused(client, pod, Unauthorized, "Unauthorized")
        pod.write_token("")  # as it is while it is written: the error stays what it was
        await refused(client, pod, Unauthorized, "Unauthorized")
        pod.write_token(pod.new_token("second"))
        await allowed(client, pod)


# 20 and 24


async def test_fault_20_the_authority_is_replaced_without_a_restart_h8(
    changing: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(changing, tmp_path / "account")
    monkeypatch.setattr(kube_client, "REFRESH_SECONDS", 0.5)
    async with in_cluster(changing, pod, monkeypatch) as client, following(client, pod.namespace) as reflector:
        serve_anew(changing, credentials.PROXY_AUTHORITY)
        await refused(client, pod, NotSent, "is not trusted")
        pod.trust(credentials.PROXY_AUTHORITY)
        await allowed(client, pod)
        await becomes(lambda: seen_value(reflector, pod) == "yes", "the watch is open again")


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        pytest.param({"expired": True}, "certificate has expired", id="expired"),
        pytest.param({"names": ("another.example",)}, "not valid for '127.0.0.1'", id="of another name"),
        pytest.param({"names": SERVED}, "", id="of another authority"),
    ],
)
async def test_fault_24_an_api_server_that_proves_nothing_is_not_spoken_to(
    changing: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: dict[str, Any], message: str
) -> None:
    pod = Pod(changing, tmp_path / "account")
    async with in_cluster(changing, pod, monkeypatch) as client:
        position = AuditLog(changing.audit_log).position
        serve_anew(changing, "ca" if message else credentials.PROXY_AUTHORITY, **certificate)
        error = await refused(client, pod, NotSent, "is not trusted")
        assert message in str(error)
        assert "Check the CA" in str(error)
    asked = [entry for entry in AuditLog(changing.audit_log).entries(position) if "odigos" in entry.user]
    assert all(not entry.is_write for entry in asked)


# 21


@dataclass
class Rights:
    """What manifests/base/rbac.yaml gives, to one replica of a story, with rules that are taken away."""

    stage: Stage
    user: str = "replica-a"

    def give(self, *, without: tuple[str, str] = ("", "")) -> None:
        """`without` is a resource and a verb."""
        for body in access.manifests():
            if "rules" in body:
                namespace = self.stage.story.system if body["kind"] == "Role" else ""
                rules = [_without(rule, *without) for rule in body["rules"]]
                name = self.stage.name("odigos")
                self.stage.rig.apply(*role(body["kind"], namespace, name, rules, user=self.stage.name(self.user)))

    def refusals(self, since: int) -> list[Entry]:
        entries = self.stage.audit.entries(since)
        return [entry for entry in entries if entry.code == 403 and entry.user == self.stage.name(self.user)]

    def take_back(self) -> None:
        self.stage.rig.call("DELETE", f"{RBAC}/clusterroles/{self.stage.name('odigos')}")
        self.stage.rig.call("DELETE", f"{RBAC}/clusterrolebindings/{self.stage.name('odigos')}")


def _without(rule: dict[str, Any], resource: str, verb: str) -> dict[str, Any]:
    if rule["resources"] != [resource]:
        return rule
    return rule | {"verbs": [word for word in rule["verbs"] if word != verb] or ["none"]}


@pytest.fixture
def given(stage: Stage) -> Iterator[Rights]:
    made = Rights(stage)
    made.give()
    yield made
    made.take_back()


def test_fault_21_the_rights_of_the_manifest_are_enough_for_the_story(
    stage: Stage, given: Rights, reference: Reference
) -> None:
    since = stage.audit.position
    stage.start(groups=())
    stage.assert_plays_as(reference, faults=0)
    assert given.refusals(since) == []


@pytest.mark.parametrize(
    ("resource", "verb"),
    [("pods", "create"), ("instrumentedapplications/status", "patch"), ("deployments", "patch")],
)
def test_fault_21_a_right_that_is_taken_away_is_said_and_missed_at_a_slow_pace(
    stage: Stage, given: Rights, reference: Reference, resource: str, verb: str
) -> None:
    stage.story.add_destination()
    replica = stage.start(groups=())
    replica.wait_leading()
    given.give(without=(resource, verb))
    since, began = stage.audit.position, time.monotonic()
    stage.story.ask()
    eventually(lambda: len(given.refusals(since)) >= 3, "it is refused again and again")
    seconds = time.monotonic() - began
    assert len(given.refusals(since)) <= 6 + 3 * seconds
    assert f"cannot {verb} resource" in said_of(replica)
    replica.wait("the UI says it", lambda: f"cannot {verb} resource" in replica.get("/api/meta", replica.ui)[1])
    assert refused_calls(replica) >= 3
    given.give()
    stage.story.instrument()
    stage.assert_state(reference.instrumented)
    stage.assert_no_complaints()


def refused_calls(replica: Replica) -> float:
    lines = replica.get("/metrics")[1].splitlines()
    mine = [line for line in lines if line.startswith("odigos_kube_requests_total{") and 'code="403"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine)


def said_of(replica: Replica) -> str:
    """The warnings of its log, which say why something is not done."""
    return "\n".join(
        line["why"] for event in ("reconcile_failed", "reflector_interrupted") for line in replica.events(event)
    )


async def test_fault_21_a_kind_that_may_not_be_read_any_more_stays_as_it_was_known(rig: Rig, tmp_path: Path) -> None:
    pod = Pod(rig, tmp_path / "account")
    with proxying(rig.url, pod.tls()) as proxy:
        asked = Access(proxy.url, authorization=f"Bearer {pod.token}")
        async with Client(asked) as client, following(client, pod.namespace) as reflector:
            pod.allow("get", "patch")
            proxy.reset()
            await becomes(lambda: reflector.state is ReflectorState.DENIED, "it is denied")
            assert "cannot watch resource" in reflector.last_error
            assert seen_value(reflector, pod) == "1"
            pod.allow(*ALL)
            await client.apply(CONFIG_MAPS, pod.config_map("2"), manager="odigos")
            await becomes(lambda: seen_value(reflector, pod) == "2", "it is read again")
            assert reflector.last_error == ""
