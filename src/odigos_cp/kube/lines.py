"""Where does one line of a stream end? Splits chunks of any size into whole lines, and survives endless ones.

A watch is a stream of lines, one event each. What is left when the stream ends is no event: it is never handed out.
A line over the limit is not kept in memory: it is passed over to its end, and `OVERLONG` stands in its place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from enum import Enum
from typing import Final

MAX_LINE_BYTES: Final = 8 * 1024 * 1024


class Overlong(Enum):
    """Stands for a line that was too long to keep."""

    LINE = "overlong"


OVERLONG: Final = Overlong.LINE


async def split(
    chunks: AsyncIterable[bytes], max_bytes: int = MAX_LINE_BYTES
) -> AsyncGenerator[bytes | Overlong, None]:
    """The whole lines of a stream, without their line ends; empty lines are left out."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            if size + len(piece) > max_bytes:
                yield OVERLONG
            elif line := b"".join((*parts, piece)):
                yield line
            parts, size = [], 0
        size += len(rest)
        if size > max_bytes:
            parts = []
        elif rest:
            parts.append(rest)
