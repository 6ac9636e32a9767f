"""Which certificates make the API server trust our webhook?

Each replica publishes its own CA in a ConfigMap (web/certificates.py); all of them together are the caBundle of the
MutatingWebhookConfiguration. While none is published the bundle stays as it is: taking it away would help nobody.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from odigos_cp.api.builtin import WEBHOOKS, ConfigMap, WebhookConfiguration
from odigos_cp.domain.plan import NOTHING, Apply, Plan

MANAGER = "odigos-instrumentor-webhook"
CONFIGURATION = "odigos-pod-injection"
WEBHOOK = "pods.odigos.io"
CA_LABEL = "odigos.io/webhook-ca"
CA_FILE = "ca.crt"
OF_A_REPLICA = 2
"""A replica that renews its certificate publishes the old CA and the new one. More in one ConfigMap are not ours."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


@dataclass(frozen=True)
class Observed:
    configuration: WebhookConfiguration | None
    config_maps: tuple[ConfigMap, ...] = ()
    """Those with CA_LABEL in our own namespace."""


def plan(observed: Observed) -> Plan:
    configuration = observed.configuration
    if configuration is None or not any(webhook.name == WEBHOOK for webhook in configuration.webhooks):
        return NOTHING
    published = frozenset[bytes]()
    for found in observed.config_maps:
        certificates = certificates_in(found.data.get(CA_FILE, "").encode())
        if len(certificates) <= OF_A_REPLICA:
            published |= certificates
    if not published or published == trusted_by(configuration):
        return NOTHING
    body = {
        "metadata": {"name": CONFIGURATION, "uid": configuration.metadata.uid},
        "webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": base64.b64encode(bundle(published)).decode()}}],
    }
    return Plan((Apply(WEBHOOKS, body, MANAGER),), because=f"{len(published)} certificates are published")


def certificates_in(pem: bytes) -> frozenset[bytes]:
    """The DER of every certificate in a PEM text; what is not one is passed over."""
    found = set()
    for body in _PEM.findall(pem):
        try:
            found.add(base64.b64decode(b"".join(body.split()), validate=True))
        except binascii.Error:
            continue
    return frozenset(found)


def trusted_by(configuration: WebhookConfiguration | None) -> frozenset[bytes]:
    """The CAs with which the API server verifies our webhook."""
    for webhook in configuration.webhooks if configuration else ():
        if webhook.name == WEBHOOK:
            try:
                return certificates_in(base64.b64decode(webhook.client_config.ca_bundle))
            except binascii.Error:
                return frozenset()
    return frozenset()


def bundle(certificates: Iterable[bytes]) -> bytes:
    """The certificates as one PEM text, the same for the same set."""
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
        for der in sorted(certificates)
    )
