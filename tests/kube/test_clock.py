"""Our time is the API server's, as exactly as its answers tell it, whatever the local clock does."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

import pytest

from odigos_cp.kube import clock
from odigos_cp.kube.clock import Clock

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Monotonic:
    def __init__(self) -> None:
        self.seconds = timedelta(seconds=1000)

    def __call__(self) -> timedelta:
        return self.seconds


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    made = Monotonic()
    monkeypatch.setattr(clock, "_running", made)
    return made


def date(moment: datetime) -> str:
    return email.utils.format_datetime(moment, usegmt=True)


def heard(running: Monotonic, said: datetime, *, seconds: float = 0) -> Clock:
    """A clock that had one answer, to a question that took so long."""
    made = Clock()
    asked = running.seconds
    running.seconds += timedelta(seconds=seconds)
    made.hear(date(said), asked)
    return made


@pytest.mark.parametrize(
    "wrong", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=3652), timedelta(days=-3652)]
)
def test_a_wrong_local_clock_is_put_right_by_the_first_answer_fault_42(running: Monotonic, wrong: timedelta) -> None:
    truth = Clock().now() - wrong
    told = heard(running, truth)
    assert abs(told.now() - truth) <= SECOND
    running.seconds += timedelta(hours=2)
    assert abs(told.now() - truth - timedelta(hours=2)) <= SECOND


def test_an_answer_that_agrees_to_the_second_changes_nothing(running: Monotonic) -> None:
    made = heard(running, NOON)
    before = made.now()
    made.hear(date(before.replace(microsecond=0)), running.seconds)
    assert made.now() == before


def test_many_answers_make_it_exact(running: Monotonic) -> None:
    made, truth = Clock(), NOON + timedelta(milliseconds=700)
    for _ in range(200):
        made.hear(date(truth.replace(microsecond=0)), running.seconds)
        running.seconds += timedelta(milliseconds=137)
        truth += timedelta(milliseconds=137)
    assert abs(made.now() - truth) < timedelta(milliseconds=150)


def test_a_slow_answer_does_not_put_the_clock_back(running: Monotonic) -> None:
    """It was written at some time between the question and the answer."""
    made = heard(running, NOON)
    before = made.now()
    asked = running.seconds
    running.seconds += timedelta(seconds=20)
    made.hear(date(NOON), asked)
    assert made.now() == before + timedelta(seconds=20)


@pytest.mark.parametrize(
    "garbage", ["", "yesterday", "Fri, 31 Feb 2026 00:00:00 GMT", "Fri, 01 May 2026 12:00:00", "\x00"]
)
def test_what_is_no_date_says_nothing(running: Monotonic, garbage: str) -> None:
    made = heard(running, NOON)
    before = made.now()
    made.hear(garbage, running.seconds)
    assert made.now() == before


@pytest.mark.parametrize("year", [1969, 1999, 9000, 9999])
def test_the_ends_of_time_are_no_time(running: Monotonic, year: int) -> None:
    before = Clock().now()
    assert abs(heard(running, NOON.replace(year=year)).now() - before) < SECOND
