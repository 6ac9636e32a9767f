"""When the one label is set and taken away, and what is said about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import Pod, Workload
from odigos_cp.api.configuration import RolloutSettings
from odigos_cp.api.meta import INSTRUMENTED_LABEL, Key, find_condition
from odigos_cp.domain import rollout
from odigos_cp.domain.plan import Apply, Plan
from odigos_cp.domain.rollout import Observed, Turn
from tests.builders import HASH, application, condition, pod, workload

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = Key("shop", "deployment-cart")
PLAN = {"hash": HASH, "containers": []}
UNLABELLED, LABELLED = workload(), workload(label=HASH)
ROLLED_OUT = condition("RolledOut", "True", "RolledOut", "All of its 2 pods were replaced.")
ROLLING = workload(label=HASH, replicas=3, generation=2)


def decided(
    app: InstrumentedApplication | None = None, of: Workload | None = UNLABELLED, **seen: Any
) -> tuple[Plan, InstrumentedApplication | None, dict[str, str] | None]:
    """The plan, the application as it stands after it, and the labels it writes on the template (None: untouched)."""
    app = app or application(injection=PLAN)
    found = rollout.plan(Observed(KEY, app, of, **seen), NOW)
    after, labels = app, None
    for write in found.writes:
        assert isinstance(write, Apply)
        if write.kind is APPLICATIONS:
            raw = app.model_dump(by_alias=True)
            after = InstrumentedApplication.model_validate(raw | {"status": raw["status"] | write.body["status"]})
        else:
            assert (write.force, write.manager) == (False, rollout.MANAGER)
            labels = write.body.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
    return found, after, labels


def said(after: InstrumentedApplication | None, type_: str = "RolledOut") -> tuple[str, str, str]:
    assert after is not None
    found = find_condition(after.status.conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


def state(after: InstrumentedApplication | None) -> str:
    assert after is not None
    assert after.status.rollout is not None
    return after.status.rollout.state


def test_a_plan_brings_the_one_label_and_says_so_before_it_touches_the_template() -> None:
    plan, after, labels = decided()
    assert labels == {INSTRUMENTED_LABEL: HASH}
    assert state(after) == "rolling"
    assert [getattr(w, "kind", None) is APPLICATIONS for w in plan.writes] == [True, False]


def test_the_write_on_the_template_has_nothing_but_the_label() -> None:
    plan, _, _ = decided()
    body = plan.writes[-1].body  # type: ignore[union-attr]
    assert body["spec"] == {"template": {"metadata": {"labels": {INSTRUMENTED_LABEL: HASH}}}}
    assert body["metadata"] == {"name": "cart", "namespace": "shop", "uid": UNLABELLED.metadata.uid}


def test_a_process_that_died_between_the_two_writes_goes_on_with_the_second() -> None:
    half = application(injection=PLAN, rollout={"state": "rolling", "hash": HASH})
    _, _, labels = decided(half, rolling=10)
    assert labels == {INSTRUMENTED_LABEL: HASH}


def test_nothing_is_touched_before_injection_has_decided() -> None:
    assert decided(application())[0].writes == ()


def test_what_has_nothing_to_inject_needs_no_rollout() -> None:
    _, after, labels = decided(application(injection={"hash": "", "containers": []}))
    assert labels is None
    assert said(after)[:2] == ("False", "NotNeeded")
    assert said(after, "PodsInjected")[:2] == ("False", "NotWanted")


@pytest.mark.parametrize(
    "taken_back", [application(enabled=False, injection=PLAN), application(injection={"hash": ""})], ids=["off", "none"]
)
def test_a_wish_taken_back_applies_the_template_without_the_label(taken_back: InstrumentedApplication) -> None:
    _, after, labels = decided(taken_back, LABELLED)
    assert labels == {}
    assert state(after) == "rolling"


def test_the_way_back_ends_when_the_pods_are_replaced() -> None:
    leaving = application(enabled=False, rollout={"state": "rolling", "previousHash": HASH})
    _, after, labels = decided(leaving, UNLABELLED)
    assert (labels, state(after)) == (None, "idle")
    assert said(after)[1] == "NotNeeded"


def test_a_finished_rollout_is_told_once() -> None:
    _, after, labels = decided(
        application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}),
        LABELLED,
        pods=(pod(label=HASH, injected=HASH),),
    )
    assert labels is None
    assert (state(after), said(after)[0], said(after, "PodsInjected")[0]) == ("done", "True", "True")
    assert decided(after, LABELLED, pods=(pod(label=HASH, injected=HASH),))[0].writes == ()


def test_a_rollout_under_way_counts_its_pods() -> None:
    _, after, _ = decided(application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}), ROLLING)
    assert said(after)[:2] == ("Unknown", "InProgress")


def test_a_changed_plan_rolls_again_and_remembers_the_one_before() -> None:
    newer = {"hash": "feed", "containers": []}
    _, after, labels = decided(application(injection=newer, rollout={"state": "done", "hash": HASH}), LABELLED)
    assert labels == {INSTRUMENTED_LABEL: "feed"}
    assert after is not None
    assert after.status.rollout is not None
    assert after.status.rollout.previous_hash == HASH


def test_more_than_may_restart_at_once_wait_in_the_order_they_came() -> None:
    two = RolloutSettings(max_concurrent=2)
    _, after, labels = decided(rolling=2, settings=two)
    assert (labels, state(after)) == (None, "queued")
    assert said(after)[:2] == ("Unknown", "Queued")
    earlier, later = Turn("2026-11-24T11:00:00Z", Key("a", "a")), Turn("2026-11-24T13:00:00Z", Key("z", "z"))
    assert decided(after, rolling=1, settings=two, queue=(earlier,))[2] is None
    assert decided(after, rolling=1, settings=two, queue=(later,))[2] == {INSTRUMENTED_LABEL: HASH}
    assert decided(after, rolling=0, settings=two, queue=(earlier, later))[2] == {INSTRUMENTED_LABEL: HASH}


def test_a_newcomer_does_not_overtake_who_waits() -> None:
    one = RolloutSettings(max_concurrent=1)
    assert decided(rolling=0, settings=one, queue=(Turn("2026-11-24T11:00:00Z", Key("a", "a")),))[2] is None


def test_a_turn_waited_for_keeps_its_time() -> None:
    waited = application(injection=PLAN, rollout={"state": "queued", "queuedSince": "2026-11-24T09:00:00Z"})
    _, after, _ = decided(waited, rolling=99)
    assert after is not None
    assert after.status.rollout is not None
    assert after.status.rollout.queued_since == "2026-11-24T09:00:00Z"


def test_without_automatic_rollout_nothing_restarts_and_the_command_is_told() -> None:
    _, after, labels = decided(settings=RolloutSettings(automatic=False))
    assert labels is None
    status, reason, message = said(after)
    assert (status, reason) == ("False", "WaitingForRestart")
    assert f'"{INSTRUMENTED_LABEL}":"{HASH}"' in message
    assert "kubectl patch deployment cart -n shop" in message


def test_without_automatic_rollout_the_label_is_still_taken_back() -> None:
    off = application(enabled=False)
    assert decided(off, LABELLED, settings=RolloutSettings(automatic=False))[2] == {}


def test_a_label_that_belongs_to_somebody_else_is_left_alone_and_said() -> None:
    refused = rollout.after_conflict(Observed(KEY, application(injection=PLAN), UNLABELLED), 'conflict with "argo"')
    (write,) = rollout.plan(refused, NOW).writes
    assert isinstance(write, Apply)
    assert write.kind is APPLICATIONS
    (condition,) = [c for c in write.body["status"]["conditions"] if c["type"] == "RolledOut"]
    assert (condition["status"], condition["reason"]) == ("False", "Conflict")
    assert "argo" in condition["message"]


def test_a_refused_label_is_tried_again_without_a_word_until_it_is_granted() -> None:
    refused = application(injection=PLAN, conditions=[condition("RolledOut", "False", "Conflict", "it is argo's")])
    again = rollout.plan(Observed(KEY, refused, UNLABELLED), NOW)
    assert again.requeue_after == rollout.CONFLICT_SECONDS
    _, after, labels = decided(refused)
    assert labels == {INSTRUMENTED_LABEL: HASH}
    assert said(after)[1:] == ("Conflict", "it is argo's")
    assert said(decided(refused, LABELLED)[1])[1] == "RolledOut"


def test_a_label_that_stays_although_it_was_taken_back_is_told_and_tried_again() -> None:
    """Another manager has set the same value: the API server calls that no conflict, and leaves it."""
    begun = decided(application(enabled=False, rollout={"state": "done", "hash": HASH}), LABELLED)
    assert begun[0].requeue_after == rollout.TAKES_SECONDS + 1
    assert begun[1] is not None
    later = NOW + timedelta(seconds=rollout.TAKES_SECONDS + 1)
    plan = rollout.plan(Observed(KEY, begun[1], LABELLED), later)
    said_, tried = plan.writes
    assert isinstance(said_, Apply)
    assert isinstance(tried, Apply)
    (condition_,) = [c for c in said_.body["status"]["conditions"] if c["type"] == "RolledOut"]
    assert (condition_["status"], condition_["reason"]) == ("False", "Conflict")
    assert "--show-managed-fields" in condition_["message"]
    assert "spec" not in tried.body
    assert plan.requeue_after == rollout.CONFLICT_SECONDS


def test_a_rollout_that_kubernetes_gives_up_is_failed_with_its_words_and_frees_its_place() -> None:
    stuck = workload(label=HASH, replicas=3)
    status = {
        "conditions": [{"type": "Progressing", "status": "False", "message": "exceeded its progress deadline"}],
        "updatedReplicas": 1,
    }
    stuck = msgspec.structs.replace(stuck, status=msgspec.convert(status, type(stuck.status)))
    _, after, _ = decided(application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}), stuck)
    assert state(after) == "failed"
    assert "exceeded its progress deadline" in said(after)[2]


def test_an_edit_that_kubernetes_has_not_looked_at_yet_does_not_undo_what_was_said_fault_34() -> None:
    """An annotation is a new generation to it: somebody may write one twenty times a second."""
    edited = workload(label=HASH, generation=2)
    _, done, _ = decided(application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}), LABELLED)
    assert said(done)[:2] == ("True", "RolledOut")
    assert decided(done, edited)[0].writes == ()
    words = {"type": "Progressing", "status": "False", "message": "exceeded its progress deadline"}
    stuck = msgspec.convert({"conditions": [words]}, type(LABELLED.status))
    given_up = msgspec.structs.replace(LABELLED, status=stuck)
    _, failed, _ = decided(application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}), given_up)
    assert said(failed)[:2] == ("False", "Failed")
    assert decided(failed, msgspec.structs.replace(edited, status=stuck))[0].writes == ()


def test_our_own_edit_is_no_end_before_kubernetes_has_looked_at_it() -> None:
    edited = workload(label=HASH, generation=2)
    for before in ({"state": "rolling", "hash": HASH}, {"state": "done", "hash": "before"}):
        _, after, _ = decided(application(injection=PLAN, rollout=before, conditions=[ROLLED_OUT]), edited)
        assert (state(after), said(after)[:2]) == ("rolling", ("Unknown", "InProgress"))


def test_pods_that_are_missing_after_an_edit_are_told_at_once() -> None:
    """Scaled up: that the end of the roll-out is past is no matter of a generation."""
    _, done, _ = decided(application(injection=PLAN, rollout={"state": "rolling", "hash": HASH}), LABELLED)
    more = msgspec.structs.replace(workload(label=HASH, replicas=3, generation=2), status=LABELLED.status)
    assert said(decided(done, more)[1])[:2] == ("Unknown", "InProgress")


@pytest.mark.parametrize(
    ("pods", "status", "reason"),
    [
        ((), "Unknown", "NoPods"),
        ((pod(), pod("p2")), "Unknown", "NoPodInjected"),
        ((pod(label=HASH, injected=HASH), pod("p2")), "Unknown", "SomePodsInjected"),
        ((pod(label=HASH),), "False", "NoPodInjected"),
        ((pod(label=HASH), pod("p2", label=HASH, injected=HASH)), "False", "SomePodsInjected"),
        ((pod(label="old", injected="old"),), "Unknown", "NoPodInjected"),
    ],
)
def test_pods_are_counted_and_those_that_the_webhook_missed_are_told_apart(
    pods: tuple[Pod, ...], status: str, reason: str
) -> None:
    _, after, _ = decided(of=LABELLED, pods=pods)
    assert said(after, "PodsInjected")[:2] == (status, reason)
    if status == "False":
        assert "Restart the workload" in said(after, "PodsInjected")[2]


def test_nothing_is_done_for_what_is_gone_or_going() -> None:
    assert decided(of=None)[0].writes == ()
    assert decided(of=workload(deletionTimestamp="2026-11-24T12:00:00Z"))[0].writes == ()
    assert rollout.plan(Observed(KEY, None, UNLABELLED), NOW).writes == ()
