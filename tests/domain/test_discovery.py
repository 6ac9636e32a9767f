"""Which InstrumentedApplication exists for a workload, and when it goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication, MarkedReason
from odigos_cp.api.builtin import Workload
from odigos_cp.api.meta import Key
from odigos_cp.domain import discovery
from odigos_cp.domain.discovery import Observed
from odigos_cp.domain.plan import Apply, Delete, Write
from odigos_cp.domain.selection import Wish
from tests.builders import HASH, namespace, workload

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = Key("shop", "deployment-cart")
WANTED = Wish(True, MarkedReason.WORKLOAD_SOURCE, "Source cart asks for it.", "cart")
UNWANTED = Wish(False, MarkedReason.NO_SOURCE, "No Source asks for it.")


def plan(
    wish: Wish,
    of: Workload | None,
    known: InstrumentedApplication | None = None,
    phase: str = "Active",
    blind: bool = False,
) -> tuple[Write, ...]:
    seen = Observed(KEY, "Deployment", "cart", of, namespace(phase=phase), known, wish, blind)
    return discovery.plan(seen, NOW).writes


def known(of: Workload, wish: Wish = WANTED, **status: Any) -> InstrumentedApplication:
    """What the API server holds after discovery has written the spec."""
    (write,) = plan(wish, of) if wish.enabled else plan(wish, LABELLED, known(of))
    assert isinstance(write, Apply)
    body = dict(write.body)
    body["metadata"] = {"uid": "u1", "creationTimestamp": "2026-11-24T11:00:00Z"} | body["metadata"]
    return InstrumentedApplication.model_validate(body | {"status": status})


LABELLED = workload(label=HASH)
CLEAN = workload()


def test_a_wanted_workload_gets_an_application_that_it_owns() -> None:
    made = known(CLEAN)
    (owner,) = made.metadata.owner_references
    assert (owner.uid, owner.kind, owner.name) == (CLEAN.metadata.uid, "Deployment", "cart")
    assert (made.spec.enabled, made.spec.service_name) == (True, "cart")


def test_an_application_that_is_right_gets_only_its_condition_and_that_once() -> None:
    made = known(CLEAN)
    (write,) = plan(WANTED, CLEAN, made)
    assert isinstance(write, Apply)
    assert write.body["status"]["conditions"][0]["reason"] == MarkedReason.WORKLOAD_SOURCE
    told = InstrumentedApplication.model_validate(made.model_dump(by_alias=True) | {"status": write.body["status"]})
    assert plan(WANTED, CLEAN, told) == ()


def test_what_may_be_asked_for_by_a_source_that_cannot_be_understood_stays_as_it_is_fault_54() -> None:
    assert plan(UNWANTED, LABELLED, known(LABELLED), blind=True) == ()
    assert len(plan(UNWANTED, LABELLED, known(LABELLED))) == 1
    assert len(plan(WANTED, CLEAN, blind=True)) == 1, "another Source asks for it all the same"


def test_nobody_asked_and_nothing_is_written() -> None:
    assert plan(UNWANTED, CLEAN) == ()


def test_a_wish_taken_back_is_said_while_the_label_is_still_there() -> None:
    (write,) = plan(UNWANTED, LABELLED, known(LABELLED))
    assert isinstance(write, Apply)
    assert write.body["spec"]["enabled"] is False


def test_the_application_stays_until_the_last_pod_of_the_old_template_is_replaced() -> None:
    rolling = workload(replicas=3, generation=2)
    leaving = known(rolling, UNWANTED, rollout={"state": "rolling", "previousHash": HASH})
    assert not any(isinstance(write, Delete) for write in plan(UNWANTED, rolling, leaving))


def test_the_application_goes_when_nothing_of_ours_is_left() -> None:
    leaving = known(CLEAN, UNWANTED, rollout={"state": "rolling", "previousHash": HASH})
    assert plan(UNWANTED, CLEAN, leaving) == (Delete(APPLICATIONS, KEY, "u1"),)


def test_a_successor_of_the_same_name_gets_an_application_of_its_own() -> None:
    successor = workload(uid="another")
    assert plan(WANTED, successor, known(CLEAN)) == (Delete(APPLICATIONS, KEY, "u1"),)


def test_nothing_is_made_in_a_namespace_that_ends() -> None:
    assert plan(WANTED, CLEAN, phase="Terminating") == ()


def test_nothing_is_made_for_a_workload_that_is_gone_or_going() -> None:
    assert plan(WANTED, None) == ()
    assert plan(WANTED, workload(deletionTimestamp="2026-11-24T12:00:00Z")) == ()
