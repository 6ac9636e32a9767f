"""What the collectors run, what each Destination is told, and what happens when nothing can be rendered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from odigos_cp.api.builtin import ConfigMap
from odigos_cp.api.collectors import GATEWAY_GROUP, NODE_GROUP, CollectorsGroup
from odigos_cp.api.destination import Destination
from odigos_cp.api.rules import Action
from odigos_cp.domain import configuring, objects, pipeline, plan
from odigos_cp.domain.configuring import Observed
from tests import builders

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OTLP = {"OTLP_GRPC_ENDPOINT": "jaeger:4317"}


def writes(*destinations: Destination, group: CollectorsGroup | None = None, **observed: Any) -> tuple[plan.Write, ...]:
    groups = {group.metadata.name: group} if group else {}
    return configuring.plan(Observed(destinations=destinations, groups=groups, **observed), NOW).writes


def conditions(made: Iterable[plan.Write], name: str) -> dict[str, Any]:
    """What the object of this name is told."""
    (write,) = [w for w in made if isinstance(w, plan.Apply) and w.key.name == name]
    assert write.manager == "odigos-autoscaler-config"
    (condition,) = write.body["status"]["conditions"]
    return dict(condition)


# Destinations


@pytest.mark.parametrize(
    ("destination", "status", "reason", "says"),
    [
        (builders.destination("d"), "True", "Configured", "Traces are sent to jaeger.observability:4317."),
        (
            builders.destination("d", signals=["LOGS", "TRACES", "METRICS"]),
            *("True", "Configured", "Traces, metrics and logs are sent to jaeger.observability:4317."),
        ),
        (
            builders.destination("d", sourceSelector={"namespaces": ["shop", "bank"]}),
            *("True", "Configured", "Only from: bank, shop."),
        ),
        (
            builders.destination("d", data=OTLP | {"OTLP_GRPC_SPARKLE": "1"}),
            *("True", "Configured", "Not known to this version and ignored: OTLP_GRPC_SPARKLE."),
        ),
        (builders.destination("d", type_="debug", data={}), "True", "Configured", "sent to the gateway's own log"),
        (builders.destination("d", disabled=True), "False", "Disabled", "spec.disabled"),
        (builders.destination("d", type_="pigeon", disabled=True), "False", "Disabled", "spec.disabled"),
        (builders.destination("d", type_="pigeon"), "False", "UnknownType", "no destination type 'pigeon'"),
        (builders.destination("d", data={}), "False", "MissingField", "OTLP_GRPC_ENDPOINT"),
        (builders.destination("d", data={"OTLP_GRPC_ENDPOINT": "$"}), "False", "InvalidField", "OTLP_GRPC_ENDPOINT"),
        (builders.destination("d", signals=[]), "False", "NoSignals", "List what to send"),
        (builders.destination("d", sourceSelector={}), "False", "InvalidField", "sourceSelector"),
    ],
)
def test_each_destination_is_told_whether_it_is_part_of_the_configuration(
    destination: Destination, status: str, reason: str, says: str
) -> None:
    said = conditions(writes(destination), "d")
    assert (said["type"], said["status"], said["reason"]) == ("Configured", status, reason)
    assert says in said["message"]


def test_a_destination_that_was_told_is_not_told_again() -> None:
    destination = builders.destination("d")
    (write,) = writes(destination)
    assert isinstance(write, plan.Apply)
    assert not writes(builders.destination("d", status=write.body["status"]))


@pytest.mark.parametrize(("disabled", "reason"), [(False, "NotImplementedYet"), (True, "Disabled")])
def test_an_action_is_told_that_it_does_nothing(disabled: bool, reason: str) -> None:
    spec = {"piiMasking": {"piiCategories": ["CREDIT_CARD"]}, "disabled": disabled}
    action = Action.model_validate({"metadata": builders.meta("mask", "odigos-system"), "spec": spec})
    made = writes(actions=(action,))
    said = conditions(made, "mask")
    assert (said["type"], said["status"], said["reason"]) == ("Applied", "False", reason)
    told = action.model_copy(update={"status": action.status.model_validate({"conditions": [said]})})
    assert not writes(actions=(told,))


# Groups


def test_the_text_is_there_before_anything_names_it() -> None:
    made = writes(builders.destination("d"), group=builders.group())
    kinds = [(type(w).__name__, w.key.name) for w in made]
    hash_ = pipeline.render_gateway([builders.destination("d")], builders.group().spec.resources).hash
    assert kinds == [("Apply", "d"), ("Create", f"odigos-gateway-{hash_}"), ("Apply", GATEWAY_GROUP)]


def test_a_group_whose_destinations_are_all_faulty_says_which_are_left_out() -> None:
    made = writes(builders.destination("d", data={}), group=builders.group())
    said = conditions(made, GATEWAY_GROUP)
    assert (said["status"], said["reason"]) == ("True", "DestinationsLeftOut")
    assert "without d:" in said["message"]


def test_the_node_sends_to_the_gateway_of_its_own_namespace() -> None:
    group = builders.group(NODE_GROUP, "node")
    moved = group.model_copy(update={"metadata": group.metadata.model_copy(update={"namespace": "telemetry"})})
    (text,) = [w.body["data"]["collector.yaml"] for w in writes(group=moved) if isinstance(w, plan.Create)]
    assert 'endpoint: "dns:///odigos-gateway.telemetry.svc:4317"' in text


def too_large(*_: object) -> None:
    raise pipeline.TooLarge("the configuration of all destinations is 1,000,000 bytes; 900,000 is the most")


def broken(*_: object) -> None:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("failing", "says"),
    [(too_large, "1,000,000 bytes"), (broken, "a fault of odigos-cp, ZeroDivisionError: division by zero")],
)
def test_what_cannot_be_rendered_leaves_the_last_good_configuration(
    failing: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "render_gateway", failing)
    group = builders.group(configHash="0123456789", receiverSignals=["TRACES"])
    made = writes(builders.destination("d"), group=group)
    said = conditions(made, GATEWAY_GROUP)
    assert (said["status"], said["reason"]) == ("False", "RenderFailed")
    assert says in said["message"]
    assert "last good one" in said["message"]
    (write,) = [w for w in made if isinstance(w, plan.Apply) and w.key.name == GATEWAY_GROUP]
    assert write.body["status"]["configHash"] == "0123456789"
    assert write.body["status"]["receiverSignals"] == ["TRACES"]
    assert conditions(made, "d")["reason"] == "Configured"


# Old configurations


def kept(hash_: str, created: str, **metadata: Any) -> ConfigMap:
    labels = {objects.GROUP_LABEL: GATEWAY_GROUP}
    return builders.config_map(f"odigos-gateway-{hash_}", {}, labels=labels, creationTimestamp=created, **metadata)


def deleted(*config_maps: ConfigMap, running: Iterable[str] = ()) -> set[str]:
    made = writes(group=builders.group(), config_maps=config_maps, running=frozenset(running))
    return {w.key.name.removeprefix("odigos-gateway-") for w in made if isinstance(w, plan.Delete)}


OLD = [kept(f"{n}", f"2026-11-24T1{n}:00:00Z") for n in range(5)]


def test_the_current_configuration_and_the_two_before_it_stay() -> None:
    assert deleted(*OLD) == {"0", "1", "2"}


def test_one_that_a_pod_still_runs_stays_however_old_it_is() -> None:
    assert deleted(*OLD, running=["odigos-gateway-0"]) == {"1", "2"}


def test_those_of_others_are_nobodys_here() -> None:
    foreign = builders.config_map("kube-root-ca.crt", {})
    nodes = builders.config_map("odigos-node-1", {}, labels={objects.GROUP_LABEL: NODE_GROUP})
    assert deleted(foreign, nodes, *OLD[:2]) == set()
    assert deleted(*OLD[:4], kept("9", "2026-11-24T09:00:00Z", deletionTimestamp="2026-11-24T12:00:00Z")) == {"0", "1"}
