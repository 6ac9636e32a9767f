"""Which groups of collectors exist, what runs for them, and are they ready?

Both groups exist while somebody wants something: an enabled Destination, or an enabled application. The objects behind
a group follow once its configuration is there (status.configHash); the node group also waits for the gateway's Service,
so that its collectors find an address. A group that nobody wants any more is deleted, and Kubernetes collects the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from odigos_cp.api.builtin import DAEMON_SETS, DEPLOYMENTS, SERVICES, ConfigMap, Pod, Workload
from odigos_cp.api.collectors import (
    GATEWAY_GROUP,
    GROUPS,
    NODE_GROUP,
    CollectorsGroup,
    GroupCondition,
    GroupReason,
    GroupSpec,
)
from odigos_cp.api.configuration import Collectors
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Condition, Key, key_of
from odigos_cp.domain import conditions, objects
from odigos_cp.domain.plan import NOTHING, Apply, Delete, Plan, apply_status

MANAGER = "odigos-autoscaler-groups"
NAMES = (GATEWAY_GROUP, NODE_GROUP)
NODE_ENDPOINT = "$(NODE_IP):4318"
"""As an application's environment has it: every node has its own."""


@dataclass(frozen=True)
class Observed:
    key: Key
    wanted: bool
    collector: objects.Collector
    sizes: Collectors
    group: CollectorsGroup | None = None
    config: ConfigMap | None = None
    """The ConfigMap that status.configHash names."""

    workload: Workload | None = None
    """The Deployment or DaemonSet."""

    gateway_service: bool = False
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True)
class Decision:
    """`objects` have no model to compare with: they are ensured first, then the plan is carried out."""

    plan: Plan = NOTHING
    objects: tuple[Apply, ...] = ()


def decide(observed: Observed, now: datetime) -> Decision:
    group = observed.group
    if group is not None and group.metadata.deletion_timestamp:
        return Decision()
    if not observed.wanted:
        if group is None:
            return Decision()
        gone = Delete(GROUPS, key_of(group), group.metadata.uid)
        return Decision(Plan((gone,), because="no enabled destination and no enabled application is left"))
    wanted = _spec(observed.key.name, observed.sizes)
    if group is None or group.spec != wanted:
        body = objects.group_body(observed.key.name, observed.key.namespace, wanted.wire())
        return Decision(Plan((Apply(GROUPS, body, MANAGER),), because="the group is missing or differs"))
    missing = _missing(observed, group)
    bodies = () if missing else _objects(observed, group)
    return Decision(Plan(_status(observed, group, missing, now), because="its pods or objects changed"), bodies)


def _spec(name: str, sizes: Collectors) -> GroupSpec:
    if name == NODE_GROUP:
        return GroupSpec(role="node", resources=sizes.node)
    return GroupSpec(
        role="gateway",
        min_replicas=sizes.gateway_min_replicas,
        max_replicas=max(sizes.gateway_max_replicas, sizes.gateway_min_replicas),
        resources=sizes.gateway,
    )


def _missing(observed: Observed, group: CollectorsGroup) -> tuple[GroupReason, str] | None:
    """What the group's objects wait for."""
    if not group.status.config_hash or observed.config is None:
        return GroupReason.WAITING_FOR_CONFIG, "The configuration is not rendered yet; ConfigValid says why."
    if group.spec.role == "node" and not observed.gateway_service:
        return GroupReason.WAITING_FOR_GATEWAY, "The gateway's Service is not there yet."
    return None


def _objects(observed: Observed, group: CollectorsGroup) -> tuple[Apply, ...]:
    hash_ = group.status.config_hash
    account = Apply(objects.SERVICE_ACCOUNTS, objects.service_account(group), MANAGER)
    if group.spec.role == "node":
        return (account, Apply(DAEMON_SETS, objects.node_daemon_set(group, hash_, observed.collector), MANAGER))
    variables = objects.variables_of(observed.config) if observed.config else ()
    deployment = objects.gateway_deployment(group, hash_, variables, observed.collector)
    return (
        account,
        Apply(SERVICES, objects.gateway_service(group), MANAGER),
        Apply(DEPLOYMENTS, deployment, MANAGER),
    )


def _status(
    observed: Observed, group: CollectorsGroup, missing: tuple[GroupReason, str] | None, now: datetime
) -> tuple[Apply, ...]:
    ready, wanted = _counted(group, observed.workload)
    told = [_deployed(observed, group, missing, now), _ready(observed, group, missing, ready, wanted, now)]
    node = group.spec.role == "node"
    fields = {
        "ready": ready > 0,
        "endpoint": NODE_ENDPOINT if node else objects.GATEWAY_ENDPOINT,
        "replicas": ready,
    }
    return apply_status(GROUPS, group, MANAGER, fields, told)


def _counted(group: CollectorsGroup, workload: Workload | None) -> tuple[int, int]:
    """Pods that are ready, and pods that should be."""
    if workload is None:
        return 0, 0
    if group.spec.role == "node":
        return workload.status.number_ready, workload.status.desired_number_scheduled
    return workload.status.available_replicas, workload.spec.replicas


def _deployed(
    observed: Observed, group: CollectorsGroup, missing: tuple[GroupReason, str] | None, now: datetime
) -> Condition:
    def say(status: bool, reason: GroupReason, message: str) -> Condition:
        return conditions.say(group.status.conditions, GroupCondition.DEPLOYED, status, reason, message, now=now)

    if missing:
        return say(False, *missing)
    stuck = observed.workload and next(
        (c for c in observed.workload.status.conditions if c.type == "Progressing" and c.status == "False"), None
    )
    if stuck:
        return say(
            False,
            GroupReason.APPLY_FAILED,
            f"Pods with configuration {group.status.config_hash} do not get ready ({stuck.reason}); those with the "
            f"previous one go on. See: kubectl logs -n {SYSTEM_NAMESPACE} -l {objects.GROUP_LABEL}="
            f"{group.metadata.name} -c validate",
        )
    return say(True, GroupReason.APPLIED, f"Configuration {group.status.config_hash} is applied.")


def _ready(
    observed: Observed,
    group: CollectorsGroup,
    missing: tuple[GroupReason, str] | None,
    ready: int,
    wanted: int,
    now: datetime,
) -> Condition:
    def say(status: bool, reason: GroupReason, message: str) -> Condition:
        return conditions.say(group.status.conditions, GroupCondition.READY, status, reason, message, now=now)

    if ready:
        return say(True, GroupReason.READY, f"{ready} of {wanted} collectors are ready.{_trouble(observed.pods)}")
    if missing:
        return say(False, *missing)
    if group.spec.role == "node" and observed.workload and not wanted:
        return say(False, GroupReason.NO_NODES, "The cluster has no node that a collector could run on.")
    return say(False, GroupReason.PODS_NOT_READY, f"None of {wanted} collectors is ready.{_trouble(observed.pods)}")


def _trouble(pods: Iterable[Pod]) -> str:
    """Of the first pod that is not ready, why: what Kubernetes says of it."""
    for pod in sorted(pods, key=lambda p: p.metadata.name):
        if pod.ready or pod.metadata.deletion_timestamp:
            continue
        for container in pod.status.container_statuses:
            waiting, ended = container.state.waiting, container.state.terminated
            if waiting and waiting.reason != "PodInitializing":
                return f" {pod.metadata.name}: {waiting.reason} {waiting.message[:300]}".rstrip()
            if ended:
                return f" {pod.metadata.name}: ended with code {ended.exit_code}, {ended.reason} {ended.message[:300]}"
        unscheduled = next((c for c in pod.status.conditions if c.status == "False" and c.message), None)
        if unscheduled:
            return f" {pod.metadata.name}: {unscheduled.message[:300]}"
    return ""
