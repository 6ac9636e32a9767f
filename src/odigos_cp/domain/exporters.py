"""How is one Destination sent to? Its exporter, as the collector's configuration has it, or what is wrong with it.

What each field of a type means stands in the catalogue (`sets`); here is one function an exporter of the collector.
Two rules keep what users write from becoming more than text: every `$` of theirs is doubled, because the collector
expands `${env:..}` and `${file:..}` wherever they stand; and no string has both user text and a reference of ours.
Secrets are never here: the exporter refers to an environment variable, which the gateway's pods take from the Secret
(whoever writes that Secret has doubled its `$`, since values are expanded once more).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from odigos_cp.api.application import Signal
from odigos_cp.api.destination import ConfiguredReason, Destination
from odigos_cp.domain import catalogue, endpoints

QUEUE_STORAGE = "file_storage/queue"
DATA_LIMIT = 64 * 1024
"""Characters in all fields of one Destination: all configurations share a ConfigMap, which ends at one megabyte."""

HEADERS_LIMIT = 8 * 1024
"""Characters in all headers: about what servers take."""

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")
_HEADER_NAME = re.compile(r"[a-z0-9._-]{1,200}")
_TAKEN_HEADERS = re.compile(
    r"content-(type|encoding|length)|transfer-encoding|connection|host|te|trailer|upgrade|grpc-.*"
)
"""What the exporters set themselves, or the protocols refuse: data with such a header would be lost."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_SAFE_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?")
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Fault:
    """Why a Destination is left out. `message` names the field and the cure."""

    reason: ConfiguredReason
    message: str
    field: str = ""


@dataclass(frozen=True, order=True)
class SecretVariable:
    """An environment variable of the gateway, and the key of the Secret it comes from."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True)
class Exporter:
    """`component` is its name in the configuration, in the collector's metrics, and in its log."""

    component: str
    block: Mapping[str, Any]
    signals: tuple[Signal, ...]
    endpoint: str
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: tuple[SecretVariable, ...] = ()
    queued: bool = True
    namespaces: tuple[str, ...] = ()
    """Only what comes from these is sent; empty: everything."""

    ignored: tuple[str, ...] = ()
    """Fields of the Destination that this version does not know."""


class _Wrong(Exception):
    def __init__(self, reason: ConfiguredReason, message: str, field: str = "") -> None:
        self.fault = Fault(reason, message, field)


def build(
    destination: Destination, types: Mapping[str, catalogue.DestinationType] = catalogue.TYPES
) -> Exporter | Fault:
    try:
        return _build(destination, types)
    except _Wrong as wrong:
        return wrong.fault


def safe_id(name: str) -> str:
    """The part of component and variable names that is the Destination's: its name where it can be, never ambiguous."""
    if _SAFE_ID.fullmatch(name) and "--" not in name:
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "destination"
    return f"{slug}--{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def literal(text: str) -> str:
    """User text that the collector must not expand."""
    return text.replace("$", "$$")


def _build(destination: Destination, types: Mapping[str, catalogue.DestinationType]) -> Exporter:
    spec = destination.spec
    known = types.get(spec.type)
    if known is None:
        raise _Wrong(
            ConfiguredReason.UNKNOWN_TYPE,
            f"There is no destination type {spec.type[:60]!r}. Use one of: {', '.join(sorted(types))}.",
        )
    if not spec.signals:
        raise _Wrong(
            ConfiguredReason.NO_SIGNALS,
            "spec.signals is empty, so nothing would be sent. List what to send: TRACES, METRICS, LOGS.",
        )
    if refused := [s for s in spec.signals if s not in known.signals]:
        raise _Wrong(
            ConfiguredReason.SIGNAL_NOT_SUPPORTED,
            f"{known.display} does not take {', '.join(refused)}. Remove it from spec.signals; "
            f"it takes {', '.join(known.signals)}.",
        )
    given = _Given(destination, known)
    return _RENDERERS[known.exporter](given)


class _Given:
    """What the person filled in, by what it sets. Every reading names its field when it is wrong."""

    def __init__(self, destination: Destination, known: catalogue.DestinationType) -> None:
        self.spec = destination.spec
        self.signals = tuple(s for s in known.signals if s in destination.spec.signals)
        self.id = safe_id(destination.metadata.name)
        self.known = known
        self.namespaces = self._selected()
        self.variables: list[SecretVariable] = []
        names = {f.name for f in known.fields}
        self.ignored = tuple(sorted(name for name in destination.spec.data if name not in names))
        if sum(len(name) + len(text) for name, text in self.spec.data.items()) > DATA_LIMIT:
            raise _Wrong(
                ConfiguredReason.INVALID_FIELD,
                f"spec.data is longer than {DATA_LIMIT // 1024} KiB. Check what was pasted; of certificates, only the "
                "one that signed the back end's is needed.",
            )
        for field_ in known.fields:
            self._check(field_)

    def _selected(self) -> tuple[str, ...]:
        """Sending everything to someone who was to get a part is worse than sending nothing."""
        selector = self.spec.source_selector
        if selector is None:
            return ()
        if not selector.namespaces:
            raise _Wrong(
                ConfiguredReason.INVALID_FIELD,
                "spec.sourceSelector selects nothing that this version knows. List namespaces in "
                "spec.sourceSelector.namespaces, or remove the selector to send everything.",
                "sourceSelector",
            )
        for namespace in selector.namespaces:
            if not _NAMESPACE.fullmatch(namespace):
                raise _Wrong(
                    ConfiguredReason.INVALID_FIELD,
                    f"spec.sourceSelector.namespaces has {namespace[:80]!r}, which is no name of a namespace. "
                    "Correct it; patterns are not known.",
                    "sourceSelector",
                )
        return tuple(sorted(selector.namespaces))

    def _check(self, known: catalogue.Field) -> None:
        text = self.spec.data.get(known.name, "")
        if known.secret and text:
            raise _Wrong(
                ConfiguredReason.INVALID_FIELD,
                f"{known.name} is a secret and stands in spec.data, where everybody can read it. Put it into a Secret "
                f"in the Destination's namespace, under the key {known.name}, and name that in spec.secretRef.",
                known.name,
            )
        absent = self.spec.secret_ref is None if known.secret else not text.strip()
        if known.required and absent:
            where = "the Secret that spec.secretRef names" if known.secret else "spec.data"
            example = f", for example {known.placeholder}" if known.placeholder and not known.secret else ""
            raise _Wrong(
                ConfiguredReason.MISSING_FIELD,
                f"{known.name} ({known.label}) is missing. Add it to {where}{example}.",
                known.name,
            )

    def wrong(self, sets: str, why: str) -> _Wrong:
        known = self.known.field(sets)
        name = known.name if known else sets
        return _Wrong(ConfiguredReason.INVALID_FIELD, f"{name} {why}.", name)

    def text(self, sets: str) -> str:
        known = self.known.field(sets)
        return self.spec.data.get(known.name, "").strip() if known else ""

    def flag(self, sets: str) -> bool:
        word = self.text(sets).lower()
        if word not in _TRUE + _FALSE:
            raise self.wrong(sets, f"is {word[:40]!r}; write true or false")
        return word in _TRUE

    def choice(self, sets: str) -> str:
        known = self.known.field(sets)
        if known is None:
            return ""
        word = self.text(sets).lower() or known.default
        if word not in known.options:
            raise self.wrong(sets, f"is {word[:40]!r}; choose one of {', '.join(known.options)}")
        return word

    def secret(self, sets: str) -> str:
        """A reference to the variable that holds it, or empty where no Secret is named."""
        known, reference = self.known.field(sets), self.spec.secret_ref
        if known is None or reference is None:
            return ""
        if not _OBJECT_NAME.fullmatch(reference.name):
            raise _Wrong(
                ConfiguredReason.INVALID_FIELD,
                f"spec.secretRef.name is {reference.name[:60]!r}, which is no name of a Secret. Correct it.",
            )
        # Two underscores: neither an id nor a field's name can be read as part of the other.
        variable = f"DST_{self.id.upper().replace('-', '_')}__{known.name}"
        self.variables.append(SecretVariable(variable, reference.name, known.name))
        return f"${{env:{variable}}}"

    def pem(self, sets: str) -> str:
        """Certificates with the line ends that a one-line form field has lost."""
        text = self.text(sets)
        if not text:
            return ""
        if not (bodies := _PEM.findall(text)):
            raise self.wrong(sets, "holds no certificate; paste the whole PEM, from -----BEGIN CERTIFICATE----- on")
        mended = "".join(
            "-----BEGIN CERTIFICATE-----\n" + "\n".join(_lines("".join(body.split()))) + "\n-----END CERTIFICATE-----\n"
            for body in bodies
        )
        try:
            # `otelcol validate` passes a broken one, and then the gateway does not start.
            x509.load_pem_x509_certificates(mended.encode())
        except ValueError:
            raise self.wrong(sets, "holds a certificate that cannot be read; copy it again, it may be cut") from None
        return mended

    def headers(self, *, without: str = "") -> dict[str, str]:
        """Those that the person wrote, and those that come from the Secret, except one."""
        text = self.text("headers")
        if len(text) > HEADERS_LIMIT:
            raise self.wrong("headers", f"is longer than {HEADERS_LIMIT // 1024} KiB; servers refuse such headers")
        found: dict[str, str] = {}
        for pair in self._pairs(text):
            name, value = pair[0].lower(), pair[1]
            if not _HEADER_NAME.fullmatch(name):
                raise self.wrong("headers", f"has {name[:60]!r}, which is no name of a header; write name=value")
            if _TAKEN_HEADERS.fullmatch(name):
                raise self.wrong("headers", f"has {name[:60]!r}, which the protocol sets itself; remove it")
            if _UNPRINTABLE.search(value):
                raise self.wrong(
                    "headers", f"has a character in the value of {name} that no header may have; remove it"
                )
            found[name] = literal(value)
        for known in self.known.fields:
            name = known.sets.removeprefix(catalogue.HEADER)
            if name not in (known.sets, without) and (reference := self.secret(known.sets)):
                found[name] = reference
        return found

    def _pairs(self, text: str) -> Iterator[tuple[str, str]]:
        """From Odigos' JSON list of key and value, a JSON object, or name=value pairs between commas or line ends."""
        if text.startswith(("[", "{")):
            yield from self._json_pairs(text)
            return
        for part in re.split(r"[,\n]", text):
            if pair := re.match(r"([^=:]*)[=:](.*)", part.strip()):
                yield pair[1].strip(), pair[2].strip()
            elif part.strip():
                raise self.wrong("headers", f"has {part.strip()[:60]!r}; write name=value, name=value")

    def _json_pairs(self, text: str) -> Iterator[tuple[str, str]]:
        try:
            content = json.loads(text)
            pairs = content.items() if isinstance(content, dict) else [(h["key"], h["value"]) for h in content]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self.wrong("headers", 'is no JSON list of {"key": .., "value": ..}; correct it') from None
        for name, value in pairs:
            if not (isinstance(name, str) and isinstance(value, str)):
                raise self.wrong("headers", "has a name or value that is no text; put it in quotes")
            yield name.strip(), value.strip()


def _lines(text: str) -> list[str]:
    return [text[at : at + 64] for at in range(0, len(text), 64)]


def _otlp_grpc(given: _Given) -> Exporter:
    try:
        target, tls = endpoints.grpc_target(given.text("endpoint"), tls=given.flag("tls"))
    except endpoints.BadAddress as bad:
        raise given.wrong("endpoint", str(bad)) from None
    headers = given.headers()
    block = {
        # With its scheme, so that a host named `unix` or `passthrough` is still a host.
        "endpoint": f"dns:///{target}",
        "tls": _tls(given, encrypted=tls) or {"insecure": not tls},
        "compression": given.choice("compression"),
        "headers": headers,
    }
    return _exporter(given, block, target)


def _otlp_http(given: _Given) -> Exporter:
    tls = given.flag("tls")
    block: dict[str, Any] = {"compression": given.choice("compression")}
    for sets, of in _HTTP_ENDPOINTS:
        if text := given.text(sets):
            try:
                block[sets] = of(text, tls=tls)
            except endpoints.BadAddress as bad:
                raise given.wrong(sets, str(bad)) from None
    encrypted = any(str(block.get(sets, "")).startswith("https://") for sets, _ in _HTTP_ENDPOINTS)
    block["tls"] = _tls(given, encrypted=encrypted)
    extensions = {}
    if username := given.text("username"):
        if ":" in username or _CONTROL.search(username):
            raise given.wrong("username", "has a colon or a control character, which no user name may have; remove it")
        authenticator = f"basicauth/{given.id}"
        credentials = {"username": literal(username), "password": given.secret("password")}
        extensions[authenticator] = {"client_auth": credentials}
        block["auth"] = {"authenticator": authenticator}
    block["headers"] = given.headers(without="authorization" if extensions else "")
    return _exporter(given, block, block["endpoint"], extensions)


def _debug(given: _Given) -> Exporter:
    block = {"verbosity": given.choice("verbosity")}
    return _exporter(given, block, "the gateway's own log", queued=False)


_HTTP_ENDPOINTS: tuple[tuple[str, Callable[..., str]], ...] = (
    ("endpoint", endpoints.http_base),
    ("traces_endpoint", endpoints.http_exact),
    ("metrics_endpoint", endpoints.http_exact),
    ("logs_endpoint", endpoints.http_exact),
)


def _tls(given: _Given, *, encrypted: bool) -> dict[str, Any]:
    if not encrypted:
        if given.text("ca_pem"):
            raise given.wrong("ca_pem", "is given, but the connection is not encrypted; switch TLS on, or clear it")
        return {}
    settings = {"ca_pem": given.pem("ca_pem"), "insecure_skip_verify": given.flag("skip_verify")}
    return {name: value for name, value in settings.items() if value}


def _exporter(
    given: _Given,
    block: Mapping[str, Any],
    endpoint: str,
    extensions: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    queued: bool = True,
) -> Exporter:
    return Exporter(
        component=f"{given.known.exporter}/{given.id}",
        block={name: value for name, value in block.items() if value},
        signals=given.signals,
        endpoint=endpoint,
        extensions=extensions or {},
        variables=tuple(given.variables),
        queued=queued,
        namespaces=given.namespaces,
        ignored=given.ignored,
    )


_RENDERERS: Mapping[catalogue.ExporterType, Callable[[_Given], Exporter]] = {
    "otlp_grpc": _otlp_grpc,
    "otlp_http": _otlp_http,
    "debug": _debug,
}
