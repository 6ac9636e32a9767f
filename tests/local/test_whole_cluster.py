"""A whole cluster of its own, badly treated: it comes up whatever was killed, and goes without leaving anything.

The tests are one story: three starts that are killed at different points, then a cluster that loses parts, then all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from cluster import addons, claims
from cluster.claims import ClaimError
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster
from cluster.steps import Steps
from tests.waiting import eventually

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and cgroups: needs root"),
]
NAME, INDEX = "mended", "19"
PLACES = ("/run", "/run/containerd", "/run/netns", "/var/lib", "/var/log", "/opt", "/usr/libexec", "/etc/cni")
SYSTEM_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")


@dataclass(frozen=True)
class Machine:
    """What of a machine a cluster could leave something in."""

    mounts: frozenset[str]
    links: frozenset[str]
    routes: frozenset[str]
    network_namespaces: frozenset[str]
    cgroups: frozenset[str]
    processes: frozenset[str]
    files: frozenset[str]
    settings: frozenset[str]

    def more_than(self, before: Machine) -> dict[str, set[str]]:
        """What is here and was not before, of this cluster or of nobody else."""
        more = {f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)}
        return {kind: found for kind, found in more.items() if found}


def look() -> Machine:
    def answer(*command: str) -> list[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()

    return Machine(
        mounts=frozenset(
            line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/buildah/" not in line
        ),
        links=frozenset(os.listdir("/sys/class/net")),
        routes=frozenset(answer("ip", "route", "show", "table", "all")),
        network_namespaces=frozenset(answer("ip", "netns")),
        cgroups=frozenset(str(p) for p in Path("/sys/fs/cgroup").rglob(f"*{NAME}*") if p.is_dir()),
        processes=frozenset(processes()),
        files=frozenset(str(p) for place in PLACES if Path(place).is_dir() for p in Path(place).iterdir()),
        settings=frozenset(f"{s} = {Path('/proc/sys', s).read_text().strip()}" for s in SYSTEM_SETTINGS),
    )


def processes() -> Iterator[str]:
    """Those that are, by their cgroup or by what they were started as, part of the cluster."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cgroup = (place / "cgroup").read_text()
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and (f"/odigos-{NAME}/" in cgroup or f"/odigos-cp/{NAME}/" in words):
            yield f"{place.name} {words}"


@pytest.fixture(scope="module")
def before() -> Machine:
    return look()


@pytest.fixture(scope="module")
def cluster(before: Machine) -> Iterator[LocalCluster]:
    """Whatever happens, it is gone at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODIGOS_CLUSTER_INDEX", INDEX)
        cluster = LocalCluster(NAME)
        yield cluster
        cluster.down()


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster) -> Kubectl:
    return Kubectl(cluster.kubeconfig, cluster.kubectl_path)


def kill(cluster: LocalCluster, *names: str) -> None:
    for name in names:
        pid = cluster.processes.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(cluster.processes.alive(name) for name in names), "they have ended", 10)


@pytest.mark.parametrize("started", ["control/namespaces", "node-b/namespaces", "control/kube-scheduler"])
def test_a_start_that_is_killed_in_the_middle_can_be_taken_down(
    cluster: LocalCluster, before: Machine, started: str
) -> None:
    up = subprocess.Popen([sys.executable, "-m", "cluster", "up", "--name", NAME], stdout=subprocess.DEVNULL)
    eventually(lambda: cluster.processes.alive(started), f"{started} has been started", 120)
    up.kill()
    up.wait()
    cluster.down()
    assert look().more_than(before) == {}


def test_a_start_that_is_killed_in_the_middle_is_gone_on_with(cluster: LocalCluster, kubectl: Kubectl) -> None:
    up = subprocess.Popen([sys.executable, "-m", "cluster", "up", "--name", NAME], stdout=subprocess.DEVNULL)
    eventually(lambda: cluster.processes.alive("node-a/kubelet"), "one kubelet has been started", 120)
    up.kill()
    up.wait()
    cluster.up(Steps())
    assert all(cluster.status().values())
    assert ready_nodes(kubectl) == ["node-a", "node-b"]


def test_a_second_start_starts_nothing(cluster: LocalCluster) -> None:
    pids = {name: cluster.processes.pid(name) for name in cluster.status()}
    cluster.up(Steps())
    assert {name: cluster.processes.pid(name) for name in cluster.status()} == pids


def test_nobody_without_credentials_is_listened_to(cluster: LocalCluster) -> None:
    for address in (f"{cluster.spec.api_address}:6443/version", f"{cluster.spec.nodes[0].address}:10250/pods"):
        command = ["curl", "--silent", "--insecure", "--max-time", "5", "-w", "%{http_code}", "-o", "/dev/null"]
        done = subprocess.run([*command, f"https://{address}"], capture_output=True, text=True, check=False)
        assert done.stdout == "401", address


def test_nothing_listens_on_the_machine_itself(cluster: LocalCluster) -> None:
    """Everything is in the cluster's own namespaces."""
    listening = subprocess.run(["ss", "-Hlnptu"], capture_output=True, text=True, check=True).stdout
    pids = [pid for pid in cluster.pids() if f"pid={pid}," in listening]
    assert pids == []


def test_what_a_pod_logs_can_be_read_and_a_command_can_run_in_it(kubectl: Kubectl) -> None:
    assert "CoreDNS" in kubectl("logs", "deployment/coredns", "-n", addons.NAMESPACE)
    said = kubectl("exec", "deployment/coredns", "-n", addons.NAMESPACE, "--", "/program", "-version")
    assert "CoreDNS" in said


def test_the_audit_log_says_who_did_what(cluster: LocalCluster, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "witnessed", "-n", "default")

    def written() -> bool:
        lines = cluster.spec.audit_log.read_text().splitlines()
        return any('"name":"witnessed"' in line and '"verb":"create"' in line for line in lines)

    eventually(written, "the audit log has it", 10)
    event = next(json.loads(x) for x in cluster.spec.audit_log.read_text().splitlines() if '"name":"witnessed"' in x)
    assert event["user"]["username"] == "admin"


def test_on_a_foreign_cluster_a_namespace_of_somebody_else_stops_everything(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "theirs")
    with pytest.raises(ClaimError, match="this cluster has theirs already"):
        claims.claim(kubectl, ["ours", "theirs"])
    assert claims.owners(kubectl, ["ours", "theirs"]) == {"theirs": ""}


def test_on_a_foreign_cluster_exactly_what_was_made_is_taken_away(kubectl: Kubectl, tmp_path: Path) -> None:
    """Also after the manifests, which know nothing of the label, were applied."""
    claims.claim(kubectl, ["ours", "our-demo"])
    claims.claim(kubectl, ["ours", "our-demo"])
    (tmp_path / "kustomization.yaml").write_text("resources: [ours.yaml]\n")
    (tmp_path / "ours.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: ours}}\n")
    kubectl("apply", "-k", str(tmp_path))
    gone = claims.release(kubectl, "ours", ["our-demo", "theirs"], tmp_path, print)
    assert gone == ["ours", "our-demo"]
    assert list(claims.owners(kubectl, ["ours", "our-demo", "theirs"])) == ["theirs"]


def test_a_cluster_that_lost_parts_is_mended_with_what_it_held(cluster: LocalCluster, kubectl: Kubectl) -> None:
    """A node without its namespaces is a machine after a power cut: its pods start again."""
    kubectl("scale", "deployment/coredns", "--replicas=4", "-n", addons.NAMESPACE)
    kubectl("rollout", "status", "deployment/coredns", "-n", addons.NAMESPACE, "--timeout=60s", timeout=70)
    kill(cluster, "control/etcd", "control/kube-scheduler", "node-a/namespaces", "node-a/containerd", "node-b/kubelet")
    cluster.up(Steps())
    assert all(cluster.status().values())
    kubectl("get", "configmap", "witnessed", "-n", "default")


def test_a_cluster_of_which_everything_was_killed_comes_up_with_what_it_held(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    cluster.kill()
    assert not any(cluster.status().values())
    cluster.up(Steps())
    assert ready_nodes(kubectl) == ["node-a", "node-b"]
    kubectl("get", "configmap", "witnessed", "-n", "default")


def test_taken_down_with_everything_running_it_leaves_nothing(cluster: LocalCluster, before: Machine) -> None:
    cluster.down()
    assert look().more_than(before) == {}
    assert cluster.down() == []


def ready_nodes(kubectl: Kubectl) -> list[str]:
    return [
        n["metadata"]["name"]
        for n in kubectl.json("get", "nodes")["items"]
        if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"]["conditions"])
    ]
