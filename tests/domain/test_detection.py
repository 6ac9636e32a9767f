"""When somebody looks, what is believed of the answer, and what is said meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import PODS, Pod
from odigos_cp.api.meta import INJECTED_ANNOTATION, find_condition
from odigos_cp.domain import detection, detector_pod
from odigos_cp.domain.conditions import rfc3339
from odigos_cp.domain.detection import Crowd, Observed
from odigos_cp.domain.plan import Apply, Create, Delete, Plan
from tests.builders import HASH, application, meta

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID, OTHER_ID = "a" * 64, "b" * 64


def pod(name: str = "cart-1", *, ready: bool = True, image: str = "sha256:1", id_: str = ID, **metadata: Any) -> Pod:
    """A pod of the application; `app` is its one container."""
    status = {"name": "app", "containerID": f"containerd://{id_}", "imageID": image, "ready": ready}
    return msgspec.convert(
        {
            "metadata": meta(name, "shop", **metadata),
            "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [status],
            },
        },
        Pod,
    )


def answer(verdict: str = "java", *, id_: str = ID, **more: Any) -> dict[str, Any]:
    return {
        "name": "app",
        "id": id_[:12],
        "verdict": verdict,
        "version": "17.0.21" if verdict == "java" else None,
        "confidence": 100,
        "envKnown": True,
        "evidence": [{"rule": "loaded-library", "saw": "/usr/lib/libjvm.so", "says": verdict, "weight": 100}],
    } | more


def detector(create: Create, state: Mapping[str, Any] | None = None, *, age: float = 1.0, **status: Any) -> Pod:
    """The detector's Pod as the API server holds it; `state` is its container's."""
    born = {"uid": "detector", "creationTimestamp": rfc3339(NOW - timedelta(seconds=age))}
    containers = [{"name": "detector", "state": dict(state)}] if state else []
    return msgspec.convert(
        {"metadata": {**create.body["metadata"], **born}, "status": {"containerStatuses": containers, **status}}, Pod
    )


def ended(create: Create, *containers: dict[str, Any], text: str = "", nonce: str = "") -> Pod:
    """A detector that has answered."""
    arguments = create.body["spec"]["containers"][0]["args"]
    nonce = nonce or arguments[arguments.index("--nonce") + 1]
    text = text or json.dumps({"schema": 1, "nonce": nonce, "containers": list(containers)})
    return detector(create, {"terminated": {"exitCode": 0, "message": text}}, phase="Succeeded")


def planned(app: InstrumentedApplication | None = None, *pods: Pod, now: datetime = NOW, **seen: Any) -> Plan:
    return detection.plan(
        Observed(app or application(), pods, namespace="odigos-system", image="detector:1", **seen), now
    )


def after(app: InstrumentedApplication, plan: Plan) -> InstrumentedApplication:
    for write in plan.writes:
        if isinstance(write, Apply):
            raw = app.model_dump(by_alias=True)
            app = InstrumentedApplication.model_validate(raw | {"status": raw["status"] | write.body["status"]})
    return app


def asked(app: InstrumentedApplication | None = None, *pods: Pod, **seen: Any) -> Create:
    (create,) = [w for w in planned(app, *(pods or (pod(),)), **seen).writes if isinstance(w, Create)]
    return create


def concluded(
    *containers: dict[str, Any], app: InstrumentedApplication | None = None, **told: Any
) -> InstrumentedApplication:
    app = app or application()
    return after(app, planned(app, pod(), detectors=(ended(asked(app), *containers, **told),)))


def said(app: InstrumentedApplication) -> tuple[str, str, str]:
    found = find_condition(app.status.conditions, "RuntimeDetected")
    assert found is not None
    return found.status, found.reason, found.message


def test_a_ready_pod_is_looked_at_on_its_own_node_by_a_pod_that_may_almost_nothing() -> None:
    create = asked()
    spec = create.body["spec"]
    (container,) = spec["containers"]
    assert (create.kind, create.key.namespace) == (PODS, "odigos-system")
    assert (spec["nodeName"], spec["hostPID"], spec["automountServiceAccountToken"]) == ("node-1", True, False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE", "SETUID", "SETGID"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert f"app={ID}" in container["args"]
    assert "volumes" not in spec


def test_the_same_question_makes_the_same_pod_so_that_two_lookers_are_one() -> None:
    assert asked().key == asked().key
    assert asked().key != asked(None, pod(id_=OTHER_ID)).key


def test_without_a_ready_pod_it_waits_and_says_for_what() -> None:
    assert said(after(application(), planned(None, pod(ready=False))))[:2] == ("Unknown", "WaitingForReadyPod")


def test_while_a_detector_works_that_is_said_and_no_other_one_is_made() -> None:
    running = planned(None, pod(), detectors=(detector(asked(), phase="Running"),))
    assert said(after(application(), running))[:2] == ("Unknown", "DetectorRunning")
    assert not any(isinstance(w, Create) for w in running.writes)


def test_an_answer_becomes_a_runtime_with_its_evidence_and_the_detector_goes() -> None:
    plan = planned(None, pod(), detectors=(ended(asked(), answer()),))
    (runtime,) = after(application(), plan).status.runtimes
    assert (runtime.language, runtime.version, runtime.image_id) == ("java", "17.0.21", "sha256:1")
    assert runtime.evidence[0].saw == "/usr/lib/libjvm.so"
    assert isinstance(plan.writes[-1], Delete)
    assert said(after(application(), plan)) == ("True", "Detected", "app: java 17.0.21.")


def test_what_is_known_is_not_looked_at_again_and_nothing_is_written() -> None:
    known = concluded(answer())
    assert planned(known, pod(), pod("cart-2", id_=OTHER_ID)).writes == ()
    assert planned(known).writes == ()


def test_a_new_image_is_looked_at_again_while_the_old_answer_stays() -> None:
    known = concluded(answer())
    newer = pod("cart-2", image="sha256:2", id_=OTHER_ID, creationTimestamp="2026-11-24T13:00:00Z")
    plan = planned(known, pod(), newer)
    (create,) = plan.writes
    assert isinstance(create, Create)
    assert f"app={OTHER_ID}" in create.body["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    ("reason", "says"),
    [("noProcess", "none of its processes"), ("noRuntime", "no language"), ("conflict", "containerOverrides")],
)
def test_a_container_in_no_known_language_ends_in_a_condition_that_says_why(reason: str, says: str) -> None:
    app = concluded(answer("unknown", reason=reason, confidence=0))
    assert said(app)[:2] == ("False", "NoKnownLanguage")
    assert says in said(app)[2]


def test_an_unknown_language_is_looked_at_a_few_times_with_growing_pauses() -> None:
    app, now, pauses = application(), NOW, []
    for _ in range(detection.LOOKS_AT_UNKNOWN):
        create = next(w for w in planned(app, pod(), now=now).writes if isinstance(w, Create))
        looked = ended(create, answer("unknown", reason="noRuntime"))
        app = after(app, planned(app, pod(), now=now, detectors=(looked,)))
        waits = planned(app, pod(), now=now)
        if waits.requeue_after:
            pauses.append(waits.requeue_after)
            now += timedelta(seconds=waits.requeue_after)
    assert pauses == [20.0, 40.0, 80.0]
    assert planned(app, pod(), now=now + timedelta(days=1)).writes == ()
    assert any(isinstance(w, Create) for w in planned(app, pod("cart-2"), now=now).writes), "another pod may show more"


def test_one_container_of_two_that_is_unknown_makes_it_partly_detected() -> None:
    two = pod()
    statuses = (*two.status.container_statuses, msgspec.structs.replace(two.status.container_statuses[0], name="proxy"))
    two = msgspec.structs.replace(two, status=msgspec.structs.replace(two.status, container_statuses=statuses))
    looked = ended(asked(None, two), answer(), answer("unknown", name="proxy", reason="noRuntime"))
    assert said(after(application(), planned(None, two, detectors=(looked,))))[1] == "PartlyDetected"
    ignoring = planned(None, two, detectors=(looked,), ignored_containers=frozenset({"proxy"}))
    assert said(after(application(), ignoring))[1] == "Detected"


TIMED_OUT: dict[str, Any] = {"phase": "Failed", "reason": "DeadlineExceeded"}


@pytest.mark.parametrize(
    ("state", "status", "age", "reason", "says"),
    [
        (None, TIMED_OUT, 31, "DetectorTimedOut", "within 30 s"),
        ({"waiting": {"reason": "ImagePullBackOff", "message": "x"}}, TIMED_OUT, 31, "DetectorTimedOut", "ImagePull"),
        (None, {"phase": "Pending"}, 91, "DetectorTimedOut", "within 30 s"),
        (None, {"phase": "Failed", "reason": "Evicted", "message": "disk"}, 5, "DetectorFailed", "Evicted disk"),
        ({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, {"phase": "Failed"}, 5, "DetectorFailed", "137"),
    ],
    ids=["deadline", "no image", "node gone", "evicted", "killed"],
)
def test_a_detector_that_does_not_answer_ends_in_a_reason_and_is_tried_again(
    state: dict[str, Any] | None, status: dict[str, Any], age: float, reason: str, says: str
) -> None:
    plan = planned(None, pod(), detectors=(detector(asked(), state, age=age, **status),))
    app = after(application(), plan)
    assert said(app)[:2] == ("False", reason)
    assert says in said(app)[2]
    assert any(isinstance(w, Delete) for w in plan.writes)
    assert plan.requeue_after == 20
    assert planned(app, pod(), now=NOW + timedelta(seconds=19)).writes == ()
    again = asked(app, now=NOW + timedelta(seconds=20))
    assert again.key != asked().key, "a new try has a new name"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 2000,
        json.dumps({"schema": 2, "nonce": "x", "containers": []}),
        "\x00",
        "NaN",
        json.dumps({"schema": 1, "nonce": "x", "containers": []}),
    ],
    ids=["cut", "deep", "schema", "nul", "NaN", "nonce"],
)
def test_an_answer_that_cannot_be_believed_is_none(text: str) -> None:
    app = concluded(text=text)
    assert said(app)[:2] == ("False", "InvalidReport")
    assert app.status.runtimes == ()


@pytest.mark.parametrize(
    "wrong",
    [
        answer("cobol"),
        answer(id_=OTHER_ID),
        answer(name="other"),
        answer(confidence=1000),
        answer(version="1\n2"),
        answer(evidence=[{"rule": "<script>", "says": "java", "weight": 1}]),
        answer(env={"A B": "x"}),
    ],
    ids=["language", "id", "name", "confidence", "version", "rule", "env"],
)
def test_an_answer_with_one_wrong_word_is_none(wrong: dict[str, Any]) -> None:
    assert said(concluded(wrong))[1] == "InvalidReport"


def test_a_failed_look_at_a_newer_image_leaves_the_known_answer_and_says_so() -> None:
    known = concluded(answer())
    newer = pod("cart-2", image="sha256:2", id_=OTHER_ID, creationTimestamp="2026-11-24T13:00:00Z")
    plan = planned(known, newer, detectors=(detector(asked(known, newer), **TIMED_OUT),))
    status, reason, message = said(after(known, plan))
    assert (status, reason) == ("True", "Detected")
    assert "newer look failed" in message
    assert after(known, plan).status.runtimes == known.status.runtimes


def test_a_detector_whose_target_restarted_is_forgotten_and_the_question_put_again() -> None:
    outdated = detector(asked(), phase="Running")
    plan = planned(None, pod(id_=OTHER_ID), detectors=(outdated,))
    assert [type(w) for w in plan.writes] == [Delete, Apply, Create]


def test_a_detector_that_somebody_scribbled_on_is_deleted() -> None:
    scribbled = detector(asked(), phase="Running")
    scribbled.metadata.annotations[detector_pod.QUESTION_ANNOTATION] = '{"pod": 7}'
    assert any(isinstance(w, Delete) for w in planned(None, pod(), detectors=(scribbled,)).writes)


def test_detectors_go_with_their_application_and_with_the_wish() -> None:
    running = detector(asked(), phase="Running")
    assert [type(w) for w in detection.plan(Observed(None, detectors=(running,)), NOW).writes] == [Delete]
    unwanted = planned(application(enabled=False), pod(), detectors=(running,))
    assert isinstance(unwanted.writes[0], Delete)
    assert said(after(application(enabled=False), unwanted))[:2] == ("False", "NotWanted")


@pytest.mark.parametrize("crowd", [Crowd({"node-1": 3}, 3), Crowd({"node-2": 20}, 20)], ids=["node", "cluster"])
def test_detectors_do_not_crowd_a_node_or_the_cluster(crowd: Crowd) -> None:
    plan = planned(None, pod(), crowd=crowd)
    assert not any(isinstance(w, Create) for w in plan.writes)
    assert plan.requeue_after == detection.QUEUE_SECONDS
    assert "when others have ended" in said(after(application(), plan))[2]


def overriding(language: str = "python") -> InstrumentedApplication:
    app = application()
    spec = app.spec.model_dump(by_alias=True)
    spec["containers"] = [{"containerName": "app", "runtimeInfo": {"language": language, "runtimeVersion": "3.12"}}]
    return InstrumentedApplication.model_validate(app.model_dump(by_alias=True) | {"spec": spec})


def test_what_the_user_says_wins_over_what_is_seen_and_stands_in_the_evidence() -> None:
    app = concluded(answer("unknown", reason="conflict"), app=overriding())
    (runtime,) = app.status.runtimes
    assert (runtime.language, runtime.version, runtime.evidence[0].rule) == ("python", "3.12", "override")
    assert said(app)[1] == "OverriddenByUser"


def test_an_override_taken_back_is_looked_at_again() -> None:
    told = concluded(answer(), app=overriding())
    plain = InstrumentedApplication.model_validate(
        told.model_dump(by_alias=True) | {"spec": application().spec.model_dump(by_alias=True)}
    )
    later = NOW + timedelta(minutes=1)
    assert any(isinstance(w, Create) for w in planned(plain, pod(), now=later).writes)


def test_a_pod_with_edits_of_another_plan_is_not_looked_at() -> None:
    other = pod(annotations={INJECTED_ANNOTATION: "other"})
    assert said(after(application(), planned(None, other)))[1] == "WaitingForReadyPod"
    own = pod(annotations={INJECTED_ANNOTATION: HASH})
    assert asked(application(injection={"hash": HASH, "containers": []}), own)


def test_our_own_edits_are_not_mistaken_for_the_applications_environment() -> None:
    edits = [
        {"name": "JAVA_TOOL_OPTIONS", "value": "-agent:/a", "merge": "append", "separator": " ", "base": "-Xmx1g"},
        {"name": "OTEL_PROPAGATORS", "value": "tracecontext"},
    ]
    injected = application(
        injection={"hash": HASH, "containers": [{"name": "app", "method": "agent", "language": "java", "env": edits}]}
    )
    own = pod(annotations={INJECTED_ANNOTATION: HASH})
    seen = {"JAVA_TOOL_OPTIONS": "-Xmx1g -agent:/a", "OTEL_PROPAGATORS": "tracecontext", "OTEL_LOG_LEVEL": "debug"}
    looked = ended(asked(injected, own), answer(env=seen))
    (runtime,) = after(injected, planned(injected, own, detectors=(looked,))).status.runtimes
    assert runtime.env == {"JAVA_TOOL_OPTIONS": "-Xmx1g", "OTEL_LOG_LEVEL": "debug"}


def test_a_time_in_the_future_or_a_scribble_does_not_stop_detection() -> None:
    for scribble in ("2099-01-01T00:00:00Z", "soon"):
        app = application(detection={"attempts": 3, "lastAttempt": scribble, "pod": "cart-1"})
        assert any(isinstance(w, Create) for w in planned(app, pod()).writes)


def test_an_unwanted_application_has_no_writes_to_other_kinds() -> None:
    plan = planned(application(enabled=False), pod())
    assert {w.kind for w in plan.writes} == {APPLICATIONS}
