"""Whose event it is, is found out of a line that is not kept, whatever stands in it and wherever it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.kube.overlong import Overlong, Scanner

HOSTILE = (
    '"metadata":{"name":"x","namespace":"y"}',
    '{"object":{"metadata":{"name":"x"}}}',
    '"}}}',
    "\\",
    '\\"',
    "\\\\",
    "[[{{",
    "\u2028\x00é😀",
)
KEYS = st.sampled_from(["type", "object", "metadata", "name", "namespace", "resourceVersion", "spec", "f:name", ""])
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=8)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
METADATA = st.dictionaries(KEYS | TEXTS, VALUES, max_size=6)
OBJECTS = st.dictionaries(KEYS | TEXTS, VALUES, max_size=3).flatmap(
    lambda rest: METADATA.map(lambda metadata: rest | {"metadata": metadata})
)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=3).flatmap(
    lambda rest: OBJECTS.map(lambda found: rest | {"object": found})
)


def scanned(line: bytes, size: int = 1 << 20) -> Overlong:
    scanner = Scanner()
    for at in range(0, len(line), size):
        scanner.feed(line[at : at + size])
    return scanner.found()


def loaded(line: bytes) -> Overlong:
    """What a parser that keeps all of it says."""
    found: Any = json.loads(line)
    for key in ("object", "metadata"):
        found = found.get(key) if isinstance(found, dict) else None
    metadata = found if isinstance(found, dict) else {}
    values = (metadata.get(key) for key in ("namespace", "name", "resourceVersion"))
    return Overlong(*(value if isinstance(value, str) else "" for value in values))


@settings(max_examples=400, deadline=None)
@given(EVENTS | VALUES, st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]), st.booleans())
def test_it_says_what_a_parser_says_wherever_the_line_is_cut(
    event: Any, size: int, ascii_only: bool, indent: int | None, sort: bool
) -> None:
    text = json.dumps(event, ensure_ascii=ascii_only, indent=indent, sort_keys=sort)
    line = text.encode("utf-8", "surrogatepass")
    assert scanned(line, size) == loaded(line)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,\\objectmetadatan', max_size=60).map(str.encode), st.integers(1, 9))
def test_garbage_is_read_over(garbage: bytes, size: int) -> None:
    assert scanned(garbage, size) == scanned(garbage)


def test_a_name_in_an_annotation_is_not_the_objects() -> None:
    fake = '"metadata":{"name":"fake"},"name":"fake'
    metadata = {"annotations": {"name": fake, fake: "name"}, "managedFields": [{"name": "fake"}], "name": "true"}
    line = json.dumps({"type": "ADDED", "object": {"metadata": metadata, "spec": {"metadata": {"name": "fake"}}}})
    assert scanned(line.encode()).name == "true"


def test_what_comes_after_megabytes_is_found() -> None:
    metadata = {"annotations": {"a": '<"\\' * 1_000_000}, "name": "n", "namespace": "ns", "resourceVersion": "7"}
    line = json.dumps({"object": {"apiVersion": "v1", "metadata": metadata}, "type": "MODIFIED"}).encode()
    assert scanned(line, 200_000) == Overlong("ns", "n", "7")


@pytest.mark.parametrize("line", [b"", b"7", b'"object"', b'{"object":{"metadata":{"name":"a"', b'{"object":"metadata'])
def test_half_a_line_says_nothing(line: bytes) -> None:
    assert scanned(line) == Overlong()


def test_a_name_that_never_ends_is_not_kept() -> None:
    line = json.dumps({"object": {"metadata": {"name": "x" * 1_000_000, "namespace": "ns"}}}).encode()
    assert scanned(line, 1000) == Overlong(namespace="ns")


def test_of_two_keys_of_one_name_the_last_one_counts() -> None:
    twice = b'{"object":{"metadata":{"name":"a","namespace":"ns"},"metadata":{"name":"b","name":"c"}}}'
    assert scanned(twice) == Overlong(name="c")
