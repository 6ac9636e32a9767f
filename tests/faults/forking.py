"""Many short lives of the control plane, disturbed (disturbed.py), that cost no start of Python each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests import replicas
from tests.ports import free_port
from tests.replicas import Replica
from tests.waiting import eventually

PATH = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(Path(__file__).parents[2]))))


@dataclass
class Forked:
    """What a Replica needs of a subprocess.Popen, of a process that is another's child."""

    fate: Path
    pid: int

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        code = json.loads(self.fate.read_text()).get("code")
        return None if code is None else int(code)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 20.0) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.02)
        return code


class Forks:
    """Made by `with forking()`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.disturbed", "fork"]
        self._parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": PATH}
        )

    def start(self, kubeconfig: Path, namespace: str, log: Path, environment: Mapping[str, str]) -> Replica:
        ui, probes = free_port(), free_port()
        fate = log.with_suffix(".fate")
        log.touch()
        job: dict[str, Any] = {
            "log": str(log),
            "fate": str(fate),
            "environment": dict(environment),
            "arguments": replicas.arguments(kubeconfig, namespace, ui, probes),
        }
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        eventually(fate.exists, "the fork", 60)
        forked = Forked(fate, json.loads(fate.read_text())["pid"])
        return Replica(cast("subprocess.Popen[str]", forked), ui, probes, log)

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(timeout=20)


@contextmanager
def forking() -> Iterator[Forks]:
    forks = Forks()
    try:
        yield forks
    finally:
        forks.close()
