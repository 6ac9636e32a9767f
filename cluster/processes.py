"""What runs for a cluster: each program under a name, in a cgroup of its own, started again only when it must be.

A program that runs as it is wanted (command and configuration) is left alone; one that died or runs otherwise is
started anew. Programs are nobody's children: they outlive the tool, and a later run of it finds them by their cgroup.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from cluster.cgroups import Tree
from cluster.commands import ClusterError, run

STOP_SECONDS = 10.0
LOG_TAIL = 15
POLL_SECONDS = 0.05
START = """\
echo $$ > "$1"
setsid "${@:5}" < /dev/null >> "$2" 2>&1 &
echo $! > "$3"
mv "$3" "$4"
"""
"""The shell is in the cgroup before anything else is; what it starts is too, and the pid is written by no one else."""

T = TypeVar("T")


class Processes:
    """The processes of one cluster. `state` holds what each was started as, `logs` what it printed."""

    def __init__(self, tree: Tree, state: Path, logs: Path) -> None:
        self._tree, self._state, self._logs = tree, state, logs

    def ensure(self, name: str, command: Sequence[str], configuration: str = "") -> bool:
        """Whether it had to be started: `command`, or the text of `configuration` that it reads, is new, or it died."""
        self._state.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        wanted = "\0".join((*command, configuration))
        wants, pid = self._file(name, "wanted"), self._file(name, "pid")
        if self.alive(name) and wants.is_file() and wants.read_text() == wanted:
            return False
        self.stop(name)
        wants.write_text(wanted)
        procs = str(self._tree.leaf(name) / "cgroup.procs")
        unfinished = pid.with_suffix(".unfinished")
        run("bash", "-euc", START, "start", procs, str(self.log(name)), str(unfinished), str(pid), *command)
        return True

    def pid(self, name: str) -> int | None:
        """Its process, if that is alive: a number alone may be somebody else's by now, but not one in its cgroup."""
        try:
            pid = int(self._file(name, "pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if pid in self._tree.pids(name) else None

    def alive(self, name: str) -> bool:
        return self.pid(name) is not None

    def stop(self, name: str) -> None:
        """Asks, waits, and kills what does not go. What it has started (containers, say) goes on."""
        pid = self.pid(name)
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.alive(name):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def wait(self, what: str, seconds: float, look: Callable[[], T | None], needs: Iterable[str] = ()) -> T:
        """What `look` returns once it is not None. If one of `needs` dies or the time is over: why, from their logs."""
        deadline = time.monotonic() + seconds
        needs = tuple(needs)
        while True:
            seen = look()
            if seen is not None:
                return seen
            if dead := [name for name in needs if not self.alive(name)]:
                raise ClusterError(f"{what}: {dead[0]} has ended.\n{self.tail(dead[0])}")
            if time.monotonic() > deadline:
                tails = "\n".join(self.tail(name) for name in needs)
                raise ClusterError(f"{what}: not within {seconds:.0f} s.\n{tails}".rstrip())
            time.sleep(POLL_SECONDS)

    def log(self, name: str) -> Path:
        return self._logs / f"{name.replace('/', '-')}.log"

    def tail(self, name: str, lines: int = LOG_TAIL) -> str:
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return f"{self.log(name)} is not there: it was never started"
        return f"The end of {self.log(name)}:\n" + "\n".join(text.splitlines()[-lines:])

    def _file(self, name: str, kind: str) -> Path:
        return self._state / f"{name.replace('/', '-')}.{kind}"
