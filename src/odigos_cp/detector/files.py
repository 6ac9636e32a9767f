"""How is a file read that its owner may have made to harm us?

Only regular files are ever opened for reading: the name is first opened as a mere handle (O_PATH, which has no effect
on devices, FIFOs or FUSE), looked at, and then that very inode is reopened. No link below a target's root is followed,
for the kernel would resolve it in our root, not in the target's. Every read has a bound. What hangs all the same is
ended by `examination`'s deadline.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

TEXT_LIMIT = 64 * 1024
SCAN_LIMIT = 256 * 1024 * 1024
_CHUNK = 1024 * 1024
_OVERLAP = 256
"""No marker with what follows it is longer."""


class NotRegularError(OSError):
    """A FIFO, device, directory or socket stands where a file was looked for."""


def open_regular(name: str, directory: int, *, follow: bool = False) -> int:
    """A descriptor for reading; `follow` is only for the links that the kernel itself makes (/proc/<pid>/exe)."""
    handle = os.open(name, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegularError(f"{name} is not a regular file")
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def open_below(root: int, path: str) -> int:
    """The file at an absolute path inside a root, component by component, with no link and no `..` on the way."""
    *folders, name = [part for part in path.split("/") if part not in ("", ".")] or [""]
    if ".." in (*folders, name) or not name:
        raise NotRegularError(f"{path} is not a plain path")
    here = os.dup(root)
    try:
        for folder in folders:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(folder, flags, dir_fd=here)
            os.close(here)
            here = below
        return open_regular(name, here)
    finally:
        os.close(here)


def read_up_to(descriptor: int, limit: int = TEXT_LIMIT) -> bytes:
    """At most `limit` bytes from here on; short reads (as /proc gives) are put together."""
    parts: list[bytes] = []
    left = limit
    while left > 0 and (part := os.read(descriptor, min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def occurrences(descriptor: int, marker: bytes, following: re.Pattern[bytes], limit: int = SCAN_LIMIT) -> Iterator[str]:
    """What `following` matches right behind each marker. A plain search and no map: a cut file cannot kill us."""
    offset, kept = 0, b""
    while offset < limit and (chunk := os.pread(descriptor, _CHUNK, offset)):
        offset += len(chunk)
        block = kept + chunk
        at_end = len(chunk) < _CHUNK
        safe = len(block) if at_end else len(block) - _OVERLAP
        at = block.find(marker)
        while 0 <= at < safe:
            if found := following.match(block, at + len(marker)):
                yield found.group(1).decode("ascii", "replace")
            at = block.find(marker, at + 1)
        kept = block[max(safe, 0) :]
