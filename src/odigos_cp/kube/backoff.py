"""How long to wait before trying again? Doubling pauses, with jitter: who failed together shall not return together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def jitter() -> float:
    """A factor around one."""
    return random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing


@dataclass
class Backoff:
    """The pauses of one thing that is tried again and again; `reset` when it went well."""

    base: float = 0.5
    cap: float = 30.0
    factor: Callable[[], float] = jitter
    failures: int = 0

    def next(self, cap: float | None = None) -> float:
        pause = pause_after(self.failures, self.base, self.cap if cap is None else cap)
        self.failures += 1
        return pause * self.factor()

    def reset(self) -> None:
        self.failures = 0


def pause_after(failures: int, base: float, cap: float) -> float:
    """The exponent is bounded: a thing may fail for months."""
    return min(cap, base * 2.0 ** min(failures, 32))
