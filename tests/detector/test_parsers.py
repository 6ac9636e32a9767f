"""No bytes that a stranger can choose make a parser raise, run long, or answer beyond its bounds."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detector.fuzz import SEEDS
from tests.detector.targets import TARGETS

WORDS = [
    b"\0", b"\n", b"=", b" ", b":", b"/", b"r-xp", b"libjvm.so", b"/libpython3.11.so.1.0 (deleted)", b"javaagent",
    b"newrelic", b"PATH=", b"\xff\xfe", b"{", b'"', b"\x7fELF\x02\x01", b"-", b"0A", b"NSpid:\t",
    b"18446744073709551616",
]  # fmt: skip


def changed(seed: bytes) -> st.SearchStrategy[bytes]:
    """A seed with a piece of it replaced."""
    place = st.integers(0, len(seed))
    piece = st.lists(st.sampled_from(WORDS) | st.binary(max_size=12), max_size=6).map(b"".join)
    return st.tuples(place, place, piece).map(lambda cut: seed[: min(cut[:2])] + cut[2] + seed[max(cut[:2]) :])


def executable() -> bytes:
    return Path(sys.executable).resolve().read_bytes()[:8192]


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_bytes_make_a_parser_fail(name: str, data: st.DataObject) -> None:
    seeds = SEEDS.get(name) or [executable()]
    pieces = st.lists(st.sampled_from(WORDS) | st.binary(max_size=24), max_size=30).map(b"".join)
    TARGETS[name](data.draw(pieces | st.sampled_from(seeds).flatmap(changed)))


@given(
    fields=st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6),
    counts=st.lists(st.integers(0, 65535), min_size=6, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_no_numbers_in_an_elf_header_make_the_reader_fail(fields: list[int], counts: list[int]) -> None:
    """Every offset, size and count of the header and of one program header is a stranger's."""
    header = struct.pack("<4sBBBx8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 3, 62, 1, *fields[:3], 0, *counts)
    segment = struct.pack("<IIQQQQQQ", 2, 4, *fields)
    TARGETS["executable"](header + segment * 3)


def test_every_target_has_what_it_starts_from() -> None:
    assert set(SEEDS) | {"executable"} == set(TARGETS)
    for name, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)
