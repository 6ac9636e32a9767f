"""How can a call to the API server fail? Each way is a type, so that callers choose by `except`, not by numbers.

`from_response` turns an answer of the API server into one of them; `Unreachable` stands for no answer at all.
`Terminal` is the other direction: a reconciler says that trying again is useless until the object changes.
"""

from __future__ import annotations

import msgspec

MAX_RETRY_AFTER = 60.0
"""A server may ask for a longer pause; nothing here waits longer before it asks again."""

_SHOWN = 500


class ApiError(Exception):
    """The API server refused, failed, or could not be reached.

    `action` says what was asked of it, `fields` which fields of the object it blames.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        action: str = "",
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.action = action
        self.fields = fields

    def __str__(self) -> str:
        code = f"{self.status} {self.reason}".strip() if self.status else ""
        answer = f"{self.message} ({code})" if code else self.message
        return f"{self.action}: {answer}" if self.action else answer


class NotFound(ApiError):
    """404: the object, or its kind, does not exist."""


class Conflict(ApiError):
    """409: the object was changed or replaced meanwhile, or another field manager owns the field."""


class Replaced(Conflict):
    """409: the object of this uid is gone; another one may have its name."""


class AlreadyExists(Conflict):
    """409: an object of this name exists."""


class Gone(ApiError):
    """410: the resource version or continue token is too old; list again."""


class Unauthorized(ApiError):
    """401: the token or certificate is not accepted."""


class Forbidden(ApiError):
    """403: RBAC or admission does not allow it."""


class Invalid(ApiError):
    """400, 413, 415, 422: what was sent cannot be accepted, now or later.

    So is an apply to an object that does not fit the schema its kind has now; the API server calls that a 500.
    """


class TooManyRequests(ApiError):
    """429: the server sheds load; `retry_after` is its wish."""


class ServerError(ApiError):
    """5xx: the server failed; a write may or may not have happened."""


class Unreachable(ApiError):
    """No answer: refused, reset, TLS, or the deadline passed; a write may or may not have happened."""


class NotSent(Unreachable):
    """No connection: refused, no such host, a certificate that is not trusted. A write surely has not happened."""


class TooLarge(ApiError):
    """The answer is larger than what is kept in memory for it."""


class Terminal(Exception):
    """Raised by a reconciler: do not retry until the object changes; a condition says why."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}
_BY_REASON: dict[str, type[ApiError]] = {"AlreadyExists": AlreadyExists, "Expired": Gone, "Gone": Gone}


class Cause(msgspec.Struct, frozen=True):
    field: str = ""


class Details(msgspec.Struct, frozen=True, rename="camel"):
    retry_after_seconds: int = 0
    causes: tuple[Cause, ...] = ()


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """metav1.Status: the body of a failed call, and of an ERROR event of a watch."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: Details | None = None


_STORED_UNFIT = "failed to create typed live object"


def from_response(status: int, body: bytes, *, retry_after: str = "", action: str = "") -> ApiError:
    """The error that an answer of the API server, or of a proxy before it, stands for."""
    try:
        said = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = Status(message=body[:_SHOWN].decode(errors="replace").strip())
    return from_status(said, status, retry_after=retry_after, action=action)


def from_status(said: Status, status: int = 0, *, retry_after: str = "", action: str = "") -> ApiError:
    code = status or said.code or 500
    type_ = _BY_REASON.get(said.reason) or _BY_STATUS.get(code) or (ServerError if code >= 500 else ApiError)
    if code == 500 and said.message.startswith(_STORED_UNFIT):
        type_ = Invalid
    return type_(
        said.message or "the API server gave no reason",
        status=code,
        reason=said.reason,
        retry_after=_seconds(retry_after, said.details),
        action=action,
        fields=tuple(cause.field for cause in said.details.causes) if said.details else (),
    )


def _seconds(header: str, details: Details | None) -> float | None:
    """The pause the server asks for, capped; dates and garbage count as no wish."""
    try:
        asked = float(int(header))
    except ValueError:
        asked = float(details.retry_after_seconds) if details else 0.0
    return min(asked, MAX_RETRY_AFTER) if asked > 0 else None
