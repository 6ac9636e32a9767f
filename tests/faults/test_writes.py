"""Faults 16 and 17: any write of the control plane is refused, lost, or done without an answer.

The reference run tells which kinds of writes there are (verb, resource, field manager). In a story a fault, the first
write of every kind meets it: nothing may be missing in the end, and nothing may have been made twice.
"""

from __future__ import annotations

import pytest

from tests.faults import faults
from tests.faults.faults import OnceForEachKind
from tests.faults.proxy import Aim, Fault
from tests.faults.stage import Reference, Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.mark.parametrize("code", [500, 503, 504])
def test_fault_16_each_kind_of_write_is_refused_once_and_is_done_in_the_end(
    stage: Stage, reference: Reference, code: int
) -> None:
    hit = play_with_each_kind_of_write_hit(stage, reference, faults.refuse(code))
    assert reference.kinds <= hit


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.lose_the_reply, id="the reply is lost"),
        pytest.param(faults.done_but_answered(504, "Timeout"), id="the answer is 504"),
    ],
)
def test_fault_17_each_kind_of_write_is_done_without_an_answer_once_and_not_done_twice(
    stage: Stage, reference: Reference, fault: Fault
) -> None:
    hit = play_with_each_kind_of_write_hit(stage, reference, fault)
    assert reference.kinds <= hit


def play_with_each_kind_of_write_hit(stage: Stage, reference: Reference, fault: Fault) -> set[str]:
    proxy, once = stage.proxy(), OnceForEachKind(fault)
    proxy.on(Aim("write", "[!l]*"), once.fault)
    stage.start("replica-a", proxy)
    stage.assert_plays_as(reference, faults=0)
    return once.kinds
