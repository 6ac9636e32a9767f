"""How the machine, the control plane and the nodes reach one another.

    machine ── hostlink ──┐
                          ├─ bridge in the control plane's namespace (the API server's address)
    node-a, node-b ───────┘

Pods are routed, never translated: each node, the control plane and the machine know which node has which pods, so a pod
is seen under its own address everywhere. The machine does not forward: pods reach it, and nothing beyond it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from cluster.commands import ClusterError, run
from cluster.namespaces import inside
from cluster.spec import CONTROL, ClusterSpec

BRIDGE = "nodes"
LINK_SECONDS = 5.0
FORWARD = "echo 1 > /proc/sys/net/ipv4/ip_forward"


def ensure(spec: ClusterSpec, holders: Mapping[str, int]) -> None:
    """Links, addresses and routes between these namespaces (control plane and nodes, by name); kept while they live."""
    mark = spec.state / "network"
    made = json.dumps(dict(holders))
    if mark.is_file() and mark.read_text() == made and _link_exists(spec.host_link):
        return
    mark.unlink(missing_ok=True)
    control = holders[CONTROL]
    remove(spec)
    _ip(control, "link set lo up")
    _delete_links(control, [BRIDGE, *(node.link for node in spec.nodes)])
    _ip(
        control,
        f"link add {BRIDGE} type bridge",
        f"addr add {spec.api_address}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )
    inside(control, "sh", "-c", FORWARD)
    run("ip", "link", "add", spec.host_link, "type", "veth", "peer", "name", "machine", "netns", str(control))
    _ip(control, f"link set machine master {BRIDGE}", "link set machine up")
    for node in spec.nodes:
        holder = holders[node.name]
        _ip(
            control,
            f"link add {node.link} type veth peer name eth0 netns {holder}",
            f"link set {node.link} master {BRIDGE}",
            f"link set {node.link} up",
        )
        others = [other for other in spec.nodes if other is not node]
        _ip(
            holder,
            "link set lo up",
            f"addr add {node.address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {spec.api_address}",
            *(f"route add {other.pod_cidr} via {other.address}" for other in others),
        )
        inside(holder, "sh", "-c", FORWARD)
    to_pods = [f"route add {node.pod_cidr} via {node.address}" for node in spec.nodes]
    _ip(control, *to_pods)
    run(
        *("ip", "-batch", "-"),
        stdin="\n".join(
            [f"addr add {spec.host_address}/24 dev {spec.host_link}", f"link set {spec.host_link} up", *to_pods]
        ),
    )
    mark.write_text(made)


def remove(spec: ClusterSpec) -> None:
    """The link in the machine's own namespace. It goes by itself with the control plane's namespace, a moment later."""
    if _link_exists(spec.host_link):
        run("ip", "link", "delete", spec.host_link, check=False)
    deadline = time.monotonic() + LINK_SECONDS
    while _link_exists(spec.host_link):
        if time.monotonic() > deadline:
            raise ClusterError(f"the network link {spec.host_link} cannot be removed")
        time.sleep(0.02)


def _link_exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _delete_links(pid: int, names: list[str]) -> None:
    """What an earlier attempt left half made."""
    there = {link["ifname"] for link in json.loads(inside(pid, "ip", "-json", "link") or "[]")}
    for name in names:
        if name in there:
            inside(pid, "ip", "link", "delete", name)


def _ip(pid: int, *lines: str) -> None:
    inside(pid, "ip", "-batch", "-", stdin="\n".join(lines))
