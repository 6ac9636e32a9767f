"""The Go programs of the cluster, built once for each state of their sources and kept in the cache.

A program is kept under a hash of its sources, the Go version and the flags. A build that dies leaves no half file: it
is written beside and renamed. Cold, Kubernetes takes about five minutes on two cores, the collector four, CoreDNS two.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.commands import ClusterError, run
from cluster.images import cache_directory
from cluster.steps import Steps

GO = Path(__file__).resolve().parent / "go"
KUBERNETES_VERSION = "v1.36.2"
BUILD_SECONDS = 3600.0
LOG_TAIL = 30
Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """A Go module under cluster/go, or at `home`, and the variables that are set at link time."""

    name: str
    variables: tuple[tuple[str, str], ...] = ()
    home: Path | None = None

    def directory(self, sources: Path | None = None) -> Path:
        return self.home or (sources or GO) / self.name

    @property
    def flags(self) -> tuple[str, ...]:
        set_ = "".join(f" -X {name}={value}" for name, value in self.variables)
        return ("-mod=mod", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w{set_}")


def _kubernetes() -> Program:
    package = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES_VERSION,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "built-from-go-modules",
    }
    return Program("kubernetes", tuple((f"{package}.{name}", value) for name, value in values.items()))


PROGRAMS = {p.name: p for p in (_kubernetes(), Program("coredns"), Program("pause"), Program("collector"))}


def kubernetes(say: Say = print) -> Path:
    return build(PROGRAMS["kubernetes"], say)


def coredns(say: Say = print) -> Path:
    return build(PROGRAMS["coredns"], say)


def pause(say: Say = print) -> Path:
    return build(PROGRAMS["pause"], say)


def collector(say: Say = print) -> Path:
    """The OpenTelemetry Collector of stock components that the local cluster runs."""
    return build(PROGRAMS["collector"], say)


def content(program: Program, go_version: str, sources: Path | None = None) -> str:
    """The hash that a built program is kept under."""
    digest = hashlib.sha256(f"{go_version}\0{program.flags}".encode())
    for path in sorted(program.directory(sources).iterdir()):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(program: Program, say: Say) -> Path:
    """The program's path in the cache; built now if it is not there."""
    version = run("go", "env", "GOVERSION").strip()
    directory = cache_directory() / "bin"
    directory.mkdir(parents=True, exist_ok=True)
    binary = directory / f"{program.name}-{content(program, version)}"
    if binary.exists():
        return binary
    with _alone(directory / f"{program.name}.lock", program.name, say):
        if not binary.exists():
            _compile(program, binary, say)
    return binary


def _compile(program: Program, binary: Path, say: Say) -> None:
    unfinished, log = binary.with_suffix(".unfinished"), binary.with_suffix(".log")
    command = ["go", "build", *program.flags, "-o", str(unfinished), "."]
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": ""}
    started = time.monotonic()
    say(f"{program.name}: building from Go modules (minutes, the first time)")
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=program.directory(), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            code = process.wait(timeout=BUILD_SECONDS)
        except BaseException:
            process.kill()
            process.wait()
            unfinished.unlink(missing_ok=True)
            raise
    if code != 0:
        unfinished.unlink(missing_ok=True)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
        raise ClusterError(f"{program.name} did not build (the whole log: {log}):\n{tail}")
    unfinished.rename(binary)
    say(f"{program.name}: built in {time.monotonic() - started:.0f} s, {binary.stat().st_size / 1e6:.0f} MB")


@contextmanager
def _alone(lock: Path, name: str, say: Say) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another build of it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """`python -m cluster.builds [NAME...]`: build these programs, or all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.builds", description="Build the Go programs of the cluster."
    )
    parser.add_argument("names", nargs="*", help=f"only these of: {', '.join(PROGRAMS)}")
    names = parser.parse_args().names or list(PROGRAMS)
    if unknown := set(names) - PROGRAMS.keys():
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    steps = Steps()
    try:
        for name in names:
            with steps.step(f"the program {name}") as step:
                build(PROGRAMS[name], step.say)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
