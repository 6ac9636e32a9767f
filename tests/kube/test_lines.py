"""One line of a watch is one event; everything else is none."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from odigos_cp.kube.lines import OVERLONG, Overlong, split


async def lines_of(*chunks: bytes) -> list[bytes | Overlong]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in split(stream(), max_bytes=100)]


async def test_what_is_left_when_the_stream_ends_is_no_line() -> None:
    assert await lines_of(b"one\ntw") == [b"one"]


async def test_an_overlong_line_is_passed_over_and_the_next_one_is_whole() -> None:
    assert await lines_of(b"a" * 60, b"a" * 60, b"a\nnext\n") == [OVERLONG, b"next"]


async def test_an_overlong_line_within_one_chunk_is_passed_over() -> None:
    assert await lines_of(b"a" * 101 + b"\nnext\n") == [OVERLONG, b"next"]


async def test_an_endless_line_is_not_kept_in_memory() -> None:
    assert await lines_of(*[b"a" * 99] * 1000) == []


async def test_empty_lines_are_left_out() -> None:
    assert await lines_of(b"\n\none\n\n") == [b"one"]


@pytest.mark.parametrize("size", range(1, 20))
async def test_lines_do_not_depend_on_where_the_chunks_are_cut(size: int) -> None:
    text = b"one\n\ntwo\r\nthree three\nfour"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert await lines_of(*chunks) == [b"one", b"two\r", b"three three"]
