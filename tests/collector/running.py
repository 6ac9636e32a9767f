"""A collector process: a configuration exactly as rendered, and beside it a file that moves it to loopback.

The collector merges the two: addresses that must be of this machine only, ports that are free, a queue in the test's
own directory. What the test wants to be small (a queue) comes the same way.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from odigos_cp.domain import traffic
from tests.ports import free_port
from tests.waiting import eventually

SECONDS = 15.0
Block = dict[str, Any]


def wait_until(what: str, look: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What `look` returns once it is true."""
    return eventually(look, what, seconds)


@dataclass
class Collector:
    binary: Path
    directory: Path
    text: str
    environment: Mapping[str, str] = field(default_factory=dict)
    more: Block = field(default_factory=dict)
    """Merged into the configuration."""

    def __post_init__(self) -> None:
        self.grpc, self.http, self.health, self.metrics_port = (free_port() for _ in range(4))
        self.directory.mkdir()
        (self.directory / "collector.yaml").write_text(self.text)
        (self.directory / "here.yaml").write_text(yaml.safe_dump(_merged(self._here(), self.more)))
        self.process: subprocess.Popen[bytes] | None = None

    def _here(self) -> Block:
        queue = str(self.directory / "queue")
        storage = {"directory": queue, "create_directory": True, "compaction": {"directory": queue}}
        prometheus = {"host": "127.0.0.1", "port": self.metrics_port}
        listen = {
            "grpc": {"endpoint": f"127.0.0.1:{self.grpc}"},
            "http": {"endpoint": f"127.0.0.1:{self.http}"},
        }
        return {
            "extensions": {
                "health_check": {"endpoint": f"127.0.0.1:{self.health}"},
                "file_storage/queue": storage,
            },
            "receivers": {"otlp": {"protocols": listen}},
            "service": {"telemetry": {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}}},
        }

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def validate(self) -> tuple[int, str]:
        """What the init container does: the exit code, and what was written."""
        done = subprocess.run(
            [self.binary, "validate", *self._configs()],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def start(self) -> None:
        with (self.directory / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.binary, *self._configs()],
                env={"GOMEMLIMIT": "409MiB", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(f"{self.directory.name} is healthy", self._is_healthy)

    def stop(self) -> int:
        """As the kubelet does; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As the kernel does."""
        if self.process is not None:
            self._end(signal.SIGKILL)

    def metrics(self) -> str:
        return _get(self.metrics_port, "/metrics")

    def counts(self) -> traffic.Reading:
        """As the autoscaler reads them."""
        return traffic.read(self.metrics())

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=SECONDS)

    def _configs(self) -> tuple[str, ...]:
        return tuple(f"--config={self.directory / name}" for name in ("collector.yaml", "here.yaml"))

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.directory.name} ended:\n{self.log[-3000:]}"
        try:
            return bool(_get(self.health, "/"))
        except OSError:
            return False


def post(port: int, path: str, body: object) -> int:
    """The status of the answer to an OTLP request, or 0 if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    finally:
        connection.close()


def _merged(one: Block, other: Block) -> Block:
    both = dict(one)
    for name, value in other.items():
        before = both.get(name)
        both[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both
