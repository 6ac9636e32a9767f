"""What does the kernel say about a process? The only reader of /proc.

A process is held by a descriptor of its directory: when it ends, every later read fails, even if its number is given to
another one. The root of /proc is a parameter, so tests use trees of their own. All failures are OSErrors: the caller
decides what it means that something cannot be read. Everything read is bounded, and belongs to a stranger.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from odigos_cp.detector import files

DELETED = " (deleted)"
_ENVIRON_LIMIT = 1024 * 1024
_MAPS_LIMIT = 32 * 1024 * 1024
_LIBRARIES = 2048
_OTHERS = 64
_PATH_LIMIT = 512
_DESCRIPTORS = 4096
_NET_LIMIT = 1024 * 1024
_NUMBER = re.compile(r"[0-9]{1,10}")
_LISTEN = b"0A"
_AT_SECURE = 23


@dataclass(frozen=True, slots=True)
class Status:
    """The few lines of /proc/<pid>/status that matter here."""

    parent: int
    namespace_pids: tuple[int, ...]
    state: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """A process, held by its directory."""

    pid: int
    directory: int

    def close(self) -> None:
        os.close(self.directory)

    def control_groups(self) -> tuple[str, ...]:
        """The paths of its control groups, of every hierarchy."""
        lines = self._read("cgroup").decode("utf-8", "replace").splitlines()
        return tuple(line.split(":", 2)[2] for line in lines if line.count(":") >= 2)

    def status(self) -> Status:
        text = self._read("status").decode("utf-8", "replace")
        fields = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
        return Status(
            parent=int(_first(fields.get("PPid"), "0")),
            namespace_pids=tuple(int(pid) for pid in fields.get("NSpid", [])[:16]),
            state=_first(fields.get("State"), "?")[:1],
            uid=int((fields.get("Uid") or ["0", "0"])[1]),
            gid=int((fields.get("Gid") or ["0", "0"])[1]),
            groups=tuple(int(group) for group in fields.get("Groups", [])[:64]),
        )

    def exe(self) -> str:
        """The executable's path as its own root shows it."""
        return os.readlink("exe", dir_fd=self.directory).removesuffix(DELETED)

    @contextmanager
    def open_exe(self) -> Iterator[int]:
        """The executable itself: works for a deleted file and for one that never had a name."""
        descriptor = files.open_regular("exe", self.directory, follow=True)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def open_file(self, path: str) -> Iterator[int]:
        """A file at an absolute path of the process' own root."""
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory)
        try:
            descriptor = files.open_below(root, path)
        finally:
            os.close(root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def arguments(self) -> bytes:
        return self._read("cmdline")

    def environ(self) -> bytes | None:
        """None: longer than anyone's patience, so not known whole."""
        raw = self._read("environ", _ENVIRON_LIMIT + 1)
        return raw if len(raw) <= _ENVIRON_LIMIT else None

    def maps(self, telling: re.Pattern[bytes]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The shared libraries whose code is mapped, and other files: programs, and those whose path is telling.

        A mere reading of a library is not running it.
        """
        libraries: dict[bytes, None] = {}
        others: dict[bytes, None] = {}
        for line in self._lines("maps", _MAPS_LIMIT):
            fields = line.split(None, 5)
            if len(fields) < 6 or not fields[5].startswith(b"/"):
                continue
            path = fields[5][:_PATH_LIMIT]
            is_code = fields[1][2:3] == b"x"
            if is_code and b".so" in path.rpartition(b"/")[2]:
                if len(libraries) < _LIBRARIES:
                    libraries[path] = None
            elif (is_code or telling.search(path)) and len(others) < _OTHERS:
                others[path] = None
        return _paths(libraries), _paths(others)

    def secure(self, bits: int) -> bool:
        """AT_SECURE of the auxiliary vector."""
        raw = self._read("auxv", 4096)
        pair = struct.Struct("=QQ" if bits == 64 else "=II")
        vector = dict(pair.iter_unpack(raw[: len(raw) // pair.size * pair.size]))
        return bool(vector.get(_AT_SECURE, 0))

    def listening(self) -> bool:
        """Whether it holds a TCP socket that waits for connections."""
        waiting: set[str] = set()
        for table in ("net/tcp", "net/tcp6"):
            try:
                lines = self._read(table, _NET_LIMIT).splitlines()[1:]
            except OSError:
                continue
            fields = (line.split(None, 10) for line in lines)
            waiting |= {f"socket:[{entry[9].decode()}]" for entry in fields if len(entry) > 9 and entry[3] == _LISTEN}
        return bool(waiting) and any(link in waiting for link in self._descriptors())

    def _descriptors(self) -> Iterator[str]:
        folder = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory)
        try:
            for name in sorted(os.listdir(folder), key=len)[:_DESCRIPTORS]:
                try:
                    yield os.readlink(name, dir_fd=folder)
                except OSError:
                    continue
        finally:
            os.close(folder)

    def _read(self, name: str, limit: int = files.TEXT_LIMIT) -> bytes:
        descriptor = files.open_regular(name, self.directory)
        try:
            return files.read_up_to(descriptor, limit)
        finally:
            os.close(descriptor)

    def _lines(self, name: str, limit: int) -> Iterator[bytes]:
        descriptor = files.open_regular(name, self.directory)
        try:
            rest = b""
            while limit > 0 and (part := os.read(descriptor, files.TEXT_LIMIT)):
                limit -= len(part)
                *lines, rest = (rest + part).split(b"\n")
                yield from lines
            if rest:
                yield rest
        finally:
            os.close(descriptor)


def processes(root: str) -> Iterator[Process]:
    """Every process there is, the lowest number first; the caller closes each one."""
    for name in sorted(os.listdir(root), key=lambda name: (len(name), name)):
        if not _NUMBER.fullmatch(name):
            continue
        try:
            directory = os.open(f"{root}/{name}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        yield Process(int(name), directory)


def _paths(found: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(os.fsdecode(path).removesuffix(DELETED) for path in found)


def _first(words: list[str] | None, otherwise: str) -> str:
    return words[0] if words else otherwise
