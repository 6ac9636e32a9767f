"""How long work shows that it lives: step by step, with the time each took, and what it says meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 15.0


class Step:
    """One step under way. Safe to be told things from several threads."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._notes: list[str] = []
        self._started = self._spoke = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        with self._lock:
            self._spoke = time.monotonic()
            print(f"      {self.seconds:5.0f} s  {text}", flush=True)

    def note(self, text: str) -> None:
        """What stands behind the step when it is done."""
        if text:
            self._notes.append(text)

    def _alive(self) -> None:
        with self._lock:
            if time.monotonic() - self._spoke < QUIET_SECONDS:
                return
        self.say("still at it")

    def _end(self) -> str:
        return f"{self.title} ({self.seconds:.1f} s)" + (f": {'; '.join(self._notes)}" if self._notes else "")


class Steps:
    """A run of steps, each printed when it starts and when it ends."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        step = Step(title)
        print(f"  … {title}", flush=True)
        done = threading.Event()
        heart = threading.Thread(target=self._beat, args=(step, done), daemon=True)
        heart.start()
        try:
            yield step
        except BaseException:
            print(f"  ✗ {step._end()}", file=sys.stderr, flush=True)
            raise
        finally:
            done.set()
        print(f"  ✓ {step._end()}", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @staticmethod
    def _beat(step: Step, done: threading.Event) -> None:
        while not done.wait(1.0):
            step._alive()


def main(title: str, *command: str) -> int:
    """`python -m cluster.steps TITLE COMMAND...`: a command as a step."""
    with Steps().step(title):
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=True).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
