"""Who is who in a cluster: one authority, a certificate for each program, and the kubeconfig that it shows it with.

Made once and kept while the cluster is: everything in `pki` is written whole or not at all.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.spec import API_PORT, API_SERVICE_IP, DOMAIN, ClusterSpec

LIFETIME = datetime.timedelta(days=3650)
CLOCK_TOLERANCE = datetime.timedelta(hours=1)
AUTHORITY = "ca"
PROXY_AUTHORITY = "proxy-ca"
"""Its only word is that the API server passes a request on to an extension API. The other one may not say that."""
SERVICE_ACCOUNTS = "service-accounts"
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
PROXY_CLIENT = "kube-apiserver-proxy-client"


@dataclass(frozen=True)
class Holder:
    """Whom a certificate names: a user and groups for clients, host names and addresses for servers."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    authority: str = AUTHORITY

    @property
    def is_server(self) -> bool:
        return bool(self.served)


def holders(spec: ClusterSpec) -> tuple[Holder, ...]:
    """Everybody who has a certificate."""
    api = (
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{DOMAIN}",
    )
    return (
        Holder("admin", "admin", ("system:masters",)),
        Holder("kube-apiserver", "kube-apiserver", served=(*api, "127.0.0.1", API_SERVICE_IP, spec.api_address)),
        Holder("kubelet-client", KUBELET_CLIENT),
        Holder("proxy-client", PROXY_CLIENT, authority=PROXY_AUTHORITY),
        Holder("kube-controller-manager", "system:kube-controller-manager"),
        Holder("kube-scheduler", "system:kube-scheduler"),
        Holder("kube-proxy", "system:kube-proxy"),
        *(Holder(node.name, f"system:node:{node.name}", ("system:nodes",)) for node in spec.nodes),
        *(Holder(f"{n.name}-server", f"system:node:{n.name}", served=(n.name, n.address)) for n in spec.nodes),
    )


def ensure(spec: ClusterSpec) -> None:
    """Certificates and keys that are not there yet, each after its key."""
    directory = spec.pki
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    now = datetime.datetime.now(datetime.UTC)
    for name in (AUTHORITY, PROXY_AUTHORITY):
        if not (directory / f"{name}.crt").exists():
            write(directory / f"{name}.crt", _authority(f"odigos-{spec.name}-{name}", directory / f"{name}.key", now))
    for holder in holders(spec):
        certificate = directory / f"{holder.file}.crt"
        if not certificate.exists():
            issue(spec, holder)
    if not (directory / f"{SERVICE_ACCOUNTS}.pub").exists():
        key = _new_key(directory / f"{SERVICE_ACCOUNTS}.key")
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write(directory / f"{SERVICE_ACCOUNTS}.pub", public)
    if not spec.kubeconfig.exists():
        write(spec.kubeconfig, kubeconfig(spec, "admin").encode())


def issue(
    spec: ClusterSpec,
    holder: Holder,
    *,
    begins: datetime.datetime | None = None,
    lifetime: datetime.timedelta = LIFETIME,
) -> None:
    """A new key and certificate, in the place of those that the holder may have had."""
    key = _new_key(spec.pki / f"{holder.file}.key")
    begins = begins or datetime.datetime.now(datetime.UTC)
    write(spec.pki / f"{holder.file}.crt", _signed(holder, key, spec.pki, begins, lifetime))


def kubeconfig(spec: ClusterSpec, holder: str, server: str = "") -> str:
    """With everything inside: it can be copied to where it is needed."""

    def data(file: str) -> str:
        return base64.b64encode((spec.pki / file).read_bytes()).decode()

    context = f"odigos-{spec.name}"
    server = server or f"https://{spec.api_address}:{API_PORT}"
    user = {"client-certificate-data": data(f"{holder}.crt"), "client-key-data": data(f"{holder}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": context, "cluster": {"server": server, "certificate-authority-data": data(f"{AUTHORITY}.crt")}}
            ],
            "users": [{"name": holder, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": holder}}],
            "current-context": context,
        },
        indent=1,
    )


def write(path: Path, content: bytes) -> None:
    """For the owner only, and never half."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    unfinished.rename(path)


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write(path, key.private_bytes(encoding, form, serialization.NoEncryption()))
    return key


def _authority(name: str, key_file: Path, now: datetime.datetime) -> bytes:
    key = _new_key(key_file)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, now, LIFETIME).add_extension(
        x509.BasicConstraints(True, 0), critical=True
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _signed(
    holder: Holder,
    key: ec.EllipticCurvePrivateKey,
    directory: Path,
    begins: datetime.datetime,
    lifetime: datetime.timedelta,
) -> bytes:
    signer = serialization.load_pem_private_key((directory / f"{holder.authority}.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate((directory / f"{holder.authority}.crt").read_bytes()).subject
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in holder.groups]
    subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, holder.user)])
    usage = ExtendedKeyUsageOID.SERVER_AUTH if holder.is_server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(subject, issuer, key, begins, lifetime).add_extension(
        x509.ExtendedKeyUsage([usage]), critical=False
    )
    if holder.is_server:
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(holder.served)), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime.datetime,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - CLOCK_TOLERANCE)
        .not_valid_after(begins + lifetime)
    )


def _names(served: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in served:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found
