"""One replica of the control plane as its own process on loopback, as Kubernetes would run it in a pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port

SECONDS = 30.0


@dataclass
class Replica:
    process: subprocess.Popen[str]
    ui: int
    probes: int
    log: Path

    def get(self, path: str, port: int = 0) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.probes}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of its log; what is no JSON (a crash of the interpreter) is in the file only."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    def metric(self, name: str) -> float:
        """The sum of all series of a metric; `name` may have labels, as on /metrics."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def wait(self, what: str, look: Callable[[], Any], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not look():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s:\n{self.tail()}"
            time.sleep(0.05)

    def wait_ready(self, seconds: float = SECONDS) -> None:
        self.wait("/readyz", lambda: self.get("/readyz")[0] == 200, seconds)

    def wait_leading(self, seconds: float = SECONDS) -> None:
        self.wait("leading", lambda: self.events("leading"), seconds)

    def wait_ended(self, seconds: float = SECONDS) -> int:
        return self.process.wait(timeout=seconds)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def end(self) -> None:
        """At the end of a test, whatever state it is in."""
        if self.alive:
            self.process.kill()
            self.process.wait()


def start(
    kubeconfig: Path,
    namespace: str,
    log: Path,
    *flags: str,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (sys.executable, "-m", "odigos_cp.cli"),
) -> Replica:
    """`command` may wrap the process: one under another clock, say."""
    ui, probes = free_port(), free_port()
    words = [*command, *arguments(kubeconfig, namespace, ui, probes), *flags]
    with log.open("a") as output:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            env=os.environ | dict(environment or {}),
        )
    return Replica(process, ui, probes, log)


def arguments(kubeconfig: Path, namespace: str, ui: int, probes: int) -> list[str]:
    return [
        *("run", "--log-format=json", f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "--no-webhook"),
        *(f"--ui-port={ui}", f"--probe-port={probes}", "--probe-address=127.0.0.1"),
    ]
