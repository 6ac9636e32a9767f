"""Every configuration that can be rendered is one that the real collector takes and starts with.

`validate` is what the init container runs. It does not find everything, so each is started too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.api.destination import Destination
from odigos_cp.domain import catalogue, pipeline
from tests import builders
from tests.collector.conftest import Start
from tests.collector.running import Collector
from tests.domain import certificates, test_endpoints
from tests.domain.test_pipeline import CASES, NODE_GATEWAY, wishes

SIZES = ResourceSizes()
ALL = ["TRACES", "METRICS", "LOGS"]


def gateway(*destinations: Destination) -> str:
    rendered = pipeline.render_gateway(destinations, SIZES)
    assert not rendered.faults, rendered.faults
    return rendered.text


def check(start: Start, text: str) -> Collector:
    """Valid, and healthy."""
    collector = start("collector", text)
    assert collector.validate() == (0, "")
    return collector


@pytest.mark.parametrize("case", CASES)
def test_a_gateways_golden_configuration_starts(case: str, start: Start) -> None:
    assert check(start, pipeline.render_gateway(wishes(case), SIZES).text).stop() == 0


def test_a_nodes_golden_configuration_starts(start: Start) -> None:
    assert check(start, pipeline.render_node(NODE_GATEWAY, SIZES).text).stop() == 0


def test_every_choice_of_every_type_is_one_that_the_collector_knows(start: Start) -> None:
    check(start, gateway(*choices()))


def choices() -> Iterator[Destination]:
    """One destination for each option of each field, the others left alone."""
    for known in catalogue.TYPES.values():
        needed = {f.name: "https://a.example" for f in known.fields if f.sets == "endpoint"}
        for field in known.fields:
            values = {"select": field.options, "boolean": ("true", "false")}.get(field.kind, ())
            for value in values:
                name = f"{known.type}-{field.name}-{value}".lower().replace("_", "-")
                yield builders.destination(
                    name, type_=known.type, data=needed | {field.name: value}, signals=list(known.signals)
                )


def test_an_authority_of_ones_own_is_one_that_the_collector_reads(start: Start) -> None:
    pem = certificates.authority().replace("\n", " ")
    grpc = {"OTLP_GRPC_ENDPOINT": "https://a.example", "OTLP_GRPC_CA_PEM": pem}
    http = {"OTLP_HTTP_ENDPOINT": "https://a.example", "OTLP_HTTP_CA_PEM": pem}
    check(start, gateway(builders.destination("a", data=grpc), builders.destination("b", type_="otlphttp", data=http)))


def test_every_address_that_is_accepted_is_one_that_the_collector_accepts(start: Start) -> None:
    """What Go cannot parse would stop the gateway of all destinations."""
    grpc = [text for text, _, _, _ in test_endpoints.GRPC]
    http = ["http://h/[x]", "https://h/a:b,c;d=e@f", "h//a/../b", "http://h/%2F~*()!&+", "[::ffff:1.2.3.4]:1", "1:1"]
    odd = ["unix:1", "dns", "passthrough:4317", "xds:1", "localhost", "0.0.0.0:1", "_dmarc.a"]
    wanted = [("otlp", "OTLP_GRPC_ENDPOINT", text) for text in grpc + odd]
    wanted += [("otlphttp", "OTLP_HTTP_ENDPOINT", text) for text in http + odd]
    check(
        start,
        gateway(*(builders.destination(f"d{n}", type_=t, data={name: v}) for n, (t, name, v) in enumerate(wanted))),
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"data": {"OTLP_HTTP_ENDPOINT": "a", "OTLP_HTTP_BASIC_AUTH_USERNAME": "u"}},
        {"data": {"OTLP_HTTP_ENDPOINT": "a", "OTLP_HTTP_BASIC_AUTH_USERNAME": "u"}, "secretRef": {"name": "gone"}},
        {"data": {"OTLP_HTTP_ENDPOINT": "a"}, "secretRef": {"name": "gone"}},
    ],
    ids=["no password", "no such secret for a password", "no such secret for a header"],
)
def test_a_secret_that_is_not_there_stops_no_gateway(spec: dict[str, Any], start: Start) -> None:
    check(start, gateway(builders.destination("a", type_="otlphttp", signals=ALL, **spec)))


@pytest.mark.parametrize(
    "text",
    ["receivers: {otlp: {}}", "exporters: {pigeon: {}}", "a: b", "{", ""],
    ids=["no pipelines", "unknown exporter", "unknown section", "no yaml", "nothing"],
)
def test_the_init_container_holds_a_broken_configuration_back_and_says_why(
    text: str, binary: Path, tmp_path: Path
) -> None:
    code, said = Collector(binary, tmp_path / "broken", text).validate()
    assert code != 0
    assert said.strip()
