"""Faults 22 and 23: a custom resource definition is deleted and made again, or its version is not served for a while.

What goes with a definition is gone, as if its user had deleted it. What cannot be read is kept as it was last known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.faults.rig import CRDS, Rig
from tests.faults.stage import Reference, Stage
from tests.faults.story import API
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@contextmanager
def deleted(rig: Rig, plural: str) -> Iterator[None]:
    rig.call("DELETE", f"{DEFINITIONS}/{plural}.odigos.io")
    try:
        eventually(lambda: not is_served(rig, plural), f"{plural} are not served")
        yield
    finally:
        rig.apply(yaml.safe_load((CRDS / f"odigos.io_{plural}.yaml").read_text()))
        eventually(lambda: is_served(rig, plural), f"{plural} are served again")


@contextmanager
def not_served(rig: Rig, plural: str) -> Iterator[None]:
    serve(rig, plural, False)
    try:
        eventually(lambda: not is_served(rig, plural), f"{plural} are not served")
        yield
    finally:
        serve(rig, plural, True)
        eventually(lambda: is_served(rig, plural), f"{plural} are served again")


def serve(rig: Rig, plural: str, served: bool) -> None:
    change = [{"op": "replace", "path": "/spec/versions/0/served", "value": served}]
    rig.call("PATCH", f"{DEFINITIONS}/{plural}.odigos.io", change, "application/json-patch+json")


def is_served(rig: Rig, plural: str) -> bool:
    found = rig.call("GET", "/apis/odigos.io").get("versions") if has_group(rig) else None
    resources: list[dict[str, Any]] = rig.call("GET", f"/apis/{API}")["resources"] if found else []
    return any(resource["name"] == plural for resource in resources)


def has_group(rig: Rig) -> bool:
    return any(group["name"] == "odigos.io" for group in rig.call("GET", "/apis")["groups"])


def state_of(replica: Replica, plural: str, state: str) -> bool:
    return replica.metric(f'odigos_kube_reflector_state{{resource="{plural}.odigos.io",state="{state}"}}') == 1


def tries(replica: Replica, plural: str) -> float:
    text = replica.get("/metrics")[1].splitlines()
    mine = [line for line in text if line.startswith("odigos_kube_requests_total{") and f'"{plural}.odigos.io"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine if 'code="404"' in line)


def test_fault_22_a_definition_is_deleted_and_made_again(stage: Stage, reference: Reference) -> None:
    """Its objects are gone with it; the others are looked after meanwhile, and new ones are when they can be made."""
    story = stage.story
    story.add_destination()
    replica = stage.start()
    replica.wait_leading()
    with deleted(stage.rig, "destinations"):
        replica.wait("it is known to be away", lambda: state_of(replica, "destinations", "not_served"))
        story.ask()
        story.until(lambda: story.says("RuntimeDetected", "True"), "the application is looked at")
        assert tries(replica, "destinations") <= 12
    story.instrument()
    story.take_back_and_wait()
    stage.assert_state(dict(reference.back) | gateway_of(stage))
    stage.assert_no_complaints()


def gateway_of(stage: Stage) -> dict[str, Any]:
    """The collectors' older configurations, which are kept to go back to, are one more than in the reference run."""
    return {path: found for path, found in stage.state().items() if path.startswith("configmaps")}


def test_fault_23_a_version_that_is_not_served_for_a_while_changes_nothing(stage: Stage, reference: Reference) -> None:
    """An empty list would have taken the agent off the application."""
    replica = stage.start()
    stage.story.instrument()
    stage.wait_quiet()
    before = len(stage.writes())
    with not_served(stage.rig, "sources"):
        replica.wait("it is known to be away", lambda: state_of(replica, "sources", "not_served"))
        stage.wait_quiet(3)
        assert len(stage.writes()) == before
    replica.wait("it is followed again", lambda: state_of(replica, "sources", "watching"))
    stage.assert_state(reference.instrumented)
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_writes(reference.writes, faults=0)
    stage.assert_no_complaints()
