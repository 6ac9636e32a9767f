"""Which groups of collectors exist, what runs for them, and are they ready?

Both groups exist while somebody wants something: an enabled Destination, or an enabled application. The objects behind
a group follow once its configuration is there (status.configHash); the node group also waits for the gateway's Service,
so that its collectors find an address. A group that nobody wants any more is deleted, and Kubernetes collects the rest.

`behind` says which objects must be there: the caches hold too little of them to compare with. `plan` says the rest, and
what came of the objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from odigos_cp.api.builtin import DAEMON_SETS, DEPLOYMENTS, SERVICES, ConfigMap, ContainerStatus, Pod, Workload
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
from odigos_cp.api.meta import Condition, Key, key_of
from odigos_cp.domain import conditions, objects
from odigos_cp.domain.plan import NOTHING, Apply, Delete, Plan, apply_status

MANAGER = "odigos-autoscaler-groups"
NAMES = (GATEWAY_GROUP, NODE_GROUP)
NODE_ENDPOINT = "$(ODIGOS_NODE_IP):4318"
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
    refused: str = ""
    """What the API server said when it refused one of the objects."""


def plan(observed: Observed, now: datetime) -> Plan:
    group = observed.group
    if group is not None and group.metadata.deletion_timestamp:
        return NOTHING
    if not observed.wanted:
        if group is None:
            return NOTHING
        gone = Delete(GROUPS, key_of(group), group.metadata.uid)
        return Plan((gone,), because="no enabled destination and no enabled application is left")
    wanted = _spec(observed.key.name, observed.sizes)
    if group is None or group.spec != wanted:
        body = objects.group_body(observed.key.name, observed.key.namespace, wanted.wire())
        return Plan((Apply(GROUPS, body, MANAGER),), because="the group is missing or differs")
    if group.status.config_hash and observed.config is None and observed.workload is not None:
        # The name of a configuration came before its text: a moment, and no reason to say anything.
        return NOTHING
    return Plan(_status(observed, group, _missing(observed, group), now), because="its pods or objects changed")


def behind(observed: Observed) -> tuple[Apply, ...]:
    """The objects that run for the group now."""
    group = observed.group
    if group is None or not observed.wanted or group.metadata.deletion_timestamp:
        return ()
    if group.spec != _spec(observed.key.name, observed.sizes) or _missing(observed, group):
        return ()
    return _objects(observed, group)


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
        "endpoint": NODE_ENDPOINT if node else objects.gateway_endpoint(group.metadata.namespace),
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
    if observed.refused:
        return say(False, GroupReason.APPLY_FAILED, f"The API server refuses it: {observed.refused[:600]}")
    if stuck := _stuck(observed.workload):
        return say(
            False,
            GroupReason.APPLY_FAILED,
            f"Pods with configuration {group.status.config_hash} do not get ready ({stuck}); those with the previous "
            f"one go on.{_trouble(observed.pods)} See: kubectl logs -n {group.metadata.namespace} "
            f"-l {objects.GROUP_LABEL}={group.metadata.name} --all-containers --prefix",
        )
    return say(True, GroupReason.APPLIED, f"Configuration {group.status.config_hash} is applied.")


def _stuck(workload: Workload | None) -> str:
    """Why a rollout does not go on, as the Deployment says of the template that it has now."""
    if workload is None or workload.status.observed_generation < workload.metadata.generation:
        return ""
    failed = (c for c in workload.status.conditions if c.type == "Progressing" and c.status == "False")
    return next((c.reason or "Progressing" for c in failed), "")


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
    """Of the first pod that is not ready, why: what Kubernetes says of it. One that has ended has a successor."""
    known = sorted(pods, key=lambda p: p.metadata.name)
    for pod in [p for p in known if p.status.phase not in ("Failed", "Succeeded")] or known:
        if pod.ready or pod.metadata.deletion_timestamp:
            continue
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            if why := _why(container):
                return f" {pod.metadata.name}: {container.name}: {why}"
        unscheduled = next((c for c in pod.status.conditions if c.status == "False" and c.message), None)
        if why := pod.status.message or (unscheduled.message if unscheduled else ""):
            return f" {pod.metadata.name}: {why[:300]}"
    return ""


def _why(container: ContainerStatus) -> str:
    """Why this one does not run; the last words of the run before say more than that it is waited for the next."""
    waiting, ended = container.state.waiting, container.state.terminated or container.last_state.terminated
    if ended and ended.exit_code and not container.ready:
        return f"ended with code {ended.exit_code} ({ended.reason}). {_last(ended.message)}".rstrip()
    if waiting and waiting.reason not in ("PodInitializing", "ContainerCreating"):
        return f"{waiting.reason} {waiting.message[:300]}".rstrip()
    return ""


def _last(message: str) -> str:
    """The end of what a container wrote, on one line: the error comes last."""
    text = "".join(c if c.isprintable() else " " for c in message).strip()
    return text if len(text) <= 300 else "…" + text[-299:]
