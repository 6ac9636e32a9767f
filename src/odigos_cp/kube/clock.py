"""What time is it? The only reader of the wall clock in the product, and it goes by the API server's.

Decisions get `now` as an argument; durations and deadlines are measured with `anyio.current_time()`, which cannot jump,
or with `seconds`, the same at half its price, where it is asked for each event.
Decisions compare `now` with times that the API server wrote (when an object was made) and that other replicas wrote, so
all must mean the same clock: a node whose clock is an hour ahead would call every detector lost as soon as it is made.
Each answer of the API server says its time to the second; what it must have been, given when we asked and when the
answer was there, is what we go by. Between answers the monotonic clock runs: a local clock that jumps changes nothing.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

log = structlog.get_logger(__name__)

STEP: Final = timedelta(seconds=1)
"""Of the API server's Date header."""
YEARS: Final = range(2000, 9000)
TOLD: Final = timedelta(seconds=30)
"""A difference that a person should know of: certificates are checked by the local clock."""


class Clock:
    """Runs from the local wall clock on, until the API server is heard."""

    def __init__(self) -> None:
        self._epoch = datetime.now(UTC) - _running()  # noqa: TID251 - this is the one place

    def now(self) -> datetime:
        return self._epoch + _running()

    def hear(self, date: str, asked: timedelta) -> None:
        """The Date of an answer that is just here, to what was `asked` at a time of `asking`. Garbage says nothing."""
        try:
            said = email.utils.parsedate_to_datetime(date)
            if said.year not in YEARS:
                return
            earliest, latest = said - _running(), said + STEP - asked
            epoch = min(max(self._epoch, earliest), latest)
        except (ValueError, TypeError, OverflowError):
            return
        if abs(epoch - self._epoch) > TOLD:
            hint = "going by the API server's clock; certificates are checked by the local one, so set it right"
            log.warning("clock_differs", seconds=round((epoch - self._epoch).total_seconds()), hint=hint)
        self._epoch = epoch


def _running() -> timedelta:
    return timedelta(seconds=time.monotonic())


_clock = Clock()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _clock.now()


def seconds() -> float:
    """Of the event loop's clock, of which only differences mean something."""
    return asyncio.get_running_loop().time()


def asking() -> timedelta:
    """To be kept when a call begins, for `hear`."""
    return _running()


def hear(date: str, asked: timedelta) -> None:
    _clock.hear(date, asked)
