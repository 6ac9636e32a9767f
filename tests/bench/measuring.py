"""What is measured, in which order: one side at one number of pods, from its start to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import sides
from tests.bench.pods import Pods
from tests.bench.relay import Relay
from tests.bench.sides import Access, Cost, Side

DRIPS_A_SECOND: Final = 100.0

Say = Callable[[str], None]
Numbers = dict[str, float]


@dataclass(frozen=True)
class Amounts:
    """How much is done at each number of pods."""

    burst: int = 1500
    drips: int = 500
    applies: int = 1000
    hold_seconds: float = 3.0
    """So long after the sync the memory is read: Go gives back what it can spare bit by bit. Below one second its
    reflector takes the cut that follows for a server that ends watches at once, and lists again."""


@dataclass(frozen=True)
class Bench:
    """Everything that stands: the cluster's pods, the way to the API server, and its process."""

    pods: Pods
    relay: Relay
    access: Access
    server: Cost
    directory: Path
    amounts: Amounts

    def empty(self, name: str) -> Numbers:
        """A side with no pods: what it takes to be there at all."""
        began = time.monotonic()
        with sides.running(name, self.access, self.directory) as side:
            numbers = {"start_seconds": time.monotonic() - began, "start_cpu_seconds": side.cost.cpu_ns() / 1e9}
            side.ask("sync", "synced")
            time.sleep(self.amounts.hold_seconds)  # Go gives memory back bit by bit: what it holds then is the measure
            return numbers | {"empty_mb": side.cost.rss_mb()}

    def full(self, name: str, say: Say) -> Numbers:
        """A side with the pods that there are."""
        with sides.running(name, self.access, self.directory) as side:
            numbers: Numbers = {}
            for step in (self._sync, self._work, self._burst, self._drip, self._apply, self._collect):
                say(f"{name}: {step.__name__.strip('_')}")
                numbers |= step(side)
            return numbers

    def _sync(self, side: Side) -> Numbers:
        cpu, server, began = side.cost.cpu_ns(), self.server.cpu_ns(), time.monotonic_ns()
        synced = side.ask("sync", "synced")
        cpu, server = side.cost.cpu_ns() - cpu, self.server.cpu_ns() - server
        if synced["objects"] != self.pods.count:
            raise sides.SideError(f"{side.name} holds {synced['objects']} of {self.pods.count} pods")
        time.sleep(self.amounts.hold_seconds)  # Go gives memory back bit by bit: what it holds then is the measure
        return {
            "sync_seconds": (synced["at"] - began) / 1e9,
            "sync_cpu_seconds": cpu / 1e9,
            "sync_server_cpu_seconds": server / 1e9,
            "peak_mb": side.cost.peak_mb(),
            "held_mb": side.cost.rss_mb(),
        }

    def _work(self, side: Side) -> Numbers:
        cpu, began = side.cost.cpu_ns(), time.monotonic_ns()
        done = side.ask("work", "working", self.pods.count)
        return {
            "work_seconds": (done["last"] - began) / 1e9,
            "work_cpu_seconds": (side.cost.settled_cpu_ns() - cpu) / 1e9,
        }

    def _burst(self, side: Side) -> Numbers:
        """Events that the API server has ready when the client comes back: it decides how fast they are taken.

        One a pod, so that a client that lists again, and sees only the last of each, has as many to tell.
        """
        count = min(self.amounts.burst, self.pods.count)
        self.relay.cut()
        side.ask("burst", "armed", count)
        self.pods.burst(count)
        cpu = side.cost.cpu_ns()
        self.relay.mend()
        burst = side.wait("burst")
        return {
            "burst_events_per_second": sides.rate(burst),
            "event_cpu_us": (side.cost.settled_cpu_ns() - cpu) / 1e3 / count,
        }

    def _drip(self, side: Side) -> Numbers:
        side.ask("measure", "armed", self.amounts.drips)
        cpu = side.cost.cpu_ns()
        self.pods.drip(self.amounts.drips, DRIPS_A_SECOND)
        delays = sorted(side.wait("measured")["delays"])
        return {
            "latency_p50_ms": quantile(delays, 0.5) / 1e6,
            "latency_p99_ms": quantile(delays, 0.99) / 1e6,
            "drip_cpu_us": (side.cost.cpu_ns() - cpu) / 1e3 / self.amounts.drips,
        }

    def _apply(self, side: Side) -> Numbers:
        """One event a pod, so one reconcile a pod, and one write."""
        self.relay.cut()
        count = min(self.amounts.applies, self.pods.count)
        side.ask("apply", "armed", count)
        self.pods.burst(count)
        cpu = side.cost.cpu_ns()
        self.relay.mend()
        applied = side.wait("applied")
        return {
            "applies_per_second": sides.rate(applied),
            "apply_cpu_us": (side.cost.settled_cpu_ns() - cpu) / 1e3 / count,
        }

    def _collect(self, side: Side) -> Numbers:
        whole = side.cost.peak_mb()
        side.ask("collect", "collected")
        return {"whole_peak_mb": whole, "collected_mb": side.cost.rss_mb()}


def quantile(ordered: list[int], share: float) -> int:
    """The smallest value that this share of the values does not exceed."""
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]
