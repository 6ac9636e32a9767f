"""Which groups exist, and what is said of them while their pods are not yet, or no longer, well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from odigos_cp.api.builtin import Pod, Workload
from odigos_cp.api.collectors import GATEWAY_GROUP, NODE_GROUP, CollectorsGroup
from odigos_cp.api.configuration import Collectors
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Key
from odigos_cp.domain import groups, plan
from odigos_cp.domain.groups import Observed
from odigos_cp.domain.objects import Collector
from tests import builders

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HASH = "0123456789"
CONFIG = builders.config_map(f"{GATEWAY_GROUP}-{HASH}", {})


def group(name: str = GATEWAY_GROUP, hash_: str = HASH, **status: Any) -> CollectorsGroup:
    role = "node" if name == NODE_GROUP else "gateway"
    return builders.group(name, role, configHash=hash_, **{"ready": False} | status)


def observed(found: CollectorsGroup | None = None, **deviations: Any) -> Observed:
    """A gateway whose configuration is there."""
    found = found or group()
    return replace(
        Observed(
            key=Key(SYSTEM_NAMESPACE, found.metadata.name),
            wanted=True,
            collector=Collector("collector:1", "/otelcol"),
            sizes=Collectors(),
            group=found,
            config=CONFIG,
            gateway_service=True,
        ),
        **deviations,
    )


def workload(*, generation: int = 1, observed: int = 1, conditions: Sequence[Any] = (), **status: Any) -> Workload:
    body = {
        "metadata": builders.meta(GATEWAY_GROUP, SYSTEM_NAMESPACE, generation=generation),
        "spec": {"replicas": 1},
        "status": {"observedGeneration": observed, "conditions": list(conditions)} | status,
    }
    return msgspec.convert(body, Workload)


def pod(phase: str = "Pending", ready: bool = False, **status: Any) -> Pod:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    body = {
        "metadata": builders.meta("odigos-gateway-1", SYSTEM_NAMESPACE),
        "status": {"phase": phase, "conditions": conditions} | status,
    }
    return msgspec.convert(body, Pod)


def told(seen: Observed) -> dict[str, tuple[str, str, str]]:
    """The conditions that are said: status, reason, message by type."""
    (write,) = groups.plan(seen, NOW).writes
    assert isinstance(write, plan.Apply)
    assert write.manager == "odigos-autoscaler-groups"
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in write.body["status"]["conditions"]}


# Which groups exist


def test_a_group_that_is_wanted_is_made_with_its_sizes() -> None:
    seen = replace(observed(), group=None, sizes=Collectors.model_validate({"gatewayMinReplicas": 20}))
    (write,) = groups.plan(seen, NOW).writes
    assert write.key == Key(SYSTEM_NAMESPACE, GATEWAY_GROUP)
    assert isinstance(write, plan.Apply)
    assert (write.body["spec"]["minReplicas"], write.body["spec"]["maxReplicas"]) == (20, 20)
    assert groups.behind(seen) == ()


def test_a_group_that_nobody_wants_is_deleted_and_no_other_of_its_name() -> None:
    (write,) = groups.plan(observed(wanted=False), NOW).writes
    assert write == plan.Delete(write.kind, Key(SYSTEM_NAMESPACE, GATEWAY_GROUP), group().metadata.uid)
    assert not groups.plan(replace(observed(wanted=False), group=None), NOW).writes
    assert groups.behind(observed(wanted=False)) == ()


def test_a_group_that_goes_is_left_alone() -> None:
    going = group()
    going = going.model_copy(
        update={"metadata": going.metadata.model_copy(update={"deletion_timestamp": builders.SINCE})}
    )
    assert not groups.plan(observed(going), NOW).writes
    assert groups.behind(observed(going)) == ()


# What runs for them


def test_the_gateway_has_an_account_a_service_and_a_deployment() -> None:
    kinds = [w.body["kind"] for w in groups.behind(observed())]
    assert kinds == ["ServiceAccount", "Service", "Deployment"]
    assert {w.manager for w in groups.behind(observed())} == {"odigos-autoscaler-groups"}


def test_the_nodes_have_an_account_and_a_daemon_set() -> None:
    assert [w.body["kind"] for w in groups.behind(observed(group(NODE_GROUP)))] == ["ServiceAccount", "DaemonSet"]


@pytest.mark.parametrize(
    ("name", "deviations", "reason"),
    [
        (GATEWAY_GROUP, {"group": group(hash_="")}, "WaitingForConfig"),
        (GATEWAY_GROUP, {"config": None}, "WaitingForConfig"),
        (NODE_GROUP, {"gateway_service": False}, "WaitingForGateway"),
    ],
)
def test_what_objects_wait_for_is_said(name: str, deviations: dict[str, Any], reason: str) -> None:
    seen = observed(group(name), **deviations)
    assert groups.behind(seen) == ()
    assert told(seen)["Deployed"][:2] == ("False", reason)
    assert told(seen)["Ready"][:2] == ("False", reason)


def test_a_configuration_that_is_named_a_moment_before_it_is_seen_is_no_news() -> None:
    assert not groups.plan(observed(config=None, workload=workload(availableReplicas=1)), NOW).writes


# How they are


def test_ready_pods_make_a_ready_group() -> None:
    said = told(observed(workload=workload(availableReplicas=1)))
    assert said["Ready"] == ("True", "Ready", "1 of 1 collectors are ready.")
    assert said["Deployed"][:2] == ("True", "Applied")
    nodes = workload(numberReady=1, desiredNumberScheduled=2)
    assert told(observed(group(NODE_GROUP), workload=nodes))["Ready"][2] == "1 of 2 collectors are ready."


def test_what_is_so_already_is_not_said_again() -> None:
    seen = observed(workload=workload(availableReplicas=1))
    (write,) = groups.plan(seen, NOW).writes
    assert isinstance(write, plan.Apply)
    said = seen.group.model_copy(  # type: ignore[union-attr]
        update={"status": group().status.model_validate(write.body["status"] | {"configHash": HASH})}
    )
    assert not groups.plan(replace(seen, group=said), NOW).writes


def test_a_cluster_without_nodes_says_so() -> None:
    seen = observed(group(NODE_GROUP), workload=workload(desiredNumberScheduled=0))
    assert told(seen)["Ready"][:2] == ("False", "NoNodes")


CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "2026 error: bad endpoint\n\x1b[0m"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"initContainerStatuses": [{"name": "validate", "state": BACK_OFF, "lastState": CRASHED}]},
            "odigos-gateway-1: validate: ended with code 1 (Error). 2026 error: bad endpoint",
        ),
        ({"containerStatuses": [{"name": "collector", "state": CRASHED}]}, "collector: ended with code 1 (Error)."),
        ({"containerStatuses": [{"name": "collector", "state": PULL}]}, "collector: ImagePullBackOff no such image"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes: insufficient cpu"}]},
            "odigos-gateway-1: 0/2 nodes: insufficient cpu",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on disk."}, "The node was low on disk."),
    ],
)
def test_pods_that_do_not_get_ready_are_quoted(status: dict[str, Any], says: str) -> None:
    said = told(observed(workload=workload(), pods=(pod(**status),)))
    assert said["Ready"][:2] == ("False", "PodsNotReady")
    assert says in said["Ready"][2]


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [{"name": "collector", "state": {"waiting": {"reason": "PodInitializing"}}}]},
        {"containerStatuses": [{"name": "collector", "ready": True, "lastState": CRASHED}]},
        {"initContainerStatuses": [{"name": "validate", "state": {"terminated": {"exitCode": 0}}}]},
    ],
)
def test_what_is_on_its_way_is_no_trouble(status: dict[str, Any]) -> None:
    assert told(observed(workload=workload(), pods=(pod(**status),)))["Ready"][2] == "None of 1 collectors is ready."


def test_a_pod_that_has_ended_is_not_quoted_while_its_successor_is_well() -> None:
    pods = (pod(phase="Failed", message="evicted"), pod(phase="Running", ready=True))
    assert told(observed(workload=workload(availableReplicas=1), pods=pods))["Ready"][2] == (
        "1 of 1 collectors are ready."
    )


def test_the_last_words_of_a_container_are_bounded() -> None:
    crashed = {"terminated": {"exitCode": 1, "reason": "Error", "message": "x" * 4000 + "the end"}}
    said = told(observed(workload=workload(), pods=(pod(containerStatuses=[{"name": "c", "state": crashed}]),)))
    assert said["Ready"][2].endswith("the end")
    assert len(said["Ready"][2]) < 500


STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def test_a_rollout_that_does_not_go_on_says_so_while_the_old_pods_serve() -> None:
    said = told(observed(workload=workload(availableReplicas=1, conditions=[STUCK])))
    assert said["Deployed"][:2] == ("False", "ApplyFailed")
    assert "ProgressDeadlineExceeded" in said["Deployed"][2]
    assert said["Ready"][:2] == ("True", "Ready")


def test_what_is_said_of_the_template_before_is_not_blamed_on_the_new_one() -> None:
    before = workload(generation=2, observed=1, availableReplicas=1, conditions=[STUCK])
    assert told(observed(workload=before))["Deployed"][:2] == ("True", "Applied")


def test_what_the_api_server_refuses_is_quoted() -> None:
    said = told(observed(refused='Deployment "odigos-gateway" is invalid: requests must be at most the limit'))
    assert said["Deployed"][:2] == ("False", "ApplyFailed")
    assert "requests must be at most the limit" in said["Deployed"][2]
