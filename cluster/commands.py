"""A command of the system as a function: bounded in time, without input, and an error that carries its own words."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class ClusterError(Exception):
    """Something of the cluster could not be made; the text says what was tried and what the system answered."""


def run(*command: str, timeout: float = 60, check: bool = True, stdin: str = "") -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)}: no end within {timeout:.0f} s") from None
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def inside(namespace: str, *command: str, timeout: float = 60, check: bool = True) -> str:
    """Run in a network namespace. Not `ip netns exec`: that remounts /sys and hides the cgroups."""
    return run(*enter(namespace), *command, timeout=timeout, check=check)


def enter(namespace: str) -> Sequence[str]:
    return ("nsenter", f"--net=/run/netns/{namespace}")
