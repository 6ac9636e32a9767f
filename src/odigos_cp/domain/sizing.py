"""How much memory and disk may a collector use, given its container's limits?

The shares are measured: with GOMEMLIMIT below the memory limiter's limit the garbage collector burns a core, because
the runtime fights for what the limiter would still allow. So GOMEMLIMIT is the larger of the two, both stay below the
container's limit L, and a flood is refused (and kept by the sender) before the kernel kills.
"""

from __future__ import annotations

from dataclasses import dataclass

from odigos_cp.api.collectors import ResourceSizes

LIMITER_SHARE = 0.75
SPIKE_SHARE = 0.25
RUNTIME_SHARE = 0.80

MEGABYTE = 1_000_000
NODE_QUEUE_BYTES = 200 * MEGABYTE
GATEWAY_DISK_BYTES = 3_000 * MEGABYTE
"""For all queues of one gateway pod together."""

LARGEST_QUEUE_BYTES = 500 * MEGABYTE
SMALLEST_QUEUE_BYTES = 50 * MEGABYTE


@dataclass(frozen=True)
class Memory:
    limit_mib: int
    spike_mib: int
    go_mib: int
    """GOMEMLIMIT."""


def memory(sizes: ResourceSizes) -> Memory:
    container = max(sizes.memory_limit_mib, 64)
    limit = int(container * LIMITER_SHARE)
    return Memory(limit, int(limit * SPIKE_SHARE), int(container * RUNTIME_SHARE))


def gateway_queue_bytes(queues: int) -> int:
    """The disk of one queue, when so many share the gateway's: a destination more makes none lose its queue."""
    share = GATEWAY_DISK_BYTES // max(queues, 1)
    return min(max(share, SMALLEST_QUEUE_BYTES), LARGEST_QUEUE_BYTES)
