"""buildah as a function: `docker build` without a Docker engine, in a storage of its own.

Nothing outside the cache directory is touched: images, layers and the caches of package managers live in it. Every call
has a deadline, no input, and a log whose end is shown when it fails. Used by images.py and base_images.py.

Package registries are reached with the certificate authorities of this machine: the bundle is given to a build as the
secret `ca-bundle`, which is mounted for the one command that asks for it (manifests/images/with-ca) and stays nowhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]

CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
SAY_EVERY_SECONDS = 15.0
LOG_TAIL_LINES = 30
UNFINISHED = "making-"  # directories of work in progress


class BuildError(Exception):
    """An image could not be made; the text says which, why, and shows the end of the log."""


@dataclass(frozen=True)
class Image:
    identity: str
    names: tuple[str, ...]


class Buildah:
    """One storage under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._logs = root / "logs"
        self._temporary = root / "tmp"  # buildah keeps the builds' cache mounts here, so it is never emptied
        for directory in (self._logs, self._temporary):
            directory.mkdir(parents=True, exist_ok=True)

    def images(self) -> list[Image]:
        """Every named image of the storage."""
        listed = self._call("images", "--json", "--no-trunc", timeout=60)
        return [
            Image(one["id"].removeprefix("sha256:"), tuple(one.get("names") or ()))
            for one in json.loads(listed or "null") or ()
        ]

    def build(
        self,
        name: str,
        dockerfile: Path,
        context: Path,
        *,
        tags: Sequence[str],
        labels: Mapping[str, str],
        say: Say,
        timeout: float = 1200,
    ) -> str:
        """Build and tag one image; its id."""
        identity = self._temporary / f"{name}.id"
        arguments = ["bud", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never"]
        arguments += ["--file", str(dockerfile), "--iidfile", str(identity)]
        if bundle := ca_bundle():
            arguments += ["--secret", f"id=ca-bundle,src={bundle}"]
        for tag in tags:
            arguments += ["--tag", tag]
        for key, value in labels.items():
            arguments += ["--label", f"{key}={value}"]
        self.logged(name, self._command(*arguments, str(context)), say=say, timeout=timeout)
        return identity.read_text().strip().removeprefix("sha256:")

    def save(self, identity: str, reference: str, archive: Path) -> None:
        """The image as a docker-archive; `archive` must not be there yet."""
        self._call("push", "--quiet", identity, f"docker-archive:{archive}:{reference}", timeout=300)

    def sweep(self) -> None:
        """Remove what builds that were killed have left: call it while nobody else builds in this storage."""
        leftovers = list(self.root.glob(f"{UNFINISHED}*"))
        for directory in leftovers:
            shutil.rmtree(directory)
        containers = self._call("containers", "--quiet", timeout=60).split()
        if containers:
            self._call("rm", *containers, timeout=120)

    def forget(self, name: str) -> None:
        """Remove a name, and what only it kept; it is no fault when the name is gone or still used by a build."""
        subprocess.run(
            self._command("rmi", name), capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False
        )

    def logged(self, name: str, command: Sequence[str], *, say: Say, timeout: float) -> None:
        """Run a long command with a log: says now and then where it is, and shows the log's end on failure."""
        log = self._logs / f"{name}.log"
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # a group: what it has started ends with it
            )
            try:
                while True:
                    try:
                        code = process.wait(timeout=min(SAY_EVERY_SECONDS, timeout))
                        break
                    except subprocess.TimeoutExpired:
                        elapsed = time.monotonic() - started
                        if elapsed >= timeout:
                            raise BuildError(_failure(name, f"not done within {timeout:.0f} s", log)) from None
                        say(f"{name}: {elapsed:.0f} s: {_last_line(log)}")
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(timeout=30)
        if code != 0:
            raise BuildError(_failure(name, f"{Path(command[0]).name} ended with code {code}", log))

    def _call(self, *arguments: str, timeout: float) -> str:
        try:
            done = subprocess.run(
                self._command(*arguments),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=timeout,
                env=self._environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"buildah {arguments[0]}: no answer within {timeout:.0f} s") from None
        if done.returncode != 0:
            raise BuildError(f"buildah {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        if shutil.which("buildah") is None:
            raise BuildError(
                "buildah is not installed: it builds the images; `apt-get install buildah debootstrap` and try again"
            )
        storage = [
            "--storage-driver",
            "overlay",
            "--root",
            str(self.root / "storage"),
            "--runroot",
            str(self.root / "run"),
        ]
        return ["buildah", *storage, *arguments]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"TMPDIR": str(self._temporary)}


def ca_bundle() -> str | None:
    """The certificate authorities that this machine trusts, in one file."""
    candidates = (os.environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)


def _failure(name: str, what: str, log: Path) -> str:
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    return f"the image {name} could not be built: {what}. The end of {log}:\n{tail}"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:100] if lines else "started"
