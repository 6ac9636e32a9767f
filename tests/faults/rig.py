"""A Kubernetes control plane to be treated badly: real etcd, API servers and controllers, as processes on loopback.

No kubelet: what would run pods is tests/faults/node.py. Everything has a port of its own, so rigs stand side by side.
A program that is killed can be started again on what it left behind. API server `a` is everybody's; `b` is a second one
on the same store, behind a relay that can be cut, for what moves between servers. All of them end with this process,
however it ends.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cluster import builds, control_plane, credentials
from cluster.credentials import Holder
from cluster.spec import ClusterSpec
from tests.faults.relay import Relay
from tests.ports import free_port

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
START_SECONDS = 60.0
POLL_SECONDS = 0.05
OPERATIONS = 128
"""So many etcd does in one transaction."""
MASTERS = ("system:masters",)
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
BEGINNER = ThreadPoolExecutor(1, "beginner")
"""What dies with us dies with the thread that began it: this one lives as long as the process."""
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


@dataclass
class Program:
    """One program of the control plane: `start` after `kill` or `stop` goes on with what is on disk."""

    name: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """`more` are flags of this life only; the last one of a name wins."""
        self.begin(*more)
        self.wait_ready()

    def begin(self, *more: str) -> None:
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as output:
            beginning = BEGINNER.submit(
                subprocess.Popen,
                [*DIES_WITH_US, *self.command, *more],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | self.environment,
            )
            self.process = beginning.result()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after {START_SECONDS:.0f} s:\n{self.tail()}"
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """As the kernel would: no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Its sockets stay open and nobody answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Rig:
    """Made by `with standing(directory) as rig`."""

    def __init__(self, directory: Path, flags: Sequence[str] = ()) -> None:
        binary = str(builds.kubernetes())
        self.spec = ClusterSpec("faults", 19, directory)
        self.audit_log = directory / "audit.log"
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        self._port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        credentials.ensure(self.spec)
        credentials.write(directory / "audit-policy.json", json.dumps(AUDIT_POLICY).encode())
        urls = [f"--listen-client-url={self.etcd_url}", f"--listen-peer-url=http://127.0.0.1:{free_port()}"]
        self.etcd = self._program(
            "etcd",
            [binary, "etcd", f"--data-dir={directory / 'etcd'}", *urls],
            self._etcd_is_ready,
        )
        self.a = self._api_server("a", self.etcd_url, self._port, [binary], self.audit_log, flags)
        self._binary = binary
        self._controllers: Program | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def authority(self) -> Path:
        return self.spec.pki / "ca.crt"

    def kubeconfig(
        self, user: str = "admin", *, groups: tuple[str, ...] = ("system:masters",), server: str = ""
    ) -> Path:
        """Of a user with a certificate of his own; the audit log knows him by this name."""
        file = self._certificate(user, groups)
        path = self.spec.state / f"{file}.kubeconfig"
        credentials.write(path, credentials.kubeconfig(self.spec, file, server or self.url).encode())
        return path

    def tls(self, user: str = "admin", groups: tuple[str, ...] = MASTERS) -> ssl.SSLContext:
        """For those who speak to the API server without a kubeconfig."""
        file = self._certificate(user, groups)
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.spec.pki / f"{file}.crt", self.spec.pki / f"{file}.key")
        return context

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", server: str = ""
    ) -> Any:
        """An administrator's request, on a way that no fault is on. Raises urllib.error.HTTPError."""
        request = urllib.request.Request(
            (server or self.url) + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "User-Agent": "the-test"},
        )
        with urllib.request.urlopen(request, timeout=15, context=self._admin) as answer:
            return json.loads(answer.read() or b"null")

    def apply(self, *objects: dict[str, Any]) -> None:
        """As kubectl apply --server-side does, by the user `the-test`."""
        for body in objects:
            path = self._path(body) + "?fieldManager=the-test&force=true"
            self.call("PATCH", path, body, "application/apply-patch+yaml")

    def second(self, *flags: str) -> Second:
        """API server `b`, started, on the same store."""
        relay = Relay(("127.0.0.1", int(self.etcd_url.rsplit(":", 1)[1])))
        port = free_port()
        audit = self.spec.state / "audit-b.log"
        program = self._api_server("b", f"http://127.0.0.1:{relay.port}", port, [self._binary], audit, flags)
        program.start()
        return Second(program, relay, f"https://127.0.0.1:{port}", audit)

    def start_controllers(self) -> Program:
        """Deployments, garbage collection, namespaces and the rest; nodes are left alone."""
        if self._controllers is None:
            user = "system:kube-controller-manager"
            config = self.spec.state / "controllers.kubeconfig"
            text = credentials.kubeconfig(self.spec, "kube-controller-manager", self.url)
            credentials.write(config, text.encode())
            pki = self.spec.pki
            port = free_port()
            command = [
                *(self._binary, "kube-controller-manager", f"--kubeconfig={config}", "--leader-elect=false"),
                *("--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={self.spec.state / user[7:]}"),
                f"--authentication-kubeconfig={config}",
                f"--authorization-kubeconfig={config}",
                "--use-service-account-credentials",
                "--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-cloud-node-lifecycle-controller",
                f"--service-account-private-key-file={pki}/{credentials.SERVICE_ACCOUNTS}.key",
                f"--root-ca-file={pki}/{credentials.AUTHORITY}.crt",
                f"--flex-volume-plugin-dir={self.spec.state}/volume-plugins",
            ]
            self._controllers = self._program("controllers", command, lambda: self._has_default_account())
        self._controllers.start()
        return self._controllers

    # etcd, spoken to by its HTTP gateway

    def compact(self) -> None:
        """All history is gone; an API server that is started again has none in memory either."""
        revision = self._etcd("kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd("kv/compaction", {"revision": revision, "physical": True})

    def crowd(self, resource: str, namespace: str, name: str, count: int) -> None:
        """So many more of this object, in no time: copies in the store, whose names end in other numbers of as many
        digits as the object's `-00000`."""
        stem = f"/registry/{resource}/{namespace}/{name}"
        found = self._etcd("kv/range", {"key": base64.b64encode(stem.encode()).decode()})["kvs"][0]["value"]
        original, width = base64.b64decode(found), len(name.rpartition("-")[2])
        puts = []
        for number in range(1, count + 1):
            other = f"{name[:-width]}{number:0{width}}"
            key, value = stem.removesuffix(name) + other, original.replace(name.encode(), other.encode())
            pair = {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()}
            puts.append({"requestPut": pair})
        for first in range(0, count, OPERATIONS):
            self._etcd("kv/txn", {"success": puts[first : first + OPERATIONS]})

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The alarm that etcd raises at its quota: it reads, and writes nothing."""
        member = self._etcd("cluster/member/list", {})["members"][0]["ID"]
        alarm = {"memberID": member, "alarm": "NOSPACE"}
        self._etcd("maintenance/alarm", alarm | {"action": "ACTIVATE"})
        try:
            yield
        finally:
            self._etcd("maintenance/alarm", alarm | {"action": "DEACTIVATE"})

    def _etcd(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.etcd_url}/v3/{what}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    # Parts

    def _up(self) -> None:
        self.etcd.start()
        self._admin = self.tls()
        self.a.start()
        for file in sorted(CRDS.glob("odigos.io_*.yaml")):
            self.apply(yaml.safe_load(file.read_text()))
        deadline = time.monotonic() + START_SECONDS
        for file in CRDS.glob("odigos.io_*.yaml"):
            plural = file.stem.removeprefix("odigos.io_")
            while not self._answers(self.url, self._admin, f"/apis/odigos.io/v1alpha1/{plural}?limit=1"):
                assert time.monotonic() < deadline, f"{plural} are not served"
                time.sleep(POLL_SECONDS)

    def down(self) -> None:
        for program in (self._controllers, self.a, self.etcd):
            if program is not None:
                program.kill()

    def _api_server(
        self, name: str, store: str, port: int, binary: list[str], audit: Path, flags: Sequence[str]
    ) -> Program:
        command = [
            *binary,
            *control_plane.api_server(self.spec, self.spec.state / "audit-policy.json"),
            *(f"--etcd-servers={store}", f"--secure-port={port}", "--bind-address=127.0.0.1"),
            *("--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--audit-log-path={audit}"),
            *("--enable-aggregator-routing=false", *flags),
        ]
        url = f"https://127.0.0.1:{port}"
        return self._program(f"api-server-{name}", command, lambda: self._answers(url, self._admin, "/readyz"))

    def _program(self, name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> Program:
        return Program(name, command, self.spec.state / f"{name}.log", is_ready)

    def _certificate(self, user: str, groups: tuple[str, ...]) -> str:
        file = user.replace(":", "-")
        if not (self.spec.pki / f"{file}.crt").exists():
            credentials.issue(self.spec, Holder(file, user, groups))
        return file

    def _etcd_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.etcd_url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _has_default_account(self) -> bool:
        return self._answers(self.url, self._admin, "/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, url: str, tls: ssl.SSLContext, path: str) -> bool:
        try:
            with urllib.request.urlopen(url + path, timeout=5, context=tls) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _path(self, body: dict[str, Any]) -> str:
        version, kind, metadata = body["apiVersion"], body["kind"], body["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resources = self._resources(root)
        namespace = f"/namespaces/{metadata['namespace']}" if resources[kind][1] else ""
        return f"{root}{namespace}/{resources[kind][0]}/{metadata['name']}"

    def _resources(self, root: str) -> dict[str, tuple[str, bool]]:
        """Kind -> resource and whether it is in namespaces."""
        found = self.call("GET", root)["resources"]
        return {r["kind"]: (r["name"], r["namespaced"]) for r in found if "/" not in r["name"]}


@dataclass
class Second:
    """API server `b`; `relay` is its way to the store."""

    program: Program
    relay: Relay
    url: str
    audit_log: Path

    def down(self) -> None:
        self.program.kill()
        self.relay.close()


@contextmanager
def standing(directory: Path, *flags: str) -> Iterator[Rig]:
    """A rig with the project's CRDs; `flags` are added to the API server's."""
    rig = Rig(directory, flags)
    try:
        rig._up()
        yield rig
    finally:
        rig.down()
