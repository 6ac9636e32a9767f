"""A FUSE file system with one file, `page`, that can be opened and mapped, and whose content never comes.

`python silent_files.py MOUNTPOINT` mounts it, says `up`, and serves until it is killed: then everybody who waits is let
go with an error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

ROOT, PAGE = 1, 2
SIZE = 4096
FOREVER = 3600


def attributes(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o644
    return struct.pack("=6Q10I", node, SIZE, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, SIZE, 0)


def answer(operation: int, node: int) -> bytes | int | None:
    """A body, an error number, or silence."""
    match operation:
        case 26:  # INIT
            return struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, SIZE, 1, 1, 0, 0)
        case 1:  # LOOKUP
            return struct.pack("=QQQQII", PAGE, 0, FOREVER, FOREVER, 0, 0) + attributes(PAGE)
        case 3:  # GETATTR
            return struct.pack("=QII", FOREVER, 0, 0) + attributes(node)
        case 14:  # OPEN
            return struct.pack("=QII", 0, 0, 0)
        case 34 | 25 | 18:  # ACCESS, FLUSH, RELEASE
            return b""
        case 15 | 2 | 42 | 36:  # READ, FORGET, BATCH_FORGET, INTERRUPT
            return None
    return errno.ENOSYS


def main(place: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"silent", place.encode(), b"fuse", 0, options) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    print("up", flush=True)
    while request := os.read(device, 1024 * 1024):
        _length, operation, unique, node = struct.unpack("=IIQQ", request[:24])
        said = answer(operation, node)
        if said is None:
            continue
        error, body = (-said, b"") if isinstance(said, int) else (0, said)
        os.write(device, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    main(sys.argv[1])
