"""One node: containerd, kubelet and kube-proxy in its namespaces, with the files that a node of its own would have.

What the node sees under /var is `NodeSpec.var` here. The kubelet asks the API server who may call it, and shows it a
certificate of the cluster's authority; nobody is anonymous.
"""

from __future__ import annotations

import json
from pathlib import Path

from cluster.credentials import AUTHORITY, kubeconfig, write
from cluster.namespaces import enter, place
from cluster.processes import Processes
from cluster.spec import DNS_IP, DOMAIN, ClusterSpec, NodeSpec

SOCKET = "/run/containerd/containerd.sock"
FILES = Path("/var/lib/odigos-cp")
"""Where the node sees the files that are written here."""
START_SECONDS = 30.0

CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", \
"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # where root may not lower a process's OOM score (a machine inside a machine), no sandbox would start without this
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{files}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
"""


def holder_name(node: NodeSpec) -> str:
    return f"{node.name}/namespaces"


def programs(node: NodeSpec) -> tuple[str, str, str]:
    return (f"{node.name}/containerd", f"{node.name}/kubelet", f"{node.name}/kube-proxy")


def ensure_containerd(node: NodeSpec, processes: Processes, holder: int, pause_image: str) -> bool:
    """containerd, up to where it answers; whether it had to be started."""
    configuration = CONTAINERD.format(socket=SOCKET, pause=pause_image, files=FILES)
    _file(node, "containerd.toml", configuration)
    _file(node, "cni/10-pods.conflist", json.dumps(pod_network(node)))
    name = programs(node)[0]
    command = [*enter(holder), "containerd", "--config", str(FILES / "containerd.toml")]
    started = processes.ensure(name, command, configuration)
    socket = Path(f"/proc/{holder}/root{SOCKET}")
    processes.wait(f"containerd of {node.name}", START_SECONDS, lambda: socket.exists() or None, [name])
    return started


def ensure_kubelet(spec: ClusterSpec, node: NodeSpec, processes: Processes, holder: int, kubernetes: Path) -> list[str]:
    """kubelet and kube-proxy; the names of what had to be started."""
    place(kubernetes, _place(node, kubernetes.name))
    binary = str(FILES / kubernetes.name)
    configuration = json.dumps(kubelet_configuration(node), indent=1)
    _file(node, "kubelet.json", configuration)
    _file(node, "kubelet.kubeconfig", kubeconfig(spec, node.name))
    _file(node, "kube-proxy.kubeconfig", kubeconfig(spec, "kube-proxy"))
    _file(node, "resolv.conf", "# pods that want the node's resolver get none: there is no way out of this cluster\n")
    for source, target in (
        (f"{AUTHORITY}.crt", "ca.crt"),
        (f"{node.name}-server.crt", "kubelet.crt"),
        (f"{node.name}-server.key", "kubelet.key"),
    ):
        _file(node, target, (spec.pki / source).read_text())
    kubelet = [
        binary,
        "kubelet",
        f"--config={FILES}/kubelet.json",
        f"--kubeconfig={FILES}/kubelet.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    proxy = [
        binary,
        "kube-proxy",
        f"--kubeconfig={FILES}/kube-proxy.kubeconfig",
        f"--hostname-override={node.name}",
        f"--cluster-cidr={spec.pods_cidr}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
        f"--healthz-bind-address={node.address}:10256",
    ]
    _, kubelet_name, proxy_name = programs(node)
    started = []
    for name, command in ((kubelet_name, kubelet), (proxy_name, proxy)):
        if processes.ensure(name, [*enter(holder), *command], configuration if name == kubelet_name else ""):
            started.append(name)
    return started


def kubelet_configuration(node: NodeSpec) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{FILES}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{FILES}/kubelet.crt",
        "tlsPrivateKeyFile": f"{FILES}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_IP],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{FILES}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "1%", "memory.available": "100Mi"},
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
    }


def pod_network(node: NodeSpec) -> dict[str, object]:
    """Each pod on a link of its own, routed by the node: addresses are not translated, not even within a node."""
    ranges = {"type": "host-local", "ranges": [[{"subnet": node.pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ranges},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _place(node: NodeSpec, name: str) -> Path:
    return node.var / FILES.relative_to("/var") / name


def _file(node: NodeSpec, name: str, text: str) -> None:
    path = _place(node, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        write(path, text.encode())
