"""What was started, by pid: so that exactly that can be stopped again, also by a later run of the tool.

A pid alone may be somebody else's by then; beside it stands when the process started, as the kernel counts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

STOP_SECONDS = 10.0


class Processes:
    """The processes of one cluster. `state` holds a file for each, `logs` what it printed."""

    def __init__(self, state: Path, logs: Path) -> None:
        self._state, self._logs = state, logs

    def start(self, name: str, command: Sequence[str]) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        (self._state / name).write_text(json.dumps({"pid": process.pid, "started": start_time(process.pid)}))

    def alive(self, name: str) -> bool:
        return self._pid(name) is not None

    def names(self) -> list[str]:
        return sorted(path.name for path in self._state.iterdir()) if self._state.is_dir() else []

    def stop_all(self) -> list[str]:
        """Asks all at once, waits, and kills what did not go; the names of those that were alive."""
        living = {name: pid for name in self.names() if (pid := self._pid(name)) is not None}
        for pid in living.values():
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(self.alive(name) for name in living) and time.monotonic() < deadline:
            time.sleep(0.05)
        for name in living:
            if (pid := self._pid(name)) is not None:
                _signal(pid, signal.SIGKILL)
        for name in self.names():
            (self._state / name).unlink()
        return sorted(living)

    def tail(self, name: str, lines: int = 15) -> str:
        try:
            text = (self._logs / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _pid(self, name: str) -> int | None:
        try:
            said = json.loads((self._state / name).read_text())
        except (OSError, ValueError):
            return None
        pid = int(said["pid"])
        return pid if start_time(pid) == said["started"] else None


def start_time(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None for one that is gone or only waits to be reaped."""
    try:
        _reap(pid)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
