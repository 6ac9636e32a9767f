"""Which cluster: its name, and every address, directory and name that follows from it.

Clusters (`run` of `make run`, `test` of the tests) can stand side by side: nothing that one makes has a name or an
address of the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INDEXES = {"run": 0, "test": 1, "dev": 2}
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
API_PORT = 6443
DNS_IP = "10.96.0.10"
DOMAIN = "cluster.local"
NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
NODES = ("node-a", "node-b")
CONTROL = "control"


@dataclass(frozen=True)
class NodeSpec:
    """One node: namespaces of its own (network, mounts, host name), an address, and a range for its pods."""

    name: str
    address: str
    pod_cidr: str
    link: str
    """The other end of the node's network link, on the cluster's bridge."""
    cgroup: str
    var: Path
    """What the node sees as /var; its /run is in memory and goes with it, like a machine's."""


@dataclass(frozen=True)
class ClusterSpec:
    name: str
    index: int
    state: Path

    @property
    def cgroup(self) -> str:
        """The one tree of cgroups that every process of the cluster is in."""
        return f"odigos-{self.name}"

    @property
    def host_link(self) -> str:
        """The one link in the machine's own network namespace."""
        return f"odigos{self.index}"

    @property
    def network(self) -> str:
        return f"10.{200 + self.index}.0"

    @property
    def api_address(self) -> str:
        return f"{self.network}.254"

    @property
    def host_address(self) -> str:
        return f"{self.network}.253"

    @property
    def pods_cidr(self) -> str:
        return f"10.{220 + self.index}.0.0/16"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        return self.state / "bin" / "kubectl"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        return tuple(
            NodeSpec(
                name=name,
                address=f"{self.network}.{number}",
                pod_cidr=f"10.{220 + self.index}.{number}.0/24",
                link=f"{name}-{self.index}",
                cgroup=f"{self.cgroup}/{name}",
                var=self.state / name / "var",
            )
            for number, name in enumerate(NODES, start=1)
        )


def spec_of(name: str, environment: Mapping[str, str] = os.environ) -> ClusterSpec:
    """The cluster of this name. A name that is none of INDEXES takes its index from ODIGOS_CLUSTER_INDEX (3 to 19)."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no cluster name: lower-case letters and digits, at most 10, a letter first")
    index = INDEXES.get(name)
    if index is None:
        text = environment.get("ODIGOS_CLUSTER_INDEX", "")
        if not text.isdigit() or not 3 <= int(text) <= 19:
            known = ", ".join(INDEXES)
            raise ValueError(f"cluster {name!r} needs ODIGOS_CLUSTER_INDEX between 3 and 19 (known without: {known})")
        index = int(text)
    return ClusterSpec(name, index, Path(environment.get("ODIGOS_CLUSTER_STATE", "/var/lib/odigos-cp")) / name)
