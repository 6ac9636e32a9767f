"""The collectors' configurations: golden files, and what holds for any of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.api.destination import Destination
from odigos_cp.api.meta import SYSTEM_NAMESPACE
from odigos_cp.domain import catalogue, pipeline
from odigos_cp.domain.pipeline import Rendered
from tests import builders
from tests.domain import certificates, goldens

CASES = sorted(p.stem for p in (goldens.GOLDEN / "gateway").glob("*.yaml") if "." not in p.stem)
SIZES = ResourceSizes()
NODE_GATEWAY = "odigos-gateway.odigos-system.svc:4317"


def wishes(case: str) -> list[Destination]:
    """The Destinations of a golden case, as a user writes them."""
    found = yaml.safe_load((goldens.GOLDEN / "gateway" / f"{case}.yaml").read_text())
    return [
        Destination.model_validate(wish | {"metadata": builders.meta(wish["metadata"]["name"], SYSTEM_NAMESPACE)})
        for wish in found
    ]


def gateway(*destinations: Destination) -> Rendered:
    return pipeline.render_gateway(destinations, SIZES)


def otlp(name: str, **spec: Any) -> Destination:
    return builders.destination(name, data={"OTLP_GRPC_ENDPOINT": f"{name}:4317"}, **spec)


# Golden files


@pytest.mark.parametrize("case", CASES)
def test_a_gateways_configuration_is_as_expected(case: str) -> None:
    rendered = gateway(*wishes(case))
    goldens.check(goldens.GOLDEN / "gateway" / f"{case}.collector.yaml", rendered.text)
    told = {
        "signals": list(rendered.signals),
        "variables": [f"{v.name} = {v.secret}/{v.key}" for v in rendered.variables],
        "left out": {name: f"{fault.reason}: {fault.message}" for name, fault in rendered.faults.items()},
    }
    goldens.check(goldens.GOLDEN / "gateway" / f"{case}.told.yaml", goldens.dump(told))


def test_a_nodes_configuration_is_as_expected() -> None:
    goldens.check(goldens.GOLDEN / "node" / "collector.yaml", pipeline.render_node(NODE_GATEWAY, SIZES).text)


# The text


@pytest.mark.parametrize("case", CASES)
def test_the_text_says_what_the_configuration_is(case: str) -> None:
    rendered = gateway(*wishes(case))
    assert yaml.safe_load(rendered.text) == rendered.config


def test_the_order_of_the_destinations_changes_nothing() -> None:
    several = wishes("several")
    assert gateway(*several).hash == gateway(*reversed(several)).hash


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"OTLP_GRPC_ENDPOINT": "b:4318"}},
        {"data": {"OTLP_GRPC_ENDPOINT": "b:4317"}, "secretRef": {"name": "t"}},
        {"data": {"OTLP_GRPC_ENDPOINT": "b:4317"}, "signals": ["LOGS"]},
    ],
)
def test_a_changed_destination_has_another_hash(change: dict[str, Any]) -> None:
    before = builders.destination("b", data={"OTLP_GRPC_ENDPOINT": "b:4317"}, secretRef={"name": "s"})
    assert gateway(before).hash != gateway(builders.destination("b", **change)).hash


def test_what_the_collector_does_not_run_changes_no_hash() -> None:
    one = otlp("a")
    noise = builders.destination("pigeon", type_="pigeon"), otlp("off", disabled=True)
    assert gateway(one).hash == gateway(one, *noise).hash


def test_other_sizes_are_another_configuration() -> None:
    small = ResourceSizes(memory_limit_mib=128)
    assert pipeline.render_gateway([], small).hash != gateway().hash
    assert pipeline.render_node(NODE_GATEWAY, small).config["processors"]["memory_limiter"]["limit_mib"] == 96


def test_more_than_a_config_map_holds_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pipeline.LARGEST_TEXT < 1024 * 1024
    monkeypatch.setattr(pipeline, "LARGEST_TEXT", 9_000)
    gateway(otlp("a"))
    with pytest.raises(pipeline.TooLarge, match="9,000 is the most"):
        gateway(*(otlp(f"d{n}") for n in range(10)))


HOSTILE = st.text(max_size=40) | st.lists(
    st.sampled_from(["$", "${env:HOME}", "\n", "'", '"', "\\", ": ", " #", "\x85", "\u2028", "é", "😀", "- ", "{", "%"])
).map("".join)
CERTIFICATE = certificates.authority()


@settings(max_examples=60)
@given(name=HOSTILE, user=HOSTILE, header=HOSTILE, namespaces=st.lists(HOSTILE, max_size=2))
def test_hostile_text_survives_yaml_and_breaks_no_other_destination(
    name: str, user: str, header: str, namespaces: list[str]
) -> None:
    data = {
        "OTLP_HTTP_ENDPOINT": "https://vendor.io",
        "OTLP_HTTP_BASIC_AUTH_USERNAME": user,
        "OTLP_HTTP_HEADERS": f"x-h={header}",
        "OTLP_HTTP_CA_PEM": CERTIFICATE,
    }
    spec: dict[str, Any] = {"sourceSelector": {"namespaces": namespaces}} if namespaces else {}
    hostile = builders.destination("odd", type_="otlphttp", data=data, destinationName=name, **spec)
    rendered = gateway(otlp("well"), hostile)
    assert yaml.safe_load(rendered.text) == rendered.config
    assert "otlp_grpc/well" in rendered.config["exporters"]


# The shape


def shape(rendered: Rendered) -> dict[str, Any]:
    return dict(rendered.config["service"]["pipelines"])


def ways(rendered: Rendered) -> dict[str, list[str]]:
    """The exporters behind each pipeline's connectors, on every level."""
    pipelines, connectors = shape(rendered), rendered.config["connectors"]
    found: dict[str, list[str]] = {}
    for name, one in pipelines.items():
        if name.endswith("/in"):
            behind = [p for p in pipelines.values() if set(p["receivers"]) & set(one["exporters"])]
            found[name] = sorted({e for p in behind for e in p["exporters"]} or set(one["exporters"]))
    for name in connectors:
        assert any(name in p["receivers"] for p in pipelines.values()), f"{name} leads nowhere"
        assert any(name in p["exporters"] for p in pipelines.values()), f"nothing comes into {name}"
    return found


SIGNALS = st.sets(st.sampled_from(["TRACES", "METRICS", "LOGS"]))
MANY = st.lists(
    st.builds(
        lambda n, type_, signals, disabled: builders.destination(
            f"d{n}",
            type_=type_,
            data={"OTLP_GRPC_ENDPOINT": "a:1", "OTLP_HTTP_ENDPOINT": "a:1"},
            signals=sorted(signals),
            disabled=disabled,
        ),
        st.integers(0, 9),
        st.sampled_from([*catalogue.TYPES, "pigeon"]),
        SIGNALS,
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda d: d.metadata.name,
)


@given(MANY)
def test_every_signal_gets_from_the_receiver_to_everybody_who_wants_it_and_to_nobody_else(
    destinations: Sequence[Destination],
) -> None:
    rendered = gateway(*destinations)
    reached = ways(rendered)
    for signal in ("TRACES", "METRICS", "LOGS"):
        wanting = {
            e.component for name, e in rendered.exporters.items() if signal in e.signals and name not in rendered.faults
        }
        helpers = {"nop", "otlp_http/_refuses"}
        assert set(reached[f"{signal.lower()}/in"]) - helpers == wanting
        assert (signal in rendered.signals) == bool(wanting)


@given(MANY)
def test_whatever_is_configured_what_was_promised_to_senders_is_kept(destinations: Sequence[Destination]) -> None:
    rendered = gateway(*destinations)
    for config in (rendered.config, pipeline.render_node(NODE_GATEWAY, SIZES).config):
        assert not [p for p in config["processors"] if p.startswith("batch")]
        for name, one in config["service"]["pipelines"].items():
            receives = one["receivers"] == ["otlp"]
            assert (one.get("processors", [])[:1] == ["memory_limiter"]) == receives, name
        for name, block in config["exporters"].items():
            if name.startswith(("debug", "nop", "otlp_http/_refuses")):
                continue
            assert block["sending_queue"]["storage"] in config["service"]["extensions"]
            assert block["sending_queue"]["batch"]["max_size"] < 4 * 1024 * 1024
            assert block["retry_on_failure"]["max_elapsed_time"] == "0s"
        assert sorted(config["extensions"]) == config["service"]["extensions"]


def test_a_destination_alone_pushes_back_and_several_are_kept_apart() -> None:
    alone, two = shape(gateway(otlp("a"))), shape(gateway(otlp("a"), otlp("b")))
    assert alone["traces/in"]["exporters"] == ["forward/traces-to-a"]
    assert two["traces/in"]["exporters"] == ["failover/traces-to-a", "failover/traces-to-b"]
    assert two["metrics/in"]["exporters"] == ["nop"]


def test_a_source_selector_lets_nothing_else_through() -> None:
    config = gateway(otlp("a", sourceSelector={"namespaces": ["shop", "bank"]})).config
    assert config["service"]["pipelines"]["traces/to-a"]["processors"] == ["filter/a"]
    elsewhere = 'attributes["k8s.namespace.name"] != "bank" and attributes["k8s.namespace.name"] != "shop"'
    assert config["processors"]["filter/a"]["traces"] == {"resource": [elsewhere]}


def test_the_golden_folder_has_no_file_that_nobody_looks_at() -> None:
    expected = {f"{case}{suffix}" for case in CASES for suffix in (".yaml", ".collector.yaml", ".told.yaml")}
    assert {p.name for p in Path(goldens.GOLDEN / "gateway").iterdir()} == expected
