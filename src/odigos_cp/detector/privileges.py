"""How does a child become the user whose processes it looks at? By system calls, through ctypes.

An environment can be read by its owner only, so the child takes the owner's ids and keeps CAP_SYS_PTRACE and nothing
else: it can read what the target could, and write nothing that the target could not. Each step may be refused (fewer
capabilities, no root): then the child goes on with what it has, and what it cannot read is told as unreadable.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from odigos_cp.detector.procfs import Status

_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_SYS_PTRACE = 19


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(target: Status | None) -> None:
    """This process, from now on, as the target's user; None: as the user it is. Its capabilities shrink either way."""
    libc = ctypes.CDLL(None, use_errno=True)
    if target is not None and target.uid != os.geteuid():
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        _where_allowed(lambda: os.setgroups(target.groups))
        _where_allowed(lambda: os.setresgid(target.gid, target.gid, target.gid))
        _where_allowed(lambda: os.setresuid(target.uid, target.uid, target.uid))
    _keep_only_ptrace(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _keep_only_ptrace(libc: ctypes.CDLL) -> None:
    header = _Header(_CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)()
    if libc.capget(ctypes.byref(header), data) != 0:
        return
    keep = data[0].permitted & (1 << _CAP_SYS_PTRACE)
    wanted = (_Data * 2)(_Data(keep, keep, 0), _Data(0, 0, 0))
    libc.capset(ctypes.byref(header), wanted)


def _where_allowed(step: Callable[[], None]) -> None:
    try:
        step()
    except OSError:
        return
