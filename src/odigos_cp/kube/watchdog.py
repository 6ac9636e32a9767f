"""Does the event loop still turn? A thread looks, for a loop that is blocked cannot say so itself.

One blocking call stops the renewal of the Lease, the probes and the UI together. The loop's `beat` tells the thread
that it lives, and measures its lag. The thread looks each `INTERVAL_SECONDS` and
- says once for each time the loop is blocked where it is: the stack of the loop's thread;
- ends the process when a leader's deadline (leader.py) has passed while the loop is blocked, or when the work has not
  ended some seconds after it: another replica may start soon;
- ends the process when a stop takes too long, whatever holds it up: a thread that waits for a name server, a task that
  does not end.
What it says goes straight to stderr, in one line that a pipe takes whole, and is dropped when nobody reads there: the
blocked loop may hold the locks of the logging. The end is `os._exit`: nothing runs after it. `EXIT_CODE` tells it from
other ends. A process that is stopped (SIGSTOP) has no thread that looks; it is judged when it goes on.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.kube import clock, metrics

log = structlog.get_logger(__name__)

LAG = metrics.histogram("odigos_loop_lag_seconds", "How late the event loop was, asked four times a second.")

INTERVAL_SECONDS: Final = 0.25
BLOCKED_SECONDS: Final = 1.0
EXIT_CODE: Final = 3
PIPE_BYTES: Final = 4096
"""What a pipe takes whole, without being mixed with the lines of others."""
STDERR: Final = 2

Deadline = Callable[[], float | None]


def _never() -> float | None:
    return None


class Watchdog:
    """Make it in the loop's thread; the thread that looks lives as long as the `with` block."""

    def __init__(
        self,
        *,
        interval: float = INTERVAL_SECONDS,
        blocked_seconds: float = BLOCKED_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        exit_: Callable[[int], object] = os._exit,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        self._interval = interval
        self._blocked_seconds = blocked_seconds
        self._clock = clock
        self._exit = exit_
        self._write = write or _to_stderr
        self._main = threading.get_ident()
        self._beat: float | None = None
        self._looked: float | None = None
        self._said_of: float | None = None
        self._deadline: Deadline = _never
        self._grace_seconds = 0.0
        self._stop_at: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(1.0)

    def guard(self, deadline: Deadline, grace_seconds: float) -> None:
        """By when, on the watchdog's clock, a blocked process must be gone; and one that is not, so much later."""
        self._grace_seconds = grace_seconds
        self._deadline = deadline

    def stop_within(self, seconds: float) -> None:
        """The process has begun to stop. The first word counts."""
        if self._stop_at is None:
            self._stop_at = self._clock() + seconds

    # In the loop

    async def beat(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """A service: tells the thread that the loop turns, until cancelled."""
        self._beat = self._clock()
        task_status.started()
        try:
            while True:
                await anyio.sleep(self._interval)
                now = self._clock()
                lag = max(0.0, now - self._beat - self._interval)
                self._beat = now
                LAG.observe(lag)
                if lag > self._blocked_seconds:
                    log.warning("loop_was_blocked", seconds=round(lag, 1))
                if not self._thread.is_alive():
                    raise RuntimeError("the watchdog's thread has died")
        finally:
            self._beat = None

    # In the thread

    def _look_for_ever(self) -> None:
        while not self._ended.wait(self._interval):
            self.look()

    def look(self) -> None:
        """One look: says, or ends."""
        now = self._clock()
        looked, self._looked = self._looked, now
        beat = self._beat
        lag = 0.0 if beat is None else now - beat - self._interval
        deadline = self._deadline()
        if deadline is not None and now >= deadline and lag > self._blocked_seconds:
            self._end("the loop is blocked, and the time of this leader is over", lag)
        elif deadline is not None and now >= deadline + self._grace_seconds:
            self._end("the time of this leader is over, and its work has not ended", lag)
        elif self._stop_at is not None and now >= self._stop_at:
            self._end("the stop took too long", lag)
        elif lag > self._blocked_seconds and beat != self._said_of:
            self._said_of = beat
            if looked is not None and now - looked > self._interval + self._blocked_seconds:
                hint = "this thread did not run either: the process was stopped, starved, or in one long native call"
                self._say("process_stood_still", "warning", seconds=round(lag, 1), hint=hint)
            else:
                self._say("loop_blocked", "error", seconds=round(lag, 1), stack=self._stack())

    def _end(self, why: str, lag: float) -> None:
        self._say("ended_by_watchdog", "critical", why=why, lag_seconds=round(lag, 1), stack=self._stack())
        self._exit(EXIT_CODE)

    def _stack(self) -> str:
        """Where the loop's thread is now: the innermost call last."""
        frame = sys._current_frames().get(self._main)
        return "".join(traceback.format_stack(frame)) if frame else ""

    def _say(self, event: str, level: str, *, stack: str = "", **about: Any) -> None:
        said = {**about, "event": event, "level": level, "timestamp": clock.now().isoformat()}
        self._write(_line(said, stack))


def _line(said: dict[str, Any], stack: str) -> bytes:
    """One line of JSON; of a long stack the inner end."""
    while True:
        line = json.dumps(said | ({"stack": stack} if stack else {})).encode() + b"\n"
        if len(line) <= PIPE_BYTES:
            return line
        stack = stack[len(stack) // 4 + 1 :]


def _to_stderr(line: bytes) -> None:
    try:
        _, writable, _ = select.select([], [STDERR], [], 0)
        if writable:
            os.write(STDERR, line)
    except (OSError, ValueError):  # nobody listens
        pass
