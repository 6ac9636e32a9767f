"""Which rights the process needs, a row a use: what each controller reads and writes, and where.

manifests/base/rbac.yaml is generated from this table. A right stands here only with the one who needs it, so that a
reader can tell what is lost when it is taken away. Secrets are created and deleted, never read, listed or watched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odigos_cp.api import builtin
from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Kind
from odigos_cp.api.rules import ACTIONS, RULES
from odigos_cp.api.source import SOURCES
from odigos_cp.domain import trust

READ = ("get", "list", "watch")
APPLY = ("create", "patch")
SERVICE_ACCOUNT = "odigos"
LABELS = {"app.kubernetes.io/name": "odigos", "app.kubernetes.io/part-of": "odigos-cp"}


@dataclass(frozen=True)
class Right:
    """`who` needs `verbs` on `resource`: in odigos-system only, unless `everywhere`."""

    who: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    everywhere: bool = False
    names: tuple[str, ...] = ()


def right(
    who: str, kind: Kind[Any], *verbs: str, everywhere: bool = False, subresource: str = "", name: str = ""
) -> Right:
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return Right(who, kind.group, resource, verbs, everywhere or not kind.namespaced, (name,) if name else ())


TABLE: tuple[Right, ...] = (
    right("caches", builtin.NAMESPACES, *READ),
    right("caches", builtin.PODS, *READ, everywhere=True),
    *(right("caches", kind, *READ, everywhere=True) for kind in builtin.WORKLOADS.values()),
    *(
        right("caches", kind, *READ, everywhere=True)
        for kind in (SOURCES, APPLICATIONS, RULES, ACTIONS, CONFIGURATIONS, DESTINATIONS, GROUPS)
    ),
    right("caches", builtin.CONFIG_MAPS, *READ),
    right("caches", builtin.SERVICES, *READ),
    right("caches", builtin.WEBHOOKS, *READ),
    right("instrumentor/discovery", APPLICATIONS, *APPLY, "delete", everywhere=True),
    right("instrumentor/discovery", SOURCES, "patch", everywhere=True, subresource="status"),
    right("instrumentor/discovery", CONFIGURATIONS, "create"),
    right("instrumentor/discovery", CONFIGURATIONS, "patch", subresource="status"),
    right("instrumentor/rules", RULES, "patch", everywhere=True, subresource="status"),
    *(
        right("instrumentor/validity", kind, "patch", everywhere=True, subresource="status")
        for kind in (SOURCES, RULES, APPLICATIONS)
    ),
    right("instrumentor/validity", CONFIGURATIONS, "patch", subresource="status"),
    right("instrumentor", APPLICATIONS, "patch", everywhere=True, subresource="status"),
    right("instrumentor/detection", builtin.PODS, "create", "delete"),
    *(right("instrumentor/rollout", kind, "patch", everywhere=True) for kind in builtin.WORKLOADS.values()),
    right("instrumentor/webhook", builtin.WEBHOOKS, "patch", name=trust.CONFIGURATION),
    right("scheduler", APPLICATIONS, "patch", everywhere=True, subresource="status"),
    right("autoscaler/groups", GROUPS, *APPLY, "delete"),
    right("autoscaler/groups", GROUPS, "patch", subresource="status"),
    # What runs for a group goes with it: Kubernetes deletes it.
    right("autoscaler/groups", builtin.DEPLOYMENTS, *APPLY),
    right("autoscaler/groups", builtin.DAEMON_SETS, *APPLY),
    right("autoscaler/groups", builtin.SERVICES, *APPLY),
    Right("autoscaler/groups", "", "serviceaccounts", APPLY),
    right("autoscaler/config", GROUPS, "patch", subresource="status"),
    right("autoscaler/config", builtin.CONFIG_MAPS, "create", "delete"),
    right("autoscaler/config", DESTINATIONS, "patch", subresource="status"),
    right("autoscaler/config", ACTIONS, "patch", everywhere=True, subresource="status"),
    right("autoscaler/validity", ACTIONS, "patch", everywhere=True, subresource="status"),
    *(right("autoscaler/validity", kind, "patch", subresource="status") for kind in (DESTINATIONS, GROUPS)),
    right("autoscaler/traffic", DESTINATIONS, "patch", subresource="status"),
    right("autoscaler/traffic", builtin.PODS, "get", subresource="log"),
    right("ui", SOURCES, *APPLY, "delete", everywhere=True),
    right("ui", DESTINATIONS, *APPLY, "delete"),
    Right("ui", "", "secrets", ("create", "delete")),
    right("ui/certificates", builtin.CONFIG_MAPS, *APPLY),
    right("leader", builtin.LEASES, "create"),
    right("leader", builtin.LEASES, "get", "update", name="odigos-controllers"),
    Right("recorder", "events.k8s.io", "events", ("create", "patch"), everywhere=True),
)


def manifests() -> list[dict[str, Any]]:
    """ServiceAccount, ClusterRole, Role and their bindings."""
    subject = [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": SYSTEM_NAMESPACE}]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(SERVICE_ACCOUNT, SYSTEM_NAMESPACE)},
        _role("ClusterRole", "", [r for r in TABLE if r.everywhere]),
        _binding("ClusterRoleBinding", "ClusterRole", "", subject),
        _role("Role", SYSTEM_NAMESPACE, [r for r in TABLE if not r.everywhere]),
        _binding("RoleBinding", "Role", SYSTEM_NAMESPACE, subject),
    ]


def _metadata(name: str, namespace: str) -> dict[str, Any]:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": LABELS}


def _role(kind: str, namespace: str, rights: list[Right]) -> dict[str, Any]:
    """One rule a resource (and object name): what every user of it needs together, in a stable order."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for r in rights:
        verbs.setdefault((r.group, r.resource, r.names), set()).update(r.verbs)
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(words)}
        | ({"resourceNames": list(names)} if names else {})
        for (group, resource, names), words in sorted(verbs.items())
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _metadata("odigos", namespace),
        "rules": rules,
    }


def _binding(kind: str, role: str, namespace: str, subjects: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _metadata("odigos", namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "odigos"},
        "subjects": subjects,
    }
