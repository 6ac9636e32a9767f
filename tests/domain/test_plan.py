"""A status apply is written when, and only when, something that its writer owns is not yet so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication, Runtime
from odigos_cp.api.meta import Condition
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import apply_status

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
RUNTIME = Runtime(container="app", language="java", version="17.0.21")


def application(**status: object) -> InstrumentedApplication:
    return InstrumentedApplication.model_validate(
        {
            "metadata": {"namespace": "shop", "name": "deployment-cart", "uid": "u1"},
            "spec": {"workload": {"namespace": "shop", "kind": "Deployment", "name": "cart"}, "enabled": True},
            "status": status,
        }
    )


def detected(status: bool | None, now: datetime, *before: Condition) -> Condition:
    return conditions.say(before, "RuntimeDetected", status, "Detected", "Java", now=now)


def test_what_is_so_already_is_not_written() -> None:
    condition = detected(True, NOW)
    so = application(runtimes=[RUNTIME.wire()], conditions=[condition.wire()])
    again = detected(True, LATER, *so.status.conditions)
    assert apply_status(APPLICATIONS, so, "m", {"runtimes": [RUNTIME], "detection": None}, [again]) == ()


def test_a_difference_is_written_with_every_field_of_the_writer() -> None:
    (write,) = apply_status(APPLICATIONS, application(), "m", {"runtimes": [RUNTIME], "detection": None})
    assert write.body["status"] == {"runtimes": [RUNTIME.wire()]}
    assert write.subresource == "status"


def test_a_field_that_must_go_is_a_difference() -> None:
    with_collector = application(collector={"group": "odigos-gateway"})
    (write,) = apply_status(APPLICATIONS, with_collector, "m", {"collector": None})
    assert write.body["status"] == {}


def test_the_conditions_of_others_are_nobody_elses_difference() -> None:
    marked = conditions.say((), "Marked", True, "WorkloadSource", "", now=NOW)
    mine = detected(True, NOW)
    both = application(conditions=[marked.wire(), mine.wire()])
    assert apply_status(APPLICATIONS, both, "m", {}, [detected(True, LATER, marked, mine)]) == ()


def test_the_write_names_the_very_object_that_was_seen() -> None:
    (write,) = apply_status(APPLICATIONS, application(), "m", {"runtimes": [RUNTIME]})
    assert write.body["metadata"] == {"namespace": "shop", "name": "deployment-cart", "uid": "u1"}


def test_the_transition_time_moves_only_with_the_status() -> None:
    first = detected(None, NOW)
    same = detected(None, LATER, first)
    changed = detected(True, LATER, first)
    assert same.last_transition_time == first.last_transition_time
    assert changed.last_transition_time == conditions.rfc3339(LATER)


def test_a_message_is_bounded() -> None:
    long = conditions.say((), "Marked", True, "WorkloadSource", "x" * 10_000, now=NOW)
    assert len(long.message) == conditions.MESSAGE_LIMIT


def test_a_time_that_somebody_scribbled_is_no_time() -> None:
    assert conditions.parse_time("yesterday") is None
    assert conditions.seconds_since("", NOW) is None
    assert conditions.seconds_since(conditions.rfc3339(NOW), LATER) == 300
