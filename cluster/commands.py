"""A command of the system as a function: bounded in time, and an error that carries its own words."""

from __future__ import annotations

import subprocess
from pathlib import Path


class ClusterError(Exception):
    """Something of the cluster could not be made; the text says what was tried and what the system answered."""


def run(*command: str, timeout: float = 60, check: bool = True, stdin: str = "", file: Path | None = None) -> str:
    """Its standard output. Input is the text `stdin`, or the content of `file`."""
    try:
        if file is None:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        else:
            with file.open("rb") as opened:
                done = subprocess.run(
                    command, stdin=opened, capture_output=True, text=True, timeout=timeout, check=False
                )
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)}: no end within {timeout:.0f} s") from None
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
