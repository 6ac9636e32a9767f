"""For what happens in other processes, which nobody here is told of: looking again and again, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")
POLL_SECONDS = 0.02


def eventually(look: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """What `look` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
    return seen


async def becomes(look: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """The same for asynchronous tests, with an immediate `look`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        await anyio.sleep(POLL_SECONDS)
    return seen
