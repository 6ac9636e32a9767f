"""The UI on the real cluster, through a real port-forward, in a real browser: what a person does in the first minutes.

One story in order. What it switches on it takes back at its end, and the pod templates are then as they were.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from cluster import door, walk
from cluster.kubectl import Kubectl, KubectlError
from tests.browser import chromium
from tests.browser.pages import Destinations, Sources, open_page
from tests.e2e.conftest import Shop

OPEN_SECONDS = 60
LANGUAGES = {"frontend": "Node.js", "cart": "Python", "pricing": "Java", "load": "Go"}
DETECTED_SECONDS = 120
RESTARTED_SECONDS = 240
ENDPOINT = f"http://store.{walk.STORE}:4318"


def forwarded_port(kubectl: Kubectl, service: str, namespace: str) -> tuple[subprocess.Popen[str], int]:
    """A port-forward, and the free port of this machine that it took."""
    forward = kubectl.popen("port-forward", "--address=localhost", f"svc/{service}", f":{door.PORT}", "-n", namespace)
    assert forward.stdout is not None
    said: list[str] = []
    for line in forward.stdout:
        if found := door.FORWARDING.match(line):
            # What it says from now on must be read, or it stops.
            threading.Thread(target=forward.stdout.read, daemon=True).start()
            return forward, int(found[1])
        said.append(line)
    end(forward)
    raise KubectlError("".join(said).strip() or "the port-forward ended without a word")


def end(forward: subprocess.Popen[str]) -> None:
    """Its process, and our side of its pipe."""
    forward.terminate()
    with forward:
        forward.wait(timeout=10)


@pytest.fixture(scope="module")
def url(shop: Shop) -> Iterator[str]:
    """The address of svc/odigos-ui on this machine."""
    forward, port = walk.until(
        "a port-forward to the UI", OPEN_SECONDS, lambda: forwarded_port(shop.kubectl, "odigos-ui", walk.SYSTEM)
    )
    yield f"http://localhost:{port}"
    end(forward)


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[Page]:
    heard = chromium.Heard()
    with chromium.launched() as browser:
        context = chromium.context(browser)
        page = context.new_page()
        heard.listen(page, url)
        yield page
        heard.collect_violations(page)
        context.close()
    assert heard.unforgiven() == []


@pytest.fixture(scope="module")
def sources(page: Page, url: str) -> Sources:
    return Sources(page, url)


def exists(kubectl: Kubectl, resource: str, namespace: str) -> bool:
    return bool(kubectl("get", resource, "-n", namespace, "--ignore-not-found", "-o", "name").strip())


def test_the_shop_stands_there_before_anything_is_chosen(sources: Sources) -> None:
    sources.open()
    for name in LANGUAGES:
        sources.expect_state(walk.SHOP, name, "notSelected")


def test_the_switch_writes_the_source_and_the_page_follows_until_the_pods_carry_the_agent(
    sources: Sources, shop: Shop
) -> None:
    sources.open()
    sources.flip(sources.switch("cart"))
    assert exists(shop.kubectl, "source/deployment-cart", walk.SHOP)
    sources.expect_language(walk.SHOP, "cart", "Python", DETECTED_SECONDS)
    sources.expect_state(walk.SHOP, "cart", "instrumented", seconds=RESTARTED_SECONDS)
    sources.row(walk.SHOP, "cart").get_by_role("link", name="cart").click()
    expect(sources.page.get_by_role("listitem").filter(has_text="=True")).to_have_count(6)
    expect(sources.page.get_by_role("table")).to_contain_text("python")


def test_the_switch_of_the_namespace_brings_the_others_with_their_languages(sources: Sources, shop: Shop) -> None:
    sources.open()
    sources.flip(sources.namespace_switch(walk.SHOP))
    assert exists(shop.kubectl, f"source/namespace-{walk.SHOP}", walk.SHOP)
    for name, language in LANGUAGES.items():
        sources.expect_language(walk.SHOP, name, language, DETECTED_SECONDS)
    for name in walk.CROSSED:
        sources.expect_state(walk.SHOP, name, "instrumented", seconds=RESTARTED_SECONDS)
    sources.expect_state(walk.SHOP, "load", "notInstrumentable")


def test_a_destination_added_by_the_form_is_in_the_cluster_and_delivered_to(page: Page, url: str, shop: Shop) -> None:
    destinations = Destinations(page, url)
    name = destinations.add("otlphttp", "From the form", {"Endpoint": ENDPOINT})
    made = shop.kubectl.json("get", f"destination/{name}", "-n", walk.SYSTEM)
    assert made["spec"]["data"] == {"OTLP_HTTP_ENDPOINT": ENDPOINT}
    destinations.expect_state("From the form", "ok", seconds=DETECTED_SECONDS)
    destinations.delete("From the form")
    expect(destinations.item("From the form")).to_have_count(0)
    assert not exists(shop.kubectl, f"destination/{name}", walk.SYSTEM)


def test_the_overview_says_that_all_is_well(page: Page, url: str) -> None:
    open_page(page, url)
    expect(page.get_by_role("link", name="Destinations 1 of 1 Delivering")).to_be_visible(timeout=60_000)


def test_switched_off_again_the_templates_are_what_they_were(sources: Sources, shop: Shop) -> None:
    sources.open()
    sources.flip(sources.namespace_switch(walk.SHOP))
    sources.flip(sources.switch("cart"))
    for name in LANGUAGES:
        sources.expect_state(walk.SHOP, name, "notSelected", seconds=RESTARTED_SECONDS)
    assert shop.kubectl.json("get", "sources", "-n", walk.SHOP)["items"] == []
    assert shop.templates() == shop.before
