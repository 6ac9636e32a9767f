"""Which Kubernetes objects run the collectors? One small factory a kind; a configuration's text and hash come in.

The gateway is a Deployment behind a headless Service, rolled without a gap: a new configuration is a new ConfigMap and
so a new pod template, and the init container `validate` lets no pod come up with a text that the collector refuses.
The node collector is a DaemonSet on host ports, so that an application finds it at its own node's address.

Everything belongs to its CollectorsGroup: when the group goes, Kubernetes collects the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, SERVICES, ConfigMap
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS, CollectorsGroup, ResourceSizes
from odigos_cp.api.meta import MANAGED_BY, MANAGED_LABEL, Kind
from odigos_cp.domain import sizing
from odigos_cp.domain.exporters import SecretVariable
from odigos_cp.domain.pipeline import GRPC_PORT, HEALTH_PORT, HTTP_PORT, METRICS_PORT, QUEUE_DIRECTORY, Rendered

GROUP_LABEL: Final = "odigos.io/collectors-group"
CONFIG_HASH_ANNOTATION: Final = "odigos.io/config-hash"
"""On the collectors' pods: which configuration each of them runs."""

CONFIG_FILE, VARIABLES_FILE = "collector.yaml", "variables.json"
CONFIG_DIRECTORY = "/etc/odigos"
LEAVING_SECONDS = 10
"""So long a gateway pod that has to go still takes data, while senders learn that it is no longer in the Service."""

UNPRIVILEGED = 65532
PORTS = {"otlp-grpc": GRPC_PORT, "otlp-http": HTTP_PORT, "health": HEALTH_PORT, "metrics": METRICS_PORT}

Body = dict[str, Any]


def _never_read(content: bytes) -> Any:
    raise AssertionError("ServiceAccounts are written, never read")


SERVICE_ACCOUNTS: Kind[Any] = Kind("", "v1", "serviceaccounts", "ServiceAccount", _never_read)


@dataclass(frozen=True)
class Collector:
    """How a collector is started, whatever it does. `command` differs between the public image and a local one."""

    image: str
    command: str


def labels(group: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": group,
        "app.kubernetes.io/component": "collector",
        MANAGED_LABEL: MANAGED_BY,
        GROUP_LABEL: group,
    }


def config_map_name(group: str, hash_: str) -> str:
    return f"{group}-{hash_}"


def gateway_endpoint(namespace: str) -> str:
    return f"{GATEWAY_GROUP}.{namespace}.svc:{GRPC_PORT}"


def config_map(group: CollectorsGroup, rendered: Rendered) -> Body:
    """The configuration, and the variables that it refers to. Never changed: other content has another name."""
    variables = [{"name": v.name, "secret": v.secret, "key": v.key} for v in rendered.variables]
    name = config_map_name(group.metadata.name, rendered.hash)
    return _object(CONFIG_MAPS, group, name) | {
        "immutable": True,
        "data": {CONFIG_FILE: rendered.text, VARIABLES_FILE: json.dumps(variables)},
    }


def variables_of(found: ConfigMap) -> tuple[SecretVariable, ...]:
    """The variables that a ConfigMap of ours names; one that somebody else wrote in our name names none."""
    try:
        return tuple(SecretVariable(**v) for v in json.loads(found.data.get(VARIABLES_FILE, "[]")))
    except (ValueError, TypeError):
        return ()


def service_account(group: CollectorsGroup) -> Body:
    return _object(SERVICE_ACCOUNTS, group, group.metadata.name) | {"automountServiceAccountToken": False}


def gateway_service(group: CollectorsGroup) -> Body:
    """Headless: each node sees every gateway pod and spreads its data over them."""
    ports = [
        {"name": name, "port": PORTS[name], "targetPort": PORTS[name], "protocol": "TCP"}
        for name in ("otlp-grpc", "otlp-http")
    ]
    spec = {"clusterIP": "None", "selector": {GROUP_LABEL: group.metadata.name}, "ports": ports}
    return _object(SERVICES, group, group.metadata.name) | {"spec": spec}


def gateway_deployment(
    group: CollectorsGroup, hash_: str, variables: Sequence[SecretVariable], collector: Collector
) -> Body:
    pod = _pod(group, hash_, variables, collector) | {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UNPRIVILEGED,
            "runAsGroup": UNPRIVILEGED,
            "fsGroup": UNPRIVILEGED,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": LEAVING_SECONDS + 30,
    }
    pod["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVING_SECONDS}}}
    # It survives the process, not the pod. Three times the queues' bound: their files shrink only at a start.
    limit = f"{3 * sizing.GATEWAY_DISK_BYTES // sizing.MEGABYTE}M"
    pod["volumes"].append({"name": "queue", "emptyDir": {"sizeLimit": limit}})
    spec = {
        "replicas": group.spec.min_replicas,
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": 120,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": {GROUP_LABEL: group.metadata.name}},
        "template": _template(group, hash_, pod),
    }
    return _object(DEPLOYMENTS, group, group.metadata.name) | {"spec": spec}


def node_daemon_set(group: CollectorsGroup, hash_: str, collector: Collector) -> Body:
    """Root without any capability: the queue must outlive the pod, so it lies in a directory of the node, and such a
    directory is root's. Owning it is all that root is good for here; an init step that hands it to another user would
    need a shell in the image and the right to change owners."""
    pod = _pod(group, hash_, (), collector) | {
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [{"operator": "Exists"}],
    }
    for port in pod["containers"][0]["ports"]:
        if port["name"].startswith("otlp"):
            port["hostPort"] = port["containerPort"]
    for container in (*pod["initContainers"], *pod["containers"]):
        # By the node's name: two nodes may see one disk, and a queue has one user.
        container["env"].append({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
        container["volumeMounts"][-1]["subPathExpr"] = "$(NODE_NAME)"
    pod["volumes"].append({"name": "queue", "hostPath": {"path": QUEUE_DIRECTORY, "type": "DirectoryOrCreate"}})
    spec = {
        "revisionHistoryLimit": 2,
        # Two collectors cannot have one host port, so a node is without one for a moment: few nodes at once.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "selector": {"matchLabels": {GROUP_LABEL: group.metadata.name}},
        "template": _template(group, hash_, pod),
    }
    return _object(DAEMON_SETS, group, group.metadata.name) | {"spec": spec}


def group_body(name: str, namespace: str, spec: Mapping[str, Any]) -> Body:
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    return {"apiVersion": GROUPS.api_version, "kind": GROUPS.kind, "metadata": metadata, "spec": dict(spec)}


def _object(kind: Kind[Any], group: CollectorsGroup, name: str) -> Body:
    owner = {
        "apiVersion": GROUPS.api_version,
        "kind": GROUPS.kind,
        "name": group.metadata.name,
        "uid": group.metadata.uid,
    }
    metadata = {
        "name": name,
        "namespace": group.metadata.namespace,
        "labels": labels(group.metadata.name),
        "ownerReferences": [owner],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _pod(group: CollectorsGroup, hash_: str, variables: Sequence[SecretVariable], collector: Collector) -> Body:
    """What both collectors' pods have."""
    config = f"--config={CONFIG_DIRECTORY}/{CONFIG_FILE}"
    checking = _container("validate", group, variables, collector) | {
        "command": [collector.command, "validate", config]
    }
    running = _container("collector", group, variables, collector) | {
        "command": [collector.command, config],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in PORTS.items()],
        "startupProbe": _probe(period=1, failures=60),
        "livenessProbe": _probe(period=10, failures=6),
        "readinessProbe": _probe(period=2, failures=2),
    }
    return {
        "serviceAccountName": group.metadata.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "initContainers": [checking],
        "containers": [running],
        "volumes": [{"name": "config", "configMap": {"name": config_map_name(group.metadata.name, hash_)}}],
    }


def _container(name: str, group: CollectorsGroup, variables: Sequence[SecretVariable], collector: Collector) -> Body:
    """What the collector and the container that checks its configuration have alike."""
    return {
        "name": name,
        "image": collector.image,
        "env": _environment(variables, group.spec.resources),
        "resources": _resources(group.spec.resources),
        # The last words of one that fails are in the pod's status, for the group's condition.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "queue", "mountPath": QUEUE_DIRECTORY},
        ],
    }


def _template(group: CollectorsGroup, hash_: str, pod: Body) -> Body:
    metadata = {"labels": labels(group.metadata.name), "annotations": {CONFIG_HASH_ANNOTATION: hash_}}
    return {"metadata": metadata, "spec": pod}


def _environment(variables: Sequence[SecretVariable], sizes: ResourceSizes) -> list[Body]:
    limit = {"name": "GOMEMLIMIT", "value": f"{sizing.memory(sizes).go_mib}MiB"}
    # Optional: a Secret that is not there makes its own destination fail, not the gateway of all.
    return [limit] + [
        {"name": v.name, "valueFrom": {"secretKeyRef": {"name": v.secret, "key": v.key, "optional": True}}}
        for v in sorted(variables)
    ]


def _resources(sizes: ResourceSizes) -> Body:
    return {
        "requests": {"cpu": f"{sizes.cpu_request_millis}m", "memory": f"{sizes.memory_request_mib}Mi"},
        "limits": {"cpu": f"{sizes.cpu_limit_millis}m", "memory": f"{sizes.memory_limit_mib}Mi"},
    }


def _probe(*, period: int, failures: int) -> Body:
    return {
        "httpGet": {"path": "/", "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
