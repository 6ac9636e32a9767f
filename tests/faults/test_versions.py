"""Fault 41: two versions at once, as in a rolling update, and back again: one leads at a time, and the last one wins.

The other version is this one with another number (which names other images) and other configurations of collectors.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import odigos_cp
from odigos_cp.release import VERSION
from tests.faults import oracles
from tests.faults.stage import Reference, Stage
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

OTHER = "0.0.9"
LEASE = "--lease-seconds=6"
CHANGES = {
    "release.py": (f'VERSION = "{VERSION}"', f'VERSION = "{OTHER}"'),
    "domain/pipeline.py": ('"max_size": 3_500_000', '"max_size": 2_500_000'),
}


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process of the other version."""
    root = tmp_path_factory.mktemp("older")
    source = Path(odigos_cp.__file__).parent
    shutil.copytree(source, root / "odigos_cp", ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name, (ours, theirs) in CHANGES.items():
        file = root / "odigos_cp" / name
        text = file.read_text()
        assert ours in text, f"{name} has changed: this test is to change something else"
        file.write_text(text.replace(ours, theirs))
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH", ""))))}


def test_fault_41_a_rolling_update_in_the_middle_of_the_story_ends_as_the_newer_version_alone(
    stage: Stage, reference: Reference, older: dict[str, str]
) -> None:
    old = stage.start("old", None, LEASE, environment=older)
    old.wait_leading()
    new = stage.start("new", None, LEASE)
    waits(new)
    stage.story.add_destination()
    stage.story.ask()
    stage.story.until(lambda: stage.writes("old"), "the old one has begun")
    assert old.stop() == 0
    stage.story.until(stage.story.is_instrumented, "the application is instrumented")
    stage.assert_state(reference.instrumented)
    stage.assert_handed_over("old", "new")
    assert versions(old, new) == [OTHER, VERSION]
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_no_complaints()


def test_fault_41_an_update_that_is_taken_back_and_made_again_ends_as_the_newer_version_alone(
    stage: Stage, reference: Reference, older: dict[str, str]
) -> None:
    """Each leads once the one before is killed; none writes while it waits, and none fights."""
    first = stage.start("old", None, LEASE, environment=older)
    first.wait_leading()
    stage.story.instrument()
    stage.wait_quiet()
    assert oracles.differences(reference.instrumented, stage.state()), "the versions do not differ"
    leader = first
    for user, environment in (("new", {}), ("old-again", older), ("new-again", {})):
        follower = stage.start(user, None, LEASE, environment=environment)
        waits(follower)
        assert stage.writes(user) == []
        leader.end()
        follower.wait_leading()
        stage.wait_quiet()
        stage.assert_handed_over(stage.users[-2], user)
        made = oracles.writes_by_object(stage.writes(user), stage.story.namespaces)
        assert made.total() < reference.writes.total(), made
        leader = follower
    stage.story.until(stage.story.is_instrumented, "the application is instrumented")
    stage.wait_quiet()
    differences = oracles.differences(reference.instrumented, stage.state())
    assert [line for line in differences if ".status.rollout.previousHash" not in line] == []
    stage.assert_no_complaints()


def waits(replica: Replica) -> None:
    eventually(lambda: replica.events("waiting_for_leadership"), "it waits for the Lease")


def versions(*replicas: Replica) -> list[str]:
    return [replica.events("starting")[0]["version"] for replica in replicas]
