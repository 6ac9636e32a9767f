"""How the API says no: every error is application/problem+json, written for a person, with the cure in it.

Handlers raise `Problem`; errors of the API server become one here, so that each says what to do in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from odigos_cp.kube import errors
from odigos_cp.web.views import ProblemView

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """`type` is a word for machines, `detail` says what happened and why, `fix` what to do, `field` where."""

    def __init__(
        self,
        status: int,
        type_: str,
        detail: str,
        *,
        fix: str = "",
        field: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.view = ProblemView(
            type=type_, title=HTTPStatus(status).phrase, status=status, detail=detail, field=field, fix=fix
        )
        self.headers = dict(headers or {})

    def response(self) -> Response:
        return Response(
            self.view.model_dump_json(by_alias=True),
            status_code=self.view.status,
            media_type=MEDIA_TYPE,
            headers={"cache-control": "no-store"} | self.headers,
        )


def from_api_error(error: errors.ApiError) -> Problem:
    """What the API server's refusal means for the person at the page."""
    said = error.message or error.reason or "no reason given"
    match error:
        case errors.Forbidden():
            return Problem(
                403,
                "forbidden",
                f"Kubernetes refused the write: {said}",
                fix="The service account of odigos-cp lacks this permission, or a policy of the cluster forbids it. "
                "Apply the RBAC of the installed version again, or do it with your own rights by the kubectl command.",
            )
        case errors.NotFound():
            return Problem(
                404,
                "not_found",
                f"Kubernetes does not have it: {said}",
                fix="It was probably deleted a moment ago; reload the page. If every write fails like this, "
                "the custom resources of odigos-cp are not installed.",
            )
        case errors.Conflict():
            return Problem(
                409,
                "conflict",
                f"Someone else changed it at the same time: {said}",
                fix="Reload the page, look at the present state, and try again.",
            )
        case errors.Invalid():
            return Problem(
                422, "invalid", f"Kubernetes did not accept the object: {said}", fix="Correct the named field."
            )
        case errors.Unreachable():
            return _later(503, "unreachable", f"The API server does not answer: {said}", 5)
        case errors.TooManyRequests() | errors.ServerError():
            return _later(503, "api_server", f"The API server cannot do it now: {said}", error.retry_after or 5)
    return Problem(502, "api_server", f"The API server answered {error.status}: {said}", fix="Try again in a moment.")


def not_synced(kinds: str) -> Problem:
    return _later(503, "syncing", f"odigos-cp is still reading the cluster: {kinds}.", 2)


def _later(status: int, type_: str, detail: str, seconds: float) -> Problem:
    return Problem(
        status,
        type_,
        detail,
        fix="Try again in a few seconds.",
        headers={"retry-after": str(max(1, round(seconds)))},
    )


async def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ApiError)
    problem = from_api_error(error)
    log.warning("ui_request_failed", method=request.method, path=request.url.path, error=str(error))
    return problem.response()


async def on_timeout(request: Request, error: Exception) -> Response:
    log.warning("ui_request_timed_out", method=request.method, path=request.url.path)
    return _later(
        503, "timeout", "The API server took too long; the change may or may not have happened.", 5
    ).response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an unknown path, a method that a path does not have."""
    assert isinstance(error, HTTPException)
    fix = {
        404: "See the pages of the UI, or /api/meta for whether the API is there.",
        405: "Use one of the methods in the Allow header.",
    }.get(error.status_code, "")
    said = {404: f"There is nothing at {request.url.path[:200]}.", 405: f"{request.method} is not possible here."}
    detail = said.get(error.status_code, str(error.detail))
    word = HTTPStatus(error.status_code).name.lower()
    return Problem(error.status_code, word, detail, fix=fix, headers=error.headers).response()


def fault(method: str, path: str, error: Exception) -> Problem:
    """What a handler did not foresee. A bug of ours: the person gets a sentence, the log gets the trace."""
    if isinstance(error, Problem):
        return error
    log.error("ui_request_crashed", method=method, path=path[:200], exc_info=error)
    return Problem(
        500,
        "fault",
        "odigos-cp failed to answer: this is a fault of odigos-cp, not of what you did.",
        fix="The log of the odigos-cp pod has the details: kubectl -n odigos-system logs deploy/odigos",
    )


HANDLERS = {
    Problem: on_problem,
    errors.ApiError: on_api_error,
    TimeoutError: on_timeout,
    HTTPException: on_http_exception,
}
"""For Starlette. What no handler foresaw is answered by the guard, so that it too has the protecting headers."""
