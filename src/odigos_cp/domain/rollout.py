"""When does a workload's template get (or lose) the one label, and how far is Kubernetes with it?

The label's value is the hash of the injection plan: setting it makes Kubernetes replace the pods, the webhook injects
them. That this is under way stands in the status BEFORE the template is touched, so a process that dies in between goes
on with the same. At most `rollout.maxConcurrent` workloads restart at once; the others wait in the order in which they
came, which stands in their status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from odigos_cp.api.application import (
    APPLICATIONS,
    ApplicationCondition,
    InstrumentedApplication,
    PodsInjectedReason,
    RolledOutReason,
    Rollout,
)
from odigos_cp.api.builtin import WORKLOADS, Pod, Workload
from odigos_cp.api.configuration import RolloutSettings
from odigos_cp.api.meta import INJECTED_ANNOTATION, INSTRUMENTED_LABEL, Condition, ConditionStatus, Key, find_condition
from odigos_cp.domain import conditions, ownership
from odigos_cp.domain.ownership import Progress, Rolled
from odigos_cp.domain.plan import NOTHING, Apply, Plan, Write, apply_status

MANAGER = "odigos-instrumentor-rollout"
QUEUE_SECONDS = 5.0
CONFLICT_SECONDS = 60.0
TAKES_SECONDS = 30.0
"""After so long a label that was written, and is not so, is no matter of waiting."""
IDLE = Rollout()
DEFAULTS = RolloutSettings()


@dataclass(frozen=True)
class Turn:
    """A place in the queue."""

    since: str
    key: Key


@dataclass(frozen=True)
class Observed:
    key: Key
    application: InstrumentedApplication | None
    workload: Workload | None
    pods: tuple[Pod, ...] = ()
    """Those of the workload that have not ended."""
    rolling: int = 0
    """Other applications whose workloads restart now."""
    queue: tuple[Turn, ...] = ()
    """Other applications that wait for their turn."""
    settings: RolloutSettings = DEFAULTS
    conflict: str = ""
    """Why the API server has just refused the label: another manager's field."""


@dataclass(frozen=True)
class _Verdict:
    """What is to be said and remembered; `label` None leaves the template alone."""

    status: ConditionStatus
    reason: RolledOutReason
    message: str
    rollout: Rollout
    label: str | None = None
    requeue_after: float | None = None


def plan(observed: Observed, now: datetime) -> Plan:
    application, workload = observed.application, observed.workload
    if application is None or application.metadata.deletion_timestamp:
        return NOTHING
    if workload is None or workload.metadata.deletion_timestamp:
        return NOTHING
    wanted = _wanted(application)
    if wanted is None:
        return NOTHING
    verdict = _judge(observed, application, workload, wanted, now)
    told = [
        _say(application, ApplicationCondition.ROLLED_OUT, verdict.status, verdict.reason, verdict.message, now),
        _injected(observed, application, wanted, now),
    ]
    writes: list[Write] = [*apply_status(APPLICATIONS, application, MANAGER, {"rollout": verdict.rollout}, told)]
    if verdict.label is not None:
        writes.append(_label(observed.key, workload, verdict.label))
    return Plan(tuple(writes), verdict.requeue_after, because=f"{verdict.reason}: plan {wanted or 'nothing'}")


def _wanted(application: InstrumentedApplication) -> str | None:
    """The label's value to have, empty for none. None: injection has not decided yet, so nothing is touched."""
    if not application.spec.enabled:
        return ""
    decided = application.status.injection
    return decided.hash if decided is not None else None


def _judge(
    observed: Observed, application: InstrumentedApplication, workload: Workload, wanted: str, now: datetime
) -> _Verdict:
    before = application.status.rollout or IDLE
    there = workload.instrumented_hash
    kind = application.spec.workload.kind
    if there == wanted:
        rolled = ownership.rolled(kind, workload)
        told = find_condition(application.status.conditions, ApplicationCondition.ROLLED_OUT)
        return _same(before, wanted, rolled, told) or _follow(before, wanted, rolled)
    if observed.conflict:
        message = f"The label {INSTRUMENTED_LABEL} of the pod template belongs to somebody else: {observed.conflict}"
        return _Verdict("False", RolledOutReason.CONFLICT, message, before, requeue_after=CONFLICT_SECONDS)
    told = find_condition(application.status.conditions, ApplicationCondition.ROLLED_OUT)
    if told is not None and told.reason == RolledOutReason.CONFLICT:
        # Tried again without a word, until it is granted: else each try would say two things one after the other.
        return _Verdict("False", RolledOutReason.CONFLICT, told.message, before, wanted, CONFLICT_SECONDS)
    if wanted and not observed.settings.automatic:
        return _Verdict("False", RolledOutReason.MANUAL, _by_hand(application, wanted), before)
    started = before.state == "rolling" and before.hash == wanted
    if started and told is not None and (conditions.seconds_since(told.last_transition_time, now) or 0) > TAKES_SECONDS:
        # Taking back a label that somebody else has set too is no conflict for the API server: it just stays.
        return _Verdict("False", RolledOutReason.CONFLICT, _co_owned(application), before, wanted, CONFLICT_SECONDS)
    if not started and not _has_turn(observed, before):
        since = before.queued_since if before.state == "queued" and before.queued_since else conditions.rfc3339(now)
        queued = Rollout(state="queued", queued_since=since, hash=wanted, previous_hash=there)
        message = f"{observed.rolling} workloads restart now, and no more than {observed.settings.max_concurrent} may."
        return _Verdict("Unknown", RolledOutReason.QUEUED, message, queued, requeue_after=QUEUE_SECONDS)
    rolling = before if started else Rollout(state="rolling", hash=wanted, previous_hash=there)
    message = (
        "The pods are being replaced by such with the agent."
        if wanted
        else "The pods are being replaced by such without it."
    )
    return _Verdict("Unknown", RolledOutReason.IN_PROGRESS, message, rolling, wanted, TAKES_SECONDS + 1)


def _has_turn(observed: Observed, before: Rollout) -> bool:
    """Whether a place is free and nobody who came earlier waits for it."""
    free = observed.settings.max_concurrent - observed.rolling
    mine = Turn(before.queued_since if before.state == "queued" else "9", observed.key)
    earlier = sum((turn.since, turn.key) < (mine.since, mine.key) for turn in observed.queue)
    return earlier < free


def _same(before: Rollout, wanted: str, rolled: Rolled, told: Condition | None) -> _Verdict | None:
    """What was said last holds while Kubernetes has yet to look at an edit of something else than our label.

    To it an annotation is a new generation, too: whoever edits often would make an end of a roll-out come and go.
    """
    if rolled.progress is not Progress.UNSEEN or before.hash != wanted or told is None:
        return None
    if before.state == "done" and told.reason == RolledOutReason.ROLLED_OUT:
        return _Verdict("True", RolledOutReason.ROLLED_OUT, told.message, before)
    if before.state == "failed" and told.reason == RolledOutReason.FAILED:
        return _Verdict("False", RolledOutReason.FAILED, told.message, before)
    return None


def _follow(before: Rollout, wanted: str, rolled: Rolled) -> _Verdict:
    """The template is as it should be: how far are the pods?"""
    if not wanted and before.state == "idle":
        return _Verdict("False", RolledOutReason.NOT_NEEDED, "There is nothing to bring into its pods.", IDLE)
    current = before if before.hash == wanted else Rollout(hash=wanted, previous_hash=before.hash)
    count = f"Of the newest template: {rolled.updated} of {rolled.wanted} pods"
    rolling = current.model_copy(update={"state": "rolling", "queued_since": ""})
    match rolled.progress:
        case Progress.DONE if not wanted:
            return _Verdict("False", RolledOutReason.NOT_NEEDED, "Its pods are again as they were before.", IDLE)
        case Progress.DONE:
            done = current.model_copy(update={"state": "done", "queued_since": ""})
            return _Verdict("True", RolledOutReason.ROLLED_OUT, _replaced(rolled.wanted), done)
        case Progress.STUCK:
            failed = current.model_copy(update={"state": "failed", "queued_since": ""})
            message = f"{count}, and they do not get ready: {rolled.message}"
            return _Verdict("False", RolledOutReason.FAILED, message, failed)
        case Progress.PAUSED:
            message = f"The Deployment is paused: its pods are replaced when it is resumed. {count}."
            return _Verdict("False", RolledOutReason.PAUSED, message, current.model_copy(update={"state": "idle"}))
        case Progress.ON_DELETE:
            message = f"Its update strategy is OnDelete: delete its pods to have them replaced. {count}."
            return _Verdict("False", RolledOutReason.MANUAL, message, current.model_copy(update={"state": "idle"}))
        case Progress.ROLLING | Progress.UNSEEN:
            return _Verdict("Unknown", RolledOutReason.IN_PROGRESS, f"{count}.", rolling)


def _replaced(pods: int) -> str:
    return "Its one pod was replaced." if pods == 1 else f"All of its {pods} pods were replaced."


def _by_hand(application: InstrumentedApplication, wanted: str) -> str:
    workload = application.spec.workload
    label = '{"spec":{"template":{"metadata":{"labels":{"' + INSTRUMENTED_LABEL + '":"' + wanted + '"}}}}}'
    return (
        "rollout.automatic is off, so nothing is restarted by itself. When it suits: "
        f"kubectl patch {workload.kind.lower()} {workload.name} -n {workload.namespace} -p '{label}'"
    )


def _co_owned(application: InstrumentedApplication) -> str:
    workload = application.spec.workload
    return (
        f"The label {INSTRUMENTED_LABEL} was written, and yet is not so: somebody else sets it too. Find who: "
        f"kubectl get {workload.kind.lower()} {workload.name} -n {workload.namespace} -o yaml --show-managed-fields"
    )


def _label(key: Key, workload: Workload, value: str) -> Apply:
    """Exactly the one field that we own. Applied without it, the label goes and the template is as it was."""
    kind = WORKLOADS[_kind(key)]
    metadata = {"name": workload.metadata.name, "namespace": key.namespace, "uid": workload.metadata.uid}
    body: dict[str, object] = {"metadata": metadata}
    if value:
        body["spec"] = {"template": {"metadata": {"labels": {INSTRUMENTED_LABEL: value}}}}
    return Apply(kind, body, MANAGER, force=False)


def _kind(key: Key) -> str:
    found = ownership.workload_of(key)
    assert found is not None, f"{key} is no application's key"
    return found[0]


def _injected(observed: Observed, application: InstrumentedApplication, wanted: str, now: datetime) -> Condition:
    status, reason, message = _count(observed.pods, wanted)
    return _say(application, ApplicationCondition.PODS_INJECTED, status, reason, message, now)


def _count(pods: Sequence[Pod], wanted: str) -> tuple[ConditionStatus, PodsInjectedReason, str]:
    marks = [pod.metadata.annotations.get(INJECTED_ANNOTATION, "") for pod in pods]
    if not wanted:
        left = sum(bool(mark) for mark in marks)
        still = f"{left} of its pods still carry an agent until they are replaced."
        message = still if left else "No pod carries an agent."
        return "False", PodsInjectedReason.NOT_WANTED, message
    if not pods:
        return "Unknown", PodsInjectedReason.NO_PODS, "It has no pods; those to come will be injected."
    done = sum(mark == wanted for mark in marks)
    if done == len(pods):
        return (
            "True",
            PodsInjectedReason.ALL,
            "Its one pod carries the agent." if done == 1 else f"All {done} pods carry the agent.",
        )
    if any(
        pod.metadata.labels.get(INSTRUMENTED_LABEL) == wanted and not mark
        for pod, mark in zip(pods, marks, strict=True)
    ):
        message = (
            f"Pods with the agent: {done} of {len(pods)}. Some started without it although they should have it: the "
            "webhook could not be reached then, or it refused them (see the log of odigos). Restart the workload."
        )
        return "False", PodsInjectedReason.SOME if done else PodsInjectedReason.NONE, message
    if done:
        return (
            "Unknown",
            PodsInjectedReason.SOME,
            f"Pods with the agent: {done} of {len(pods)}; the others are being replaced.",
        )
    return "Unknown", PodsInjectedReason.NONE, "No pod carries the agent yet; they are replaced one after the other."


def _say(
    application: InstrumentedApplication,
    type_: ApplicationCondition,
    status: ConditionStatus,
    reason: RolledOutReason | PodsInjectedReason,
    message: str,
    now: datetime,
) -> Condition:
    return conditions.about(application, type_, status, reason, message, now)


def after_conflict(observed: Observed, why: str) -> Observed:
    """The same, with what the API server answered to the label."""
    return replace(observed, conflict=why)
