"""Where does one line of a stream end? Splits chunks of any size into whole lines, and survives endless ones.

A watch is a stream of lines, one event each. What is left when the stream ends is no event: it is never handed out.
A line over the limit is not kept: it is read over while it passes (overlong.py), and what was found out of whose it is
stands in its place.
"""

from __future__ import annotations

from typing import Final

from odigos_cp.kube.overlong import Overlong, Scanner

__all__ = ["MAX_LINE_BYTES", "Overlong", "Splitter"]

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
"""An object of etcd's 1.5 MiB is at most 9 MiB of JSON, and that only if it is made of escapes alone."""
SCANNED_FROM: Final = 1024 * 1024
"""A line that may become too long is read over from here on: at its limit that would be too much to do at once."""


class Splitter:
    """Fed chunk by chunk; gives the lines that ended, without their line ends. Empty lines are left out."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._scanned_from = min(max_bytes, SCANNED_FROM)
        self._parts: list[bytes] = []
        self._size = 0
        self._scanner: Scanner | None = None

    def feed(self, chunk: bytes) -> list[bytes | Overlong]:
        *ended, rest = chunk.split(b"\n")
        lines: list[bytes | Overlong] = []
        for piece in ended:
            self._take(piece)
            if self._scanner and self._size > self._max_bytes:
                lines.append(self._scanner.found())
            elif self._size:
                lines.append(b"".join(self._parts))
            self._parts, self._size, self._scanner = [], 0, None
        self._take(rest)
        return lines

    def _take(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        self._parts.append(piece)
        if self._scanner:
            self._scanner.feed(piece)
        elif self._size > self._scanned_from:
            self._scanner = Scanner()
            for part in self._parts:
                self._scanner.feed(part)
        if self._size > self._max_bytes:
            self._parts = []
