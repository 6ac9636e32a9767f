"""What a foreign page, a rebound name or a careless client can send, and what it gets (ui.md 3.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from odigos_cp.web.problems import HANDLERS
from odigos_cp.web.security import Guard, Rules

OWN = {"x-odigos-ui": "1", "content-type": "application/json", "sec-fetch-site": "same-origin"}
reached: list[str] = []


async def _echo(request: Request) -> JSONResponse:
    await request.body()
    reached.append(request.method)
    return JSONResponse({"got": request.url.path})


@pytest.fixture
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    reached.clear()
    app = Starlette(
        routes=[Route("/{path:path}", _echo, methods=["GET", "PUT", "POST", "DELETE"])], exception_handlers=HANDLERS
    )
    transport = httpx.ASGITransport(Guard(app, Rules(("odigos.example",))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:3000",
        "localhost.evil",
        "localhost.",
        "127.0.0.1.evil.test",
        "127.0.0.2",
        "localhost:3000@evil.test",
        "localhost:port",
        "localhost:3000 ",
        "[::1",
        "",
        "odigosxexample",
    ],
)
async def test_a_host_that_is_not_ours_is_misdirected(guarded: httpx.AsyncClient, host: str) -> None:
    answer = await guarded.get("/api/sources", headers={"host": host})
    assert answer.status_code == 421
    assert "--ui-allowed-hosts" in answer.json()["fix"]
    assert not reached


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:3001", "[::1]:65535", "odigos.example:80"])
async def test_our_own_names_are_let_in_on_any_port(guarded: httpx.AsyncClient, host: str) -> None:
    assert (await guarded.get("/api/sources", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"]])
async def test_anything_but_one_host_header_is_bad(hosts: list[str]) -> None:
    answer = await _raw([(b"host", h.encode()) for h in hosts])
    assert answer["status"] == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_sites_page_cannot_read_the_api(guarded: httpx.AsyncClient, site: str) -> None:
    answer = await guarded.get("/api/sources", headers={"sec-fetch-site": site})
    assert (answer.status_code, reached) == (403, [])


async def test_a_link_on_another_sites_page_opens_the_ui(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/sources/", headers={"sec-fetch-site": "cross-site"})).status_code == 200


@pytest.mark.parametrize(
    "deviation",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "http://evil.test:3000"},
        {"sec-fetch-site": "", "origin": "null"},
        {"sec-fetch-site": "", "origin": "http://localhost:3001"},
        {"x-odigos-ui": ""},
        {"x-odigos-ui": "2"},
    ],
    ids=str,
)
async def test_a_write_that_a_foreign_page_could_send_is_refused(
    guarded: httpx.AsyncClient, deviation: dict[str, str]
) -> None:
    headers = {name: value for name, value in (OWN | deviation).items() if value}
    answer = await guarded.put("/api/sources/a/b/c", content="{}", headers=headers)
    assert (answer.status_code, reached) == (403, [])
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_a_body_that_a_form_could_send_is_refused(guarded: httpx.AsyncClient, kind: str) -> None:
    answer = await guarded.post("/api/destinations", content="{}", headers=OWN | {"content-type": kind})
    assert (answer.status_code, reached) == (415, [])


@pytest.mark.parametrize(
    "headers", [OWN, {"x-odigos-ui": "1", "content-type": "application/json; charset=utf-8"}], ids=str
)
async def test_our_own_page_and_a_person_with_curl_may_write(
    guarded: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await guarded.put("/api/x", content="{}", headers=headers)).status_code == 200


async def test_a_delete_needs_no_body_and_so_no_content_type(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.delete("/api/x", headers={"x-odigos-ui": "1"})).status_code == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_read(guarded: httpx.AsyncClient) -> None:
    answer = await guarded.post("/api/x", content=b" " * (256 * 1024 + 1), headers=OWN)
    assert (answer.status_code, reached) == (413, [])
    assert answer.headers["connection"] == "close"


async def test_an_endless_chunked_body_is_cut_at_the_limit(guarded: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    answer = await guarded.post("/api/x", content=endless(), headers=OWN)
    assert (answer.status_code, reached) == (413, [])


async def test_a_compressed_body_is_refused(guarded: httpx.AsyncClient) -> None:
    answer = await guarded.post("/api/x", content=b"..", headers=OWN | {"content-encoding": "gzip"})
    assert (answer.status_code, reached) == (415, [])


async def test_every_response_carries_the_protecting_headers_and_no_cors(guarded: httpx.AsyncClient) -> None:
    for answer in (await guarded.get("/api/x"), await guarded.get("/api/x", headers={"host": "evil.test"})):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_fault_of_ours_is_a_sentence_and_carries_the_headers_too() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("password=hunter2")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Guard(app, Rules())), base_url="http://localhost") as c:
        answer = await c.get("/api/x")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


async def test_a_websocket_is_refused_without_reaching_the_app() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached the app")

    await Guard(app, Rules())({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == []


async def _raw(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """A request that no client library would send."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached the app")

    scope = {"type": "http", "method": "GET", "path": "/api/meta", "headers": headers, "query_string": b""}
    await Guard(app, Rules())(scope, receive, send)
    start: dict[str, Any] = sent[0]
    return start
