"""One line of a watch is one event; everything else is none."""

from __future__ import annotations

import pytest

from odigos_cp.kube.lines import Overlong, Splitter

UNKNOWN = Overlong()


def lines_of(*chunks: bytes) -> list[bytes | Overlong]:
    splitter = Splitter(max_bytes=100)
    return [line for chunk in chunks for line in splitter.feed(chunk)]


def test_what_is_left_when_the_stream_ends_is_no_line() -> None:
    assert lines_of(b"one\ntw") == [b"one"]


def test_an_overlong_line_is_passed_over_and_the_next_one_is_whole() -> None:
    assert lines_of(b"a" * 60, b"a" * 60, b"a\nnext\n") == [UNKNOWN, b"next"]


def test_an_overlong_line_within_one_chunk_is_passed_over() -> None:
    assert lines_of(b"a" * 101 + b"\nnext\n") == [UNKNOWN, b"next"]


def test_a_line_of_just_the_limit_is_kept() -> None:
    assert lines_of(b"a" * 99, b"a\n", b"b" * 101 + b"\n") == [b"a" * 100, UNKNOWN]


@pytest.mark.parametrize("size", [1, 7, 99, 100, 101, 1000])
def test_an_overlong_line_says_whose_it_is_wherever_it_is_cut(size: int) -> None:
    line = b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"3"},"x":"%s"}}\n'
    text = b"one\n" + line % (b"y" * 200) + b"two\n" + line % (b"z" * 200)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert lines_of(*chunks) == [b"one", Overlong("n", "a", "3"), b"two", Overlong("n", "a", "3")]


def test_an_endless_line_is_not_kept_in_memory() -> None:
    splitter = Splitter(max_bytes=100)
    for _ in range(1000):
        assert splitter.feed(b"a" * 99) == []
    assert sum(map(len, splitter._parts)) <= 100


def test_empty_lines_are_left_out() -> None:
    assert lines_of(b"\n\none\n\n") == [b"one"]


@pytest.mark.parametrize("size", range(1, 20))
def test_lines_do_not_depend_on_where_the_chunks_are_cut(size: int) -> None:
    text = b"one\n\ntwo\r\nthree three\nfour"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert lines_of(*chunks) == [b"one", b"two\r", b"three three"]
