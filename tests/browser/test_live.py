"""The pages stay true: by one event stream a browser, through restarts, and they say when they cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import DEPLOYMENTS, PODS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key
from odigos_cp.web import events
from tests.browser import chromium
from tests.browser.chromium import Heard
from tests.browser.pages import Destinations, Sources, dialog, open_page, wait_live
from tests.browser.scenarios import App, misfit
from tests.browser.serving import WAITS, Served
from tests.builders import workload

STREAM_SECONDS = 15


def detect(served: Served) -> None:
    """The detector's answer for search/suggest comes in."""
    found = App("search", "suggest", "java", 1, minutes=1)
    served.do(lambda cluster: cluster.put(APPLICATIONS, found.application()))


def test_what_happens_in_the_cluster_shows_without_a_reload(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    page.evaluate("window.isStillTheSamePage = true")
    sources.expect_state("search", "suggest", "waiting")
    detect(served)
    sources.expect_state("search", "suggest", "instrumented")
    sources.expect_language("search", "suggest", "Java")
    served.do(lambda cluster: cluster.put(DEPLOYMENTS, workload("newcomer", "search")))
    sources.expect_state("search", "newcomer", "notSelected")
    served.do(lambda cluster: cluster.drop(DEPLOYMENTS, Key("search", "newcomer")))
    expect(sources.row("search", "newcomer")).to_have_count(0)
    assert page.evaluate("window.isStillTheSamePage")


def test_an_application_s_page_follows_too(page: Page, served: Served) -> None:
    open_page(page, served.url, "/sources/view/?id=search%2FDeployment%2Fsuggest")
    expect(page.get_by_text("A detector looks at pod suggest-0").first).to_be_visible()
    detect(served)
    expect(page.get_by_text("RuntimeDetected=True Detected")).to_be_visible()
    expect(page.get_by_text("java-opentelemetry")).to_be_visible()


def wait_for_streams(page: Page, served: Served, wanted: Callable[[int], bool]) -> int:
    """Waits on the browser's clock until the number of open streams is as wanted."""
    for _ in range(STREAM_SECONDS * 10):
        if wanted(served.hub.streams):
            break
        page.wait_for_timeout(100)
    return served.hub.streams


def test_twelve_tabs_hold_one_stream_and_the_next_takes_over(browser: Browser, served: Served, heard: Heard) -> None:
    context = chromium.context(browser)
    tabs = [context.new_page() for _ in range(12)]
    for tab in tabs:
        heard.listen(tab, served.url)
        tab.goto(f"{served.url}/sources/", wait_until="commit")
    for tab in tabs:
        wait_live(tab)
    assert served.hub.streams == 1
    tabs[0].close()
    last = Sources(tabs[-1], served.url)
    last.page.bring_to_front()
    assert wait_for_streams(last.page, served, lambda n: n == 1) == 1
    detect(served)
    last.expect_state("search", "suggest", "instrumented")
    context.close()
    assert heard.unforgiven() == []


def test_a_server_that_is_gone_is_said_with_the_command_and_when_it_is_back_all_goes_on(
    page: Page, served: Served, heard: Heard
) -> None:
    heard.forgive("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    sources = Sources(page, served.url).open()
    served.stop()
    banner = page.get_by_role("alert").filter(has_text="odigos-cp does not answer.")
    expect(banner).to_contain_text("What you see is as of")
    expect(banner).to_contain_text(f"kubectl port-forward -n odigos-system svc/odigos-ui {served.port}:3000")
    sources.expect_state("shop", "cart", "instrumented")
    switch = page.get_by_role("switch", name="Instrument grafana: odigos-cp does not answer")
    switch.click(force=True)
    expect(dialog(page)).to_have_count(0)
    sources.row("shop", "cart").get_by_role("link", name="cart").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Applications")
    detect(served)
    served.start()
    wait_live(page)
    expect(banner).to_have_count(0)
    sources.expect_state("search", "suggest", "instrumented")


def test_the_connections_mark_leads_to_what_each_controller_does(page: Page, served: Served) -> None:
    open_page(page, served.url)
    page.get_by_role("button", name="Connection: Live").click()
    expect(page.get_by_text("run in this replica")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="waits until what was written is seen")).to_contain_text(WAITS)


def test_while_the_cluster_is_being_read_the_page_says_how_far(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("503 (Service Unavailable)")
    served.do(lambda cluster: cluster.unsync(PODS))
    open_page(page, served.url, "/sources/")
    expect(page.get_by_text("Reading the cluster: 11 of 12 kinds of objects are known")).to_be_visible()
    served.do(lambda cluster: cluster.sync_all())
    Sources(page, served.url).expect_state("shop", "cart", "instrumented")


def test_without_a_stream_the_page_reads_by_the_clock(
    page: Page, served: Served, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard.forgive("503 (Service Unavailable)")
    monkeypatch.setattr(events, "MAX_STREAMS", 0)
    sources = Sources(page, served.url).open()
    detect(served)
    sources.expect_state("search", "suggest", "instrumented")


def test_a_form_survives_a_restart_of_the_server(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    destinations = Destinations(page, served.url).open_form("otlp")
    destinations.field("Endpoint").fill("jaeger:4317")
    served.stop()
    expect(page.get_by_text("odigos-cp does not answer.")).to_be_visible()
    destinations.field("Endpoint").press("Enter")
    served.start()
    wait_live(page)
    expect(destinations.field("Endpoint")).to_have_value("jaeger:4317")
    destinations.submit()
    destinations.expect_state("OTLP gRPC", "pending")


def test_what_cannot_be_understood_is_named_on_every_page_until_it_is_corrected_fault_54(
    page: Page, served: Served
) -> None:
    open_page(page, served.url, "/destinations/")
    notice = page.get_by_role("status").filter(has_text="cannot be understood")
    expect(notice).to_have_count(0)
    broken = misfit("jaeger", "spec.type is missing")
    served.do(lambda cluster: cluster.stores[DESTINATIONS].pass_over(broken))
    expect(notice).to_contain_text("1 object cannot be understood")
    expect(notice).to_contain_text("Destination odigos-system/jaeger: spec.type is missing.")
    expect(notice).to_contain_text("kubectl edit destinations.odigos.io -n odigos-system jaeger")
    open_page(page, served.url, "/sources/")
    expect(notice).to_be_visible()
    served.do(lambda cluster: cluster.stores[DESTINATIONS].remove(broken.key, "901"))
    expect(notice).to_have_count(0)
