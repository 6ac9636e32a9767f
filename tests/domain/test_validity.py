"""What is said of an object that cannot be understood, and that it is taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import VALID, Condition, Key, Unreadable
from odigos_cp.api.source import SOURCES
from odigos_cp.domain import validity
from odigos_cp.domain.conditions import MESSAGE_LIMIT
from odigos_cp.domain.plan import NOTHING, Apply
from odigos_cp.domain.validity import Observed
from tests.builders import condition, destination

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MANAGER = "odigos-autoscaler-validity"
MISFIT = Unreadable(Key("odigos-system", "jaeger"), "7", "u1", 3, "spec.type is missing")


def applied(unreadable: Unreadable | None, held: Destination | None = None, now: datetime = NOW) -> Apply | None:
    plan = validity.plan(Observed(DESTINATIONS, unreadable, held), MANAGER, now)
    if plan == NOTHING:
        return None
    (write,) = plan.writes
    assert isinstance(write, Apply)
    assert (write.subresource, write.manager) == ("status", MANAGER)
    return write


def said(unreadable: Unreadable = MISFIT, held: Destination | None = None, now: datetime = NOW) -> Condition:
    write = applied(unreadable, held, now)
    assert write is not None
    (only,) = write.body["status"]["conditions"]
    return Condition.model_validate(only)


def test_it_says_of_that_very_object_which_field_is_wrong_what_to_do_and_what_holds_meanwhile() -> None:
    write = applied(MISFIT)
    assert write is not None
    assert write.body["metadata"] == {"name": "jaeger", "namespace": "odigos-system", "uid": "u1"}
    told = said()
    assert (told.type, told.status, told.reason, told.observed_generation) == (VALID, "False", "Invalid", 3)
    assert told.message == (
        "odigos-cp cannot understand this Destination: spec.type is missing. Correct or delete it; "
        "until then odigos-cp does as if it were not there."
    )
    assert said(held=destination()).message.endswith("goes on with what it last understood of it.")


def test_of_a_source_that_nothing_is_known_of_it_says_that_what_is_instrumented_stays_so() -> None:
    plan = validity.plan(Observed(SOURCES, MISFIT, None), MANAGER, NOW)
    (write,) = plan.writes
    assert isinstance(write, Apply)
    (told,) = write.body["status"]["conditions"]
    assert told["message"].endswith("leaves the applications of its namespace that are instrumented as they are.")


def test_what_is_said_already_is_not_said_again() -> None:
    assert applied(replace(MISFIT, told=said()), now=NOW + timedelta(hours=1)) is None


def test_another_fault_is_said_anew_and_since_when_stays() -> None:
    again = said(replace(MISFIT, told=said(), why="spec must be an object"), now=NOW + timedelta(hours=1))
    assert "spec must be an object" in again.message
    assert again.last_transition_time == said().last_transition_time


def test_a_message_has_an_end_whatever_the_reason() -> None:
    assert len(said(replace(MISFIT, why="x" * 10_000)).message) == MESSAGE_LIMIT


def test_when_it_can_be_understood_again_the_condition_is_taken_back_and_nothing_else_written() -> None:
    told = destination(status={"conditions": [condition(VALID, "False", "Invalid"), condition("Configured")]})
    write = applied(None, told)
    assert write is not None
    assert set(write.body) == {"apiVersion", "kind", "metadata"}
    assert write.body["metadata"]["uid"] == told.metadata.uid


def test_of_an_object_that_is_well_or_gone_or_cannot_be_fetched_nothing_is_said() -> None:
    assert applied(None, destination()) is None
    assert applied(None) is None
    assert applied(replace(MISFIT, uid="")) is None
