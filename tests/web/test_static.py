"""The UI's files over HTTP, from a small folder shaped like the export."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from odigos_cp.web.problems import HANDLERS
from odigos_cp.web.static import Bundle

SCRIPT = "self.__next_f=[1]"
PAGE = f"<!doctype html><script>{SCRIPT}</script><script src='/_next/static/a.js'></script><p>page</p>" + " " * 600


@pytest.fixture
def export(tmp_path: Path) -> Path:
    for name, text in {
        "index.html": PAGE,
        "sources/view/index.html": PAGE.replace("page", "view"),
        "404.html": "<p>nothing here",
        "_next/static/a.js": "let a = 1;" * 200,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    return tmp_path


def client(folder: Path) -> httpx.AsyncClient:
    bundle = Bundle.load(folder)

    async def page(request: Request) -> Response:
        return bundle.answer(request)

    app = Starlette(routes=[Route("/{path:path}", page)], exception_handlers=HANDLERS)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
async def ui(export: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client(export) as c:
        yield c


async def test_without_a_bundle_one_page_says_how_to_build_it(tmp_path: Path) -> None:
    async with client(tmp_path) as c:
        answer = await c.get("/sources/view/?id=a/b/c")
    assert answer.status_code == 200
    assert "make ui" in answer.text


async def test_a_deep_link_is_its_own_page_with_and_without_the_slash(ui: httpx.AsyncClient) -> None:
    assert "<p>view</p>" in (await ui.get("/sources/view/?id=shop/Deployment/cart")).text
    answer = await ui.get("/sources/view?id=a")
    assert (answer.status_code, answer.headers["location"]) == (308, "/sources/view/?id=a")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "/_next/static/../../../views.py",
        "/index.html%00.js",
        "/link.txt",
        "/sources",
        "//etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_folder(ui: httpx.AsyncClient, path: str) -> None:
    answer = await ui.get(path)
    assert (answer.status_code, answer.text) == (404, "<p>nothing here")


async def test_a_page_allows_exactly_its_own_inline_scripts(ui: httpx.AsyncClient) -> None:
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (await ui.get("/")).headers["content-security-policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "unsafe" not in policy


async def test_what_never_changes_is_kept_and_pages_are_asked_for_again(ui: httpx.AsyncClient) -> None:
    assert "immutable" in (await ui.get("/_next/static/a.js")).headers["cache-control"]
    page = await ui.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = await ui.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_text_is_sent_compressed_to_who_can_read_it_and_plain_to_others(ui: httpx.AsyncClient) -> None:
    zipped = await ui.get("/", headers={"accept-encoding": "gzip"})
    plain = await ui.get("/", headers={"accept-encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.text == plain.text == PAGE
    assert zipped.headers["etag"] != plain.headers["etag"]
