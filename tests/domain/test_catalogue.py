"""The catalogue of destination types: a broken file is found when it is loaded, and named."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from odigos_cp.domain import catalogue

FIELD = {"name": "ENDPOINT", "sets": "endpoint", "label": "Endpoint", "required": True}
TYPE = {"type": "acme", "display": "Acme", "category": "managed", "exporter": "otlp_grpc", "signals": ["TRACES"]}


def load(*fields: dict[str, object], file: str = "acme.yaml", **deviations: Any) -> catalogue.DestinationType:
    text = yaml.safe_dump(TYPE | {"fields": list(fields)} | deviations)
    return catalogue.load({file: text})["acme"]


def test_the_packaged_types_are_those_of_odigos_users() -> None:
    assert set(catalogue.TYPES) == {"otlp", "otlphttp", "debug"}
    assert [f.name for f in catalogue.TYPES["otlp"].fields if f.required] == ["OTLP_GRPC_ENDPOINT"]
    assert [f.name for f in catalogue.TYPES["otlphttp"].fields if f.secret] == [
        "OTLP_HTTP_AUTHORIZATION",
        "OTLP_HTTP_BASIC_AUTH_PASSWORD",
    ]


def test_a_type_is_a_file_and_no_code() -> None:
    key = {"name": "API_KEY", "sets": "header:x-api-key", "label": "Key", "secret": True}
    known = load(FIELD, key)
    assert known.field("endpoint") == known.fields[0]
    assert known.field("headers") is None


@pytest.mark.parametrize(
    ("fields", "deviations", "says"),
    [
        ([FIELD], {"exporter": "kafka"}, "exporter"),
        ([FIELD], {"signals": ["PROFILES"]}, "signals"),
        ([FIELD], {"colour": "red"}, "colour"),
        ([FIELD], {"type": "Acme"}, "type"),
        ([FIELD], {"type": "other"}, "'other': rename one of them"),
        ([], {}, "required field that sets the endpoint"),
        ([FIELD | {"required": False}], {}, "required field that sets the endpoint"),
        ([FIELD, FIELD | {"sets": "tls"}], {}, "two fields with one name: ENDPOINT"),
        ([FIELD, FIELD | {"name": "URL"}], {}, "two fields with one sets: endpoint"),
        ([FIELD, {"name": "V", "sets": "verbosity", "label": "V"}], {}, "otlp_grpc does not know 'verbosity'"),
        ([FIELD, {"name": "A__B", "sets": "tls", "label": "V"}], {}, "A__B"),
        ([FIELD | {"kind": "select"}], {}, "options and kind select belong together"),
        ([FIELD | {"kind": "select", "options": ["a"], "default": "b"}], {}, "the default 'b' is none of its options"),
        ([FIELD | {"secret": True}], {}, "endpoint and secret: true do not go together"),
        ([FIELD, {"name": "K", "sets": "header:k", "label": "K"}], {}, "header:k and secret: false do not go together"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(
    fields: list[dict[str, object]], deviations: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=r"acme\.yaml") as error:
        load(*fields, **deviations)
    assert says in str(error.value)


def test_text_that_is_no_yaml_is_an_error_that_names_the_file() -> None:
    with pytest.raises(ValueError, match=r"acme\.yaml is broken"):
        catalogue.load({"acme.yaml": "type: [acme"})
