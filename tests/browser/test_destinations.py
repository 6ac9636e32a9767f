"""The form that is made from a type's schema, and the list of what it added."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Key
from odigos_cp.domain import catalogue
from tests.browser.chromium import Heard
from tests.browser.pages import Destinations, open_page, sentence
from tests.browser.scenarios import jaeger
from tests.browser.serving import Served


def stored(served: Served, name: str) -> Destination | None:
    return served.do(lambda cluster: cluster.stores[DESTINATIONS].get(Key(SYSTEM_NAMESPACE, name)))


@pytest.mark.parametrize("scenario", ["first_run"])
def test_an_otlp_destination_is_added_by_the_form(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url).open()
    page.get_by_role("link", name="OTLP gRPC").click()
    name = destinations.add("otlp", "My Jaeger", {"Endpoint": "jaeger.observability:4317"}, signals=("Traces",))
    made = stored(served, name)
    assert made is not None
    assert (made.spec.type, made.spec.destination_name, made.spec.signals) == ("otlp", "My Jaeger", ("TRACES",))
    assert made.spec.data == {"OTLP_GRPC_ENDPOINT": "jaeger.observability:4317"}
    destinations.expect_state("My Jaeger", "pending")


def test_a_wrong_endpoint_is_told_at_its_field_and_nothing_is_written(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("422 (Unprocessable")
    destinations = Destinations(page, served.url).open_form("otlp")
    endpoint = destinations.field("Endpoint")
    endpoint.fill("http://jaeger:4317/v1/traces")
    expect(endpoint).not_to_have_attribute("aria-invalid", "true")
    endpoint.press("Tab")
    expect(endpoint).to_have_attribute("aria-invalid", "true")
    expect(destinations.error("Endpoint")).to_contain_text("gRPC knows only host:port; remove the path")
    destinations.submit()
    expect(endpoint).to_be_focused()
    endpoint.fill("jaeger:4317")
    expect(endpoint).not_to_have_attribute("aria-invalid", "true")
    assert served.do(lambda cluster: cluster.requests) == []
    destinations.submit()
    expect(destinations.item("OTLP gRPC")).to_be_visible()


def test_what_is_missing_is_told_without_asking_the_server(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url).open_form("otlphttp")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    destinations.submit()
    expect(destinations.error("Endpoint")).to_have_text("Endpoint is needed.")
    expect(destinations.field("Endpoint")).to_be_focused()
    for signal in ("Traces", "Metrics", "Logs"):
        page.get_by_role("checkbox", name=signal).uncheck()
    expect(page.get_by_text("Choose at least one, or nothing would be sent.")).to_be_visible()
    assert "POST" not in asked


def test_a_name_that_is_taken_is_told_at_its_field(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url)
    destinations.add("debug", "Twice", {})
    destinations.open_form("debug")
    destinations.field("Name").fill("Twice")
    destinations.field("Name").press("Tab")
    expect(destinations.error("Name")).to_contain_text("There is already a destination")
    expect(destinations.error("Name")).to_contain_text("another name")


def test_a_secret_is_written_once_and_never_comes_back(page: Page, served: Served) -> None:
    secret = "p$ss-never-shown"
    bodies: list[str] = []
    page.on("response", lambda response: bodies.append(response.text()) if "/api/dest" in response.url else None)
    destinations = Destinations(page, served.url).open_form("otlphttp")
    destinations.field("Endpoint").fill("https://otlp.vendor.example")
    destinations.more()
    destinations.field("User name").fill("me")
    destinations.field("Password").fill(secret)
    expect(destinations.field("Password")).to_have_attribute("type", "password")
    expect(page.get_by_label("kubectl command", exact=True)).to_contain_text("OTLP_HTTP_BASIC_AUTH_USERNAME: me")
    expect(page.get_by_text("OTLP_HTTP_BASIC_AUTH_PASSWORD goes into a Secret")).to_be_visible()
    destinations.submit()
    item = destinations.item("OTLP HTTP")
    item.get_by_text("Details").click()
    expect(item).to_contain_text("kept in a Secret, never read back")
    (written,) = served.do(lambda cluster: list(cluster.secrets.values()))
    assert written["stringData"] == {"OTLP_HTTP_BASIC_AUTH_PASSWORD": secret.replace("$", "$$")}
    assert not any(secret in body or secret.replace("$", "$$") in body for body in [*bodies, page.content()])


def test_a_hidden_field_that_is_wrong_comes_into_sight(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("422 (Unprocessable")
    destinations = Destinations(page, served.url).open_form("otlphttp")
    destinations.field("Endpoint").fill("https://otlp.vendor.example")
    destinations.more()
    destinations.field("Password").fill("alone")
    destinations.more()
    expect(destinations.field("Password")).to_be_hidden()
    destinations.submit()
    expect(destinations.field("Password")).to_be_focused()
    expect(destinations.error("Password")).to_contain_text("would not be used")


def test_a_destination_is_deleted_after_its_consequences_were_shown(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url).open()
    page.get_by_role("button", name="Delete Vendor (EU)").click()
    shown = page.get_by_role("dialog")
    expect(shown).to_contain_text("18 KiB that wait for it are lost.")
    expect(shown).to_contain_text("kubectl delete destinations.odigos.io -n odigos-system vendor-eu-0aa31")
    shown.get_by_role("button", name="Keep it").click()
    destinations.delete("Vendor (EU)")
    expect(destinations.item("Vendor (EU)")).to_have_count(0)
    assert stored(served, "vendor-eu-0aa31") is None


@pytest.mark.parametrize("scenario", ["broken"])
def test_what_a_destination_complains_of_stands_at_it(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url).open()
    expect(sentence(page)).to_have_text(
        "0 of 3 destinations take what they are sent; Half filled in, Jaeger and 1 more do not."
    )
    expect(destinations.item("Jaeger")).to_contain_text("connection refused")
    expect(destinations.item("Jaeger")).to_contain_text("5.2 MiB")
    expect(destinations.item("Old back end")).to_contain_text("There is no destination type 'zipkinv1'")
    expect(destinations.item("Half filled in")).to_contain_text("Delete it and add it again with this field filled in.")


def test_throughput_is_the_difference_of_two_readings(page: Page, served: Served) -> None:
    destinations = Destinations(page, served.url).open()
    item = destinations.item("Jaeger")
    expect(item).to_contain_text("184.2K")

    def later(seconds: int, spans: int) -> Destination:
        read_at = f"2026-01-01T00:00:{seconds:02}Z"
        status = jaeger().status.model_copy(
            update={"throughput": jaeger().status.throughput.model_copy(update={"spans": spans, "read_at": read_at})}  # type: ignore[union-attr]
        )
        return jaeger().model_copy(update={"status": status})

    served.do(lambda cluster: cluster.put(DESTINATIONS, later(10, 200_000)))
    expect(item).to_contain_text("200K")
    served.do(lambda cluster: cluster.put(DESTINATIONS, later(20, 204_000)))
    expect(item).to_contain_text("400/s")


@pytest.mark.parametrize("type_", sorted(catalogue.TYPES))
def test_every_type_of_the_catalogue_has_its_form(page: Page, served: Served, type_: str) -> None:
    known = catalogue.TYPES[type_]
    open_page(page, served.url, "/destinations/edit/")
    page.get_by_role("link", name=known.display).click()
    form = page.get_by_role("form", name=f"New destination: {known.display}")
    expect(form).to_be_visible()
    if any(f.required for f in known.fields) and not all(f.required for f in known.fields):
        Destinations(page, served.url).more()
    for known_field in known.fields:
        control = form.locator(f'[name="data.{known_field.name}"]')
        expect(control).to_be_visible()
        expect(control).to_have_accessible_name(known_field.label)
        if known_field.secret:
            expect(control).to_have_attribute("type", "password")


def test_an_unknown_type_is_said_in_words(page: Page, served: Served) -> None:
    open_page(page, served.url, "/destinations/edit/?type=nonsense")
    expect(page.get_by_role("heading", name="There is no such kind of destination")).to_be_visible()
