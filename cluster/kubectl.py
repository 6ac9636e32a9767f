"""kubectl as a function: every call has a deadline, and an error carries kubectl's own words."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any


class KubectlError(Exception):
    """kubectl answered no; the text is its standard error."""


class Kubectl:
    """One cluster's kubectl. `binary` is a path, or a name on PATH."""

    def __init__(self, kubeconfig: Path, binary: Path | str = "kubectl") -> None:
        self.kubeconfig = kubeconfig
        self.binary = str(binary)
        self._environ = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 60, check: bool = True) -> str:
        command = [self.binary, *arguments]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=timeout, env=self._environ, check=False
            )
        except FileNotFoundError:
            raise KubectlError(f"{self.binary} is not installed") from None
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {' '.join(arguments)}: no answer within {timeout:.0f} s") from None
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def raw(self, path: str) -> Any:
        """The JSON that the API server (or a Service through its proxy) answers at `path`."""
        return json.loads(self("get", "--raw", path))

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """A kubectl that goes on: the caller ends it."""
        return subprocess.Popen(
            [self.binary, *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
