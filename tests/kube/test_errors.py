"""What the API server answers becomes a type that callers can choose by."""

from __future__ import annotations

import json

import pytest

from odigos_cp.kube import errors


def answer(status: int, reason: str = "", retry_after: str = "", **more: object) -> errors.ApiError:
    body = json.dumps({"kind": "Status", "message": "no", "reason": reason, "code": status, **more}).encode()
    return errors.from_response(status, body, retry_after=retry_after, action="get pods")


@pytest.mark.parametrize(
    ("status", "reason", "type_"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (410, "Gone", errors.Gone),
        (413, "RequestEntityTooLarge", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (504, "Timeout", errors.ServerError),
        (302, "", errors.ApiError),
    ],
)
def test_status_and_reason_name_the_error(status: int, reason: str, type_: type[errors.ApiError]) -> None:
    assert type(answer(status, reason)) is type_


def test_an_apply_to_what_does_not_fit_its_schema_is_refused_for_good_although_it_is_answered_500() -> None:
    said = "failed to create typed live object (s/a; odigos.io/v1alpha1, Kind=Destination): .spec: expected map"
    assert type(answer(500, message=said)) is errors.Invalid


@pytest.mark.parametrize("body", [b"", b"<html>502 Bad Gateway</html>", b"[1]", b"\xff\xfe", b'{"code":"x"}'])
def test_a_body_that_is_no_status_still_makes_an_error(body: bytes) -> None:
    error = errors.from_response(502, body, action="get pods")
    assert isinstance(error, errors.ServerError)
    assert "get pods" in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("30", 30), ("3600", 60), ("-1", None), ("soon", None), ("", None)])
def test_the_pause_that_a_server_asks_for_is_capped_and_never_negative(header: str, seconds: float | None) -> None:
    assert answer(429, retry_after=header).retry_after == seconds


def test_the_pause_may_stand_in_the_body() -> None:
    assert answer(429, details={"retryAfterSeconds": 5}).retry_after == 5


def test_the_message_says_what_was_asked_and_what_came_back() -> None:
    assert str(answer(403, "Forbidden")) == "get pods: no (403 Forbidden)"
