"""Fault 31 and hazard H3: an error in any part of the process ends it, or is healed; nothing is left half dead.

The error is thrown at the k-th moment at which the part waits for something. Whoever goes on must do all of its work.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import disturbed
from tests.faults.forking import Forks, forking
from tests.faults.rig import Rig
from tests.faults.story import Story
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

STEPS = (1, 2, 3, 4, 5)
CALM_SECONDS = 2.0
"""Who works so long without having come to the step does not come to it."""
SERVICES = ("probes", "ui", "caches", "leader", "traffic")
"""Services as app.py names them."""
CONTROLLERS = ("controller autoscaler/groups", "controller autoscaler/config")
TASKS = (
    "odigos_cp.kube.watchdog:Watchdog.beat",
    "odigos_cp.process:_cancel_on_signal",
    "odigos_cp.kube.leader:LeaderGate._renew_for_ever",
    "odigos_cp.kube.controller:Controller._work",
    "odigos_cp.kube.reflector:Reflector.run",
)
"""What is no service of its own, or the heart of one."""


@dataclass
class Life:
    """One process with a disturbance, in a namespace of its own."""

    rig: Rig
    story: Story
    replica: Replica
    _worked_at: float = 0.0

    @property
    def was_disturbed(self) -> bool:
        return disturbed.DONE in self.replica.log.read_text().splitlines()

    def works(self) -> bool:
        """The UI and the probes answer, and what a user asks for is done."""
        replica = self.replica
        answers = [replica.get("/healthz"), replica.get("/readyz"), replica.get("/api/meta", replica.ui)]
        return [status for status, _ in answers] == [200, 200, 200] and self._has_groups()

    def _has_groups(self) -> bool:
        path = f"/apis/odigos.io/v1alpha1/namespaces/{self.story.system}/collectorsgroups"
        return len(self.rig.call("GET", path)["items"]) == 2

    def is_dead_or_works(self) -> bool:
        if not self.replica.alive:
            return True
        self._worked_at = self._worked_at or (time.monotonic() if self.works() else 0.0)
        is_calm = self._worked_at and time.monotonic() - self._worked_at > CALM_SECONDS
        return bool(self.was_disturbed or is_calm) and self.works()

    def assert_told_why(self) -> None:
        assert self.replica.process.returncode == 1, self.replica.tail()
        reasons = " ".join(event["reason"] for event in self.replica.events("stopped"))
        assert "thrown into" in reasons, self.replica.tail()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with forking() as made:
        yield made


@contextmanager
def life(rig: Rig, forks: Forks, directory: Path, task: str, step: int) -> Iterator[Life]:
    story = Story(rig, system=f"half-{uuid.uuid4().hex[:6]}")
    rig.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": story.system}})
    story.add_destination()
    disturbance = {"DISTURB": "throw", "DISTURB_TASK": task, "DISTURB_STEP": str(step)}
    replica = forks.start(rig.kubeconfig(), story.system, directory / f"{step}.log", disturbance)
    try:
        yield Life(rig, story, replica)
    finally:
        replica.end()
        story.delete(f"/api/v1/namespaces/{story.system}")


@pytest.mark.parametrize("task", [*SERVICES, *CONTROLLERS, *TASKS])
def test_fault_31_h3_an_error_thrown_anywhere_ends_the_process_or_everything_goes_on(
    rig: Rig, forks: Forks, tmp_path: Path, task: str
) -> None:
    with ExitStack() as open_:
        lives = [open_.enter_context(life(rig, forks, tmp_path, task, step)) for step in STEPS]
        for one in lives:
            eventually(one.is_dead_or_works, f"step {one.replica.log.stem} of {task}: dead, or at work", 60)
        assert any(one.was_disturbed for one in lives), f"{task} never waits for anything"
        for one in lives:
            ends_well(one)


def ends_well(life: Life) -> None:
    """Alive, it stops when it is told to; only an error in the middle of the stop itself may change that."""
    hurt, alive = life.was_disturbed, life.replica.alive
    if alive and life.replica.stop() == 0:
        return
    assert not (alive and hurt), life.replica.tail()
    life.assert_told_why()
