"""The story without a fault, which all fault tests are compared with: it must be the same each time."""

from __future__ import annotations

import pytest

from tests.faults.stage import Reference, Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


def test_the_story_without_a_fault_ends_the_same_each_time(stage: Stage, reference: Reference) -> None:
    stage.start()
    stage.assert_plays_as(reference, faults=0)
