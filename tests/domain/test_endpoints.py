"""Addresses as people type and paste them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odigos_cp.domain import endpoints
from odigos_cp.domain.endpoints import BadAddress

GRPC = [
    ("jaeger.observability:4317", False, "jaeger.observability:4317", False),
    ("jaeger.observability", False, "jaeger.observability:4317", False),
    ("  Jaeger.Observability:4317 \n", False, "jaeger.observability:4317", False),
    ("jaeger", True, "jaeger:4317", True),
    ("http://jaeger:14317", False, "jaeger:14317", False),
    ("https://api.vendor.io", False, "api.vendor.io:4317", True),
    ("HTTPS://api.vendor.io:443/", False, "api.vendor.io:443", True),
    ("grpc://jaeger", False, "jaeger:4317", False),
    ("grpcs://jaeger:1", True, "jaeger:1", True),
    ("10.1.2.3:4317", False, "10.1.2.3:4317", False),
    ("[2001:DB8::1]:4317", False, "[2001:db8::1]:4317", False),
    ("2001:db8:0:0::1", False, "[2001:db8::1]:4317", False),
    ("a_b.example.", False, "a_b.example.:4317", False),
]


@pytest.mark.parametrize(("text", "tls", "target", "encrypted"), GRPC)
def test_a_grpc_target_is_host_and_port(text: str, tls: bool, target: str, encrypted: bool) -> None:
    assert endpoints.grpc_target(text, tls=tls) == (target, encrypted)


@pytest.mark.parametrize(
    ("text", "tls", "url"),
    [
        ("http://collector.obs:4318", False, "http://collector.obs:4318"),
        ("collector.obs", False, "http://collector.obs:4318"),
        ("collector.obs:4318/", False, "http://collector.obs:4318"),
        ("http://collector.obs", False, "http://collector.obs:4318"),
        ("collector.obs", True, "https://collector.obs:4318"),
        ("https://api.vendor.io/otlp", False, "https://api.vendor.io/otlp"),
        ("https://api.vendor.io/otlp/v1/traces", False, "https://api.vendor.io/otlp"),
        ("https://api.vendor.io/v1/metrics/", False, "https://api.vendor.io"),
        ("https://api.vendor.io/a%20b", False, "https://api.vendor.io/a%20b"),
        ("[::1]:4318", False, "http://[::1]:4318"),
    ],
)
def test_a_base_url_is_what_the_exporter_adds_its_paths_to(text: str, tls: bool, url: str) -> None:
    assert endpoints.http_base(text, tls=tls) == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.vendor.io/v1/traces", "https://api.vendor.io/v1/traces"),
        ("http://loki/otlp/v1/logs/", "http://loki/otlp/v1/logs/"),
        ("loki/otlp/v1/logs", "http://loki:4318/otlp/v1/logs"),
    ],
)
def test_an_exact_url_is_used_as_it_stands(text: str, url: str) -> None:
    assert endpoints.http_exact(text, tls=False) == url


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("x" * 3000, "is longer than 2000 characters"),
        ("a b:4317", "has the character ' '"),
        ("jaeger:4317\nevil: true", "has the character '\\n'"),
        ("${env:HOME}:4317", "has the character '$'"),
        ("${file:/etc/passwd}", "has the character '$'"),
        ("jaeger\u200b:4317", "has the character '\\u200b'"),
        ("bücher.example", "has the character 'ü'"),
        ('a"b', "has the character '\"'"),
        ("ftp://jaeger", "begins with 'ftp'://"),
        ("unix:///var/run/x.sock", "begins with 'unix'://"),
        ("http://jaeger:4317/v1/traces", "gRPC knows only host:port"),
        ("http://user:secret@jaeger", "has a user name in it"),
        ("jaeger:4317?token=x", "has a query"),
        ("jaeger:4317#x", "has a query or a fragment"),
        ("jaeger:0", "has the port '0'"),
        ("jaeger:65536", "has the port '65536'"),
        ("jaeger:", "has the port ''"),
        ("jaeger:٤٣١٧", "has the character"),
        ("jaeger:4317:4317", "no IPv6 address"),
        ("[2001:db8::1", "brackets do not match"),
        ("[2001:db8::1]4317", "brackets do not match"),
        ("[jaeger]:4317", "no IPv6 address"),
        ("fe80::1%eth0", "no IPv6 address"),
        ("http://", "names no host"),
        ("-jaeger", "names no host"),
        ("a..b", "names no host"),
        ("a" * 300, "names no host"),
        (":4317", "names no host"),
    ],
)
def test_a_bad_address_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(BadAddress) as error:
        endpoints.grpc_target(text, tls=False)
    assert says in str(error.value)


def test_a_scheme_without_encryption_contradicts_the_switch_for_tls() -> None:
    with pytest.raises(BadAddress, match="while TLS is switched on"):
        endpoints.grpc_target("http://jaeger", tls=True)


def test_a_percent_that_escapes_nothing_would_stop_the_gateway() -> None:
    with pytest.raises(BadAddress, match="write %25"):
        endpoints.http_base("https://api.vendor.io/100%", tls=False)


PARTS = st.sampled_from(["http://", "https://", "a", "B.c", ":", "4317", "/", "[", "]", "::", "%", "$", "{", "é", "@"])
TYPED = st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=8).map("".join))


@given(TYPED, st.booleans())
def test_whatever_is_typed_is_an_address_or_a_named_fault(text: str, tls: bool) -> None:
    try:
        target, _ = endpoints.grpc_target(text, tls=tls)
    except BadAddress:
        return
    host, _, port = target.rpartition(":")
    assert 0 < int(port) < 65536
    assert re.fullmatch(r"[a-z0-9_.-]+", host) or ipaddress.IPv6Address(host.strip("[]"))


@given(TYPED, st.booleans())
def test_a_url_that_is_accepted_has_nothing_that_yaml_or_the_collector_would_read(text: str, tls: bool) -> None:
    for of in (endpoints.http_base, endpoints.http_exact):
        try:
            url = of(text, tls=tls)
        except BadAddress:
            continue
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert re.fullmatch(r"[!#%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]+", url)


@given(TYPED, st.booleans())
def test_an_address_that_was_read_once_is_read_as_the_same_again(text: str, tls: bool) -> None:
    try:
        target, encrypted = endpoints.grpc_target(text, tls=tls)
    except BadAddress:
        return
    assert endpoints.grpc_target(target, tls=encrypted) == (target, encrypted)
