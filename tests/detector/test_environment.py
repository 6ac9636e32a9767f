"""What of an environment is told, and what never."""

from __future__ import annotations

import pytest

from odigos_cp.detector import environment
from odigos_cp.detector.environment import HIDDEN, VALUE_LIMIT


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="wiped"),
        pytest.param(b"\0\0\0\0", id="overwritten with zeros"),
        pytest.param(b"gunicorn: master\0\0\0PATH=/bin\0", id="overwritten by a title"),
        pytest.param(b"=x\0", id="a value without a name"),
        pytest.param(b"no separators at all and no equals", id="one long word"),
        pytest.param(None, id="too long to read"),
    ],
)
def test_an_environment_that_was_overwritten_is_unknown(raw: bytes | None) -> None:
    assert environment.parse(raw) is None
    assert not environment.tell(environment.parse(raw)).known


def test_only_listed_names_are_told() -> None:
    told = environment.tell({"DATABASE_URL": "postgres://u:p@h", "PYTHONPATH": "/a:/b", "OTEL_SERVICE_NAME": "cart"})
    assert told.known
    assert told.shown == {"PYTHONPATH": "/a:/b", "OTEL_SERVICE_NAME": "cart"}


def test_credentials_are_hidden_by_name() -> None:
    told = environment.tell({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=1234"})
    assert told.shown == {"OTEL_EXPORTER_OTLP_HEADERS": HIDDEN}
    assert told.known


@pytest.mark.parametrize(
    "value",
    [
        "-Djavax.net.ssl.keyStorePassword=changeit",
        "-Dapi.key=1",
        "-Dx=" + "y" * VALUE_LIMIT,
        "-Dx=\x1b[31m",
        "-Dx=\udcff",
    ],
)
def test_a_value_that_must_be_extended_and_cannot_be_told_makes_the_environment_unknown(value: str) -> None:
    told = environment.tell({"JAVA_TOOL_OPTIONS": value})
    assert not told.known
    assert told.shown == {}


def test_a_value_of_several_lines_is_told_whole() -> None:
    assert environment.tell({"JAVA_TOOL_OPTIONS": "-Dx=1\n-Dy=2"}).shown == {"JAVA_TOOL_OPTIONS": "-Dx=1\n-Dy=2"}


def test_the_first_of_two_values_counts_as_in_the_c_library() -> None:
    assert environment.parse(b"A=1\0A=2\0") == {"A": "1"}
