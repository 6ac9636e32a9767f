"""The webhook: a Pod with a plan is patched, and no Pod is ever kept from starting."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.meta import INJECTED_ANNOTATION, INSTRUMENTED_LABEL
from odigos_cp.domain import injection
from odigos_cp.web import admission
from odigos_cp.web.app import build_webhook_app
from tests.builders import HASH, application
from tests.web.fake_cluster import FakeCluster

CONTAINER = {"name": "app", "image": "shop/cart:1"}
PLAN = {
    "hash": HASH,
    "containers": [
        {
            "name": "app",
            "method": "agent",
            "agent": "java-opentelemetry",
            "language": "java",
            "image": "odigos-cp/agent-java:1",
            "env": [{"name": "OTEL_SERVICE_NAME", "value": "cart"}],
        }
    ],
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(admission, "PLAN_SECONDS", 0.05)
    return FakeCluster()


@pytest.fixture
async def webhook(cluster: FakeCluster) -> AsyncIterator[httpx.AsyncClient]:
    app = build_webhook_app(cluster.stores)
    cluster.sync_all()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://odigos-webhook") as client:
        yield client


def review(label: str | None = HASH, **pod: Any) -> dict[str, Any]:
    labels = {"app": "cart"} | ({INSTRUMENTED_LABEL: label} if label is not None else {})
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "review-1",
            "namespace": "shop",
            "operation": "CREATE",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"generateName": "cart-6d4-", "labels": labels},
                "spec": {"containers": [CONTAINER]},
            }
            | pod,
        },
    }


async def admitted(webhook: httpx.AsyncClient, sent: dict[str, Any]) -> dict[str, Any]:
    answer = await webhook.post("/mutate/pods", json=sent)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()["response"]
    assert (said["uid"], said["allowed"]) == ("review-1", True)
    return said


def operations(said: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(base64.b64decode(said["patch"]))
    return found


async def test_a_pod_with_a_plan_is_patched_and_carries_the_mark(
    webhook: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(APPLICATIONS, application(injection=PLAN))
    said = await admitted(webhook, review())
    assert said["patchType"] == "JSONPatch"
    assert "warnings" not in said
    text = json.dumps(operations(said))
    assert HASH in text
    assert INJECTED_ANNOTATION.replace("/", "~1") in text or INJECTED_ANNOTATION in text


@pytest.mark.parametrize("label", ["", None])
async def test_a_pod_that_asks_for_nothing_gets_nothing(webhook: httpx.AsyncClient, label: str | None) -> None:
    said = await admitted(webhook, review(label))
    assert "patch" not in said
    assert "warnings" not in said


@pytest.mark.parametrize("namespace", ["shop", "elsewhere"])
async def test_a_pod_without_a_plan_starts_and_its_owner_is_warned(
    webhook: httpx.AsyncClient, cluster: FakeCluster, namespace: str
) -> None:
    cluster.put(APPLICATIONS, application(namespace=namespace, injection=PLAN))
    said = await admitted(webhook, review("ffff" if namespace == "shop" else HASH))
    assert "patch" not in said
    assert "starts without telemetry" in said["warnings"][0]


OWNED = {
    "generateName": "cart-6d4-",
    "labels": {"pod-template-hash": "6d4", INSTRUMENTED_LABEL: "earlier"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-6d4", "uid": "u", "controller": True}],
}


async def test_a_pod_added_while_a_newer_plan_waits_gets_the_newer_plan(
    webhook: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(APPLICATIONS, application(injection=PLAN))
    said = await admitted(webhook, review(metadata=OWNED))
    assert HASH in json.dumps(operations(said))


@pytest.mark.parametrize("owners", [[{"kind": 7}], "no", [{"kind": "Job", "name": "x", "controller": True}]], ids=str)
async def test_a_pod_whose_workload_is_not_known_gets_no_plan_of_another(
    webhook: httpx.AsyncClient, cluster: FakeCluster, owners: Any
) -> None:
    cluster.put(APPLICATIONS, application(injection=PLAN))
    said = await admitted(webhook, review(metadata=OWNED | {"ownerReferences": owners}))
    assert "patch" not in said


async def test_a_pod_of_a_workload_that_is_no_longer_wanted_gets_nothing(
    webhook: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(APPLICATIONS, application(enabled=False, injection={"hash": "", "containers": []}))
    assert "patch" not in await admitted(webhook, review(metadata=OWNED))


async def test_a_plan_that_comes_a_moment_later_is_waited_for(
    webhook: httpx.AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "PLAN_SECONDS", 5)
    said: dict[str, Any] = {}

    async def ask() -> None:
        said.update(await admitted(webhook, review()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        cluster.put(APPLICATIONS, application(injection=PLAN))
    assert "patch" in said


async def test_a_fault_of_ours_lets_the_pod_start(
    webhook: httpx.AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(injection, "patch", broken)
    cluster.put(APPLICATIONS, application(injection=PLAN))
    said = await admitted(webhook, review())
    assert "patch" not in said
    assert said["warnings"]


@pytest.mark.parametrize(
    "pod",
    [
        {"spec": None},
        {"spec": {"containers": "none"}},
        {"spec": {"containers": [None, 7]}},
        {"spec": {}},
        {"metadata": {"labels": {INSTRUMENTED_LABEL: 7}}},
        {"metadata": {"labels": {INSTRUMENTED_LABEL: HASH}, "annotations": "no"}},
        {"metadata": None},
    ],
    ids=str,
)
async def test_a_pod_of_a_strange_shape_is_left_alone(
    webhook: httpx.AsyncClient, cluster: FakeCluster, pod: dict[str, Any]
) -> None:
    cluster.put(APPLICATIONS, application(injection=PLAN))
    assert "patch" not in await admitted(webhook, review(**pod))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "AdmissionReview"),
        (b'{"kind": "Pod"}', "AdmissionReview"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}', "admission.k8s.io/v1"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "request.uid"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "x"}}', "object"),
        (b"[" * 100_000, "nested"),
    ],
    ids=["empty", "binary", "list", "pod", "v1beta1", "no request", "no object", "deep"],
)
async def test_what_is_no_review_is_refused_with_the_reason(
    webhook: httpx.AsyncClient, content: bytes, reason: str
) -> None:
    answer = await webhook.post("/mutate/pods", content=content)
    assert answer.status_code == 400
    assert reason in answer.text


async def test_a_review_that_is_too_large_is_not_read(webhook: httpx.AsyncClient) -> None:
    assert (await webhook.post("/mutate/pods", content=b" " * (8 * 1024 * 1024 + 1))).status_code == 413


def test_a_warning_is_one_bounded_line_of_ascii() -> None:
    sent = admission.parse(json.dumps(review()).encode())
    answer = admission.response(sent, admission.Answer("x", warning="a\r\nb\x1b[31m ☃ " + "y" * 1000))
    (line,) = answer["response"]["warnings"]
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 240
