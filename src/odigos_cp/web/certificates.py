"""Why the API server trusts our webhook: this replica's own certificates, made in memory and renewed in time.

Each replica makes a CA and a leaf, throws the CA's key away, and publishes the CA in a ConfigMap that its own Pod owns;
instrumentor/webhook puts the CAs of all replicas into the MutatingWebhookConfiguration. Nothing is ever on a disk or
in a Secret, so there is nothing to steal, to restore or to share.

Renewal, at two thirds of the lifetime: publish old and new CA -> wait until the configuration has the new one -> serve
the new leaf -> publish the new CA alone. Were the configuration never to change, the old leaf stays until shortly
before its end; then the new one is served, because an expired one is certain to fail.
Level, not edge: each round looks at what is, so a ConfigMap that someone deleted is back in the next.
Owns: ConfigMap `odigos-webhook-ca-<pod>` (field manager odigos-ui-certificates).
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from odigos_cp.api.builtin import CONFIG_MAPS, WEBHOOKS
from odigos_cp.api.meta import MANAGED_BY, MANAGED_LABEL, SYSTEM_NAMESPACE, Key
from odigos_cp.domain.trust import CA_FILE, CA_LABEL, CONFIGURATION, certificates_in, trusted_by
from odigos_cp.kube import clock
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import ApiError
from odigos_cp.kube.stores import Stores
from odigos_cp.web.waiting import Changes

log = structlog.get_logger(__name__)

SERVICE = "odigos-webhook"
MANAGER = "odigos-ui-certificates"

LIFETIME = timedelta(days=7)
RENEW_AFTER = LIFETIME * 2 / 3
BACKDATE = timedelta(hours=1)
"""Clocks of nodes differ."""
SWITCH_BEFORE_END = timedelta(hours=1)
LOOK_AGAIN_SECONDS = 3600.0
BETWEEN_WRITES_SECONDS = 1.0
"""Should anyone fight over the ConfigMap, it stays a slow fight."""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class Issued:
    """A leaf with its key, and the CA that signed it and nothing else."""

    ca: bytes
    leaf: bytes
    key: bytes
    renew_at: datetime
    ends: datetime


def server_names(namespace: str) -> tuple[str, ...]:
    return (SERVICE, f"{SERVICE}.{namespace}", f"{SERVICE}.{namespace}.svc", f"{SERVICE}.{namespace}.svc.cluster.local")


def issue(namespace: str, now: datetime) -> Issued:
    """A new CA and a leaf for the webhook's Service, all in memory; the CA's key is gone when this returns."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odigos-cp webhook CA")])
    names = server_names(namespace)
    ends = now + LIFETIME

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )

    ca = (
        certificate(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[2])]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Issued(
        ca=ca.public_bytes(pem),
        leaf=leaf.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        renew_at=now + RENEW_AFTER,
        ends=ends,
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class State:
    """What is served, and what will be."""

    current: Issued
    following: Issued | None = None

    @property
    def published(self) -> str:
        """What the ConfigMap has to say."""
        return (self.current.ca + (self.following.ca if self.following else b"")).decode()

    @property
    def due(self) -> datetime:
        """When the clock alone asks for the next step."""
        return self.current.ends - SWITCH_BEFORE_END if self.following else self.current.renew_at


def advance(state: State, trusted: frozenset[bytes], now: datetime, make: Callable[[], Issued]) -> State:
    """The next state; the same one when it is not time for anything."""
    if state.following is None:
        return State(state.current, make()) if now >= state.current.renew_at else state
    if certificates_in(state.following.ca) <= trusted or now >= state.current.ends - SWITCH_BEFORE_END:
        return State(state.following)
    return state


class Certificates:
    """The live TLS context of the webhook's listener, and the service that keeps it trusted."""

    def __init__(
        self,
        client: Client,
        stores: Stores,
        *,
        pod_name: str,
        pod_uid: str,
        namespace: str = SYSTEM_NAMESPACE,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._client = client
        self._configurations = stores[WEBHOOKS]
        self._config_maps = stores[CONFIG_MAPS]
        self._changes = Changes(self._configurations, self._config_maps)
        self._pod_name = pod_name
        self._pod_uid = pod_uid
        self._namespace = namespace
        self._now = now
        self._key = Key(namespace, f"odigos-webhook-ca-{pod_name}")
        self._said = ("", "")
        self.state = State(issue(namespace, now()))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        load(self.context, self.state.current)

    def check(self) -> str:
        """For /readyz: why the API server cannot call this replica yet, or nothing."""
        configuration = self._configurations.get(Key("", CONFIGURATION))
        if configuration is None:
            return (
                f"the MutatingWebhookConfiguration {CONFIGURATION} does not exist, so new pods get no agent: "
                "apply the manifests of odigos-cp again"
            )
        if not certificates_in(self.state.current.ca) <= trusted_by(configuration):
            return (
                f"the caBundle of MutatingWebhookConfiguration {CONFIGURATION} does not have this replica's CA yet; "
                "the leading instrumentor puts it there: see whether one leads (Lease odigos-controllers)"
            )
        return ""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Publishes and renews until cancelled. An API server that refuses is asked again, ever more slowly."""
        task_status.started()
        failures = 0
        while True:
            self._advance()
            try:
                if not self._is_published():
                    await self._publish()
                    await anyio.sleep(BETWEEN_WRITES_SECONDS)
                failures = 0
            except ApiError as error:
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("webhook_ca_not_published", config_map=str(self._key), error=str(error), retry_in=pause)
                await anyio.sleep(pause)
                continue
            due = (self.state.due - self._now()).total_seconds()
            await self._changes.wait_until(self._has_work, min(max(due, 1.0), LOOK_AGAIN_SECONDS))

    def _advance(self) -> None:
        trusted = trusted_by(self._configurations.get(Key("", CONFIGURATION)))
        after = advance(self.state, trusted, self._now(), lambda: issue(self._namespace, self._now()))
        if after.current is not self.state.current:
            load(self.context, after.current)
            log.info("webhook_certificate_renewed", ends=str(after.current.ends))
        self.state = after

    def _has_work(self) -> bool:
        trusted = trusted_by(self._configurations.get(Key("", CONFIGURATION)))
        next_state = advance(self.state, trusted, self._now(), lambda: self.state.current)
        return next_state is not self.state or not self._is_published()

    def _is_published(self) -> bool:
        text, version = self._said
        if text != self.state.published:
            return False
        if not self._config_maps.has_seen(self._key, version):
            return True
        seen = self._config_maps.get(self._key)
        return seen is not None and seen.data.get(CA_FILE) == text

    async def _publish(self) -> None:
        text = self.state.published
        written = await self._client.apply(CONFIG_MAPS, self._config_map(text), manager=MANAGER)
        self._said = (text, written.resource_version)
        log.info("webhook_ca_published", config_map=str(self._key))

    def _config_map(self, text: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._key.name,
                "namespace": self._key.namespace,
                "labels": {CA_LABEL: "true", MANAGED_LABEL: MANAGED_BY},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": self._pod_name, "uid": self._pod_uid}],
            },
            "data": {CA_FILE: text},
        }


def load(context: ssl.SSLContext, issued: Issued) -> None:
    """Makes the live context serve this leaf: handshakes from now on have it, connections that stand are not cut."""
    with _in_memory(issued.leaf) as leaf, _in_memory(issued.key) as key:
        context.load_cert_chain(leaf, key)


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path that `ssl` can open: it takes files only, and a private key shall not be on a disk."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
