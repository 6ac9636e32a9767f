"""Which cluster: its name, and every address, directory and name that follows from it.

Two clusters (`run` of `make run`, `test` of the tests) can stand side by side: nothing that one makes has a name or an
address of the other.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

INDEXES = {"run": 0, "test": 1, "dev": 2}
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


@dataclass(frozen=True)
class NodeSpec:
    """One node: a network namespace with an address on the cluster's bridge, and a range for its pods."""

    name: str
    namespace: str
    address: str
    pod_cidr: str
    link: str
    cgroup: str
    state: Path
    run: Path

    @property
    def socket(self) -> Path:
        return self.run / "containerd.sock"


@dataclass(frozen=True)
class ClusterSpec:
    name: str
    index: int
    state: Path
    run: Path

    @property
    def control_namespace(self) -> str:
        return f"odigos-{self.name}-control"

    @property
    def host_link(self) -> str:
        """The one link in the machine's own network namespace."""
        return f"odigos{self.index}"

    @property
    def api_address(self) -> str:
        return f"10.{200 + self.index}.0.254"

    @property
    def host_address(self) -> str:
        return f"10.{200 + self.index}.0.253"

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
    def audit_log(self) -> Path:
        return self.state / "log" / "audit.log"

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        return tuple(
            NodeSpec(
                name=name,
                namespace=f"odigos-{self.name}-{name}",
                address=f"10.{200 + self.index}.0.{number}",
                pod_cidr=f"10.{220 + self.index}.{number}.0/24",
                link=f"{name}-{self.index}",
                cgroup=f"odigos-{self.name}-{name}",
                state=self.state / name,
                run=self.run / name,
            )
            for number, name in enumerate(("node-a", "node-b"), start=1)
        )


def spec_of(name: str, environment: dict[str, str] | None = None) -> ClusterSpec:
    """The cluster of this name. A name that is none of INDEXES takes its index from ODIGOS_CLUSTER_INDEX (3 to 19)."""
    environment = dict(os.environ) if environment is None else environment
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no cluster name: lower-case letters and digits, at most 10, a letter first")
    index = INDEXES.get(name)
    if index is None:
        text = environment.get("ODIGOS_CLUSTER_INDEX", "")
        if not text.isdigit() or not 3 <= int(text) <= 19:
            known = ", ".join(INDEXES)
            raise ValueError(f"cluster {name!r} needs ODIGOS_CLUSTER_INDEX between 3 and 19 (known without: {known})")
        index = int(text)
    state = Path(environment.get("ODIGOS_CLUSTER_STATE", "/var/lib/odigos-cp"))
    run = Path(environment.get("ODIGOS_CLUSTER_RUN", "/run/odigos-cp"))
    return ClusterSpec(name, index, state / name, run / name)
