"""A /proc of files: one call a process, one line a deviation. The detector reads it as it reads the kernel's."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINER = "6d1cc3728ac940f45cc9063bcd27baafcd7b97afd09dfd95ee4f86699328c947"
POD = "8cf090c6-ac9e-494c-3de5-67b020557592"
GROUP = f"/kubepods/burstable/pod{POD}/{CONTAINER}"
LIBJVM = "/usr/lib/jvm/java-17/lib/server/libjvm.so"


class ProcTree:
    """A directory that looks like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "self").mkdir()
        (root / "version").write_text("not a process\n")

    def process(
        self,
        pid: int = 100,
        *,
        parent: int = 1,
        inside: int = 1,
        group: str = GROUP,
        exe: str | Path = "/opt/app/server",
        maps: Sequence[str] = (),
        arguments: bytes = b"server\0",
        environ: bytes = b"PATH=/bin\0",
        state: str = "S",
        secure: bool = False,
        listens: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> Path:
        folder = self.root / str(pid)
        folder.mkdir()
        uid = os.geteuid()
        (folder / "cgroup").write_text(f"8:pids:{group}\n7:blkio:/\n0::{group}\n")
        (folder / "status").write_text(
            f"Name:\tx\nState:\t{state} (x)\nPPid:\t{parent}\nNSpid:\t{pid}\t{inside}\n"
            f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\t0\t0\t0\nGroups:\t\n"
        )
        (folder / "maps").write_text("".join(mapping(path) for path in maps))
        (folder / "cmdline").write_bytes(arguments)
        (folder / "environ").write_bytes(environ)
        (folder / "auxv").write_bytes(struct.pack("=4Q", 23, secure, 0, 0))
        (folder / "exe").symlink_to(exe)
        self._root(folder, files or {})
        self._sockets(folder, listens)
        return folder

    def _root(self, folder: Path, files: Mapping[str, str]) -> None:
        inside = folder.parent / f"root-of-{folder.name}"
        inside.mkdir()
        for path, text in files.items():
            file = inside / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (folder / "root").symlink_to(inside)

    def _sockets(self, folder: Path, listens: bool) -> None:
        (folder / "net").mkdir()
        (folder / "fd").mkdir()
        state = "0A" if listens else "01"
        queues = "00000000:00000000 00:00000000 00000000"
        line = f"   0: 0100007F:1F90 00000000:0000 {state} {queues}  1000        0 4711 1 x\n"
        (folder / "net/tcp").write_text("  sl  local_address rem_address   st\n" + line)
        (folder / "fd/0").symlink_to("/dev/null")
        (folder / "fd/3").symlink_to("socket:[4711]")


def mapping(path: str, permissions: str = "r-xp") -> str:
    return f"7f4f15e00000-7f4f15e26000 {permissions} 00000000 fe:00 1234                       {path}\n"
