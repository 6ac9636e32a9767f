"""The event stream: what a browser hears, and that a slow one harms nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.requests import Request

from odigos_cp.web import events
from odigos_cp.web.events import Hub
from odigos_cp.web.problems import Problem


class Browser:
    """One open stream, as ASGI messages."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.reads = anyio.Event()
        self.reads.set()
        self.gone = anyio.Event()
        self.done = anyio.Event()
        self._more = anyio.Event()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.body":
            self.heard.append(message["body"].decode())
            self._more.set()
            self._more = anyio.Event()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def hears(self, text: str) -> str:
        with anyio.fail_after(5):
            while not (found := [chunk for chunk in self.heard if text in chunk]):
                await self._more.wait()
        return found[-1]


@asynccontextmanager
async def browsing(hub: Hub, last_event_id: str = "") -> AsyncIterator[Browser]:
    browser = Browser()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/events",
        "headers": [(b"last-event-id", last_event_id.encode())] if last_event_id else [],
        "query_string": b"",
    }
    stream = hub.open(Request(scope))

    async def talk() -> None:
        await stream(scope, browser.receive, browser.send)
        browser.done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(talk)
        await browser.hears("event: hello")
        yield browser
        browser.reads.set()
        browser.gone.set()


@pytest.fixture
def hub() -> Hub:
    return Hub("boot1")


async def test_the_first_event_says_where_we_are(hub: Hub) -> None:
    hub.changed(["sources"])
    async with browsing(hub) as browser:
        hello = await browser.hears("event: hello")
    assert "id: boot1-1\n" in hello
    assert '"seq":1,"reset":false' in hello


@pytest.mark.parametrize(("last", "reset"), [("boot1-0", "false"), ("boot1-7", "true"), ("boot0-0", "true")])
async def test_who_comes_back_after_missing_something_is_told_to_read_all_again(
    hub: Hub, last: str, reset: str
) -> None:
    async with browsing(hub, last) as browser:
        assert f'"reset":{reset}' in await browser.hears("event: hello")


async def test_a_change_names_the_parts_to_read_again(hub: Hub) -> None:
    async with browsing(hub) as browser:
        hub.changed(["destinations"])
        assert '"topics":["destinations"]' in await browser.hears("event: changed")


async def test_a_storm_of_changes_is_one_event_with_the_last_seq(hub: Hub) -> None:
    async with browsing(hub) as browser:
        for _ in range(1000):
            hub.changed(["sources"])
            hub.changed(["collectors"])
        assert '"seq":2000,"topics":["sources","collectors"]' in await browser.hears("event: changed")
        assert len([chunk for chunk in browser.heard if "changed" in chunk]) == 1


async def test_a_browser_that_does_not_read_holds_nothing_up_and_loses_nothing(hub: Hub) -> None:
    async with browsing(hub) as slow, browsing(hub) as quick:
        slow.reads = anyio.Event()
        for _ in range(10_000):
            hub.changed(["sources", "destinations"])
        await quick.hears('"seq":10000')
        slow.reads.set()
        assert '"topics":["sources","destinations"]' in await slow.hears("event: changed")


async def test_a_browser_that_never_reads_again_is_dropped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SEND_SECONDS", 0.05)
    async with browsing(hub) as browser:
        browser.reads = anyio.Event()
        hub.changed(["sources"])
        with anyio.fail_after(5):
            while hub.streams:
                await anyio.lowlevel.checkpoint()
        browser.reads.set()


async def test_silence_is_filled_with_comments(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.02)
    async with browsing(hub) as browser:
        await browser.hears(": still here\n\n")


async def test_a_closed_tab_frees_its_place(hub: Hub) -> None:
    async with browsing(hub) as browser:
        assert hub.streams == 1
        browser.gone.set()
        with anyio.fail_after(5):
            await browser.done.wait()
    assert hub.streams == 0


async def test_stopping_says_bye_ends_every_stream_and_refuses_new_ones(hub: Hub) -> None:
    async with browsing(hub) as browser:
        hub.close()
        assert '"retry":2000' in await browser.hears("event: bye")
        with anyio.fail_after(5):
            await browser.done.wait()
    with pytest.raises(Problem, match="stopping"):
        async with browsing(hub):
            pass


async def test_the_thirty_third_stream_is_told_to_poll(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    async with browsing(hub):
        with pytest.raises(Problem) as refused:
            async with browsing(hub):
                pass
    assert refused.value.view.status == 503
    assert refused.value.headers["retry-after"] == "5"


def test_versions_move_only_for_the_topics_that_changed(hub: Hub) -> None:
    hub.changed(["sources"])
    hub.changed(["collectors"])
    assert (hub.version("sources"), hub.version("collectors"), hub.version("destinations")) == (1, 2, 0)
