"""The UI's files: the Next.js export, read once into memory, and served from there.

A request is answered from a dictionary that was filled at start, so no path can leave the folder. Text is compressed
once, every file has an ETag, files under /_next/static/ never change, pages are always asked for again, and each page
carries a policy with the hashes of exactly its own inline scripts.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from odigos_cp.web.problems import Problem
from odigos_cp.web.security import page_policy

BUILT = Path(__file__).parent / "static"

NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>odigos-cp</title></head>
<body><main><h1>UI not built</h1>
<p>odigos-cp runs, but its pages are missing: run <code>make ui</code> and start it again.</p>
<p>The API is at <a href="/api/meta">/api</a>.</p></main></body></html>
"""

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_INLINE = re.compile(rb"<(script|style)\b([^>]*)>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_COMPRESSIBLE = re.compile(r"text/|application/(javascript|json|manifest\+json|xml)|image/svg")
_SMALL = 512
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    body: bytes
    content_type: str
    cache_control: str = _ASK_AGAIN
    policy: str = ""
    """Content-Security-Policy, for pages."""
    compressed: bytes | None = field(default=None, repr=False)
    etag: str = ""

    def answer(self, request: Request, status: int = 200) -> Response:
        zipped = self.compressed is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self.etag}{"-gz" if zipped else ""}"'
        headers = {"etag": etag, "cache-control": self.cache_control, "vary": "accept-encoding"}
        if self.policy:
            headers["content-security-policy"] = self.policy
        if status == 200 and matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        headers["content-type"] = self.content_type
        if zipped:
            headers["content-encoding"] = "gzip"
        return Response(self.compressed if zipped else self.body, status, headers)


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the client has this version already."""
    return etag in (word.strip().removeprefix("W/") for word in if_none_match.split(","))


@dataclass(frozen=True)
class Bundle:
    """Every file of the UI by its URL path; empty when the UI was not built."""

    assets: Mapping[str, Asset]

    @classmethod
    def load(cls, folder: Path = BUILT) -> Bundle:
        """Reads and compresses everything: some 100 ms, once."""
        if not (folder / "index.html").is_file():
            return cls({})
        files = (f for f in sorted(folder.rglob("*")) if f.is_file() and not f.is_symlink())
        return cls({_url(f.relative_to(folder)): _asset(f, folder) for f in files})

    def answer(self, request: Request) -> Response:
        if not self.assets:
            return asset(NOT_BUILT.encode(), "text/html; charset=utf-8").answer(request, 200)
        path = request.url.path
        if found := self.assets.get(path):
            return found.answer(request)
        if f"{path}/" in self.assets:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{path}/{query}", 308)
        if missing := self.assets.get("/404.html"):
            return missing.answer(request, 404)
        raise Problem(404, "not_found", f"There is no page at {path[:200]}.", fix="Start at /.")


def _url(path: Path) -> str:
    """`sources/view/index.html` is the page /sources/view/."""
    text = "/" + path.as_posix()
    return text.removesuffix("index.html") if path.name == "index.html" else text


def _asset(path: Path, folder: Path) -> Asset:
    suffix = path.suffix.lower()
    content_type = _TYPES.get(suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    unchanging = path.relative_to(folder).as_posix().startswith("_next/static/")
    return asset(path.read_bytes(), content_type, _FOR_EVER if unchanging else _ASK_AGAIN)


def asset(body: bytes, content_type: str, cache_control: str = _ASK_AGAIN) -> Asset:
    squeezed = gzip.compress(body, 6, mtime=0) if len(body) > _SMALL and _COMPRESSIBLE.match(content_type) else None
    return Asset(
        body=body,
        content_type=content_type,
        cache_control=cache_control,
        policy=page_policy(*inline_hashes(body)) if content_type.startswith("text/html") else "",
        compressed=squeezed if squeezed and len(squeezed) < len(body) else None,
        etag=hashlib.sha256(body).hexdigest()[:20],
    )


def inline_hashes(page: bytes) -> tuple[list[str], list[str]]:
    """The CSP hashes of a page's inline scripts, and of its inline style elements."""
    found: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for element, attributes, content in _INLINE.findall(page):
        if element.lower() == b"style" or b"src=" not in attributes.lower():
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            found[element.lower()].append(f"sha256-{digest}")
    return found[b"script"], found[b"style"]
