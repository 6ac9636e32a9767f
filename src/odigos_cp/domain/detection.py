"""What is each container of an application written in, and when must somebody look (again)?

One look covers all containers of one ready pod. Looked at again are: a new image (another image id), a container that
showed no known language (a few times: a shell may still be migrating a database), and whatever a failed look left open,
with growing pauses. A known answer stays until a better one is there. What the user says in the Source's overrides wins
over what is seen, and is told as evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from odigos_cp.api.application import (
    APPLICATIONS,
    ApplicationCondition,
    DetectedReason,
    Detection,
    EnvEdit,
    Evidence,
    InstrumentedApplication,
    Runtime,
)
from odigos_cp.api.builtin import Pod
from odigos_cp.api.meta import INJECTED_ANNOTATION, Condition, ConditionStatus, key_of
from odigos_cp.api.report import UNKNOWN, Container
from odigos_cp.api.source import ContainerOverride
from odigos_cp.domain import conditions, detector_pod, environment
from odigos_cp.domain.detector_pod import LOST_SECONDS, Fate, Looked, Outcome, Question
from odigos_cp.domain.plan import Plan, Write, apply_status

MANAGER = "odigos-instrumentor-detection"
PER_NODE = 3
IN_CLUSTER = 20
LOOKS_AT_UNKNOWN = 4
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
QUEUE_SECONDS = 2.0
OVERRIDE = "override"

_CONTAINER_ID = re.compile(r"[a-z0-9.-]+://([0-9a-f]{64})")
_FAILURES: dict[Fate, tuple[DetectedReason, str]] = {
    Fate.TIMED_OUT: (DetectedReason.DETECTOR_TIMED_OUT, "The detector timed out"),
    Fate.FAILED: (DetectedReason.DETECTOR_FAILED, "The detector failed"),
    Fate.UNBELIEVABLE: (DetectedReason.INVALID_REPORT, "The detector's answer cannot be used"),
}

WHY_UNKNOWN = {
    "noProcess": "none of its processes was found",
    "noRuntime": "its processes show no language that odigos-cp knows",
    "conflict": "two languages run side by side; say which one in the Source's containerOverrides",
    "unreadable": "its processes could not be read",
    "": "the detector's answer did not mention it",
}


@dataclass(frozen=True)
class Crowd:
    """How many detectors are at work."""

    by_node: Mapping[str, int]
    total: int

    def has_room(self, node: str) -> bool:
        return self.total < IN_CLUSTER and self.by_node.get(node, 0) < PER_NODE


@dataclass(frozen=True)
class Observed:
    application: InstrumentedApplication | None
    pods: tuple[Pod, ...] = ()
    """Those of the workload that have not ended."""
    detectors: tuple[Pod, ...] = ()
    """Those that work for this application."""
    crowd: Crowd = Crowd({}, 0)
    namespace: str = ""
    image: str = ""
    ignored_containers: frozenset[str] = frozenset()


def plan(observed: Observed, now: datetime) -> Plan:
    application = observed.application
    if application is None or application.metadata.deletion_timestamp:
        return Plan(tuple(detector_pod.delete(d) for d in observed.detectors), because="its application is gone")
    if not application.spec.enabled:
        return _stand_down(observed, application, now)
    pod = target(observed.pods, application)
    current = question(application, pod) if pod else None
    outdated: list[Write] = []
    for detector in observed.detectors:
        asked = detector_pod.question_of(detector)
        if asked is None or current is None or asked.digest != current.digest:
            outdated.append(detector_pod.delete(detector))  # its answer would be about something that is no more
            continue
        result = detector_pod.outcome(detector, asked, now)
        if result.fate is not Fate.RUNNING:
            return _conclude(observed, application, asked, result, detector, now)
        return Plan((*outdated, *_looking(application, asked, now)), LOST_SECONDS, because="a detector is at work")
    return _next_look(observed, application, current, outdated, now)


def target(pods: Iterable[Pod], application: InstrumentedApplication) -> Pod | None:
    """The newest ready pod that is as its image and template made it, or that carries the edits of the current plan."""
    known_edits = {"", application.status.injection.hash if application.status.injection else ""}

    def is_readable(pod: Pod) -> bool:
        ids = [hex_id(c.container_id) for c in pod.status.container_statuses]
        return (
            pod.ready
            and all(ids)
            and bool(ids)
            and pod.metadata.annotations.get(INJECTED_ANNOTATION, "") in known_edits
        )

    ready = (pod for pod in pods if is_readable(pod))
    return max(ready, key=lambda p: (p.metadata.creation_timestamp, p.metadata.name), default=None)


def question(application: InstrumentedApplication, pod: Pod) -> Question:
    statuses = pod.status.container_statuses[: detector_pod.CONTAINER_LIMIT]
    before = application.status.detection
    return Question(
        application=key_of(application),
        application_uid=application.metadata.uid,
        pod=pod.metadata.name,
        pod_uid=pod.metadata.uid,
        node=pod.spec.node_name,
        containers={c.name: Looked(hex_id(c.container_id), c.image_id) for c in statuses},
        attempt=before.attempts if before and before.pod == pod.metadata.name else 0,
        injected=pod.metadata.annotations.get(INJECTED_ANNOTATION, ""),
    )


def hex_id(container_id: str) -> str:
    """The 64 digits of `containerd://<id>`, or nothing."""
    found = _CONTAINER_ID.fullmatch(container_id)
    return found[1] if found else ""


def _stand_down(observed: Observed, application: InstrumentedApplication, now: datetime) -> Plan:
    deletes = tuple(detector_pod.delete(d) for d in observed.detectors)
    said = _say(application, "False", DetectedReason.NOT_WANTED, "The application is not to be instrumented.", now)
    status = application.status
    return Plan((*deletes, *_write(application, status.runtimes, status.detection, said)), because="it is not wanted")


def _next_look(
    observed: Observed,
    application: InstrumentedApplication,
    current: Question | None,
    outdated: Sequence[Write],
    now: datetime,
) -> Plan:
    runtimes = _overridden(application.status.runtimes, application.spec.containers)
    if current is None:
        if runtimes:
            writes = _known(observed, application, runtimes, application.status.detection, now)
            return Plan((*outdated, *writes), because="what is known is said")
        message = "Its processes can be looked at as soon as one of its pods is ready; none is."
        waits = _only_say(application, "Unknown", DetectedReason.WAITING_FOR_POD, message, now)
        return Plan((*outdated, *waits), because="no pod is ready")
    is_new = {r.container: r.image_id for r in runtimes} != {n: c.image_id for n, c in current.containers.items()}
    is_open = current.attempt < LOOKS_AT_UNKNOWN and any(r.language == UNKNOWN for r in _considered(observed, runtimes))
    if not (is_new or is_open):
        writes = _known(observed, application, runtimes, application.status.detection, now)
        return Plan((*outdated, *writes), because="what is known is said")
    left = _pause_left(application.status.detection, current, now)
    if left > 0:
        return Plan(tuple(outdated), left)
    if not observed.crowd.has_room(current.node):
        waits = _looking(application, current, now, queued=True)
        return Plan((*outdated, *waits), QUEUE_SECONDS, because="other detectors go first")
    create = detector_pod.create(current, observed.namespace, observed.image)
    why = "its containers are new" if is_new else "a language is still unknown"
    return Plan((*outdated, *_looking(application, current, now), create), LOST_SECONDS, because=why)


def _looking(
    application: InstrumentedApplication, asked: Question, now: datetime, *, queued: bool = False
) -> tuple[Write, ...]:
    """An answer that is known already stays until there is a better one."""
    if application.status.runtimes:
        return ()
    verb = "will look, when others have ended," if queued else "looks"
    message = f"A detector {verb} at pod {asked.pod} on node {asked.node}."
    return _only_say(application, "Unknown", DetectedReason.RUNNING, message, now)


def _conclude(
    observed: Observed,
    application: InstrumentedApplication,
    asked: Question,
    result: Outcome,
    detector: Pod,
    now: datetime,
) -> Plan:
    done = Detection(attempts=asked.attempt + 1, last_attempt=conditions.rfc3339(now), node=asked.node, pod=asked.pod)
    gone = detector_pod.delete(detector)
    if result.fate is Fate.ANSWERED:
        plan_ = application.status.injection
        edits = {c.name: c.env for c in plan_.containers} if plan_ and asked.injected else {}
        seen = [
            runtime(name, looked, result.answers.get(name), edits.get(name, ()))
            for name, looked in asked.containers.items()
        ]
        found = _overridden(seen, application.spec.containers)
        return Plan((*_known(observed, application, found, done, now), gone), because="the detector has answered")
    reason, what = _FAILURES[result.fate]
    pause = _pause(done.attempts)
    message = f"{what} (pod {asked.pod}, node {asked.node}): {result.message}. Tried again in {pause:.0f} s."
    runtimes = application.status.runtimes
    said = _say(application, "False", reason, message, now)
    if runtimes:  # of an earlier image: it goes on with what it knows, and says so
        status, was, summary = _judge(observed, runtimes, application.spec.containers)
        said = _say(application, status, was, f"{summary}. A newer look failed: {message}", now)
    return Plan((*_write(application, runtimes, done, said), gone), pause, because=f"the detector: {result.fate}")


def runtime(name: str, looked: Looked, answer: Container | None, edits: Sequence[EnvEdit] = ()) -> Runtime:
    """What the detector says of a container, in our words; `edits` are those that the pod was injected with."""
    if answer is None:
        return Runtime(container=name, language=UNKNOWN, image_id=looked.image_id)
    return Runtime(
        container=name,
        language=answer.verdict,
        version=answer.version or "",
        libc=answer.libc or "",
        confidence=answer.confidence,
        reason=answer.reason or "",
        evidence=tuple(Evidence(rule=e.rule, saw=e.saw, says=e.says, weight=e.weight) for e in answer.evidence),
        other_agents=answer.agents,
        secure_execution=answer.secure,
        env_known=answer.env_known,
        env=environment.own_values(answer.env, edits),
        image_id=looked.image_id,
    )


def _overridden(runtimes: Iterable[Runtime], overrides: Sequence[ContainerOverride]) -> tuple[Runtime, ...]:
    return tuple(_override(r, next((o for o in overrides if o.container_name == r.container), None)) for r in runtimes)


def _override(seen: Runtime, told: ContainerOverride | None) -> Runtime:
    evidence = tuple(e for e in seen.evidence if e.rule != OVERRIDE)
    if told is None or told.runtime_info is None:
        if len(evidence) == len(seen.evidence):
            return seen
        return seen.model_copy(update={"evidence": evidence, "image_id": ""})  # taken back: look again
    info = told.runtime_info
    says = Evidence(rule=OVERRIDE, saw="containerOverrides of its Source", says=info.language, weight=100)
    return seen.model_copy(
        update={
            "language": info.language,
            "version": info.runtime_version or (seen.version if seen.language == info.language else ""),
            "reason": "",
            "confidence": 100,
            "evidence": (says, *evidence),
        }
    )


def _known(
    observed: Observed,
    application: InstrumentedApplication,
    runtimes: Sequence[Runtime],
    detection: Detection | None,
    now: datetime,
) -> tuple[Write, ...]:
    status, reason, message = _judge(observed, runtimes, application.spec.containers)
    return _write(application, runtimes, detection, _say(application, status, reason, f"{message}.", now))


def _judge(
    observed: Observed, runtimes: Sequence[Runtime], overrides: Sequence[ContainerOverride]
) -> tuple[ConditionStatus, DetectedReason, str]:
    considered = _considered(observed, runtimes)
    summary = "; ".join(_summary(r) for r in considered) or "every container is ignored by the configuration"
    known = [r for r in considered if r.language != UNKNOWN]
    if considered and not known:
        return "False", DetectedReason.NO_KNOWN_LANGUAGE, summary
    if len(known) < len(considered):
        return "True", DetectedReason.PARTLY_DETECTED, summary
    told = {o.container_name for o in overrides if o.runtime_info}
    if known and all(r.container in told for r in known):
        return "True", DetectedReason.OVERRIDDEN, summary
    return "True", DetectedReason.DETECTED, summary


def _considered(observed: Observed, runtimes: Iterable[Runtime]) -> list[Runtime]:
    return [r for r in runtimes if r.container not in observed.ignored_containers]


def _summary(found: Runtime) -> str:
    if found.language == UNKNOWN:
        return f"{found.container}: unknown, {WHY_UNKNOWN.get(found.reason, found.reason)}"
    return f"{found.container}: {found.language} {found.version}".rstrip()


def _pause(attempts: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts, 10)) if attempts else 0.0


def _pause_left(before: Detection | None, current: Question, now: datetime) -> float:
    since = conditions.seconds_since(before.last_attempt, now) if before else None
    if since is None or since < 0:  # somebody's scribble, or a clock that went backwards
        return 0.0
    return max(0.0, _pause(current.attempt) - since)


def _write(
    application: InstrumentedApplication, runtimes: Sequence[Runtime], detection: Detection | None, said: Condition
) -> tuple[Write, ...]:
    fields = {"runtimes": list(runtimes), "detection": detection}
    return apply_status(APPLICATIONS, application, MANAGER, fields, [said])


def _only_say(
    application: InstrumentedApplication, status: ConditionStatus, reason: DetectedReason, message: str, now: datetime
) -> tuple[Write, ...]:
    present = application.status
    return _write(application, present.runtimes, present.detection, _say(application, status, reason, message, now))


def _say(
    application: InstrumentedApplication, status: ConditionStatus, reason: DetectedReason, message: str, now: datetime
) -> Condition:
    return conditions.about(application, ApplicationCondition.RUNTIME_DETECTED, status, reason, message, now)
