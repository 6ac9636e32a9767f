"""The list of applications: what it says, and what its switches write."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from odigos_cp.api.meta import Key
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.kube import errors
from tests.browser.chromium import Heard
from tests.browser.pages import Sources, dialog, open_page, sentence
from tests.browser.serving import Served


def source(served: Served, namespace: str, name: str) -> Source | None:
    return served.do(lambda cluster: cluster.stores[SOURCES].get(Key(namespace, name)))


def test_namespaces_and_applications_stand_there_with_language_and_state(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    expect(page.get_by_role("heading", name="Namespace shop")).to_be_visible()
    sources.expect_language("shop", "cart", "Python")
    sources.expect_language("shop", "pricing", "Java")
    sources.expect_state("shop", "cart", "instrumented")
    sources.expect_state("billing", "reports", "waiting")
    sources.expect_state("shop", "load", "notInstrumentable")
    expect(sources.row("shop", "load")).to_contain_text("agents cannot enter it")
    expect(sentence(page)).to_have_text(
        "8 of 11 chosen applications are instrumented; 2 waiting (billing/reports, search/suggest); "
        "1 cannot be instrumented (shop/load)."
    )


def test_the_switch_shows_what_will_happen_and_then_writes_a_source(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.switch("grafana").click()
    expect(dialog(page)).to_contain_text("the pods are replaced once")
    dialog(page).get_by_text("The same with kubectl").click()
    expect(dialog(page)).to_contain_text("kubectl apply")
    assert source(served, "monitoring", "deployment-grafana") is None, "nothing is written before the yes"
    sources.confirm(on=True)
    sources.expect_state("monitoring", "grafana", "waiting")
    written = source(served, "monitoring", "deployment-grafana")
    assert written is not None
    assert (written.spec.workload.name, written.spec.disable_instrumentation) == ("grafana", False)
    assert served.do(lambda cluster: cluster.managers) == {"odigos-ui"}


def test_who_cancels_has_changed_nothing(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.switch("grafana").click()
    dialog(page).get_by_role("button", name="Cancel").click()
    expect(sources.switch("grafana")).to_have_attribute("aria-checked", "false")
    assert served.do(lambda cluster: cluster.requests) == []


def test_a_whole_namespace_is_one_source(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    switch = sources.namespace_switch("monitoring")
    switch.click()
    expect(dialog(page)).to_contain_text("grafana")
    expect(dialog(page)).to_contain_text("node-exporter")
    expect(dialog(page)).to_contain_text("later are instrumented too")
    sources.confirm(on=True)
    sources.expect_state("monitoring", "grafana", "waiting")
    written = source(served, "monitoring", "namespace-monitoring")
    assert written is not None
    assert written.spec.workload.kind == "Namespace"
    sources.flip(switch)
    assert source(served, "monitoring", "namespace-monitoring") is None


def test_what_was_done_can_be_undone(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.flip(sources.switch("grafana"))
    page.get_by_role("button", name="Undo").click()
    expect(sources.switch("grafana")).to_have_attribute("aria-checked", "false")
    sources.expect_state("monitoring", "grafana", "notSelected")
    assert source(served, "monitoring", "deployment-grafana") is None


def test_a_refused_write_stays_in_front_of_the_person_with_its_cure(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("403 (Forbidden)")
    sources = Sources(page, served.url).open()
    served.do(lambda cluster: cluster.fail_next(errors.Forbidden("cannot patch sources", status=403), on=SOURCES))
    sources.switch("grafana").click()
    dialog(page).get_by_role("button", name="Instrument", exact=True).click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("cannot patch sources")
    expect(dialog(page).get_by_role("alert")).to_contain_text("RBAC")
    dialog(page).get_by_role("button", name="Cancel").click()
    expect(sources.switch("grafana")).to_have_attribute("aria-checked", "false")


def test_a_source_that_decides_otherwise_is_named_before_anything_is_tried(page: Page, served: Served) -> None:
    pattern = {
        "workload": {"namespace": "billing", "kind": "Deployment", "name": ".*"},
        "matchWorkloadNameAsRegex": True,
    }
    everything = Source.model_validate({"metadata": {"name": "everything", "namespace": "billing"}, "spec": pattern})
    served.do(lambda cluster: cluster.put(SOURCES, everything))
    sources = Sources(page, served.url).open()
    sources.switch("invoices").click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("everything decides otherwise")
    button = dialog(page).get_by_role("button", name="Take it back")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    assert served.do(lambda cluster: cluster.requests) == []


@pytest.mark.parametrize("scenario", ["broken"])
def test_what_cannot_be_switched_says_why(page: Page, served: Served) -> None:
    Sources(page, served.url).open()
    page.get_by_text("2 namespaces have no applications yet").click()
    blocked = page.get_by_role("switch", name="Instrument all of namespace leaving: it is being deleted")
    expect(blocked).to_have_attribute("aria-disabled", "true")
    blocked.click(force=True)
    expect(dialog(page)).to_have_count(0)
    page.get_by_text("4 namespaces are never instrumented").click()
    expect(page.get_by_text("A fault there would break the cluster")).to_be_visible()


def test_the_list_is_narrowed_by_words_tokens_and_states_and_the_url_remembers(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.search("java ns:billing")
    expect(page.get_by_text("2 of 14 applications")).to_be_visible()
    assert sources.shown() == ["billing/Deployment/invoices", "billing/Deployment/ledger"]
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value("java ns:billing")
    expect(page.get_by_text("2 of 14 applications")).to_be_visible()
    page.get_by_role("button", name="Clear the search").click()
    page.get_by_role("button", name="Waiting").click()
    expect(page.get_by_text("2 of 14 applications")).to_be_visible()
    assert sources.shown() == ["billing/Deployment/reports", "search/Deployment/suggest"]
    assert page.url.endswith("?state=waiting")


def test_nothing_found_is_said_with_the_way_back(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.search("no such thing")
    page.get_by_role("button", name="Show all 14").click()
    expect(page.get_by_text("14 applications in 4 namespaces")).to_be_visible()


def test_a_language_says_how_it_is_known(page: Page, served: Served) -> None:
    sources = Sources(page, served.url).open()
    sources.row("shop", "pricing").get_by_role("button", name="how is this known").click()
    told = page.get_by_role("dialog", name="How the language of pricing is known")
    expect(told).to_contain_text("100 % sure")
    expect(told).to_contain_text("/opt/java/openjdk/lib/server/libjvm.so")


def test_an_application_shows_each_step_its_evidence_and_the_commands(page: Page, served: Served) -> None:
    Sources(page, served.url).open().row("shop", "cart").get_by_role("link", name="cart").click()
    expect(page).to_have_url(re.compile(r"/sources/view/\?id=shop%2FDeployment%2Fcart"))
    expect(page.get_by_role("heading", level=1)).to_have_text("cart")
    steps = page.get_by_role("listitem").filter(has_text="=True")
    expect(steps).to_have_count(6)
    expect(steps.nth(1)).to_contain_text("RuntimeDetected=True Detected")
    expect(page.get_by_role("row").filter(has_text="section .PyRuntime")).to_contain_text("90")
    expect(page.get_by_label("Source as YAML", exact=True)).to_contain_text("name: namespace-shop")
    expect(page.get_by_label("kubectl command", exact=True)).to_contain_text("disableInstrumentation: true")


@pytest.mark.parametrize("scenario", ["broken"])
def test_what_failed_says_what_since_when_why_and_what_to_do(page: Page, served: Served) -> None:
    open_page(page, served.url, "/sources/view/?id=shop%2FDeployment%2Fcart")
    told = page.locator("main [data-state=failed]")
    expect(told).to_contain_text("Failed")
    expect(told).to_contain_text("min ago")
    expect(told).to_contain_text("CrashLoopBackOff")
    expect(told).to_contain_text("kubectl describe pods")


def test_a_page_of_what_is_gone_says_so(page: Page, served: Served, heard: Heard) -> None:
    heard.forgive("404 (Not Found)")
    open_page(page, served.url, "/sources/view/?id=shop%2FDeployment%2Fgone")
    expect(page.get_by_role("heading", name="There is no such application")).to_be_visible()
    page.get_by_role("link", name="All applications").click()
    expect(page.get_by_role("heading", name="Namespace shop")).to_be_visible()


@pytest.mark.parametrize("scenario", ["first_run"])
def test_the_first_flow_needs_no_mouse(page: Page, served: Served) -> None:
    """From the overview to an instrumented namespace and a destination, by the keyboard alone."""
    open_page(page, served.url)

    def go_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
            )
            if focused == name:
                return
        raise AssertionError(f"the keyboard does not reach {name!r}")

    go_to("Choose applications")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Namespace shop")).to_be_visible()
    go_to("Instrument all of namespace shop")
    page.keyboard.press("Space")
    yes = dialog(page).get_by_role("button", name="Instrument", exact=True)
    expect(yes).to_be_focused()
    expect(yes).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_have_count(0)
    expect(page.get_by_role("switch", name="Instrument all of namespace shop")).to_be_focused()
    assert source(served, "shop", "namespace-shop") is not None
    page.keyboard.press("g")
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="New destination")).to_be_visible()
    go_to("OTLP gRPC\nTraces, metrics, logs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Endpoint", exact=True)).to_be_visible()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "data.OTLP_GRPC_ENDPOINT":
            break
    page.keyboard.type("jaeger.observability")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/destinations/\?added=otlp-grpc-"))
    expect(page.get_by_role("heading", name="OTLP gRPC")).to_be_visible()
