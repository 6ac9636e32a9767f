"""The pages as a person uses them: what is on them, and what can be done there. Against any server that has the UI.

Everything is found by what it is called on the page, so that these are also a test of what assistive technology reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

PAGES: Mapping[str, str] = {
    "overview": "/",
    "sources": "/sources/",
    "application": "/sources/view/?id=shop%2FDeployment%2Fcart",
    "destinations": "/destinations/",
    "catalogue": "/destinations/edit/",
    "form": "/destinations/edit/?type=otlp",
}


def open_page(page: Page, url: str, path: str = "/") -> None:
    """The page, and its event stream: from here on it is live."""
    page.goto(url + path)
    wait_live(page)


def wait_live(page: Page) -> None:
    expect(page.locator("[data-connection=live]")).to_be_visible()


def sentence(page: Page) -> Locator:
    """The one true sentence at the top."""
    return page.locator("main h1 + p")


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


@dataclass(frozen=True)
class Sources:
    """The list of namespaces and applications."""

    page: Page
    url: str

    def open(self, query: str = "") -> Sources:
        open_page(self.page, self.url, f"/sources/{query}")
        return self

    def row(self, namespace: str, name: str, kind: str = "Deployment") -> Locator:
        return self.page.locator(f'[data-application="{namespace}/{kind}/{name}"]')

    def expect_state(
        self, namespace: str, name: str, state: str, kind: str = "Deployment", seconds: float = 10
    ) -> None:
        row = self.row(namespace, name, kind)
        expect(row).to_have_attribute("data-state", state, timeout=seconds * 1000)

    def expect_language(self, namespace: str, name: str, language: str, seconds: float = 10) -> None:
        badge = self.row(namespace, name).get_by_role("button", name=re.compile(f"^{re.escape(language)}\\b"))
        expect(badge).to_be_visible(timeout=seconds * 1000)

    def switch(self, name: str) -> Locator:
        return self.page.get_by_role("switch", name=f"Instrument {name}", exact=True)

    def namespace_switch(self, name: str) -> Locator:
        return self.page.get_by_role("switch", name=f"Instrument all of namespace {name}", exact=True)

    def flip(self, switch: Locator) -> None:
        """The switch, the plan that it shows, and the yes to it."""
        is_on = switch.get_attribute("aria-checked") == "true"
        switch.click()
        self.confirm(on=not is_on)
        expect(switch).to_have_attribute("aria-checked", "false" if is_on else "true")

    def confirm(self, *, on: bool) -> None:
        button = dialog(self.page).get_by_role("button", name="Instrument" if on else "Take it back", exact=True)
        expect(button).not_to_have_attribute("aria-disabled", "true")
        button.click()
        expect(dialog(self.page)).to_have_count(0)

    def search(self, text: str) -> None:
        self.page.get_by_role("searchbox", name="Search applications").fill(text)

    def shown(self) -> list[str]:
        """The applications on the screen, from the top."""
        rows = self.page.locator("[data-application]")
        return [str(row.get_attribute("data-application")) for row in rows.all()]


@dataclass(frozen=True)
class Destinations:
    """The list of destinations, and the form for a new one."""

    page: Page
    url: str

    def open(self) -> Destinations:
        open_page(self.page, self.url, "/destinations/")
        return self

    def item(self, display: str) -> Locator:
        return self.page.get_by_role("article").filter(has=self.page.get_by_role("heading", name=display, exact=True))

    def expect_state(self, display: str, state: str, seconds: float = 10) -> None:
        expect(self.item(display)).to_have_attribute("data-state", state, timeout=seconds * 1000)

    def open_form(self, type_: str) -> Destinations:
        open_page(self.page, self.url, f"/destinations/edit/?type={type_}")
        return self

    def field(self, label: str) -> Locator:
        return self.page.get_by_role("textbox", name=label, exact=True)

    def error(self, label: str) -> Locator:
        """What the form says is wrong with a field: the description that its input points to."""
        expect(self.field(label)).to_have_attribute("aria-invalid", "true")
        described = self.field(label).get_attribute("aria-describedby") or ""
        ids = [f'[id="{id_}"]' for id_ in described.split() if id_.endswith("-error")]
        assert ids, f"the field {label} is not described as wrong"
        return self.page.locator(", ".join(ids))

    def more(self) -> None:
        self.page.get_by_text("More settings", exact=True).click()

    def submit(self) -> None:
        self.page.get_by_role("button", name="Add destination").click()

    def add(self, type_: str, display: str, fields: Mapping[str, str], *, signals: tuple[str, ...] = ()) -> str:
        """A destination by the form; returns the name of its object."""
        self.open_form(type_)
        self.field("Name").fill(display)
        for label, value in fields.items():
            self.field(label).fill(value)
        for signal in ("Traces", "Metrics", "Logs") if signals else ():
            self.page.get_by_role("checkbox", name=signal).set_checked(signal in signals)
        self.submit()
        self.page.wait_for_url(re.compile(r"/destinations/\?added="))
        return self.page.url.partition("added=")[2]

    def delete(self, display: str) -> None:
        self.page.get_by_role("button", name=f"Delete {display}", exact=True).click()
        dialog(self.page).get_by_role("button", name="Delete", exact=True).click()
        expect(dialog(self.page)).to_have_count(0)
