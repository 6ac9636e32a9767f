"""What every cluster is given when it starts: DNS, and the API server's right to call the kubelets.

CoreDNS is a Deployment behind the Service kube-dns. It knows the cluster's names only, and listens on a port that needs
no privilege; the Service makes 53 of it.
"""

from __future__ import annotations

from typing import Any

from cluster.credentials import KUBELET_CLIENT
from cluster.spec import DNS_IP, DOMAIN

NAMESPACE = "kube-system"
PORT = 8053
COREFILE = f"""\
.:{PORT} {{
    errors
    health :8080 {{
        lameduck 0s
    }}
    ready :8181
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def objects(image: str) -> list[dict[str, Any]]:
    labels = {"k8s-app": "kube-dns"}
    return [
        _cluster_role_binding("kube-apiserver-to-kubelets", "system:kubelet-api-admin", _user(KUBELET_CLIENT)),
        _object("v1", "ServiceAccount", "coredns"),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            "system:coredns",
            "",
            rules=[
                _reads("", "services", "pods", "namespaces"),
                _reads("discovery.k8s.io", "endpointslices"),
            ],
        ),
        _cluster_role_binding(
            "system:coredns", "system:coredns", {"kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE}
        ),
        _object("v1", "ConfigMap", "coredns", data={"Corefile": COREFILE}),
        _object(
            "v1",
            "Service",
            "kube-dns",
            spec={
                "clusterIP": DNS_IP,
                "selector": labels,
                "ports": [
                    {"name": protocol.lower(), "protocol": protocol, "port": 53, "targetPort": PORT}
                    for protocol in ("UDP", "TCP")
                ],
            },
        ),
        _object(
            "apps/v1",
            "Deployment",
            "coredns",
            spec={
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod(image)},
            },
        ),
    ]


def _pod(image: str) -> dict[str, Any]:
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
        "containers": [
            {
                "name": "coredns",
                "image": image,
                "imagePullPolicy": "Never",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def _object(version: str, kind: str, name: str, namespace: str = NAMESPACE, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _cluster_role_binding(name: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return _object(
        "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name, "", roleRef=reference, subjects=[subject]
    )


def _user(name: str) -> dict[str, str]:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def _reads(group: str, *resources: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": ["list", "watch"]}
