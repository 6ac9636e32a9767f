"""Which requests reach the UI's app at all: the guard of a page that people reach through `kubectl port-forward`.

There is no password: who can open the port may use it. So the danger is another page in the same browser, directly or
by DNS rebinding, and the guard lets nothing through that such a page could send (ui.md 3.5, in this order): the Host,
who asks (Sec-Fetch-Site), for writes also the Origin, our header and the content type, and the size of the body.
No cookies, no CORS header, ever. A pure ASGI wrapper, because middleware that buffers would stop the event stream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from odigos_cp.web import problems
from odigos_cp.web.problems import Problem

UI_HEADER = "x-odigos-ui"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
READS = frozenset({"GET", "HEAD"})
BODY_LIMIT = 256 * 1024

RESPONSE_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On every response that does not say otherwise; pages bring a policy of their own (see page_policy)."""


def page_policy(script_hashes: Iterable[str], style_hashes: Iterable[str] = ()) -> str:
    """The Content-Security-Policy of an HTML page: its own files, and exactly the inline code it was built with."""
    scripts = " ".join(["'self'", *(f"'{h}'" for h in sorted(set(script_hashes)))])
    styles = " ".join(["'self'", *(f"'{h}'" for h in sorted(set(style_hashes)))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@dataclass(frozen=True)
class Rules:
    """What the guard lets in. `allowed_hosts` are names besides localhost, without a port."""

    allowed_hosts: Collection[str] = ()
    body_limit: int = BODY_LIMIT
    host_pattern: re.Pattern[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = "|".join(re.escape(name) for name in (*LOCAL_HOSTS, *self.allowed_hosts))
        pattern = re.compile(rf"(?:{names})(?::[0-9]{{1,5}})?", re.IGNORECASE)
        object.__setattr__(self, "host_pattern", pattern)


def refusal(method: str, path: str, headers: Headers, rules: Rules) -> Problem | None:
    """Why this request must not go on, or None."""
    if problem := _foreign_host(headers, rules):
        return problem
    site = headers.get("sec-fetch-site", "")
    if method in READS:
        return _foreign_reader(site) if path == "/api" or path.startswith("/api/") else None
    return _foreign_writer(site, headers) or _unfit_body(method, headers, rules)


def _foreign_host(headers: Headers, rules: Rules) -> Problem | None:
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        said = f"The request has {len(hosts)} Host headers instead of one."
        return Problem(400, "host", said, fix="Send exactly one Host header.")
    if not rules.host_pattern.fullmatch(hosts[0]):
        return Problem(
            421,
            "host",
            f"This server does not answer to the host {hosts[0][:100]!r}: a foreign page may be trying to reach it.",
            fix="Open http://localhost:<port>/ . If the name is yours, start odigos-cp with --ui-allowed-hosts=<name>.",
        )
    return None


def _foreign_reader(site: str) -> Problem | None:
    if site in {"cross-site", "same-site"}:
        return Problem(403, "foreign_page", "Another site's page tried to read the API.", fix="Open the UI itself.")
    return None


def _foreign_writer(site: str, headers: Headers) -> Problem | None:
    if site:
        foreign = site not in {"same-origin", "none"}
    else:
        origins = headers.getlist("origin")
        # Neither header: not a browser. Such a client is a person with curl, and says so by our header.
        own = {f"{scheme}://{headers['host']}".lower() for scheme in ("http", "https")}
        foreign = any(origin.lower() not in own for origin in origins)
    if foreign:
        return Problem(403, "foreign_page", "Another site's page tried to change something.", fix="Use the UI itself.")
    if headers.getlist(UI_HEADER) != ["1"]:
        return Problem(
            403,
            "ui_header",
            f"A write needs the header {UI_HEADER}: 1, which a foreign page cannot send.",
            fix=f"With curl, add: -H '{UI_HEADER}: 1' -H 'content-type: application/json'",
        )
    return None


def _unfit_body(method: str, headers: Headers, rules: Rules) -> Problem | None:
    length = headers.get("content-length", "")
    has_body = length not in {"", "0"} or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and (has_body or method != "DELETE"):
        return Problem(
            415,
            "content_type",
            f"A write needs the content type application/json, not {kind[:100] or 'nothing'!r}.",
            fix="Send -H 'content-type: application/json'.",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        return Problem(415, "content_encoding", "A compressed body is not accepted.", fix="Send the JSON as it is.")
    if length and (not length.isdigit() or int(length) > rules.body_limit):
        return _too_large(rules)
    return None


def _too_large(rules: Rules) -> Problem:
    return Problem(
        413,
        "too_large",
        f"The body is larger than {rules.body_limit // 1024} KiB, which no request to this API needs.",
        fix="Send less.",
        headers={"connection": "close"},
    )


class Guard:
    """The ASGI wrapper around the UI's app."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket: no route has one, and returning without an answer refuses it
        response_started = False

        async def send_guarded(message: Message) -> None:
            nonlocal response_started
            if message["type"] == "http.response.start":
                response_started = True
                headers = MutableHeaders(scope=message)
                for name, value in RESPONSE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        taken = 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.rules.body_limit:
                raise _too_large(self.rules)
            return message

        problem = refusal(scope["method"], scope["path"], Headers(scope=scope), self.rules)
        if problem is None:
            try:
                await self.app(scope, receive_bounded, send_guarded)
                return
            except Exception as error:
                if response_started:
                    raise
                problem = problems.fault(scope["method"], scope["path"], error)
        # What is left of a refused request's body is not worth reading.
        problem.headers["connection"] = "close"
        await problem.response()(scope, receive, send_guarded)
