"""Fault 32: the loop is blocked inside a reconcile of each controller task, or in the UI; one thread looks on.

Shorter than the rest of the Lease it is only told of, with its place; longer, it ends the process in time.
"""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from odigos_cp.kube import watchdog
from tests.faults.forking import PATH
from tests.faults.stage import Reference, Stage
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

COMMAND = (sys.executable, "-m", "tests.faults.disturbed")
LEASE = 6
FUNCTIONS = {
    "instrumentor": "odigos_cp.domain.discovery:plan",
    "scheduler": "odigos_cp.domain.assignment:plan",
    "autoscaler": "odigos_cp.domain.configuring:plan",
    "ui": "odigos_cp.web.presenting:applications",
}
"""What each of them calls in the middle of its work."""
TAKEOVER_SECONDS = 20.0


@dataclass
class Blocks:
    """Each begins at the next call of its function once its file is there."""

    folder: Path
    functions: tuple[str, ...]

    def begin(self) -> None:
        for function in self.functions:
            (self.folder / function.partition(":")[0]).touch()

    @property
    def have_begun(self) -> bool:
        return not list(self.folder.iterdir())


def start(stage: Stage, tasks: Iterable[str], seconds: float, *flags: str) -> tuple[Replica, Blocks]:
    folder = stage.directory / "blocks"
    folder.mkdir()
    blocks = Blocks(folder, tuple(FUNCTIONS[task] for task in tasks))
    environment = {
        "DISTURB": "block",
        "DISTURB_FUNCTIONS": ",".join(blocks.functions),
        "DISTURB_SECONDS": str(seconds),
        "DISTURB_FOLDER": str(folder),
        "PYTHONPATH": PATH,
    }
    replica = stage.start("replica-a", None, *flags, environment=environment, command=COMMAND)
    replica.wait_leading()
    replica.wait_ready()
    return replica, blocks


def trigger(stage: Stage, replica: Replica, blocks: Blocks) -> None:
    """What a user does makes all the tasks work, and someone has the page open."""
    blocks.begin()
    stage.story.add_destination()
    stage.story.ask()
    threading.Thread(target=replica.get, args=("/api/sources", replica.ui), daemon=True).start()
    eventually(lambda: blocks.have_begun, "the loop is blocked")


def test_fault_32_a_loop_that_is_blocked_for_a_moment_is_told_of_with_its_place_and_goes_on(
    stage: Stage, reference: Reference
) -> None:
    """In each of the tasks, perhaps one just after the other."""
    replica, blocks = start(stage, FUNCTIONS, 2.0, "--lease-seconds=30")
    trigger(stage, replica, blocks)
    stage.assert_instruments_as(reference)
    eventually(lambda: len(replica.events("loop_was_blocked")) >= 1, "the end of it is told")
    stacks = "".join(event["stack"] for event in replica.events("loop_blocked"))
    assert "disturbed.py" in stacks
    assert replica.metric("odigos_loop_lag_seconds_sum") > 2
    assert replica.events("leadership_lost") == []
    assert replica.stop() == 0


@pytest.mark.parametrize("task", FUNCTIONS)
def test_fault_32_a_loop_that_stays_blocked_ends_the_leader_before_another_may_lead(
    stage: Stage, reference: Reference, task: str
) -> None:
    replica, blocks = start(stage, [task], 20.0, f"--lease-seconds={LEASE}")
    stage.given_up.append(replica)
    follower = stage.start("replica-b", None, f"--lease-seconds={LEASE}")
    eventually(lambda: follower.events("waiting_for_leadership"), "the second waits")
    trigger(stage, replica, blocks)
    began = time.monotonic()
    assert unanswered(replica), "a blocked process says that it lives"
    assert replica.wait_ended(LEASE) == watchdog.EXIT_CODE
    assert time.monotonic() - began < LEASE
    ended = replica.events("ended_by_watchdog")[0]
    assert "the time of this leader is over" in ended["why"]
    assert "disturbed.py" in ended["stack"]
    assert not follower.events("leadership_won")
    follower.wait_leading(TAKEOVER_SECONDS)
    stage.assert_instruments_as(reference)
    stage.assert_handed_over("replica-a", "replica-b")


def unanswered(replica: Replica) -> bool:
    """What the kubelet's probe would see: nothing within a second."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{replica.probes}/healthz", timeout=1):
            return False
    except TimeoutError:
        return True
