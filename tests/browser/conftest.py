"""The real UI served on loopback, and a real headless Chromium; every page of a test is listened to until its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, Page, expect

from odigos_cp.web.static import Bundle
from tests.browser import chromium
from tests.browser.scenarios import SCENARIOS
from tests.browser.serving import Served, serve


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """The thread in which the servers run."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    loaded = Bundle.load()
    assert loaded.assets, "the UI is not built: run `make ui`"
    return loaded


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module: while playwright's loop lives, no other test in this thread can have one."""
    expect.set_options(timeout=chromium.PATIENCE_MILLIS)
    with chromium.launched() as running:
        yield running


@pytest.fixture
def scenario() -> str:
    """Which cluster `served` has; parametrize it for another one."""
    return "healthy"


@pytest.fixture
def served(portal: BlockingPortal, bundle: Bundle, scenario: str) -> Iterator[Served]:
    with serve(portal, bundle, SCENARIOS[scenario]()) as running:
        yield running


@pytest.fixture
def heard() -> chromium.Heard:
    return chromium.Heard()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, served: Served, heard: chromium.Heard) -> Iterator[NewPage]:
    """Makes pages, each in a browser context of its own; at the end none may have complained."""
    with ExitStack() as stack:
        pages: list[Page] = []

        def make(size: tuple[int, int] = chromium.DESKTOP, dark: bool = False) -> Page:
            made = chromium.context(browser, size=size, dark=dark)
            stack.callback(made.close)
            page = made.new_page()
            heard.listen(page, served.url)
            pages.append(page)
            return page

        yield make
        for page in pages:
            if not page.is_closed():
                heard.collect_violations(page)
    assert heard.unforgiven() == []


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()
