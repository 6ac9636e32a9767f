"""A command of the system as a function: bounded in time, and an error that carries its own words."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO

Feed = Callable[[IO[bytes]], None]


class ClusterError(Exception):
    """Something of the cluster could not be made; the text says what was tried and what the system answered."""


def run(*command: str, timeout: float = 60, check: bool = True, stdin: str = "", feed: Feed | None = None) -> str:
    """Its standard output. Its input is the text `stdin`, or what `feed` writes."""
    try:
        done = _fed(command, feed, timeout) if feed else _run(command, stdin, timeout)
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)}: no end within {timeout:.0f} s") from None
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def _run(command: Sequence[str], stdin: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


def _fed(command: Sequence[str], feed: Feed, timeout: float) -> subprocess.CompletedProcess[str]:
    """Whoever feeds waits while nobody eats: the command is ended when the time is over."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
        assert process.stdin is not None
        late = threading.Timer(timeout, process.kill)
        late.start()
        try:
            with process.stdin as pipe:
                feed(pipe)
        except BrokenPipeError:
            pass  # it has ended: its own words say why
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
            in_time = late.is_alive()
            late.cancel()
        if not in_time:
            raise subprocess.TimeoutExpired(command, timeout)
        output.seek(0)
        return subprocess.CompletedProcess(command, code, output.read(), "")
