"""Fault 42: the wall clock of one process goes wrong, by libfaketime; the monotonic clock goes on as it does in a jump.

Nothing of a Lease is decided by the wall clock, and everything else goes by the API server's (kube/clock.py).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from odigos_cp.app import LEASE
from odigos_cp.kube import clock
from tests.faults.stage import Reference, Stage
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SECONDS = 6
FLAG = f"--lease-seconds={SECONDS}"
LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"
HOUR = timedelta(hours=1)
TEN_YEARS = timedelta(days=3652)
SECOND = timedelta(seconds=1)
"""What a leap second is to a process: it happens twice."""


@dataclass
class WrongClock:
    """The wall clock of the processes that get its environment; it may be set at any time."""

    file: Path

    def set(self, offset: timedelta) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text(f"{offset.total_seconds():+.0f}s\n")
        draft.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@pytest.fixture
def wrong(tmp_path: Path) -> WrongClock:
    assert shutil.which("faketime"), "install the Debian package faketime: make faketime"
    made = WrongClock(tmp_path / "clock")
    made.set(timedelta())
    return made


def test_fault_42_a_clock_that_jumps_during_a_lease_makes_nobody_lead_early(
    stage: Stage, reference: Reference, wrong: WrongClock
) -> None:
    wrong.set(-TEN_YEARS)
    leader = stage.start("replica-a", None, FLAG, server=stage.proxy("replica-a").url, environment=wrong.environment)
    leader.wait_leading()
    follower = stage.start("replica-b", None, FLAG)
    follower.wait_ready()
    for offset in (HOUR, -HOUR, -HOUR - SECOND, TEN_YEARS):
        set_and_renewed(stage, wrong, offset)
    assert (leader.events("lease_not_renewed"), follower.events("leading")) == ([], [])
    leader.end()
    follower.wait_leading()
    last, first = (stage.lease_writes(user)[which] for user, which in (("replica-a", -1), ("replica-b", 0)))
    assert SECONDS - 1 <= (first.ended - last.ended).total_seconds() < 20
    stage.assert_instruments_as(reference)


@pytest.mark.parametrize(("at_first", "then"), [(HOUR, -TEN_YEARS), (-HOUR, TEN_YEARS)], ids=["back", "forth"])
def test_fault_42_the_story_under_a_clock_that_is_wrong_and_then_wrong_in_another_way_ends_as_ever(
    stage: Stage, reference: Reference, wrong: WrongClock, at_first: timedelta, then: timedelta
) -> None:
    wrong.set(at_first)
    proxy = stage.proxy("replica-a")
    replica = stage.start("replica-a", None, server=proxy.url, environment=wrong.environment)
    replica.wait_leading()
    assert abs(replica.events("clock_differs")[0]["seconds"] + at_first.total_seconds()) < 30
    stage.assert_instruments_as(reference)
    wrong.set(then)
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_writes(reference.writes, faults=1)
    stage.assert_no_complaints()
    assert replica.stop() == 0


@pytest.mark.parametrize(
    ("offset", "says"), [(TEN_YEARS, "expired"), (-TEN_YEARS, "not yet valid")], ids=["in ten years", "ten years ago"]
)
def test_fault_42_certificates_that_are_no_longer_or_not_yet_good_by_our_clock_are_refused_in_words(
    stage: Stage, wrong: WrongClock, offset: timedelta, says: str
) -> None:
    wrong.set(offset)
    replica = stage.start("replica-a", environment=wrong.environment)
    stage.given_up.append(replica)
    assert replica.wait_ended() == 1
    reasons = [event["reason"] for event in replica.events("stopped")]
    assert any("certificate" in reason and says in reason for reason in reasons), replica.tail()
    assert stage.audit.writes(stage.name("replica-a"), stage.since) == []


def set_and_renewed(stage: Stage, wrong: WrongClock, offset: timedelta) -> None:
    """Returns when the leader has renewed its Lease under that clock, and has written the true time into it."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{stage.story.system}/leases/{LEASE}"
    before = len(stage.lease_writes("replica-a"))
    wrong.set(offset)
    eventually(lambda: len(stage.lease_writes("replica-a")) >= before + 2, f"renewed, wrong by {offset}")
    renewed = datetime.fromisoformat(stage.rig.call("GET", path)["spec"]["renewTime"])
    assert abs((renewed - clock.now()).total_seconds()) < SECONDS
