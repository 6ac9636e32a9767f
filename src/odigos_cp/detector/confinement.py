"""What may a child that looks at strangers still do? A filter of system calls that it puts on itself, through ctypes.

The child stands at the door of every process of its user, and that is often the node's root: what broke into it by a
hostile file could write the node by /proc/1/root. So it may read and answer, and nothing else: files open for reading
only, no socket, no other process, no program. The filter is inherited, cannot be taken off, and needs no right.

It lists what is forbidden, not what is allowed: Python's own needs differ from version to version, and a call missing
from a list of allowed ones would end a detector in the middle of a node; what can do harm is known. On a machine that
the numbers are not known for there is no filter: the child is then held by its ids and capabilities alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _SECOND, _THIRD = 0, 4, 24, 32
"""Offsets in what the kernel shows a filter; arguments are 8 bytes each, the lower half first."""
_OTHER_ABI = 0x40000000

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

MACHINES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OPENING: Mapping[str, Sequence[tuple[int, int]]] = {
    # the call, and where its flags stand
    "x86_64": ((2, _SECOND), (257, _THIRD)),
    "aarch64": ((56, _THIRD),),
}
FORBIDDEN: Mapping[str, Sequence[int]] = {
    "x86_64": (
        41, 42, 43, 49, 50, 53, 288,  # socket, connect, accept, bind, listen, socketpair, accept4
        56, 57, 58, 435,  # clone, fork, vfork, clone3
        59, 322,  # execve, execveat
        62, 200, 234, 129, 297, 424, 434, 438,  # kill, tkill, tgkill, queued signals, pidfd_*
        101, 310, 311, 272, 308,  # ptrace, process_vm_*, unshare, setns
        165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442,  # mount and its newer forms, pivot_root, chroot
        303, 304, 437,  # name_to_handle_at, open_by_handle_at, openat2
        82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, 76, 77, 133,  # rename, mkdir, .., truncate, mknod
        258, 259, 260, 263, 264, 265, 266, 268, 316, 452,  # the same below a directory
        188, 189, 190, 197, 198, 199, 132, 235, 261, 280,  # extended attributes, times
        175, 176, 313, 246, 320, 321, 298, 169, 250, 248, 249,  # modules, kexec, bpf, perf, reboot, keys
        105, 106, 113, 114, 116, 117, 119, 122, 123, 126, 317, 157,  # ids, capabilities, seccomp, prctl
        425, 426, 427, 323,  # io_uring, userfaultfd
    ),
    "aarch64": (
        198, 199, 200, 201, 202, 203, 242,
        220, 435,
        221, 281,
        129, 130, 131, 138, 240, 424, 434, 438,
        117, 270, 271, 97, 268,
        40, 39, 41, 51, 428, 429, 430, 431, 432, 433, 442,
        264, 265, 437,
        33, 34, 35, 36, 37, 38, 45, 46, 52, 53, 54, 55, 276, 452,
        5, 6, 7, 14, 15, 16, 88,
        105, 106, 273, 104, 294, 280, 241, 142, 217, 218, 219,
        143, 144, 145, 146, 147, 149, 151, 152, 159, 91, 277, 167,
        425, 426, 427, 282,
    ),
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine(machine: str | None = None) -> bool:
    """From now on this process reads and answers only. False: the machine or its kernel knows no such filter."""
    machine = machine or os.uname().machine
    if machine not in MACHINES:
        return False
    raw = program(machine)
    memory = ctypes.create_string_buffer(raw, len(raw))
    wanted = _Program(len(raw) // 8, ctypes.cast(memory, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0) == 0)


def program(machine: str) -> bytes:
    """The filter, one instruction of 8 bytes after the other; each jump skips over what follows it."""
    refuse = _step(_RETURN, _ERRNO | errno.EPERM)
    steps = [_step(_LOAD, _MACHINE), _step(_EQUAL, MACHINES[machine], 1, 0), refuse, _step(_LOAD, _NUMBER)]
    if machine == "x86_64":
        steps += [_step(_AT_LEAST, _OTHER_ABI, 0, 1), refuse]
    for call in FORBIDDEN[machine]:
        steps += [_step(_EQUAL, call, 0, 1), refuse]
    for call, flags in OPENING[machine]:
        steps += [
            _step(_EQUAL, call, 0, 4),
            _step(_LOAD, flags),
            _step(_ANY_BIT, _WRITING, 0, 1),
            refuse,
            _step(_RETURN, _ALLOW),
        ]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
