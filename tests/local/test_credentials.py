"""Who is who: certificates that one authority signed, each good for one end only."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from cluster import credentials
from cluster.spec import ClusterSpec, spec_of


@pytest.fixture
def spec(tmp_path: Path) -> ClusterSpec:
    spec = dataclasses.replace(spec_of("test", {}), state=tmp_path)
    credentials.ensure(spec)
    return spec


def certificate(spec: ClusterSpec, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((spec.pki / f"{name}.crt").read_bytes())


def test_everybody_is_signed_for_by_their_authority(spec: ClusterSpec) -> None:
    for holder in credentials.holders(spec):
        certificate(spec, holder.file).verify_directly_issued_by(certificate(spec, holder.authority))


def test_a_client_cannot_serve_and_a_server_is_no_client(spec: ClusterSpec) -> None:
    for holder in credentials.holders(spec):
        usage = certificate(spec, holder.file).extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
        assert isinstance(usage, x509.ExtendedKeyUsage)
        wanted = ExtendedKeyUsageOID.SERVER_AUTH if holder.is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        assert list(usage) == [wanted], holder.file


def test_a_kubelet_is_known_as_the_node_it_runs(spec: ClusterSpec) -> None:
    subject = certificate(spec, "node-b").subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:node-b"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_the_api_server_may_be_called_by_its_address_and_its_service(spec: ClusterSpec) -> None:
    names = certificate(spec, "kube-apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert spec.api_address in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_keys_are_for_their_owner_only(spec: ClusterSpec) -> None:
    assert spec.pki.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in (*spec.pki.iterdir(), spec.kubeconfig)} == {0o600}


def test_the_kubeconfig_holds_everything_it_needs(spec: ClusterSpec) -> None:
    config = json.loads(spec.kubeconfig.read_text())
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    assert authority == (spec.pki / "ca.crt").read_bytes()
    assert config["clusters"][0]["cluster"]["server"] == f"https://{spec.api_address}:6443"


def test_a_second_time_nothing_changes(spec: ClusterSpec) -> None:
    before = {path: path.read_bytes() for path in spec.pki.iterdir()}
    credentials.ensure(spec)
    assert {path: path.read_bytes() for path in spec.pki.iterdir()} == before


def test_what_was_killed_in_between_is_made_whole(spec: ClusterSpec) -> None:
    """The certificate is written last: without it, the pair is made again."""
    key = (spec.pki / "node-a.key").read_bytes()
    (spec.pki / "node-a.crt").unlink()
    credentials.ensure(spec)
    assert (spec.pki / "node-a.key").read_bytes() != key
    certificate(spec, "node-a").verify_directly_issued_by(certificate(spec, "ca"))
