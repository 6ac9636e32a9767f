"""Which collectors an application sends to, and why it has to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from odigos_cp.api.application import InstrumentedApplication
from odigos_cp.api.collectors import CollectorsGroup
from odigos_cp.domain import assignment, plan
from odigos_cp.domain.assignment import Observed
from tests import builders

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
READY = builders.group(ready=True, receiverSignals=["TRACES"])


def decided(application: InstrumentedApplication, *groups: CollectorsGroup) -> plan.Plan:
    return assignment.plan(Observed(application, {g.metadata.name: g for g in groups}), NOW)


def status(made: plan.Plan) -> dict[str, Any]:
    (write,) = made.writes
    assert isinstance(write, plan.Apply)
    assert write.manager == "odigos-scheduler"
    return dict(write.body["status"])


def after(made: plan.Plan) -> InstrumentedApplication:
    """The application with the plan carried out."""
    return builders.application(**status(made) | {"conditions": ()}).model_copy(
        update={"status": builders.application().status.model_validate(status(made))}
    )


def test_an_application_goes_to_the_shared_gateway() -> None:
    said = status(decided(builders.application(), READY))
    assert said["collector"] == {
        "group": "odigos-gateway",
        "reason": "the gateway that all applications share",
        "since": "2026-11-24T12:00:00Z",
    }
    assert said["conditions"][0] | {"message": ""} == {
        "type": "CollectorAssigned",
        "status": "True",
        "reason": "Assigned",
        "message": "",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("groups", "reason", "says"),
    [
        ([], "NoDestination", "Add a destination"),
        ([builders.group(ready=True)], "NoDestination", "Add a destination"),
        ([builders.group(ready=False, receiverSignals=["LOGS"])], "NoCollectorReady", "odigos-gateway is not ready"),
        ([builders.group("odigos-node", "node", ready=True, receiverSignals=["LOGS"])], "NoDestination", "Add"),
    ],
)
def test_one_that_has_to_wait_is_told_why(groups: list[CollectorsGroup], reason: str, says: str) -> None:
    said = status(decided(builders.application(), *groups))
    assert "collector" not in said
    assert said["conditions"][0]["reason"] == reason
    assert says in said["conditions"][0]["message"]


def test_an_assignment_is_written_once() -> None:
    assert not decided(after(decided(builders.application(), READY)), READY).writes


@pytest.mark.parametrize("trouble", [{"ready": False}, {"receiverSignals": []}])
def test_a_group_in_trouble_keeps_its_applications(trouble: dict[str, Any]) -> None:
    """Taking them away would restart them; their node's collector keeps their data meanwhile."""
    assigned = after(decided(builders.application(), READY))
    in_trouble = builders.group(**{"receiverSignals": ["TRACES"]} | trouble)
    assert not decided(assigned, in_trouble).writes


def test_an_assignment_ends_with_its_group() -> None:
    said = status(decided(after(decided(builders.application(), READY))))
    assert "collector" not in said
    assert said["conditions"][0]["reason"] == "NoDestination"


def test_one_that_is_not_wanted_any_more_is_let_go() -> None:
    assigned = after(decided(builders.application(), READY))
    unwanted = assigned.model_copy(update={"spec": assigned.spec.model_copy(update={"enabled": False})})
    said = status(decided(unwanted, READY))
    assert "collector" not in said
    assert said["conditions"][0]["reason"] == "NotWanted"
