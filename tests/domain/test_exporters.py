"""One Destination as an exporter: what users write stays text, secrets stay away, and each fault is named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from odigos_cp.api.destination import ConfiguredReason
from odigos_cp.domain import catalogue, exporters
from odigos_cp.domain.exporters import Exporter, Fault, SecretVariable
from tests import builders
from tests.domain import certificates

GRPC = {"OTLP_GRPC_ENDPOINT": "jaeger.observability:4317"}
HTTP = {"OTLP_HTTP_ENDPOINT": "https://api.vendor.io"}


def exporter(data: Mapping[str, str], type_: str = "otlp", **spec: Any) -> Exporter:
    built = exporters.build(builders.destination(type_=type_, data=data, **spec))
    assert isinstance(built, Exporter), built
    return built


def fault(data: Mapping[str, str], type_: str = "otlp", **spec: Any) -> Fault:
    built = exporters.build(builders.destination(type_=type_, data=data, **spec))
    assert isinstance(built, Fault), built
    return built


# What is rendered


def test_an_otlp_destination_is_sent_to_in_plaintext_unless_it_says_otherwise() -> None:
    assert exporter(GRPC).block == {
        "endpoint": "dns:///jaeger.observability:4317",
        "tls": {"insecure": True},
        "compression": "gzip",
    }


def test_tls_trusts_what_the_person_says() -> None:
    pem = certificates.authority()
    block = exporter(GRPC | {"OTLP_GRPC_TLS_ENABLED": "TRUE", "OTLP_GRPC_CA_PEM": pem}).block
    assert block["tls"] == {"ca_pem": pem}
    block = exporter(GRPC | {"OTLP_GRPC_TLS_ENABLED": "1", "OTLP_GRPC_INSECURE_SKIP_VERIFY": "yes"}).block
    assert block["tls"] == {"insecure_skip_verify": True}


def test_a_certificate_from_a_one_line_field_gets_its_lines_back() -> None:
    pem = certificates.authority()
    data = GRPC | {"OTLP_GRPC_TLS_ENABLED": "true", "OTLP_GRPC_CA_PEM": " ".join(pem.split("\n"))}
    assert exporter(data).block["tls"]["ca_pem"] == pem


def test_http_has_a_base_and_may_have_an_address_a_signal() -> None:
    block = exporter(HTTP | {"OTLP_HTTP_LOGS_ENDPOINT": "http://loki:3100/otlp/v1/logs"}, "otlphttp").block
    assert block["endpoint"] == "https://api.vendor.io"
    assert block["logs_endpoint"] == "http://loki:3100/otlp/v1/logs"
    assert "traces_endpoint" not in block


def test_a_secret_is_a_variable_named_after_its_destination() -> None:
    built = exporter(GRPC, secretRef={"name": "keys"})
    assert built.block["headers"] == {"authorization": "${env:DST_JAEGER_12345__OTLP_GRPC_AUTHORIZATION}"}
    name = "DST_JAEGER_12345__OTLP_GRPC_AUTHORIZATION"
    assert built.variables == (SecretVariable(name, "keys", "OTLP_GRPC_AUTHORIZATION"),)


def test_a_user_name_makes_basic_authentication_and_leaves_the_authorization_header_out() -> None:
    data = HTTP | {"OTLP_HTTP_BASIC_AUTH_USERNAME": "me"}
    built = exporter(data, "otlphttp", secretRef={"name": "keys"})
    password = "${env:DST_JAEGER_12345__OTLP_HTTP_BASIC_AUTH_PASSWORD}"
    assert built.extensions == {"basicauth/jaeger-12345": {"client_auth": {"username": "me", "password": password}}}
    assert built.block["auth"] == {"authenticator": "basicauth/jaeger-12345"}
    assert "headers" not in built.block


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("x-team=shop", {"x-team": "shop"}),
        ("X-Team = shop , x-tenant: eu", {"x-team": "shop", "x-tenant": "eu"}),
        ("x-a=1\nx-b=2\n", {"x-a": "1", "x-b": "2"}),
        ("authorization: Basic abc==", {"authorization": "Basic abc=="}),
        ("x-url=http://a:1", {"x-url": "http://a:1"}),
        ('[{"key": "x-team", "value": "a, b"}]', {"x-team": "a, b"}),
        ('{"x-team": "shop"}', {"x-team": "shop"}),
        ("x-dollar=${env:HOME}$$", {"x-dollar": "$${env:HOME}$$$$"}),
        ("", {}),
        ("[]", {}),
    ],
)
def test_headers_are_read_in_every_form_that_people_use(text: str, headers: dict[str, str]) -> None:
    assert exporter(GRPC | {"OTLP_GRPC_HEADERS": text}).block.get("headers", {}) == headers


def test_a_source_selector_is_kept_sorted() -> None:
    assert exporter(GRPC, sourceSelector={"namespaces": ["shop", "bank"]}).namespaces == ("bank", "shop")
    assert exporter(GRPC).namespaces == ()


def test_fields_of_another_version_are_named_and_ignored() -> None:
    assert exporter(GRPC | {"OTLP_GRPC_SPARKLE": "1", "ANOTHER": ""}).ignored == ("ANOTHER", "OTLP_GRPC_SPARKLE")


def test_signals_have_the_types_order() -> None:
    assert exporter(GRPC, signals=["LOGS", "TRACES"]).signals == ("TRACES", "LOGS")


def test_a_type_that_is_only_a_file_is_rendered() -> None:
    text = yaml.safe_dump(
        {
            "type": "acme",
            "display": "Acme",
            "category": "managed",
            "exporter": "otlp_http",
            "signals": ["TRACES"],
            "fields": [
                {"name": "ACME_URL", "sets": "endpoint", "label": "URL", "required": True},
                {"name": "ACME_KEY", "sets": "header:x-acme-key", "label": "Key", "secret": True, "required": True},
            ],
        }
    )
    types = catalogue.load({"acme.yaml": text})
    wish = builders.destination("a", type_="acme", data={"ACME_URL": "https://acme.io"}, secretRef={"name": "s"})
    built = exporters.build(wish, types)
    assert isinstance(built, Exporter)
    assert built.block["headers"] == {"x-acme-key": "${env:DST_A__ACME_KEY}"}
    keyless = exporters.build(builders.destination("a", type_="acme", data={"ACME_URL": "https://acme.io"}), types)
    assert isinstance(keyless, Fault)
    assert keyless.reason == ConfiguredReason.MISSING_FIELD
    assert "ACME_KEY (Key) is missing. Add it to the Secret that spec.secretRef names." in keyless.message
    logs = exporters.build(builders.destination("a", type_="acme", signals=["LOGS"]), types)
    assert isinstance(logs, Fault)
    assert logs.reason == ConfiguredReason.SIGNAL_NOT_SUPPORTED
    assert "Acme does not take LOGS" in logs.message


def test_encryption_without_settings_trusts_the_systems_authorities() -> None:
    assert exporter({"OTLP_GRPC_ENDPOINT": "https://api.vendor.io"}).block["tls"] == {"insecure": False}
    assert "tls" not in exporter(HTTP, "otlphttp").block


# What is wrong


@pytest.mark.parametrize(
    ("type_", "data", "spec", "reason", "says"),
    [
        ("pigeon", {}, {}, "UnknownType", "no destination type 'pigeon'. Use one of: debug, otlp, otlphttp"),
        ("otlp", GRPC, {"signals": []}, "NoSignals", "spec.signals is empty"),
        ("otlp", {}, {}, "MissingField", "OTLP_GRPC_ENDPOINT (Endpoint) is missing. Add it to spec.data, for example"),
        ("otlp", {"OTLP_GRPC_ENDPOINT": " "}, {}, "MissingField", "OTLP_GRPC_ENDPOINT"),
        ("otlphttp", GRPC, {}, "MissingField", "OTLP_HTTP_ENDPOINT"),
        ("otlp", {"OTLP_GRPC_ENDPOINT": "a b"}, {}, "InvalidField", "OTLP_GRPC_ENDPOINT has the character ' '"),
        ("otlphttp", HTTP | {"OTLP_HTTP_LOGS_ENDPOINT": "ftp://x"}, {}, "InvalidField", "OTLP_HTTP_LOGS_ENDPOINT"),
        ("otlp", GRPC | {"OTLP_GRPC_TLS_ENABLED": "maybe"}, {}, "InvalidField", "is 'maybe'; write true or false"),
        ("otlp", GRPC | {"OTLP_GRPC_COMPRESSION": "lz4"}, {}, "InvalidField", "choose one of none, gzip, snappy, zstd"),
        ("debug", {"VERBOSITY": "loud"}, {}, "InvalidField", "choose one of basic, normal, detailed"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "novalue"}, {}, "InvalidField", "write name=value, name=value"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "a b=1"}, {}, "InvalidField", "'a b', which is no name of a header"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "x$y=1"}, {}, "InvalidField", "no name of a header"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "=1"}, {}, "InvalidField", "no name of a header"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "x=a\tb"}, {}, "InvalidField", "no header may have"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "x=é"}, {}, "InvalidField", "no header may have"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "grpc-timeout=1"}, {}, "InvalidField", "the protocol sets itself"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "Content-Type=x"}, {}, "InvalidField", "the protocol sets itself"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": '[{"key": "a"}]'}, {}, "InvalidField", "is no JSON list"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "[[1]]"}, {}, "InvalidField", "is no JSON list"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "[" * 5000}, {}, "InvalidField", "is no JSON list"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": '{"a": 1}'}, {}, "InvalidField", "put it in quotes"),
        ("otlp", GRPC | {"OTLP_GRPC_HEADERS": "a=" + "x" * 9000}, {}, "InvalidField", "longer than 8 KiB"),
        ("otlp", GRPC | {"ANYTHING": "x" * 70_000}, {}, "InvalidField", "spec.data is longer than 64 KiB"),
        ("otlp", GRPC | {"OTLP_GRPC_AUTHORIZATION": "Bearer x"}, {}, "InvalidField", "where everybody can read it"),
        ("otlp", GRPC, {"secretRef": {"name": "No Such"}}, "InvalidField", "is no name of a Secret"),
        ("otlp", GRPC, {"secretRef": {"name": "a\n"}}, "InvalidField", "is no name of a Secret"),
        ("otlphttp", HTTP | {"OTLP_HTTP_BASIC_AUTH_USERNAME": "a:b"}, {}, "InvalidField", "has a colon"),
        ("otlphttp", HTTP | {"OTLP_HTTP_BASIC_AUTH_USERNAME": "a\nb"}, {}, "InvalidField", "control character"),
        ("otlp", GRPC, {"sourceSelector": {}}, "InvalidField", "selects nothing that this version knows"),
        ("otlp", GRPC, {"sourceSelector": {"dataStreams": ["x"]}}, "InvalidField", "remove the selector"),
        ("otlp", GRPC, {"sourceSelector": {"namespaces": ["sh*p"]}}, "InvalidField", "patterns are not known"),
        ("otlp", GRPC, {"sourceSelector": {"namespaces": ['x" or "']}}, "InvalidField", "no name of a namespace"),
    ],
)
def test_each_fault_has_a_reason_and_names_the_field(
    type_: str, data: dict[str, str], spec: dict[str, Any], reason: str, says: str
) -> None:
    found = fault(data, type_, **spec)
    assert found.reason == reason
    assert says in found.message


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("hello", "holds no certificate"),
        ("-----BEGIN CERTIFICATE----------END CERTIFICATE-----", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----", "cannot be read"),
        (certificates.authority().replace("MII", "MIJ", 1), "cannot be read"),
    ],
    ids=["text", "nothing", "too short", "no base64", "cut"],
)
def test_a_broken_certificate_is_found_before_the_gateway_meets_it(pem: str, says: str) -> None:
    found = fault(GRPC | {"OTLP_GRPC_TLS_ENABLED": "true", "OTLP_GRPC_CA_PEM": pem})
    assert found.reason == ConfiguredReason.INVALID_FIELD
    assert says in found.message


@pytest.mark.parametrize(("type_", "data"), [("otlp", GRPC), ("otlphttp", {"OTLP_HTTP_ENDPOINT": "http://vendor.io"})])
def test_who_gives_an_authority_does_not_get_a_plaintext_connection(type_: str, data: dict[str, str]) -> None:
    field = {"otlp": "OTLP_GRPC_CA_PEM", "otlphttp": "OTLP_HTTP_CA_PEM"}[type_]
    found = fault(data | {field: certificates.authority()}, type_)
    assert found.field == field
    assert "the connection is not encrypted" in found.message


def test_no_part_of_a_secret_that_was_put_in_the_wrong_place_is_repeated() -> None:
    found = fault(GRPC | {"OTLP_GRPC_AUTHORIZATION": "Bearer hunter2"})
    assert "hunter2" not in found.message


# Names


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,70}[a-z0-9])?", fullmatch=True), unique=True, max_size=20))
def test_no_two_destinations_share_an_id_or_a_variable(names: list[str]) -> None:
    built = [exporters.build(builders.destination(name, secretRef={"name": "s"})) for name in names]
    sound = [b for b in built if isinstance(b, Exporter)]
    assert len({b.component for b in sound}) == len(names)
    assert len({v.name for b in sound for v in b.variables}) == len(names)
    for b in sound:
        assert re.fullmatch(r"otlp_grpc/[a-z0-9-]{1,70}", b.component)
        assert all(re.fullmatch(r"DST_[A-Z0-9_]+", v.name) for v in b.variables)


def test_a_name_that_the_collector_takes_stays_readable() -> None:
    assert exporters.safe_id("jaeger-12345") == "jaeger-12345"
    assert exporters.safe_id("my.jaeger").startswith("my-jaeger--")
    assert exporters.safe_id("x" * 200).startswith("x" * 40 + "--")


# Hostile text

DOLLARS = st.sampled_from(["$", "$$", "${", "}", "${env:HOME}", "${file:/etc/hostname}", "$${env:A}", "{{", "'", '"'])
HOSTILE = st.one_of(st.text(max_size=80), st.lists(DOLLARS, max_size=6).map("".join))
FIELDS = [f.name for t in catalogue.TYPES.values() for f in t.fields]


@given(
    type_=st.sampled_from([*catalogue.TYPES, "pigeon"]),
    data=st.dictionaries(st.one_of(st.sampled_from(FIELDS), HOSTILE), HOSTILE, max_size=6),
    endpoint=st.sampled_from(["", "a:1", "https://b.example"]),
    secret=st.one_of(st.none(), HOSTILE),
)
def test_whatever_users_write_is_an_exporter_or_a_named_fault(
    type_: str, data: dict[str, str], endpoint: str, secret: str | None
) -> None:
    given_ = {"OTLP_GRPC_ENDPOINT": endpoint, "OTLP_HTTP_ENDPOINT": endpoint} | data
    spec: dict[str, Any] = {"secretRef": {"name": secret}} if secret is not None else {}
    built = exporters.build(builders.destination(type_=type_, data=given_, **spec))
    if isinstance(built, Fault):
        assert 0 < len(built.message) < 700
        return
    assert references(built) <= {v.name for v in built.variables}


@given(HOSTILE)
def test_a_hostile_header_or_user_name_is_doubled_and_nothing_else(value: str) -> None:
    text = json.dumps([{"key": "x-h", "value": value}])
    built = exporters.build(builders.destination(data=GRPC | {"OTLP_GRPC_HEADERS": text}))
    if isinstance(built, Exporter):
        assert built.block["headers"]["x-h"] == value.strip().replace("$", "$$")
    built = exporters.build(
        builders.destination(type_="otlphttp", data=HTTP | {"OTLP_HTTP_BASIC_AUTH_USERNAME": value})
    )
    if isinstance(built, Exporter) and value.strip():
        (extension,) = built.extensions.values()
        assert extension["client_auth"]["username"] == value.strip().replace("$", "$$")


def references(built: Exporter) -> set[str]:
    """What the collector would expand: each `$` that is not doubled begins one of ours."""
    text = json.dumps([built.block, built.extensions], ensure_ascii=False).replace("$$", "")
    found = set(re.findall(r"\$\{env:([A-Z0-9_]+)\}", text))
    assert text.count("$") == text.count("${env:DST_")
    return found
