"""POST /mutate/pods: a new Pod with our label comes by; answer with the patch that its plan asks for.

The plan is found by (namespace, hash in the label) in the cache: no I/O, so an answer takes about a millisecond. Only
when no plan has that hash does it wait a moment, because the cache may be a moment behind the label. If none comes, the
pod gets the plan that its workload has now: while a newer plan waits for its roll-out, pods that are added in between
still carry the label of the one before, and shall not run without telemetry for that.
Never in the way of a Pod: every review is answered "allowed". On any doubt there is no patch at all, and the person who
made the Pod gets a warning, the log a line and the metrics a count. Only what is no review at all gets a 400.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import Pod
from odigos_cp.api.meta import INSTRUMENTED_LABEL
from odigos_cp.domain import injection, ownership
from odigos_cp.kube import metrics
from odigos_cp.kube.stores import Stores
from odigos_cp.web.server import WEBHOOK_LIMITS
from odigos_cp.web.waiting import Changes

log = structlog.get_logger(__name__)

PLAN_SECONDS = 1.0
"""How long a Pod may be kept waiting for a plan that the cache does not have yet; the API server gives us 3 s."""
WARNING_LIMIT = 240
API_VERSION = "admission.k8s.io/v1"

REVIEWS = metrics.counter("odigos_admission_reviews_total", "Pods that came by, and what became of them.", "outcome")
SECONDS = metrics.histogram("odigos_admission_seconds", "How long a Pod was kept waiting for the answer.")


@dataclass(frozen=True)
class Review:
    """The part of an AdmissionReview that the answer depends on."""

    uid: str
    namespace: str
    pod: Mapping[str, Any]

    @property
    def hash(self) -> str:
        labels = _mapping(_mapping(self.pod.get("metadata")).get("labels"))
        value = labels.get(INSTRUMENTED_LABEL, "")
        return value if isinstance(value, str) else ""

    @property
    def name(self) -> str:
        """A Pod of a controller has only the beginning of its name yet."""
        metadata = _mapping(self.pod.get("metadata"))
        return str(metadata.get("name") or f"{metadata.get('generateName', '')}*")


@dataclass(frozen=True)
class Answer:
    """`outcome` is for the metrics, `warning` for the person who made the Pod."""

    outcome: str
    patch: tuple[Mapping[str, Any], ...] = ()
    warning: str = ""


def parse(content: bytes) -> Review:
    """The review in a request's body; a ValueError says what is wrong with it."""
    try:
        body = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(body, dict) or body.get("kind") != "AdmissionReview" or body.get("apiVersion") != API_VERSION:
        raise ValueError(f"it is not an AdmissionReview of {API_VERSION}")
    request = _mapping(body.get("request"))
    uid, pod = request.get("uid"), request.get("object")
    if not isinstance(uid, str) or not uid:
        raise ValueError("request.uid is missing")
    if not isinstance(pod, dict):
        raise ValueError("request.object is missing: only the creation of a Pod is answered here")
    namespace = request.get("namespace") or _mapping(pod.get("metadata")).get("namespace")
    if not isinstance(namespace, str) or not namespace:
        raise ValueError("request.namespace is missing")
    return Review(uid, namespace, pod)


def decide(review: Review, application: InstrumentedApplication | None) -> Answer:
    """The patch, or why there is none."""
    if not review.hash:
        return Answer("no_label")
    plan = application.status.injection if application else None
    if plan is None or not plan.hash:
        return Answer(
            "no_plan",
            warning=f"odigos: no plan {review.hash} for this pod, so it starts without telemetry; "
            f"restart the workload if {INSTRUMENTED_LABEL} should still be on it",
        )
    patched = injection.patch(review.pod, plan)
    if patched.reason:
        return Answer("refused", warning=f"odigos: this pod starts without telemetry: {patched.reason}")
    return Answer("patched" if patched.operations else "unchanged", tuple(patched.operations))


def response(review: Review, answer: Answer) -> dict[str, Any]:
    """The AdmissionReview to send: allowed, always."""
    verdict: dict[str, Any] = {"uid": review.uid, "allowed": True}
    if answer.patch:
        verdict["patchType"] = "JSONPatch"
        verdict["patch"] = base64.b64encode(json.dumps(answer.patch).encode()).decode()
    if answer.warning:
        # An HTTP header carries it to kubectl: one line of ASCII.
        ascii_only = "".join(c if " " <= c <= "~" else " " for c in answer.warning)
        line = " ".join(ascii_only.split())
        verdict["warnings"] = [line[:WARNING_LIMIT]]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": verdict}


class Endpoint:
    """The handler over the cache of InstrumentedApplications."""

    def __init__(self, stores: Stores) -> None:
        self._applications = stores[APPLICATIONS]
        self._applications.add_index(injection.HASH_INDEX, injection.index_by_hash)
        self._changes = Changes(self._applications)

    async def mutate(self, request: Request) -> Response:
        try:
            review = parse(await _bounded(request))
        except ValueError as error:
            log.warning("admission_review_malformed", reason=str(error))
            REVIEWS.inc("malformed")
            return PlainTextResponse(f"This is no review that can be answered: {error}\n", 400)
        began = anyio.current_time()
        answer = await self._answer(review)
        SECONDS.observe(anyio.current_time() - began)
        REVIEWS.inc(answer.outcome)
        if answer.warning:
            log.warning(
                "pod_not_injected",
                namespace=review.namespace,
                pod=review.name,
                outcome=answer.outcome,
                why=answer.warning,
            )
        return JSONResponse(response(review, answer))

    async def _answer(self, review: Review) -> Answer:
        if review.hash:
            await self._changes.wait_until(lambda: self._find(review) is not None, PLAN_SECONDS)
        try:
            return decide(review, self._find(review) or self._of_workload(review))
        except Exception:
            # A Pod must start whatever is wrong with us.
            log.exception("admission_failed", namespace=review.namespace, pod=review.name)
            return Answer(
                "failed", warning="odigos: this pod starts without telemetry: a fault of odigos-cp, see its log"
            )

    def _find(self, review: Review) -> InstrumentedApplication | None:
        found = self._applications.by(injection.HASH_INDEX, (review.namespace, review.hash))
        return found[0] if found else None

    def _of_workload(self, review: Review) -> InstrumentedApplication | None:
        """The application of the workload that makes this Pod."""
        try:
            pod = msgspec.convert({"metadata": review.pod.get("metadata")}, Pod)
        except msgspec.ValidationError:
            return None
        key = ownership.application_of(pod, review.namespace)
        return self._applications.get(key) if key else None


async def _bounded(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > WEBHOOK_LIMITS.body:
            raise HTTPException(413, f"A review larger than {WEBHOOK_LIMITS.body} bytes is not read.")
    return bytes(content)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
