"""What `make run` made on a cluster, so that `make down` takes exactly that away.

Whatever it makes is in three namespaces or comes with odigos-cp. Before it makes anything, it puts its label on these
namespaces; one that is there without the label is somebody else's, and then nothing is touched at all. `release` gives
the instrumented workloads back first, and removes only what carries the label.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.kubectl import Kubectl, KubectlError

LABEL, VALUE = "odigos.io/made-by", "make-run"
GIVE_BACK_SECONDS = 120.0
DELETE_SECONDS = 180.0
POLL_SECONDS = 1.0


class ClaimError(Exception):
    """Somebody else's; the text says what, and what one can do."""


def claim(kubectl: Kubectl, namespaces: Sequence[str]) -> None:
    """Makes these namespaces ours, if nobody else has made one of them."""
    there = owners(kubectl, namespaces)
    if foreign := [name for name, owner in there.items() if owner != VALUE]:
        raise ClaimError(
            f"this cluster has {', '.join(foreign)} already, and `make run` did not make it: nothing was changed. "
            "Take another cluster, or remove that first (kubectl delete namespace ...)."
        )
    for name in namespaces:
        if name not in there:
            # created, not applied: kubectl's next apply would take away the label that its own manifest does not have
            metadata = {"name": name, "labels": {LABEL: VALUE}}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            kubectl("create", "-f", "-", stdin=json.dumps(namespace))


def owners(kubectl: Kubectl, namespaces: Sequence[str]) -> dict[str, str]:
    """Who made each of these that there is: what its label says."""
    found = kubectl.json("get", "namespaces")["items"]
    labels = {n["metadata"]["name"]: n["metadata"].get("labels", {}).get(LABEL, "") for n in found}
    return {name: labels[name] for name in namespaces if name in labels}


def release(
    kubectl: Kubectl, system: str, others: Sequence[str], installed: Path, say: Callable[[str], None]
) -> list[str]:
    """Removes what was claimed, and with `system` all of odigos-cp; the namespaces that are gone."""
    ours = [name for name, owner in owners(kubectl, [system, *others]).items() if owner == VALUE]
    if system in ours:
        _give_back(kubectl, say)
    if demo := [name for name in ours if name != system]:
        kubectl("delete", "namespace", *demo, "--ignore-not-found", timeout=DELETE_SECONDS)
    if system in ours:
        kubectl("delete", "-k", str(installed), "--ignore-not-found", timeout=DELETE_SECONDS)
    return ours


def _give_back(kubectl: Kubectl, say: Callable[[str], None]) -> None:
    """Takes every wish back and waits until no workload carries anything; a dead control plane is not waited for."""
    if not kubectl("get", "crd", "sources.odigos.io", "--ignore-not-found", "-o", "name").strip():
        return
    kubectl("delete", "sources.odigos.io", "--all", "--all-namespaces", timeout=DELETE_SECONDS)
    deadline = time.monotonic() + GIVE_BACK_SECONDS
    while True:
        try:
            left = kubectl("get", "instrumentedapplications.odigos.io", "-A", "-o", "name").split()
            runs = kubectl("get", "deployment/odigos", "-n", "odigos-system", "-o", "jsonpath={.status.readyReplicas}")
        except KubectlError as error:
            say(f"the instrumented workloads are not waited for: {error}")
            return
        if not left:
            return
        if not runs or time.monotonic() > deadline:
            say(f"{len(left)} workloads were not given back: their label stays, and their next pods run without agents")
            return
        time.sleep(POLL_SECONDS)
