"""The control plane: etcd, the API server, the controller manager and the scheduler, in a network of their own.

The API server calls webhooks at their pods (`--enable-aggregator-routing`), so no kube-proxy is needed where it runs.
It keeps an audit log of every request: who did what, for tests to read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cluster.credentials import AUTHORITY, PROXY_AUTHORITY, PROXY_CLIENT, SERVICE_ACCOUNTS, kubeconfig, write
from cluster.kubectl import Kubectl
from cluster.namespaces import enter
from cluster.processes import Processes
from cluster.spec import API_PORT, CONTROL, DOMAIN, SERVICE_CIDR, ClusterSpec

READY_SECONDS = 60.0
ETCD = "http://127.0.0.1:2379"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
API_SERVER = f"{CONTROL}/kube-apiserver"
PROGRAMS = (f"{CONTROL}/etcd", API_SERVER, f"{CONTROL}/kube-controller-manager", f"{CONTROL}/kube-scheduler")


def ensure(spec: ClusterSpec, processes: Processes, kubernetes: Path, holder: int) -> list[str]:
    """Starts what does not run as wanted, and waits for the API server; the names of what was started."""
    policy = spec.state / "audit-policy.json"
    write(policy, json.dumps(AUDIT_POLICY).encode())
    for program in ("kube-controller-manager", "kube-scheduler"):
        write(spec.pki / f"{program}.kubeconfig", kubeconfig(spec, program).encode())
    commands = {
        PROGRAMS[0]: ["etcd", f"--data-dir={spec.state / 'etcd'}"],
        PROGRAMS[1]: api_server(spec, policy),
        PROGRAMS[2]: controller_manager(spec),
        PROGRAMS[3]: scheduler(spec),
    }
    started = []
    for name, words in commands.items():
        if processes.ensure(name, [*enter(holder), str(kubernetes), *words], json.dumps(AUDIT_POLICY)):
            started.append(name)
        if name == API_SERVER:
            wait_ready(spec, processes)
    return started


def wait_ready(spec: ClusterSpec, processes: Processes) -> None:
    kubectl = Kubectl(spec.kubeconfig, spec.kubectl)

    def look() -> bool | None:
        return kubectl("get", "--raw", "/readyz", check=False, timeout=10).strip() == "ok" or None

    processes.wait("the API server is ready", READY_SECONDS, look, PROGRAMS[:2])


def api_server(spec: ClusterSpec, policy: Path) -> Sequence[str]:
    pki = spec.pki
    return [
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={spec.api_address}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--client-ca-file={pki}/{AUTHORITY}.crt",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={pki}/{SERVICE_ACCOUNTS}.pub",
        f"--service-account-signing-key-file={pki}/{SERVICE_ACCOUNTS}.key",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/{AUTHORITY}.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={pki}/{PROXY_AUTHORITY}.crt",
        f"--requestheader-allowed-names={PROXY_CLIENT}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/proxy-client.crt",
        f"--proxy-client-key-file={pki}/proxy-client.key",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={spec.audit_log}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=2",
    ]


def controller_manager(spec: ClusterSpec) -> Sequence[str]:
    pki = spec.pki
    credentials = pki / "kube-controller-manager.kubeconfig"
    return [
        "kube-controller-manager",
        f"--kubeconfig={credentials}",
        f"--authentication-kubeconfig={credentials}",
        f"--authorization-kubeconfig={credentials}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--flex-volume-plugin-dir={spec.state}/volume-plugins",
        f"--service-account-private-key-file={pki}/{SERVICE_ACCOUNTS}.key",
        f"--root-ca-file={pki}/{AUTHORITY}.crt",
        f"--cluster-signing-cert-file={pki}/{AUTHORITY}.crt",
        f"--cluster-signing-key-file={pki}/{AUTHORITY}.key",
    ]


def scheduler(spec: ClusterSpec) -> Sequence[str]:
    credentials = spec.pki / "kube-scheduler.kubeconfig"
    return [
        "kube-scheduler",
        f"--kubeconfig={credentials}",
        f"--authentication-kubeconfig={credentials}",
        f"--authorization-kubeconfig={credentials}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]
