"""A real Kubernetes of two nodes on this machine: up, down, and what stands in between.

    spec           names and addresses         credentials    who is who
    namespaces     what makes a node a node    network        who reaches whom
    control_plane  etcd, API server, ...       node           containerd, kubelet, kube-proxy
    node_images    what a node can run         addons         DNS

`up` makes what is not there and leaves alone what runs as it is wanted, so it is also what mends a cluster of which
something died: a node whose namespaces are gone is started like a machine after a power cut. `down` needs to know
nothing but the name: whatever was made is found by its cgroups, its one link and its one directory.
"""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import addons, archive, builds, control_plane, credentials, dns, network, node, node_images, packages
from cluster.cgroups import Tree
from cluster.commands import ClusterError, run
from cluster.kubectl import Kubectl
from cluster.namespaces import hold_network, hold_node, place
from cluster.node_images import Importable
from cluster.processes import Processes
from cluster.spec import CONTROL, DNS_IP, DOMAIN, ClusterSpec, NodeSpec, spec_of
from cluster.steps import Step, Steps

READY_SECONDS = 120.0
LOCK_SECONDS = 600.0
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
READY = (
    "{range .items[*]}{.metadata.name} "
    "{range .status.conditions[?(@.type=='Ready')]}{.lastHeartbeatTime} {.status} {end}{end}"
)
RENEWED = "{range .items[*]}{.metadata.name} {.spec.renewTime} {end}"
CONTROL_HOLDER = f"{CONTROL}/namespaces"


@dataclass(frozen=True)
class Programs:
    """The Go programs of the cluster, built."""

    kubernetes: Path
    coredns: Path
    pause: Path


class LocalCluster:
    """The cluster of this name, whether it runs or not."""

    def __init__(self, name: str) -> None:
        self.spec = spec_of(name)
        self._tree = Tree(self.spec.cgroup)
        self.processes = Processes(self._tree, self.spec.state / "processes", self.spec.logs)

    @property
    def kubeconfig(self) -> Path:
        return self.spec.kubeconfig

    @property
    def kubectl_path(self) -> Path:
        return self.spec.kubectl

    def up(self, steps: Steps) -> None:
        """Two Ready nodes with DNS, whatever was there before."""
        packages.ensure(steps)
        with steps.step("Kubernetes, CoreDNS: the programs") as step:
            programs = Programs(builds.kubernetes(step.say), builds.coredns(step.say), builds.pause(step.say))
        with steps.step(f"the cluster {self.spec.name}") as step, _alone(self.spec, step):
            started = self._start(programs, step)
            step.note(f"started {', '.join(started)}" if started else "runs already")

    def down(self) -> list[str]:
        """Ends it and removes everything that it made; what there was to remove, in words."""
        with _alone(self.spec, None):
            killed = self._tree.kill()
            found = [f"{killed} processes"] if killed else []
            network.remove(self.spec)
            if self._tree.exists():
                self._tree.remove()
            if self.spec.state.exists():
                shutil.rmtree(self.spec.state)
                found.append(str(self.spec.state))
            if self.spec.state.parent.exists() and not os.listdir(self.spec.state.parent):
                self.spec.state.parent.rmdir()
            return found

    def import_images(self, archives: Sequence[Path]) -> str:
        """Brings the images to every node that does not have exactly them; what was done, in words."""
        images = [node_images.importable(file) for file in archives]
        with ThreadPoolExecutor() as threads:
            brought = list(threads.map(lambda n: self._import(n, images), self.spec.nodes))
        if not any(brought):
            return "all there"
        return ", ".join(f"{count} to {n.name}" for n, count in zip(self.spec.nodes, brought, strict=True))

    def status(self) -> dict[str, bool]:
        """Every program that belongs to the cluster, and whether it lives."""
        names = [CONTROL_HOLDER, *control_plane.PROGRAMS]
        for n in self.spec.nodes:
            names += [node.holder_name(n), *node.programs(n)]
        return {name: self.processes.alive(name) for name in names}

    def pids(self) -> list[int]:
        """Every process of the cluster, those of its containers too."""
        return self._tree.pids()

    def kill(self) -> int:
        """A power cut: everything ends at once, what is on disk stays. How many processes that were."""
        return self._tree.kill()

    # --- parts of `up` ------------------------------------------------------------------------------------------------

    def _start(self, programs: Programs, step: Step) -> list[str]:
        spec, state = self.spec, self.spec.state
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o755)
        kubernetes, pause = (state / "bin" / path.name for path in (programs.kubernetes, programs.pause))
        place(programs.kubernetes, kubernetes)
        place(programs.pause, pause)
        _link(spec.kubectl, kubernetes.name)
        credentials.ensure(spec)
        holders = self._hold(pause)
        network.ensure(spec, holders)
        images = self._images_of_programs(programs)
        with ThreadPoolExecutor() as threads:
            control = threads.submit(control_plane.ensure, spec, self.processes, kubernetes, holders[CONTROL])
            nodes = [threads.submit(self._start_containerd, n, holders[n.name], images) for n in spec.nodes]
            started = control.result()
            if started:
                step.say("the API server answers")
            started += [name for future in nodes for name in future.result()]
            since = datetime.datetime.now(datetime.UTC).strftime(TIME)
            kubelets = [
                threads.submit(node.ensure_kubelet, spec, n, self.processes, holders[n.name], kubernetes)
                for n in spec.nodes
            ]
            started_kubelets = [name for future in kubelets for name in future.result()]
            started += started_kubelets
        kubectl = Kubectl(spec.kubeconfig, spec.kubectl)
        kubectl.apply(*addons.objects(images["coredns"][0]))
        self._wait_nodes(kubectl, since if started_kubelets else "")
        if started:
            step.say("both nodes are Ready")
        self._wait_dns(kubectl, holders)
        return started

    def _hold(self, pause: Path) -> dict[str, int]:
        """The processes that hold the namespaces; a node without its namespaces is like one without power."""
        if not self.processes.alive(CONTROL_HOLDER):
            self._tree.kill(CONTROL)
        holders = {CONTROL: hold_network(self.processes, CONTROL_HOLDER, pause)}
        for n in self.spec.nodes:
            name = node.holder_name(n)
            if not self.processes.alive(name):
                self._tree.kill(n.name)
            self._tree.make(n.name)
            holders[n.name] = hold_node(self.processes, name, pause, n.name, n.var)
        return holders

    def _images_of_programs(self, programs: Programs) -> dict[str, tuple[str, Path]]:
        """The images that the cluster itself needs, by program: their name, which says what is in them, and archive."""
        found = {}
        for name, binary in (("pause", programs.pause), ("coredns", programs.coredns)):
            reference = f"docker.io/odigos-cp/{name}:{binary.name.rpartition('-')[2]}"
            file = self.spec.state / "images" / f"{binary.name}.tar"
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                archive.of_binary(binary, reference, file)
            found[name] = (reference, file)
        return found

    def _start_containerd(self, n: NodeSpec, holder: int, images: dict[str, tuple[str, Path]]) -> list[str]:
        started = node.ensure_containerd(n, self.processes, holder, images["pause"][0])
        node_images.bring(holder, [node_images.importable(file) for _, file in images.values()])
        return [node.programs(n)[0]] if started else []

    def _import(self, n: NodeSpec, images: Sequence[Importable]) -> int:
        holder = self.processes.pid(node.holder_name(n))
        if holder is None:
            raise ClusterError(f"the node {n.name} does not run: bring the cluster up first")
        return node_images.bring(holder, images)

    def _wait_nodes(self, kubectl: Kubectl, since: str) -> None:
        """Ready is what a node said last, perhaps before its kubelet was killed: it must have been heard of since."""

        def words(*arguments: str) -> list[str]:
            return kubectl("get", *arguments, check=False).split()

        def look() -> bool | None:
            said = words("nodes", "-o", f"jsonpath={READY}")
            ready = {name: heard for name, heard, status in zip(*[iter(said)] * 3, strict=False) if status == "True"}
            leases = words("leases", "-n", "kube-node-lease", "-o", f"jsonpath={RENEWED}")
            renewed = dict(zip(*[iter(leases)] * 2, strict=False))
            heard = [max(ready[n.name], renewed.get(n.name, "")) for n in self.spec.nodes if n.name in ready]
            return True if len(heard) == len(self.spec.nodes) and min(heard) >= since else None

        needs = [name for n in self.spec.nodes for name in node.programs(n)]
        self.processes.wait("both nodes are Ready", READY_SECONDS, look, needs)

    def _wait_dns(self, kubectl: Kubectl, holders: dict[str, int]) -> None:
        """Every node gets an answer: CoreDNS runs, kube-proxy leads to it, and pods reach one another."""
        name = f"kubernetes.default.svc.{DOMAIN}"

        def answered() -> bool | None:
            for n in self.spec.nodes:
                asking = ["nsenter", f"--target={holders[n.name]}", "--net", sys.executable, dns.__file__, DNS_IP, name]
                if run(*asking, check=False).strip() != "yes":
                    return None
            return True

        try:
            self.processes.wait("DNS answers", READY_SECONDS, answered)
        except ClusterError as error:
            pods = kubectl("describe", "pods", "-n", addons.NAMESPACE, check=False)
            raise ClusterError(f"{error}\n{pods[-3000:]}") from None


def _link(link: Path, target: str) -> None:
    if not link.is_symlink() or os.readlink(link) != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


@contextmanager
def _alone(spec: ClusterSpec, step: Step | None) -> Iterator[None]:
    """One tool at a time works on a cluster. The lock is a name in the kernel that goes with the process."""
    deadline = time.monotonic() + LOCK_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        told = False
        while True:
            try:
                lock.bind(f"\0odigos-cp-cluster-{spec.state}")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterError(f"another process has been working on the cluster {spec.name}") from None
                if step and not told:
                    step.say("waiting for another process that works on this cluster")
                told = True
                time.sleep(0.2)
        yield
