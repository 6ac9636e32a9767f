"""Real processes with real agents, where nothing but this machine's loopback can be reached.

One thread lives in a network namespace of its own: what it starts, and the sockets it opens, are in there. The receiver
is the demo store's. The agents are installed once into the cache, by the same scripts and locks as their images.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cluster import images
from demo.store.http_server import Receiver, Server
from demo.store.memory import Memory
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
CLONE_NEWNET = 0x40000000
T = TypeVar("T")


@dataclass
class Application:
    """A started process; its output goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_said(self, text: str) -> None:
        eventually(lambda: text in self.output or self._died(), f"{text!r} in the output")

    def ended(self, seconds: float = 20) -> int:
        return self.process.wait(timeout=seconds)

    def terminated(self) -> float:
        """Seconds from SIGTERM to the end."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        return time.monotonic() - started

    def _died(self) -> bool:
        assert self.process.poll() is None, f"it ended with code {self.process.returncode}:\n{self.output}"
        return False


class Island:
    """The network namespace, and everything that runs in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, initializer=_leave_the_network)
        self.memory = Memory()
        self.kinds: set[str] = set()
        self._receiver: Server = self._inside(lambda: Server(("127.0.0.1", 0), _noting(self.kinds), self.memory))
        self.collector = f"http://127.0.0.1:{self._receiver.server_address[1]}"
        self._hole: socket.socket = self._inside(lambda: socket.create_server(("127.0.0.1", 0), backlog=0))
        self.black_hole = f"http://127.0.0.1:{self._hole.getsockname()[1]}"
        self.nobody = "http://127.0.0.1:1"
        self._serving = threading.Thread(target=self._receiver.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()
        self._started: list[Application] = []

    def start(self, *command: str, env: Mapping[str, str], collector: str | None = None) -> Application:
        log = self._directory / f"{len(self._started)}.log"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._directory), "OTEL_SERVICE_NAME": "tested"}
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector or self.collector,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",
        }

        def run() -> Application:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    env=environment | dict(env),
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            return Application(process, log)

        self._started.append(self._inside(run))
        return self._started[-1]

    def get(self, url: str) -> bytes:
        def ask() -> bytes:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())

        return self._inside(ask)

    def spans(self, service: str = "tested") -> list[dict[str, Any]]:
        return [span for trace in self.memory.traces([service], 100) for span in self.memory.trace(trace["traceId"])]

    def wait_spans(self, service: str = "tested") -> list[dict[str, Any]]:
        return eventually(lambda: self.spans(service), f"spans of {service}")

    def end_applications(self) -> None:
        for application in self._started:
            if application.process.poll() is None:
                application.process.kill()
            application.process.wait(timeout=10)
        self._started.clear()

    def close(self) -> None:
        self.end_applications()
        self._receiver.shutdown()
        self._receiver.server_close()
        self._serving.join(10)
        self._hole.close()
        self._thread.shutdown()

    def _inside(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result(timeout=30)


def _noting(kinds: set[str]) -> type[Receiver]:
    """A receiver that notes how the data came."""

    class Noting(Receiver):
        def do_POST(self) -> None:
            kinds.add(self.headers["content-type"])
            super().do_POST()

    return Noting


def _leave_the_network() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace of its own for the tests of the agents: they need root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)


@pytest.fixture(scope="session")
def _island() -> Iterator[Island]:
    with tempfile.TemporaryDirectory() as directory:
        island = Island(Path(directory))
        yield island
        island.close()


@pytest.fixture
def island(_island: Island) -> Iterator[Island]:
    _island.memory.clear()
    _island.kinds.clear()
    yield _island
    _island.end_applications()


def installed(language: str) -> Path:
    """The agent's directory, as it is inside its image; installed once for each content of agents/LANGUAGE."""
    source = ROOT / "agents" / language
    digest = hashlib.sha256()
    for path in sorted(p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
    target = images.cache_directory() / "tests" / f"agent-{language}-{digest.hexdigest()[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=target.parent))
        # the python3 beside this environment's base has pip; the environment has none
        programs = f"{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            [source / "install.sh", unfinished / "agent"],
            env=os.environ | {"PATH": programs},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, f"agents/{language}/install.sh failed:\n{done.stderr[-3000:]}{done.stdout[-1000:]}"
        os.replace(unfinished / "agent", target)
        unfinished.rmdir()
    return target
