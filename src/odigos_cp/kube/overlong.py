"""Whose event is this, although it is too long to keep? Reads namespace, name and version while the bytes pass by.

The order of keys cannot be relied on: built-in kinds have their name early, custom resources have their keys sorted,
so that megabytes of annotations and managed fields may come first. So the whole line is read over, aware of strings and
nesting, and nothing is kept but the few values that are wanted: `object.metadata.{namespace,name,resourceVersion}`.
A name that stands anywhere else, or inside a string, is not mistaken for it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

MAX_VALUE_BYTES: Final = 4096
"""Names and versions are some hundreds at most; a longer one is not known."""

_STRING: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_string_rest = re.compile(_STRING, re.DOTALL)
_shallow = re.compile(rb'["{}\[\],:]')


def _passable(nested: int) -> bytes:
    """What can be passed over at once below the way: everything but brackets that are not closed soon."""
    inner = rb"|[{\[]" + _passable(nested - 1) + rb"[}\]]" if nested else b""
    return rb'(?:[^"{}\[\]]++|"' + _STRING + rb'"' + inner + rb")*+"


_deep = re.compile(_passable(nested=6), re.DOTALL)
"""Six levels pass as one: managed fields are mostly brackets."""

_WAY: Final = {1: "object", 2: "metadata"}
"""At each level the key whose object is gone into; at the last one are the values."""
_LAST: Final = 3
_WANTED: Final = ("namespace", "name", "resourceVersion")


@dataclass(frozen=True, slots=True)
class Overlong:
    """Stands for a line that was too long to keep; what could not be found out is empty."""

    namespace: str = ""
    name: str = ""
    resource_version: str = ""


class Scanner:
    """Fed with one line in chunks of any size, then asked what it `found`."""

    def __init__(self) -> None:
        self._depth = 0
        self._on_way = 0
        """How many of the open levels are on the way to the values; deeper ones are passed over."""
        self._key = ""
        self._expects_key = False
        self._in_string = False
        self._escaped = False
        self._text: bytearray | None = None
        """The string that is being read, if it is of interest."""
        self._values: dict[str, str] = {}

    def found(self) -> Overlong:
        if self._depth or self._in_string:
            return Overlong()  # it is no JSON
        return Overlong(*(self._values.get(name, "") for name in _WANTED))

    def feed(self, chunk: bytes) -> None:
        at, end = 0, len(chunk)
        while at < end:
            if self._in_string:
                at = self._read_string(chunk, at)
                continue
            if self._depth > self._on_way:
                at = _end(_deep, chunk, at)
            elif token := _shallow.search(chunk, at):
                at = token.start()
            else:
                return
            if at < end:
                self._take(chunk[at : at + 1])
                at += 1

    def _read_string(self, chunk: bytes, at: int) -> int:
        """Reads on in a string, to its end or that of the chunk."""
        start = at
        if self._escaped:
            at += 1
            self._escaped = False
        at = _end(_string_rest, chunk, at)
        ended = chunk[at : at + 1] == b'"'
        if not ended and at < len(chunk):
            at += 1  # a backslash is the last byte
            self._escaped = True
        if self._text is not None:
            if len(self._text) + at - start <= MAX_VALUE_BYTES:
                self._text += chunk[start:at]
            else:
                self._text = None
                self._key = ""
        if not ended:
            return at
        self._in_string = False
        if self._text is not None:
            self._use(_decoded(self._text))
        return at + 1

    def _use(self, text: str) -> None:
        if self._expects_key:
            self._key = text
            if self._on_way == _LAST:
                self._values.pop(text, None)
        else:
            self._values[self._key] = text

    def _take(self, token: bytes) -> None:
        here = self._depth == self._on_way
        if token == b'"':
            wanted = self._on_way == _LAST and self._key in _WANTED
            self._in_string = True
            self._text = bytearray() if here and self._on_way and (self._expects_key or wanted) else None
        elif token == b":":
            self._expects_key = False
        elif token == b",":
            self._expects_key = True
        elif token in b"{[":
            goes_in = self._key == _WAY[self._on_way] if self._on_way in _WAY else self._on_way == 0
            if here and token == b"{" and goes_in:
                self._on_way += 1
                self._expects_key = True
                self._values.clear()  # of two keys of one name the last one counts
            self._depth += 1
        elif self._depth:
            self._depth -= 1
            self._on_way = min(self._on_way, self._depth)


def _end(pattern: re.Pattern[bytes], chunk: bytes, at: int) -> int:
    """Where the match of a pattern that matches the empty string ends."""
    found = pattern.match(chunk, at)
    return found.end() if found else at


def _decoded(text: bytearray) -> str:
    try:
        return str(json.loads(b'"' + text + b'"'))
    except ValueError:
        return ""
