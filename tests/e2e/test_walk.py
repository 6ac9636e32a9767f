"""The main job, on real kubelets: one Source brings a trace across three languages, and taking it back leaves nothing.

The tests of this file are one story told in order; each needs what the ones before it did.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster import walk
from cluster.kubectl import Kubectl
from tests.e2e.conftest import Shop

LABEL = "odigos.io/instrumented"
AGENTS = {"frontend": "nodejs", "cart": "python", "pricing": "java"}


@pytest.fixture(scope="module")
def trace(shop: Shop) -> dict[str, Any]:
    """The first trace across all three applications, with every span."""
    walk.instrument(shop.kubectl)
    found = walk.wait_for_trace(shop.kubectl, print, seconds=300)
    return dict(shop.kubectl.raw(f"{walk.STORE_API}/api/traces/{found['traceId']}"))


def test_one_source_brings_one_trace_across_three_languages(trace: dict[str, Any]) -> None:
    services = {span["resource"]["service.name"] for span in trace["spans"]}
    assert services == set(AGENTS), f"trace {trace['traceId']}"
    assert {span["traceId"] for span in trace["spans"]} == {trace["traceId"]}


def test_the_spans_of_the_trace_hang_together_as_the_calls_did(trace: dict[str, Any]) -> None:
    """frontend called cart, and cart called pricing: each server span's parent is a client span of its caller."""
    spans = {span["spanId"]: span for span in trace["spans"]}
    callers = {
        (spans[span["parentSpanId"]]["resource"]["service.name"], span["resource"]["service.name"])
        for span in trace["spans"]
        if span.get("parentSpanId") in spans
    }
    assert {("frontend", "cart"), ("cart", "pricing")} <= callers


def test_every_span_names_the_pod_that_made_it(trace: dict[str, Any], shop: Shop) -> None:
    pods = {p["metadata"]["name"]: p for p in shop.pods()}
    for span in trace["spans"]:
        resource, service = span["resource"], span["resource"]["service.name"]
        pod = pods[resource["k8s.pod.name"]]
        assert resource["k8s.namespace.name"] == walk.SHOP
        assert resource["k8s.deployment.name"] == service
        assert resource["k8s.container.name"] == pod["spec"]["containers"][0]["name"]
        assert resource["k8s.pod.uid"] == pod["metadata"]["uid"]
        assert resource["k8s.node.name"] == pod["spec"]["nodeName"]


@pytest.mark.usefixtures("trace")
def test_the_templates_differ_from_before_by_the_one_label_only(shop: Shop) -> None:
    after = {name: json.loads(text) for name, text in shop.templates().items()}
    for name in AGENTS:
        label = after[name]["metadata"]["labels"].pop(LABEL)
        assert label, f"{name} carries no label"
        assert json.dumps(after[name], sort_keys=True) == shop.before[name], name


@pytest.mark.usefixtures("trace")
def test_each_language_was_detected_with_its_evidence_and_got_its_agent(shop: Shop) -> None:
    for application in walk.applications(shop.kubectl):
        name = application["spec"]["workload"]["name"]
        (runtime,) = application["status"]["runtimes"]
        assert runtime["language"] == AGENTS.get(name, "go"), f"{name}: {runtime}"
        assert runtime["version"], f"{name} has no version"
        assert runtime["evidence"], f"{name} has no evidence"
    conditions = conditions_of(shop.kubectl, "instrumentedapplication/deployment-pricing", walk.SHOP)
    assert {type_: c["status"] for type_, c in conditions.items()} == {
        "Marked": "True",
        "RuntimeDetected": "True",
        "CollectorAssigned": "True",
        "AgentEnabled": "True",
        "RolledOut": "True",
        "PodsInjected": "True",
    }


@pytest.mark.usefixtures("trace")
def test_the_users_own_settings_are_merged_not_replaced(shop: Shop) -> None:
    """pricing brings its own JAVA_TOOL_OPTIONS, cart its own PYTHONPATH."""
    environment = {
        (p["metadata"]["labels"]["app"], e["name"]): e.get("value", "")
        for p in shop.pods()
        for e in p["spec"]["containers"][0].get("env", [])
    }
    assert "-Xmx" in environment["pricing", "JAVA_TOOL_OPTIONS"]
    assert "-javaagent:/odigos-cp/" in environment["pricing", "JAVA_TOOL_OPTIONS"]
    assert environment["cart", "PYTHONPATH"].startswith("/odigos-cp/")
    assert ":" in environment["cart", "PYTHONPATH"]


@pytest.mark.usefixtures("trace")
def test_a_compiled_application_is_left_alone_and_says_why(shop: Shop) -> None:
    conditions = conditions_of(shop.kubectl, "instrumentedapplication/deployment-load", walk.SHOP)
    assert conditions["AgentEnabled"]["status"] == "False"
    assert "eBPF" in conditions["AgentEnabled"]["message"]
    assert shop.templates()["load"] == shop.before["load"]


@pytest.mark.usefixtures("trace")
def test_the_collectors_are_ready_and_the_destination_is_delivered_to(shop: Shop) -> None:
    groups = {
        g["metadata"]["name"]: g for g in shop.kubectl.json("get", "collectorsgroups", "-n", walk.SYSTEM)["items"]
    }
    assert groups["odigos-gateway"]["status"]["ready"]
    assert groups["odigos-node"]["status"]["ready"]

    def delivering() -> bool | None:
        seen = conditions_of(shop.kubectl, "destination/demo-store", walk.SYSTEM)
        return seen.get("Delivering", {}).get("status") == "True" or None

    assert walk.until(
        "the destination says that it is delivered to", 60, delivering, lambda: walk.why_not(shop.kubectl)
    )


@pytest.mark.usefixtures("trace")
def test_taking_the_source_away_gives_back_the_very_templates_and_pods_with_nothing_of_ours(shop: Shop) -> None:
    shop.kubectl("delete", "source", walk.SOURCE["metadata"]["name"], "-n", walk.SHOP)
    walk.until(
        "every InstrumentedApplication is gone",
        180,
        lambda: True if not walk.applications(shop.kubectl) else None,
        lambda: walk.why_not(shop.kubectl),
    )
    assert shop.templates() == shop.before
    for name in shop.before:
        walk.wait_rolled_out(shop.kubectl, walk.SHOP, f"deployment/{name}", 120)
    walk.until(
        "no pod carries anything of ours", 60, lambda: True if not marked(shop) else None, lambda: str(marked(shop))
    )


def marked(shop: Shop) -> list[str]:
    """Pods in which anything of ours is left."""
    return [
        p["metadata"]["name"]
        for p in shop.pods()
        if "odigos" in json.dumps([p["metadata"], p["spec"]]).replace("odigos-cp/demo-", "")
    ]


def conditions_of(kubectl: Kubectl, resource: str, namespace: str) -> dict[str, dict[str, Any]]:
    status = kubectl.json("get", resource, "-n", namespace).get("status", {})
    return {c["type"]: c for c in status.get("conditions", [])}
