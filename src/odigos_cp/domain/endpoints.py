"""What did the person mean by this address? A typed or pasted endpoint as the exporter needs it, or what is wrong.

gRPC wants host:port and never a path; OTLP over HTTP wants a base URL to which the exporter adds /v1/traces and so on.
A scheme decides about TLS; without one the form's own TLS field does. Pure text: nothing is resolved or contacted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

GRPC_PORT = 4317
HTTP_PORT = 4318
LONGEST = 2000

_FORBIDDEN = re.compile(r"[^\x21-\x7e]|[$\"'<>\\^`{|}]")
_HOST = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEMES = {"http": False, "grpc": False, "https": True, "grpcs": True}
_SIGNAL_PATH = re.compile(r"/v1/(traces|metrics|logs)/*\Z")


class BadAddress(ValueError):
    """The text is what was wrong and how to mend it, as the end of a sentence that begins with the field."""


@dataclass(frozen=True)
class Address:
    """`host` is as a URL has it (IPv6 in brackets); `port` is None where the person gave none."""

    tls: bool
    host: str
    port: int | None
    path: str
    has_scheme: bool


def grpc_target(text: str, *, tls: bool) -> tuple[str, bool]:
    """host:port, and whether to use TLS."""
    address = _parse(text, tls=tls)
    if address.path.strip("/"):
        raise BadAddress(f"has a path ({address.path[:60]!r}): gRPC knows only host:port; remove the path")
    return f"{address.host}:{address.port or GRPC_PORT}", address.tls


def http_base(text: str, *, tls: bool) -> str:
    """The base URL; a pasted /v1/traces is taken off, since the exporter adds it. Plain HTTP is OTLP's port, not 80."""
    address = _parse(text, tls=tls, only=("http", "https"))
    guess = None if address.tls and address.has_scheme else HTTP_PORT
    return _url(address, guess, _SIGNAL_PATH.sub("", address.path).rstrip("/"))


def http_exact(text: str, *, tls: bool) -> str:
    """A URL that is used as it stands."""
    address = _parse(text, tls=tls, only=("http", "https"))
    return _url(address, None if address.has_scheme else HTTP_PORT, address.path)


def _url(address: Address, guess: int | None, path: str) -> str:
    scheme = "https" if address.tls else "http"
    port = address.port or guess
    return f"{scheme}://{address.host}" + (f":{port}" if port else "") + path


def _parse(text: str, *, tls: bool, only: tuple[str, ...] = tuple(_SCHEMES)) -> Address:
    text = text.strip()
    if not text:
        raise BadAddress("is empty; write host:port, for example collector.observability:4317")
    if len(text) > LONGEST:
        raise BadAddress(f"is longer than {LONGEST} characters; check what was pasted")
    if found := _FORBIDDEN.search(text):
        raise BadAddress(f"has the character {found.group()!r}, which no address has; remove it")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    elif (scheme := scheme.lower()) not in only:
        raise BadAddress(f"begins with {scheme[:20]!r}://; write {' or '.join(f'{s}://' for s in only)}, or no scheme")
    if tls and scheme and not _SCHEMES[scheme]:
        raise BadAddress(
            f"begins with {scheme}://, which is not encrypted, while TLS is switched on; change one of them"
        )
    if "?" in rest or "#" in rest:
        raise BadAddress("has a query or a fragment; remove everything from the ? or # on")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise BadAddress("has a user name in it; remove it and use the fields for authentication")
    if _BROKEN_ESCAPE.search(path):
        raise BadAddress("has a % that no two hexadecimal digits follow; write %25 for a % itself")
    host, port = _host_and_port(authority)
    return Address(_SCHEMES[scheme] if scheme else tls, host, port, slash + path, bool(scheme))


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadAddress("has an IPv6 address whose brackets do not match; write [2001:db8::1]:4317")
        return f"[{_ipv6(literal)}]", _port(rest[1:]) if rest else None
    if authority.count(":") > 1:
        return f"[{_ipv6(authority)}]", None
    host, colon, port = authority.lower().partition(":")
    if not _HOST.fullmatch(host):
        raise BadAddress(f"names no host ({host[:60]!r}); write host:port, for example collector.observability:4317")
    return host, _port(port) if colon else None


def _ipv6(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError("a zone is a link of one machine; the gateway runs on any")
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise BadAddress(f"has {text[:60]!r}, which is no IPv6 address; write [2001:db8::1]:4317") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise BadAddress(f"has the port {text[:20]!r}; a port is a number from 1 to 65535")
    return int(text)
