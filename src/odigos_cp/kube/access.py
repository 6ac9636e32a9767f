"""Where is the API server, and how do we prove to it who we are? In a pod from its service account, else a kubeconfig.

The service account's three files and two variables are read here: importing kubernetes_asyncio for them would cost
63 MB of memory and up to a second at each start. Kubeconfigs (contexts, certificates, token files, exec plugins) are
its matter; this is the only file that imports it, and only when there is one. Its transport is not used: it has no
deadlines, and makes dicts.

The kubelet replaces token and CA long before they end; reading again is the client's matter. What is read is looked at
first: a file that is empty, or half written, is an error, so that the client goes on with what it had. Certificates are
always verified, unless a kubeconfig says in so many words that they shall not be.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from odigos_cp.kube import errors

LOAD_SECONDS: Final = 30.0
"""An exec plugin may ask a cloud for a token."""
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """Where the API server is, and how we prove to it who we are."""

    host: str
    tls: ssl.SSLContext | None = None
    authorization: str = ""
    proxy: str | None = None
    server_hostname: str | None = None
    fingerprint: str = ""
    """Of the certificates that `tls` was made from: connections stay as long as it does."""
    expires: bool = False
    """To be read again each minute: the files of a service account."""


Load = Callable[[], Awaitable[Access]]


async def load(kubeconfig: str | None, context: str | None, service_account: Path = SERVICE_ACCOUNT) -> Access:
    """Reads files and may run an exec plugin, so it has a thread and a loop of its own, and a deadline."""
    with anyio.move_on_after(LOAD_SECONDS):
        return await anyio.to_thread.run_sync(_read, kubeconfig, context, service_account, abandon_on_cancel=True)
    raise errors.Unreachable(
        f"reading the access to the cluster took more than {LOAD_SECONDS:.0f} s: see the exec plugin of the kubeconfig"
    )


def _read(kubeconfig: str | None, context: str | None, service_account: Path) -> Access:
    in_cluster = not kubeconfig and not context and _in_cluster(service_account)
    try:
        return _of_service_account(service_account) if in_cluster else _of_kubeconfig(kubeconfig, context)
    except Exception as error:  # kubeconfigs fail in any way: files, YAML, plugins, certificates
        source = (
            f"the pod's service account ({service_account})"
            if in_cluster
            else kubeconfig or os.environ.get("KUBECONFIG", "~/.kube/config")
        )
        raise errors.Unreachable(
            f"cannot read the access to the cluster from {source}: {error or type(error).__name__}. "
            "Give --kubeconfig, or run in a pod with a service account"
        ) from error


# In a pod


def _in_cluster(service_account: Path) -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (service_account / "token").is_file()


def _of_service_account(directory: Path) -> Access:
    name, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"
    authority = (directory / "ca.crt").read_bytes()
    if not authority.strip():
        raise ValueError("its ca.crt is empty")  # Python would trust the machine's authorities instead
    return Access(
        host=host,
        tls=_verifying(ssl.create_default_context(cadata=authority.decode("ascii"))),
        authorization=f"Bearer {_token((directory / 'token').read_text())}",
        fingerprint=hashlib.sha256(host.encode() + b"\0" + authority).hexdigest(),
        expires=True,
    )


def _token(text: str) -> str:
    """A service account's token is a JWT: one that is cut off within its first two parts is told by that."""
    token = text.strip()
    parts = token.split(".")
    if len(parts) != 3 or not all(parts) or not all(_is_json(part) for part in parts[:2]):
        raise ValueError(f"its token is {'not whole' if token else 'empty'}")
    return token


def _is_json(part: str) -> bool:
    try:
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):
        return False
    return True


# Elsewhere


def _of_kubeconfig(kubeconfig: str | None, context: str | None) -> Access:
    from kubernetes_asyncio import config
    from kubernetes_asyncio.client import Configuration

    found = Configuration()
    asyncio.run(
        config.load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=found, persist_config=False
        )
    )
    host = (found.host or "").rstrip("/")
    return Access(
        host=host,
        tls=_tls(found) if host.startswith("https") else None,
        authorization=str(found.api_key.get("BearerToken", "")).strip(),
        proxy=found.proxy,
        server_hostname=found.tls_server_name,
        fingerprint=_fingerprint(host, found.ssl_ca_cert, found.cert_file, found.key_file),
    )


def _tls(found: Any) -> ssl.SSLContext:
    context = _verifying(ssl.create_default_context(cafile=found.ssl_ca_cert))
    if found.cert_file:
        context.load_cert_chain(found.cert_file, keyfile=found.key_file)
    if not found.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _verifying(context: ssl.SSLContext) -> ssl.SSLContext:
    """Python 3.13 refuses CAs without key identifiers, as many clusters have them. Names and chains are verified."""
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _fingerprint(host: str, *files: str | None) -> str:
    digest = hashlib.sha256(host.encode())
    for file in files:
        digest.update(b"\0" + (Path(file).read_bytes() if file else b""))
    return digest.hexdigest()
