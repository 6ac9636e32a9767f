"""Which processes belong to a cluster: those in its tree of cgroups, and nobody can leave that by forking.

Each thing that is started has a cgroup of its own in the hierarchy that counts (`pids`, or the only one of cgroup v2);
containers are in the kubelets' part of the same tree. So what a cluster runs, and what must end with it, is read from
the kernel: no list that a killed program could have failed to write.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.commands import ClusterError

CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")
COPIED = ("cpuset.cpus", "cpuset.mems")
KILL_SECONDS = 20.0


@dataclass(frozen=True)
class Hierarchies:
    """Where cgroups are mounted: one place for each controller (v1), one for all (v2), or a mix."""

    controllers: tuple[Path, ...]
    counting: Path


def hierarchies(mounts: str | None = None) -> Hierarchies:
    """Those of this machine; `mounts` is the text of /proc/self/mounts."""
    fields = [line.split() for line in (mounts or Path("/proc/self/mounts").read_text()).splitlines()]
    v1 = {Path(place): options.split(",") for _, place, kind, options, *_ in fields if kind == "cgroup"}
    v2 = [Path(place) for _, place, kind, *_ in fields if kind == "cgroup2"]
    if counting := next((place for place, options in v1.items() if "pids" in options), None):
        return Hierarchies((*v1, *v2), counting)
    if v2:
        return Hierarchies(tuple(v2), v2[0])
    raise ClusterError("neither a cgroup v1 hierarchy with pids nor cgroup v2 is mounted: nodes cannot be made here")


class Tree:
    """The cgroups of one cluster, under `root` in each hierarchy."""

    def __init__(self, root: str, where: Hierarchies | None = None) -> None:
        self._root = root
        self._where = where or hierarchies()

    def make(self, path: str) -> None:
        """A cgroup for containers at `path`: in each hierarchy, with what its parents have."""
        for hierarchy in self._where.controllers:
            place = hierarchy
            for part in Path(self._root, path).parts:
                _hand_down(place)
                place = place / part
                place.mkdir(exist_ok=True)
                for name in COPIED:
                    _copy_if_empty(place.parent / name, place / name)
            _hand_down(place)

    def leaf(self, path: str) -> Path:
        """The cgroup of one program, where it and what it starts is counted."""
        place = self._where.counting / self._root / path
        place.mkdir(parents=True, exist_ok=True)
        return place

    def pids(self, path: str = "") -> list[int]:
        return _pids(self._where.counting / self._root / path)

    def kill(self, path: str = "") -> int:
        """Ends everything under `path` at once, until nothing is left; how many there were."""
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        while pids := self.pids(path):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            killed.update(pids)
            if time.monotonic() > deadline:
                raise ClusterError(f"these processes of {self._root} do not end: {pids}")
            time.sleep(0.02)
        return len(killed)

    def remove(self, path: str = "") -> None:
        """Removes the cgroups under `path`, which hold no process any more."""
        for hierarchy in self._where.controllers:
            deadline = time.monotonic() + KILL_SECONDS
            while not _removed(hierarchy / self._root / path):
                if time.monotonic() > deadline:
                    raise ClusterError(f"the cgroup {hierarchy / self._root / path} cannot be removed")
                time.sleep(0.02)

    def exists(self) -> bool:
        return any((hierarchy / self._root).exists() for hierarchy in self._where.controllers)


def _pids(place: Path) -> list[int]:
    found: list[int] = []
    for directory, _, files in os.walk(place):
        if "cgroup.procs" in files:
            try:
                found += [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
            except OSError:  # removed meanwhile, or one that holds threads only
                continue
    return found


def _removed(place: Path) -> bool:
    """Whether nothing is there any more. A cgroup whose last process is just ending is busy for a moment."""
    for directory, _, _ in os.walk(place, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _hand_down(place: Path) -> None:
    """cgroup v2 only: what may be limited here may be limited below."""
    if not (place / "cgroup.subtree_control").exists():
        return
    has = (place / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in has)
    if wanted:
        (place / "cgroup.subtree_control").write_text(wanted)


def _copy_if_empty(source: Path, target: Path) -> None:
    """cgroup v1 only: a cpuset without processors runs nothing."""
    if target.exists() and source.exists() and not target.read_text().strip():
        target.write_text(source.read_text())
