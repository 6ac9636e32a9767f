"""Bad input on the real cluster: each ends in a condition with a reason, and nothing else stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster import walk
from cluster.kubectl import Kubectl
from tests.e2e.conftest import Shop
from tests.e2e.test_walk import conditions_of

NAMESPACE = "odd"


@pytest.fixture(scope="module")
def odd(shop: Shop) -> Iterator[Kubectl]:
    """A namespace for what is wrong, beside the shop."""
    kubectl = shop.kubectl
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=180)


def wait_for_condition(
    kubectl: Kubectl,
    resource: str,
    namespace: str,
    type_: str,
    matches: Callable[[dict[str, Any]], bool],
    seconds: float = 60,
) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        condition = conditions_of(kubectl, resource, namespace).get(type_)
        return condition if condition and matches(condition) else None

    return walk.until(f"{type_} of {resource}", seconds, look, lambda: walk.why_not(kubectl))


def destination(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": walk.SYSTEM}
    return {"apiVersion": "odigos.io/v1alpha1", "kind": "Destination", "metadata": metadata, "spec": spec}


def source(kind: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "odigos.io/v1alpha1",
        "kind": "Source",
        "metadata": {"name": f"{kind.lower()}-{name}", "namespace": NAMESPACE},
        "spec": {"workload": {"namespace": NAMESPACE, "kind": kind, "name": name}},
    }


def deployment(name: str, image: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "app", "image": image, "imagePullPolicy": "IfNotPresent", **container}],
                },
            },
        },
    }


def test_an_unknown_destination_type_says_so_and_the_others_go_on(odd: Kubectl) -> None:
    odd.apply(destination("carrier-pigeon", type="carrier-pigeon", signals=["TRACES"]))
    condition = wait_for_condition(
        odd, "destination/carrier-pigeon", walk.SYSTEM, "Configured", lambda c: c["status"] == "False"
    )
    assert condition["reason"] == "UnknownType"
    assert "otlphttp" in condition["message"]
    assert conditions_of(odd, "destination/demo-store", walk.SYSTEM)["Configured"]["status"] == "True"
    odd("delete", "destination", "carrier-pigeon", "-n", walk.SYSTEM)


def test_a_destination_without_its_endpoint_names_the_missing_field(odd: Kubectl) -> None:
    odd.apply(destination("nowhere", type="otlp", signals=["TRACES"]))
    condition = wait_for_condition(
        odd, "destination/nowhere", walk.SYSTEM, "Configured", lambda c: c["status"] == "False"
    )
    assert condition["reason"] == "MissingField"
    assert "OTLP_GRPC_ENDPOINT" in condition["message"]
    odd("delete", "destination", "nowhere", "-n", walk.SYSTEM)


def test_a_source_that_names_nothing_says_so(odd: Kubectl) -> None:
    odd.apply(source("Deployment", "ghost"))
    condition = wait_for_condition(
        odd, "source/deployment-ghost", NAMESPACE, "Matched", lambda c: c["status"] == "False"
    )
    assert "ghost" in condition["message"]


def test_a_container_in_no_known_language_is_left_alone_and_says_what_was_seen(odd: Kubectl) -> None:
    odd.apply(
        deployment("shell", "odigos-cp/agent-java:local", command=["/bin/busybox", "sleep", "3600"]),
        source("Deployment", "shell"),
    )
    condition = wait_for_condition(
        odd, "instrumentedapplication/deployment-shell", NAMESPACE, "RuntimeDetected", lambda c: c["status"] == "False"
    )
    assert condition["reason"] == "NoKnownLanguage"
    template = odd.json("get", "deployment", "shell", "-n", NAMESPACE)["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "shell"}


def test_a_destination_that_is_down_says_so_while_the_other_is_delivered_to(odd: Kubectl, shop: Shop) -> None:
    odd.apply(
        destination(
            "down", type="otlphttp", signals=["TRACES"], data={"OTLP_HTTP_ENDPOINT": f"http://down.{NAMESPACE}:4318"}
        )
    )
    walk.instrument(odd)
    condition = wait_for_condition(
        odd, "destination/down", walk.SYSTEM, "Delivering", lambda c: c["status"] == "False", seconds=240
    )
    assert condition["reason"] == "NotAccepting"
    assert f"down.{NAMESPACE}" in condition["message"]
    before = odd.raw(f"{walk.STORE_API}/api/summary")["services"].get("cart", {}).get("spans", 0)
    walk.until(
        "the other destination still receives spans",
        120,
        lambda: odd.raw(f"{walk.STORE_API}/api/summary")["services"].get("cart", {}).get("spans", 0) > before or None,
    )
    odd("delete", "destination", "down", "-n", walk.SYSTEM)


def test_a_detector_that_never_answers_ends_in_a_condition_and_the_next_one_succeeds(odd: Kubectl, shop: Shop) -> None:
    """The detector's image is replaced by one that runs on and says nothing: the deadline ends it."""
    odd("set", "env", "deployment/odigos", "-n", walk.SYSTEM, "ODIGOS_DETECTOR_IMAGE=odigos-cp/demo-load:local")
    walk.wait_rolled_out(odd, walk.SYSTEM, "deployment/odigos", 120)
    odd.apply(deployment("mute", "odigos-cp/demo-load:local"), source("Deployment", "mute"))
    name = "instrumentedapplication/deployment-mute"
    condition = wait_for_condition(
        odd,
        name,
        NAMESPACE,
        "RuntimeDetected",
        lambda c: c["status"] == "False" and c["reason"] != "NotWanted",
        seconds=120,
    )
    assert condition["reason"] == "DetectorTimedOut"
    odd("set", "env", "deployment/odigos", "-n", walk.SYSTEM, "ODIGOS_DETECTOR_IMAGE=odigos-cp/detector:local")
    walk.wait_rolled_out(odd, walk.SYSTEM, "deployment/odigos", 120)
    wait_for_condition(odd, name, NAMESPACE, "RuntimeDetected", lambda c: c["status"] == "True", seconds=120)
