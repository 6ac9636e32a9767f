"""Certificates that a real TLS client accepts, and a renewal during which it always does."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from odigos_cp.domain.trust import certificates_in, trusted_by
from odigos_cp.web.certificates import (
    LIFETIME,
    RENEW_AFTER,
    SWITCH_BEFORE_END,
    Issued,
    State,
    advance,
    issue,
    load,
)
from tests.builders import webhook_configuration

NAMESPACE = "odigos-system"
SERVER = "odigos-webhook.odigos-system.svc"
NOW = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the real clock


def serving(issued: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, issued)
    return context


def handshake(server: ssl.SSLContext, trusted: bytes, name: str = SERVER) -> bytes:
    """The leaf that a client on loopback gets, verified as the API server does it."""
    client = ssl.create_default_context(cadata=trusted.decode())
    here, there = socket.socketpair()
    for end in (here, there):
        end.settimeout(5)

    def accept() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as stream:
                stream.recv(1)
        except OSError:
            there.close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as stream:
            leaf = stream.getpeercert(binary_form=True)
            assert leaf is not None
            return leaf
    finally:
        here.close()
        thread.join(5)
        there.close()


def configured_with(pem: bytes) -> frozenset[bytes]:
    return trusted_by(webhook_configuration(base64.b64encode(pem).decode()))


@pytest.mark.parametrize("name", ["odigos-webhook", "odigos-webhook.odigos-system", SERVER, f"{SERVER}.cluster.local"])
def test_a_client_that_trusts_the_ca_accepts_the_service_by_each_of_its_names(name: str) -> None:
    issued = issue(NAMESPACE, NOW)
    assert handshake(serving(issued), issued.ca, name) in certificates_in(issued.leaf)


def test_a_client_accepts_no_other_name_and_no_other_ca() -> None:
    issued, other = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(serving(issued), issued.ca, "kubernetes.default.svc")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving(issued), other.ca)


def test_an_expired_leaf_is_refused() -> None:
    issued = issue(NAMESPACE, NOW - LIFETIME - timedelta(seconds=1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(serving(issued), issued.ca)


def test_the_live_context_changes_its_leaf_without_a_restart() -> None:
    old, new = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    context = serving(old)
    handshake(context, old.ca)
    load(context, new)
    assert handshake(context, new.ca) in certificates_in(new.leaf)


def test_the_ca_may_sign_nothing_but_leaves() -> None:
    ca = x509.load_pem_x509_certificate(issue(NAMESPACE, NOW).ca)
    limits = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 0)


@pytest.mark.parametrize("bundle", ["", "%%%", base64.b64encode(b"no pem").decode(), "YQ=="])
def test_a_broken_bundle_trusts_nobody(bundle: str) -> None:
    assert trusted_by(webhook_configuration(bundle)) == frozenset()
    assert trusted_by(None) == frozenset()


def test_certificates_are_found_among_garbage_and_other_replicas() -> None:
    mine, other = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    bundle = other.ca + b"garbage\n-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n" + mine.ca
    assert certificates_in(mine.ca) <= configured_with(bundle)


def test_nothing_happens_before_two_thirds_of_the_life() -> None:
    state = State(issue(NAMESPACE, NOW))
    assert advance(state, frozenset(), NOW + RENEW_AFTER - timedelta(seconds=1), never) is state


def never() -> Issued:
    raise AssertionError("made a certificate that nobody needs")


def test_a_renewal_publishes_both_then_switches_then_publishes_one() -> None:
    old, new = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    due = NOW + RENEW_AFTER
    both = advance(State(old), configured_with(old.ca), due, lambda: new)
    assert both == State(old, new)
    assert both.published == (old.ca + new.ca).decode()
    assert advance(both, configured_with(old.ca), due, never) is both, "the API server does not trust the new one yet"
    assert advance(both, configured_with(old.ca + new.ca), due, never) == State(new)


def test_a_configuration_that_never_follows_keeps_the_old_leaf_until_shortly_before_its_end() -> None:
    old, new = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    state = State(old, new)
    last = old.ends - SWITCH_BEFORE_END
    assert advance(state, frozenset(), last - timedelta(seconds=1), never) is state
    assert advance(state, frozenset(), last, never) == State(new)


def test_a_trusted_client_is_served_at_every_moment_of_a_renewal() -> None:
    """Whatever part of the published text the configuration has by then, from one state to the next."""
    old, new = issue(NAMESPACE, NOW), issue(NAMESPACE, NOW)
    state, bundle = State(replace(old, renew_at=NOW)), old.ca
    context = serving(old)
    for _ in range(4):
        after = advance(state, configured_with(bundle), NOW, lambda: new)
        load(context, after.current)
        handshake(context, bundle)
        state, bundle = after, after.published.encode()
        handshake(context, bundle)
    assert state == State(new)
