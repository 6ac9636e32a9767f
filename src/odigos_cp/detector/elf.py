"""What does an executable file say about itself? A reader of ELF that trusts no number in the file.

Read by program headers where it can be (they survive stripping), by section headers where only they tell. Every part
is bounded and read on its own: a damaged part is absent, the others still speak. Works on a descriptor, so on a
deleted file too.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from odigos_cp.detector.facts import ElfFacts

MARKERS = (
    "_ZN4node", "napi_create_function", "node_api_", "_ZN2v8", "Py_BytesMain", "Py_Main", "php_module_startup",
    "DotNetRuntimeInfo", "DotNetRuntimeDebugHeader", "JLI_Launch", "ruby_init", "ngx_",
    "__gxx_personality_v0", "_ZSt", "_ZNSt", "rust_eh_personality", "runtime.main",
)  # fmt: skip
"""Beginnings of names that tell what was linked in."""

_HEADER = {1: 52, 2: 64}
_PROGRAM_HEADERS = 256
_SECTIONS = 1024
_NAMES_LIMIT = 16 * 1024 * 1024
"""Node.js has 6 MiB of names; the detector's whole memory is 64 MiB."""
_TEXT_LIMIT = 64 * 1024
_MANY = 1000
_RODATA_LIMIT = 8 * 1024 * 1024
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 1, 5, 10
_SHT_NOBITS = 8
_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 2
_RUST_SOURCE = re.compile(rb"/rustc/[0-9a-f]{40}/")

_NONE: tuple[str, ...] = ()
_NO_COUNTS: dict[str, int] = {}
_NOT_GO: tuple[str | None, str | None] = (None, None)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    kind: int
    offset: int
    size: int


def read(descriptor: int) -> ElfFacts | None:
    """The facts of an ELF file; None for any other file."""
    start = os.pread(descriptor, 64, 0)
    if len(start) < 52 or start[:4] != b"\x7fELF" or start[4] not in (1, 2) or start[5] not in (1, 2):
        return None
    if len(start) < _HEADER[start[4]]:
        return None
    return _Image(descriptor, start).facts()


class _Image:
    """One file, its class and byte order known."""

    def __init__(self, descriptor: int, start: bytes) -> None:
        self._descriptor = descriptor
        self._wide = start[4] == 2
        self._order = "<" if start[5] == 1 else ">"
        header = self._unpack("HHIQQQIHHHHHH" if self._wide else "HHIIIIIHHHHHH", start[16:])
        (*_, self._phoff, self._shoff, _flags, _size, self._phentsize, self._phnum) = header[:10]
        (self._shentsize, self._shnum, self._shstrndx) = header[10:]

    def facts(self) -> ElfFacts:
        sections = _tolerant(lambda: tuple(self.sections), _NONE)
        go_version, go_module = _tolerant(self._go, _NOT_GO)
        is_go = go_version is not None or ".gopclntab" in sections
        exports = _NO_COUNTS if is_go else _tolerant(lambda: _counts(self._dynamic_names), _NO_COUNTS)
        telling = is_go or "_ZN4node" in exports
        return ElfFacts(
            bits=64 if self._wide else 32,
            interpreter=_tolerant(self._interpreter, None),
            needed=_tolerant(self._needed, _NONE),
            sections=sections,
            comments=_tolerant(lambda: _words(self._section(".comment", _TEXT_LIMIT)), _NONE),
            exports=exports,
            symbols=_NO_COUNTS
            if telling
            else _tolerant(lambda: _counts(self._section(".strtab", _NAMES_LIMIT)), _NO_COUNTS),
            go_version=go_version,
            go_module=go_module,
            rust_paths=not is_go and _tolerant(self._names_rust_sources, False),
        )

    @cached_property
    def segments(self) -> tuple[_Segment, ...]:
        found = []
        for raw in self._table(self._phoff, self._phentsize, min(self._phnum, _PROGRAM_HEADERS)):
            if self._wide:
                kind, _flags, offset, address, _physical, size, *_ = self._unpack("IIQQQQQQ", raw)
            else:
                kind, offset, address, _physical, size, *_ = self._unpack("IIIIIIII", raw)
            found.append(_Segment(kind, offset, address, size))
        return tuple(found)

    @cached_property
    def sections(self) -> dict[str, _Section]:
        layout = "IIQQQQIIQQ" if self._wide else "IIIIIIIIII"
        table = self._table(self._shoff, self._shentsize, min(self._shnum, _SECTIONS))
        rows = [self._unpack(layout, raw) for raw in table]
        _, _, _, _, offset, size, *_ = rows[self._shstrndx]
        names = self._bytes(offset, min(size, _TEXT_LIMIT))
        found = {}
        for at, kind, _flags, _address, offset, size, *_ in rows:
            name = names[at : names.find(b"\0", at)].decode("ascii", "replace")
            if name:
                found[name] = _Section(name, kind, offset, size)
        return found

    def _interpreter(self) -> str | None:
        for segment in self._segments_of(_PT_INTERP):
            return self._bytes(segment.offset, min(segment.size, 256)).split(b"\0")[0].decode("utf-8", "replace")
        return None

    @cached_property
    def _dynamic(self) -> tuple[tuple[int, int], ...]:
        pair = struct.Struct(self._order + ("QQ" if self._wide else "II"))
        for segment in self._segments_of(_PT_DYNAMIC):
            raw = self._bytes(segment.offset, min(segment.size, _TEXT_LIMIT))
            return tuple((tag, value) for tag, value in pair.iter_unpack(raw[: len(raw) // pair.size * pair.size]))
        return ()

    @cached_property
    def _dynamic_names(self) -> bytes:
        where = dict(self._dynamic)
        if _DT_STRTAB not in where:
            return b""
        return self._bytes(self._offset_of(where[_DT_STRTAB]), min(where.get(_DT_STRSZ, 0), _NAMES_LIMIT))

    def _needed(self) -> tuple[str, ...]:
        names = self._dynamic_names
        at = [value for tag, value in self._dynamic if tag == _DT_NEEDED][:256]
        return tuple(names[start : names.find(b"\0", start)].decode("utf-8", "replace")[:256] for start in at)

    def _names_rust_sources(self) -> bool:
        return _RUST_SOURCE.search(self._section(".rodata", _RODATA_LIMIT)) is not None

    def _go(self) -> tuple[str | None, str | None]:
        """Version and main module, in the format of Go 1.18 and later, or in the older one with pointers."""
        raw = self._section(".go.buildinfo", _TEXT_LIMIT)
        if not raw.startswith(_GO_MAGIC):
            return None, None
        if raw[15] & _GO_INLINE:
            version, at = _counted(raw, 32)
            module, _ = _counted(raw, at)
        else:
            size, order = raw[14], ">" if raw[15] & 1 else "<"
            version = self._go_string(raw[16 : 16 + size], order)
            module = self._go_string(raw[16 + size : 16 + 2 * size], order)
        return version.decode("ascii", "replace")[:64] or None, _main_module(module)

    def _go_string(self, pointer: bytes, order: str) -> bytes:
        word = struct.Struct(order + ("Q" if len(pointer) == 8 else "I"))
        (header,) = word.unpack(pointer)
        raw = self._bytes(self._offset_of(header), 2 * word.size)
        (address,), (length,) = word.unpack(raw[: word.size]), word.unpack(raw[word.size :])
        return self._bytes(self._offset_of(address), min(length, _TEXT_LIMIT))

    def _offset_of(self, address: int) -> int:
        for segment in self._segments_of(_PT_LOAD):
            if segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        raise ValueError("an address outside the file")

    def _segments_of(self, kind: int) -> Iterator[_Segment]:
        return (segment for segment in self.segments if segment.kind == kind)

    def _section(self, name: str, limit: int) -> bytes:
        section = self.sections.get(name)
        if section is None or section.kind == _SHT_NOBITS:
            return b""
        return self._bytes(section.offset, min(section.size, limit))

    def _table(self, offset: int, size: int, count: int) -> Iterator[bytes]:
        raw = self._bytes(offset, size * count)
        return (raw[at : at + size] for at in range(0, len(raw), size)) if size else iter(())

    def _bytes(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def _unpack(self, layout: str, raw: bytes) -> tuple[int, ...]:
        shape = struct.Struct(self._order + layout)
        return shape.unpack(raw[: shape.size])


def _tolerant(part: Callable[[], T], otherwise: T) -> T:
    """A damaged part of the file is as good as absent."""
    try:
        return part()
    except (struct.error, ValueError, IndexError, KeyError, OverflowError, OSError):
        return otherwise


def _counts(names: bytes) -> dict[str, int]:
    """How many names begin with each marker. Node.js exports so many that nothing else is asked of it."""
    found: dict[str, int] = {}
    for marker in MARKERS:
        count = names.count(b"\0" + marker.encode())
        if count:
            found[marker] = count
        if marker == MARKERS[0] and count > _MANY:
            break
    return found


def _words(raw: bytes) -> tuple[str, ...]:
    return tuple(word.decode("utf-8", "replace")[:128] for word in raw.split(b"\0") if word)[:16]


def _counted(raw: bytes, at: int) -> tuple[bytes, int]:
    """A string behind its length in Go's variable form, and where it ends."""
    length = shift = 0
    while raw[at] & 0x80:
        length |= (raw[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    length |= raw[at] << shift
    return raw[at + 1 : at + 1 + length], at + 1 + length


def _main_module(raw: bytes) -> str | None:
    """The line `mod` of the build's description, which stands between two 16-byte marks."""
    lines = (line.split("\t") for line in raw.decode("utf-8", "replace").splitlines())
    return next((line[1][:256] for line in lines if line[0] == "mod" and len(line) > 1), None)
