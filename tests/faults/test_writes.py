"""Faults 16 and 17: any write of the control plane is refused, lost, or done without an answer.

The reference run tells which writes there are; each of them is aimed at, one after the other, in a story of its own.
"""

from __future__ import annotations

import pytest

from tests.faults import faults
from tests.faults.proxy import Aim
from tests.faults.stage import Reference, Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.mark.parametrize("nth", range(1, 6))
def test_fault_17_a_write_that_is_done_without_an_answer_changes_nothing_in_the_end(
    stage: Stage, reference: Reference, nth: int
) -> None:
    proxy = stage.proxy()
    rule = proxy.on(Aim("write", "[!l]*", nth=nth), faults.lose_the_reply)
    stage.start("replica-a", proxy)
    stage.assert_plays_as(reference, faults=1)
    assert rule.hits == 1
