"""Shares of memory and disk: refused before the kernel kills, and no destination without a queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.domain import sizing


def test_the_measured_shares() -> None:
    memory = sizing.memory(ResourceSizes(memory_limit_mib=256))
    assert (memory.limit_mib, memory.spike_mib, memory.go_mib) == (192, 48, 204)


@given(st.integers(-10, 1_000_000))
def test_the_limits_stay_in_their_order_whatever_somebody_configures(mebibytes: int) -> None:
    memory = sizing.memory(ResourceSizes(memory_limit_mib=mebibytes))
    assert 0 < memory.spike_mib < memory.limit_mib < memory.go_mib < max(mebibytes, 64)


@given(st.integers(0, 60))
def test_the_queues_of_a_gateway_share_its_disk(queues: int) -> None:
    each = sizing.gateway_queue_bytes(queues)
    assert sizing.SMALLEST_QUEUE_BYTES <= each <= sizing.LARGEST_QUEUE_BYTES
    assert each * queues <= sizing.GATEWAY_DISK_BYTES


def test_more_queues_than_that_are_still_queues() -> None:
    assert sizing.gateway_queue_bytes(10_000) == sizing.SMALLEST_QUEUE_BYTES
