"""`python -m cluster up|down|status --name NAME`: the local cluster by hand."""

from __future__ import annotations

import argparse
import sys

from cluster.commands import ClusterError
from cluster.kubectl import Kubectl, KubectlError
from cluster.local import LocalCluster
from cluster.steps import Steps


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cluster", description="A real two-node Kubernetes on this machine."
    )
    parser.add_argument("what", choices=["up", "down", "status"])
    parser.add_argument(
        "--name", default="run", help="which cluster (run, test, dev; others take ODIGOS_CLUSTER_INDEX)"
    )
    given = parser.parse_args()
    try:
        cluster = LocalCluster(given.name)
        return {"up": _up, "down": _down, "status": _status}[given.what](cluster)
    except (ClusterError, KubectlError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _up(cluster: LocalCluster) -> int:
    cluster.up(Steps())
    print(f"export KUBECONFIG={cluster.kubeconfig}  # kubectl: {cluster.kubectl_path}")
    return 0


def _down(cluster: LocalCluster) -> int:
    with Steps().step(f"remove the cluster {cluster.spec.name}") as step:
        step.note(", ".join(cluster.down()) or "nothing was there")
    return 0


def _status(cluster: LocalCluster) -> int:
    """0 if everything lives."""
    living = cluster.status()
    for name, lives in living.items():
        print(f"{name:<36} {'runs' if lives else 'does not run'}   {cluster.processes.log(name)}")
    if all(living.values()):
        print(Kubectl(cluster.kubeconfig, cluster.kubectl_path)("get", "nodes", "-o", "wide", check=False))
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
