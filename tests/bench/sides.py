"""The programs that are compared, as processes: commands go in, answers come out, and what each costs is read outside.

CPU and memory are the kernel's numbers of the process, read in the same way for both languages.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cluster import builds
from cluster.builds import Program

ROOT: Final = Path(__file__).parents[2]
CLIENT_GO: Final = Program("bench-client-go", home=Path(__file__).parent / "client-go")
OURS: Final = "odigos-cp"
ANSWER_SECONDS: Final = 120.0
LOG_TAIL: Final = 15
DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
DEVELOPMENT: Final = ("rich", "greenlet")
"""Brought here by development tools, absent from requirements.lock and so from a pod; structlog loads what is there."""
QUIET_NANOSECONDS: Final = 1_000_000
QUIET_SECONDS: Final = 0.1
SETTLE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Access:
    """How a side reaches the API server: what a pod finds in its service account's directory."""

    server: str
    ca: Path
    token: str


@dataclass(frozen=True)
class Peer:
    """A side in Go: its flags, and what of its environment is not the default."""

    name: str
    flags: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


PEERS: Final = (
    Peer("client-go", ("-mode=informer",)),
    Peer("client-go, lists", ("-mode=informer",), {"KUBE_FEATURE_WatchListClient": "false"}),
    Peer("client-go, JSON", ("-mode=informer", "-content=application/json")),
    Peer("controller-runtime", ("-mode=manager",)),
)
"""client-go's default is protobuf here and, since 1.35, to have the first list streamed by the watch ("lists" turns
that off)."""


class SideError(Exception):
    """A side did not do as it was told; the text has its own words."""


class Side:
    """One program under measurement. Made by `running`."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [*DIES_WITH_US, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=os.environ | environment,
            )
        self.cost = Cost(self._process.pid)
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, do: str, count: int = 0) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, "count": count}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideError(f"{self.name} has ended:\n{self._tail()}") from None

    def wait(self, said: str) -> dict[str, Any]:
        """The next answer, which must be this one."""
        try:
            answer = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise SideError(f"{self.name} did not say {said!r} in {ANSWER_SECONDS:.0f} s:\n{self._tail()}") from None
        if answer is None:
            raise SideError(f"{self.name} has ended and did not say {said!r}:\n{self._tail()}")
        if answer["said"] != said:
            raise SideError(f"{self.name} said {answer} and not {said!r}")
        return answer

    def ask(self, do: str, said: str, count: int = 0) -> dict[str, Any]:
        self.tell(do, count)
        return self.wait(said)

    def end(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_TAIL:])


@dataclass(frozen=True)
class Cost:
    """What a process has used, as the kernel counts it."""

    pid: int

    def cpu_ns(self) -> int:
        """Of all its threads, to the nanosecond."""
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(self.pid, ctypes.byref(clock)) != 0:
            raise SideError(f"process {self.pid} has ended")
        return time.clock_gettime_ns(clock.value)

    def settled_cpu_ns(self) -> int:
        """When it has come to rest, or nearly: garbage may be collected after the work."""
        deadline = time.monotonic() + SETTLE_SECONDS
        before = self.cpu_ns()
        while True:
            time.sleep(QUIET_SECONDS)  # what a process uses in this time says whether it is at rest
            now = self.cpu_ns()
            if now - before < QUIET_NANOSECONDS or time.monotonic() > deadline:
                return now
            before = now

    def rss_mb(self) -> float:
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise SideError(f"process {self.pid} has ended")


def client_go(say: builds.Say = print) -> Path:
    """The program in Go, built if it is not there."""
    return builds.build(CLIENT_GO, say)


@contextmanager
def running(name: str, access: Access, directory: Path) -> Iterator[Side]:
    """The side of this name, ready to be told something."""
    command, environment = _command(name, access)
    side = Side(name, command, environment, directory / f"{name.replace(', ', '-')}.log")
    try:
        side.wait("ready")
        yield side
    finally:
        side.end()


def bare_writes(access: Access, count: int, directory: Path) -> dict[str, float]:
    """Writes a second of the two leanest clients."""
    commands = {
        "Go, net/http": [str(client_go()), "-mode=writes", f"-count={count}", *_flags(access)],
        "Python, aiohttp": [*_python("tests.bench.bare"), access.server, str(access.ca), access.token, str(count)],
    }
    found = {}
    for name, command in commands.items():
        side = Side(name, command, {}, directory / "bare.log")
        try:
            found[name] = rate(side.wait("applied"))
        finally:
            side.end()
    return found


def rate(answer: dict[str, Any]) -> float:
    """Of what was counted between two times, a second."""
    seconds: float = (answer["last"] - answer["first"]) / 1e9
    return int(answer["count"]) / max(1e-9, seconds)


def _command(name: str, access: Access) -> tuple[list[str], dict[str, str]]:
    if name == OURS:
        return [*_python("tests.bench.runtime"), access.server, str(access.ca), access.token], {}
    peer = next(peer for peer in PEERS if peer.name == name)
    return [str(client_go()), *peer.flags, *_flags(access)], peer.environment


def _flags(access: Access) -> list[str]:
    return [f"-server={access.server}", f"-ca={access.ca}", f"-token={access.token}"]


def _python(module: str) -> list[str]:
    """As in a pod."""
    absent = f"import runpy, sys; sys.modules.update(dict.fromkeys({DEVELOPMENT}))"
    return [sys.executable, "-c", f"{absent}; runpy.run_module({module!r}, run_name='__main__')"]
