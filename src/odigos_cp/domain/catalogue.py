"""Which kinds of back end can be sent to, and what must be known of each?

One file a kind in destinations/: what people see, the fields they fill in, and what each field `sets` in the exporter,
so that a further back end that speaks a known protocol is a file and no code. Field names are those of the `data` of
Odigos users' Destinations. Loaded once, at import: a broken file stops the process at its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as PydanticField

from odigos_cp.api.application import Signal

ExporterType = Literal["otlp_grpc", "otlp_http", "debug"]
"""Component types as the collector 0.155 names them; older ones call the first two `otlp` and `otlphttp`."""

HEADER = "header:"
"""`header:x-api-key` sets one header, from the Secret."""

_SENDS: frozenset[str] = frozenset({"endpoint", "tls", "ca_pem", "skip_verify", "compression", "headers", HEADER})
UNDERSTOOD: Mapping[ExporterType, frozenset[str]] = {
    "otlp_grpc": _SENDS,
    "otlp_http": _SENDS | {"traces_endpoint", "metrics_endpoint", "logs_endpoint", "username", "password"},
    "debug": frozenset({"verbosity"}),
}
"""What a field may set, by exporter; see exporters.py."""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Field(Strict):
    name: str = PydanticField(pattern=r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$")
    sets: str = PydanticField(pattern=r"^([a-z_]+|header:[a-z0-9-]+)$", description="What it is in the exporter.")
    label: str
    kind: Literal["text", "url", "select", "boolean"] = "text"
    required: bool = False
    secret: bool = False
    options: tuple[str, ...] = ()
    placeholder: str = ""
    default: str = ""
    help: str = ""

    @model_validator(mode="after")
    def _options_where_there_is_a_choice(self) -> Field:
        if (self.kind == "select") != bool(self.options):
            raise ValueError(f"{self.name}: options and kind select belong together")
        if self.options and self.default not in self.options:
            raise ValueError(f"{self.name}: the default {self.default!r} is none of its options")
        return self

    @model_validator(mode="after")
    def _secret_where_it_comes_from_the_secret(self) -> Field:
        if self.secret != (self.sets == "password" or self.sets.startswith(HEADER)):
            raise ValueError(f"{self.name}: {self.sets} and secret: {str(self.secret).lower()} do not go together")
        return self


class DestinationType(Strict):
    type: str = PydanticField(pattern=r"^[a-z][a-z0-9]*$")
    display: str
    category: str
    exporter: ExporterType
    signals: tuple[Signal, ...]
    fields: tuple[Field, ...]

    @model_validator(mode="after")
    def _fields_that_the_exporter_understands(self) -> DestinationType:
        for what in ("name", "sets"):
            values = [getattr(f, what) for f in self.fields]
            if twice := {v for v in values if values.count(v) > 1}:
                raise ValueError(f"two fields with one {what}: {', '.join(sorted(twice))}")
        known = UNDERSTOOD[self.exporter]
        for f in self.fields:
            if (HEADER if f.sets.startswith(HEADER) else f.sets) not in known:
                raise ValueError(f"{f.name}: {self.exporter} does not know {f.sets!r}")
        if "endpoint" in known and not any(f.sets == "endpoint" and f.required for f in self.fields):
            raise ValueError(f"{self.exporter} needs a required field that sets the endpoint")
        return self

    def field(self, sets: str) -> Field | None:
        """The field that sets this part of the exporter."""
        return next((f for f in self.fields if f.sets == sets), None)


def load(texts: Mapping[str, str]) -> Mapping[str, DestinationType]:
    """The types by name, from the text of each file by its name; any fault is an error that names the file."""
    types: dict[str, DestinationType] = {}
    for file, text in sorted(texts.items()):
        try:
            known = DestinationType.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"the destination catalogue's {file} is broken: {error}") from error
        if file != f"{known.type}.yaml":
            raise ValueError(
                f"the destination catalogue's {file} describes the type {known.type!r}: rename one of them"
            )
        types[known.type] = known
    return types


def _packaged() -> dict[str, str]:
    folder = resources.files(__package__) / "destinations"
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}


TYPES: Mapping[str, DestinationType] = load(_packaged())
