"""What adding a destination writes: the Destination, and the Secret with its secret fields. Pure.

Secrets are written once and never read: the Secret is immutable, and its name says its content, so that a second try of
the same request finds the first one's Secret, and other content never meets it. Every `$` of a secret is doubled,
because the collector expands what it finds in an environment variable once more.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import MANAGED_BY, MANAGED_LABEL, Key, Kind
from odigos_cp.domain import catalogue, exporters
from odigos_cp.web import presenting
from odigos_cp.web.problems import Problem
from odigos_cp.web.views import DestinationFieldView, DestinationTypeView, NewDestinationRequest

DESTINATION_LABEL = "odigos.io/destination"
NAME_LIMIT = 40
DISPLAY_LIMIT = 120
VALUE_LIMIT = 64 * 1024


_OF_MANY_LINES = frozenset({"ca_pem", "headers"})
"""What is set by fields whose text has lines, as certificates have."""


def _never_decoded(content: bytes) -> Any:
    raise AssertionError("Secrets are written and deleted, never read")


SECRETS: Kind[Any] = Kind("", "v1", "secrets", "Secret", _never_decoded)


@dataclass(frozen=True)
class Wish:
    """What one POST writes: `secret` first, then `body`."""

    key: Key
    body: dict[str, Any]
    secret: dict[str, Any] | None

    @property
    def kubectl(self) -> str:
        """The command without the secret values: those stay with the person who has them."""
        return presenting.apply_command(self.body)


def types() -> list[DestinationTypeView]:
    return [
        DestinationTypeView(
            type=known.type,
            display=known.display,
            category=known.category,
            signals=list(known.signals),
            fields=[_field(f) for f in known.fields],
        )
        for known in sorted(catalogue.TYPES.values(), key=lambda t: t.display.lower())
    ]


def _field(known: catalogue.Field) -> DestinationFieldView:
    return DestinationFieldView(
        name=known.name,
        label=known.label,
        kind="secret" if known.secret else "multiline" if known.sets in _OF_MANY_LINES else known.kind,
        required=known.required,
        options=list(known.options),
        placeholder=known.placeholder,
        default=known.default,
        help=known.help,
    )


def secret_fields(type_: str) -> frozenset[str]:
    known = catalogue.TYPES.get(type_)
    return frozenset(f.name for f in known.fields if f.secret) if known else frozenset()


def wish(request: NewDestinationRequest, namespace: str) -> Wish:
    """The writes for a valid request; a Problem names the field that is not. Hashes for 50 ms: call it in a thread."""
    known = catalogue.TYPES.get(request.type)
    if known is None:
        raise _wrong("type", f"There is no destination type {request.type[:100]!r}.", "Choose one of the catalogue.")
    display = " ".join(request.display.split()) or known.display
    if len(display) > DISPLAY_LIMIT:
        raise _wrong("display", f"The name is longer than {DISPLAY_LIMIT} characters.", "Choose a shorter one.")
    _check_signals(request, known)
    given = {name: value for name, value in request.data.items() if value != ""}
    names = {f.name for f in known.fields}
    for name, value in given.items():
        if name not in names:
            raise _wrong(f"data.{name}"[:200], f"{known.display} has no such field.", "See /api/destination-types.")
        if len(value) > VALUE_LIMIT or "\0" in value:
            raise _wrong(f"data.{name}", "The value is too long or holds a NUL byte.", "Check what was pasted.")
    secret = {name: value for name, value in given.items() if name in secret_fields(request.type)}
    key = Key(namespace, resource_name(display))
    secret_body = _secret(key, secret) if secret else None
    spec: dict[str, Any] = {
        "type": request.type,
        "destinationName": display,
        "data": {name: value for name, value in given.items() if name not in secret},
        "signals": list(dict.fromkeys(request.signals)),
    }
    if secret_body is not None:
        spec["secretRef"] = {"name": secret_body["metadata"]["name"]}
    body = {
        "apiVersion": DESTINATIONS.api_version,
        "kind": DESTINATIONS.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": spec,
    }
    _check_rendering(body, frozenset(secret))
    return Wish(key, body, secret_body)


def resource_name(display: str) -> str:
    """A DNS name from what the person typed; the suffix tells apart what the letters alone do not."""
    plain = unicodedata.normalize("NFKD", display).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:NAME_LIMIT].strip("-")
    return f"{slug or 'destination'}-{hashlib.sha256(display.encode()).hexdigest()[:5]}"


def own_secret(destination: Destination) -> Key | None:
    """The Secret that was made for this destination here; one that the user refers to is the user's."""
    reference = destination.spec.secret_ref
    name = destination.metadata.name
    if reference is None or not re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}", reference.name):
        return None
    return Key(destination.metadata.namespace, reference.name)


def _secret(key: Key, values: Mapping[str, str]) -> dict[str, Any]:
    # Slow and cut short, so that the name does not help to guess a password.
    content = json.dumps(values, sort_keys=True).encode()
    digest = hashlib.scrypt(content, salt=str(key).encode(), n=2**14, r=8, p=1, dklen=4).hex()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{key.name}-{digest}",
            "namespace": key.namespace,
            "labels": {MANAGED_LABEL: MANAGED_BY, DESTINATION_LABEL: key.name},
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": {name: value.replace("$", "$$") for name, value in values.items()},
    }


def _check_signals(request: NewDestinationRequest, known: catalogue.DestinationType) -> None:
    if not request.signals:
        raise _wrong("signals", "No signal is chosen, so nothing would be sent.", "Choose at least one.")
    if unsupported := [s for s in request.signals if s not in known.signals]:
        raise _wrong(
            "signals",
            f"{known.display} does not take {', '.join(unsupported).lower()}.",
            f"Choose among {', '.join(known.signals).lower()}.",
        )


def _check_rendering(body: Mapping[str, Any], secrets: frozenset[str]) -> None:
    """What the autoscaler would say of it, said before it is written."""
    outcome = exporters.build(Destination.model_validate(body))
    if isinstance(outcome, exporters.Fault):
        field = f"data.{outcome.field}" if outcome.field else ""
        raise _wrong(field, outcome.message, "")
    used = {variable.key for variable in outcome.variables}
    for known in catalogue.TYPES[body["spec"]["type"]].fields:
        if known.name in secrets - used:
            fix = "Fill in the fields that go with it, or clear it."
            raise _wrong(f"data.{known.name}", f"{known.label} would not be used as the form stands.", fix)


def _wrong(field: str, detail: str, fix: str) -> Problem:
    return Problem(422, "invalid_field", detail, field=field, fix=fix)
