"""Debian's Chromium as a test sees it: a browser that makes no request of its own, and pages that are listened to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MILLIS = 10_000
DESKTOP, PHONE = (1280, 860), (390, 844)

_VIOLATIONS = """
window.violations = [];
document.addEventListener(
  'securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`)
);
"""


@contextmanager
def launched() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Chromium is not installed: run `make chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Heard:
    """What a page should never say or do; `forgive` names the texts that a test provokes."""

    complaints: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)

    def forgive(self, *texts: str) -> None:
        self.forgiven += texts

    def unforgiven(self) -> list[str]:
        return [c for c in self.complaints if not any(text in c for text in self.forgiven)]

    def listen(self, page: Page, url: str) -> None:
        host = urlsplit(url).netloc

        def on_console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.complaints.append(f"console {message.type}: {message.text}")

        def on_request(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in {"data", "blob"} and parts.netloc != host:
                self.complaints.append(f"request to another origin: {request.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", on_request)

    def collect_violations(self, page: Page) -> None:
        self.complaints += [f"CSP: {violation}" for violation in page.evaluate("window.violations || []")]


def context(browser: Browser, *, size: tuple[int, int] = DESKTOP, dark: bool = False) -> BrowserContext:
    made = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    made.set_default_timeout(PATIENCE_MILLIS)
    made.add_init_script(_VIOLATIONS)
    return made
