"""What holds on every page, in every scenario, in both themes and on a phone; and the pictures of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.chromium import DESKTOP, PHONE, Heard
from tests.browser.conftest import NewPage
from tests.browser.pages import PAGES, Destinations, Sources, dialog, open_page
from tests.browser.scenarios import HOSTILE
from tests.browser.serving import Served

PICTURES = Path(__file__).parent / "pictures"
GONE = {"empty", "thousand"}
"""Scenarios in which there is no shop/cart."""
SEEN: dict[str, tuple[str, ...]] = {
    "empty": ("overview", "sources", "application", "destinations"),
    "first_run": ("overview", "sources", "application"),
    "healthy": tuple(PAGES),
    "broken": ("overview", "sources", "application", "destinations"),
    "thousand": ("overview", "sources"),
}
"""The pages of each scenario that differ from those of another."""


_CLIPPED = """
[...document.querySelectorAll('main h1, main h2, main h3')]
  .filter((heading) => heading.clientWidth && heading.clientWidth < 24)
  .map((heading) => heading.innerText)
"""


def violations(page: Page) -> list[str]:
    """What axe finds, each with where."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {node['html'][:200]}" for v in found for node in v["nodes"]]


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def clipped_names(page: Page) -> list[str]:
    """Headings that have no width left to be read in."""
    return list(page.evaluate(_CLIPPED))


def show(page: Page, served: Served, path: str) -> None:
    open_page(page, served.url, path)
    expect(page.get_by_text("Loading")).to_have_count(0)
    expect(page.locator("main h1")).to_be_visible()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("scenario", SEEN)
def test_every_page_is_accessible_quiet_and_fits(
    new_page: NewPage, served: Served, heard: Heard, scenario: str, look: str
) -> None:
    if scenario in GONE:
        heard.forgive("404 (Not Found)")
    PICTURES.mkdir(exist_ok=True)
    page = new_page(size=PHONE if look == "phone" else DESKTOP, dark=look == "dark")
    problems: list[str] = []
    for name in SEEN[scenario]:
        path = PAGES[name]
        if name == "application" and scenario in GONE:
            open_page(page, served.url, path)
            expect(page.get_by_role("heading", name="There is no such application")).to_be_visible()
        else:
            show(page, served, path)
        page.screenshot(path=PICTURES / f"{scenario}-{name}-{look}.png", full_page=scenario != "thousand")
        if is_too_wide(page):
            problems.append(f"{name} scrolls sideways")
        problems += [f"{name}: no room for {text!r}" for text in clipped_names(page)]
        if look != "phone" or scenario == "healthy":
            problems += [f"{name}: {violation}" for violation in violations(page)]
    assert problems == []


def test_planted_faults_are_heard_and_found(page: Page, served: Served, heard: Heard) -> None:
    """The control of all tests here: a page with faults does not pass."""
    show(page, served, "/")
    page.evaluate("""() => {
        document.documentElement.removeAttribute('lang')
        const main = document.querySelector('main')
        main.insertAdjacentHTML('beforeend', '<button></button><p class="bg-accent-fill text-accent">faint</p>')
        main.append(Object.assign(document.createElement('script'), { text: 'window.ran = true' }))
        main.append(Object.assign(document.createElement('img'), { src: 'http://elsewhere.example/a.png', alt: '' }))
    }""")
    found = {violation.partition(":")[0] for violation in violations(page)}
    assert found == {"html-has-lang", "button-name", "color-contrast"}
    assert page.evaluate("window.ran") is None
    heard.collect_violations(page)
    policy = [complaint for complaint in heard.unforgiven() if complaint.startswith("CSP")]
    assert [p.partition(" ")[2].partition(" ")[0] for p in policy] == ["script-src-elem", "img-src"]
    heard.forgive("CSP", "Content Security Policy", "elsewhere.example")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_opens_over_a_page_is_accessible_too(new_page: NewPage, served: Served, dark: bool) -> None:
    page = new_page(dark=dark)
    sources = Sources(page, served.url).open()
    found: dict[str, list[str]] = {}

    def check(name: str) -> None:
        page.screenshot(path=PICTURES / f"over-{name}-{'dark' if dark else 'light'}.png")
        found[name] = violations(page)

    PICTURES.mkdir(exist_ok=True)
    sources.namespace_switch("billing").click()
    expect(dialog(page).get_by_text("The same with kubectl")).to_be_visible()
    dialog(page).get_by_text("The same with kubectl").click()
    check("plan")
    page.keyboard.press("Escape")
    sources.row("shop", "cart").get_by_role("button", name="how is this known").click()
    expect(page.get_by_text("98 % sure")).to_be_visible()
    check("evidence")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Connection: Live").click()
    expect(page.get_by_text("12 of 12 kinds of objects")).to_be_visible()
    check("control-plane")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Theme: as the system").click()
    check("theme")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(dialog(page)).to_contain_text("Search applications")
    check("keys")
    page.keyboard.press("Escape")
    page.get_by_text("4 namespaces are never instrumented").click()
    check("never-instrumented")
    destinations = Destinations(page, served.url).open()
    destinations.item("Jaeger").get_by_text("Details").click()
    check("details")
    page.get_by_role("button", name="Delete Jaeger").click()
    check("delete")
    page.keyboard.press("Escape")
    destinations.open_form("otlphttp").more()
    destinations.submit()
    check("form-with-errors")
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("scenario", ["hostile"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_text_of_the_cluster_is_only_ever_text(new_page: NewPage, served: Served, size: tuple[int, int]) -> None:
    page = new_page(size=size)
    page.on("dialog", lambda box: pytest.fail(f"a script ran: {box.message}"))
    shown = HOSTILE.partition("\u202e")[0]
    for name in ("overview", "sources", "application", "destinations"):
        show(page, served, PAGES[name])
        expect(page.get_by_text(shown).first).to_be_visible()
        for summary in page.locator("main summary").all():
            summary.click()
        assert page.locator("main img, main script, main iframe").count() == 0, name
        assert "\u202e" not in page.locator("main").inner_text(), f"{name}: text turns what stands beside it about"
        assert not is_too_wide(page), name
    page.get_by_role("button", name="Delete").first.click()
    expect(dialog(page)).to_contain_text(shown)
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("path", ["/nowhere/", "/sources/view/?id=" + "<script>alert(1)</script>"])
def test_an_address_that_leads_nowhere_is_a_page_with_a_way_back(
    page: Page, served: Served, heard: Heard, path: str
) -> None:
    heard.forgive("404 (Not Found)")
    open_page(page, served.url, path)
    expect(page.get_by_text("There is no such")).to_be_visible()
    assert violations(page) == []


def test_the_theme_is_the_systems_until_somebody_chooses_and_then_stays(page: Page, served: Served) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    open_page(page, served.url)
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    assert background() == dark
    page.reload()
    assert background() == dark
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("menuitemradio", name="As the system").click()
    assert background() == light


@pytest.mark.parametrize("scenario", ["empty"])
def test_an_empty_cluster_has_one_next_step(page: Page, served: Served) -> None:
    show(page, served, "/")
    expect(page.locator("main").get_by_role("link", name="Choose applications")).to_have_count(1)
    show(page, served, "/sources/")
    expect(page.get_by_role("heading", name="No applications yet")).to_be_visible()
    expect(page.locator("main").get_by_role("link")).to_have_count(1)
    show(page, served, "/destinations/")
    expect(page.get_by_role("heading", name="Where should telemetry go?")).to_be_visible()


def test_the_overview_leads_to_what_needs_a_person(page: Page, served: Served) -> None:
    show(page, served, "/")
    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    page.get_by_role("link", name="Applications 8 of 11 chosen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Applications")


@pytest.mark.parametrize("scenario", ["broken"])
def test_the_overview_names_what_is_broken_with_what_to_do(page: Page, served: Served) -> None:
    show(page, served, "/")
    matters = page.get_by_role("listitem").filter(has=page.get_by_role("heading", level=3))
    expect(matters.filter(has_text="odigos-gateway").first).to_contain_text("ImagePullBackOff")
    expect(matters.filter(has_text="checkout").first).to_contain_text("--show-managed-fields")
    page.get_by_role("link", name="checkout").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("checkout")
