"""How do the sides compare, and are the goals reached? Pure: numbers in, a table and a JSON document out.

Ratios are of the medians. One is to client-go as it is by default; the other to the best that any peer, however it is
set up, comes to in that measure alone (what is best in one may be worst in another). A goal counts as reached only if
both say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

Numbers = Mapping[str, float]
Runs = Mapping[int, Mapping[str, Sequence[Numbers]]]
"""By number of pods and side, the repetitions."""


@dataclass(frozen=True)
class Measure:
    """`goal` is the bound of the ratio of ours to a peer's: at most, or at least where more is better."""

    name: str
    title: str
    unit: str
    digits: int
    goal: float | None = None
    more_is_better: bool = False

    def best(self, values: Iterable[float]) -> float:
        return max(values) if self.more_is_better else min(values)


MEASURES: Final = (
    Measure("sync_seconds", "first request to synced store", "s", 2, goal=1.0),
    Measure("sync_cpu_seconds", "CPU for that", "s", 2, goal=0.5),
    Measure("sync_server_cpu_seconds", "the API server's CPU for that", "s", 2),
    Measure("peak_mb", "peak RSS", "MB", 0, goal=0.5),
    Measure("held_mb", "RSS held", "MB", 0, goal=0.5),
    Measure("kb_per_pod", "RSS held a pod (over no pods)", "kB", 2, goal=0.5),
    Measure("work_seconds", "each pod reconciled once, nothing to do", "s", 2),
    Measure("work_cpu_seconds", "CPU for that", "s", 2, goal=0.5),
    Measure("burst_events_per_second", "watch events in a burst", "/s", 0, goal=1.0, more_is_better=True),
    Measure("event_cpu_us", "CPU an event, reconciled", "us", 0, goal=0.5),
    Measure("latency_p50_ms", "event to reconcile at 100/s, p50", "ms", 2, goal=1.0),
    Measure("latency_p99_ms", "event to reconcile at 100/s, p99", "ms", 2, goal=1.0),
    Measure("drip_cpu_us", "CPU an event at 100/s", "us", 0),
    Measure("applies_per_second", "reconciles with one apply each", "/s", 0, goal=1.0, more_is_better=True),
    Measure("apply_cpu_us", "CPU for one", "us", 0),
    Measure("collected_mb", "RSS at the end, after forced collection", "MB", 0),
    Measure("start_seconds", "process start to first request", "s", 2),
    Measure("start_cpu_seconds", "CPU for that", "s", 2),
    Measure("empty_mb", "RSS with no pods", "MB", 0),
)
LIMIT: Final = "applies_per_second"
DEFAULT: Final = "client-go"
REACHED: Final = "reached"
PARTLY: Final = "reached against client-go's defaults only"
MISSED: Final = "NOT reached"


@dataclass(frozen=True)
class Row:
    """One measure at one number of pods."""

    measure: Measure
    ours: Sequence[float]
    peers: Mapping[str, Sequence[float]]

    @property
    def to_default(self) -> float | None:
        """Ours to that of client-go as it is by default."""
        values = self.peers.get(DEFAULT, ())
        return _ratio(median(self.ours), median(values)) if values else None

    @property
    def to_best(self) -> float | None:
        """Ours to that of the best peer in this measure."""
        medians = [median(values) for values in self.peers.values()]
        return _ratio(median(self.ours), self.measure.best(medians)) if medians else None

    @property
    def verdict(self) -> str:
        """Empty for what has no goal, or nothing to be compared with."""
        goal = self.measure.goal
        if goal is None or self.to_best is None:
            return ""
        if self._is_reached(self.to_best):
            return REACHED
        return PARTLY if self.to_default is not None and self._is_reached(self.to_default) else MISSED

    def _is_reached(self, ratio: float) -> bool:
        assert self.measure.goal is not None
        return ratio >= self.measure.goal if self.measure.more_is_better else ratio <= self.measure.goal


def rows(runs: Mapping[str, Sequence[Numbers]], ours: str) -> list[Row]:
    """In the order of MEASURES; what was not measured is left out."""
    found = []
    for measure in MEASURES:
        by_side = {
            name: [numbers[measure.name] for numbers in repetitions if measure.name in numbers]
            for name, repetitions in runs.items()
        }
        if by_side.get(ours):
            peers = {name: values for name, values in by_side.items() if name != ours and values}
            found.append(Row(measure, by_side[ours], peers))
    return found


def with_a_pod(runs: Mapping[str, Sequence[Numbers]], empty: Mapping[str, Sequence[Numbers]], pods: int) -> Any:
    """The runs, each with what of its memory is there for the pods: what the side holds without any is taken off."""
    return {
        name: [
            {**numbers, "kb_per_pod": (numbers["held_mb"] - median(n["empty_mb"] for n in empty[name])) * 1e3 / pods}
            for numbers in repetitions
        ]
        for name, repetitions in runs.items()
    }


def table(pods: int, found: Sequence[Row], limits: Mapping[str, Sequence[float]], ours: str) -> str:
    """min/median/max of each side in Markdown, and how ours compares with the best of the others."""
    peers = list(dict.fromkeys(name for row in found for name in row.peers))
    head = ["", ours, *peers, f"ratio to {DEFAULT}", "to the best", "goal"]
    body = [
        [
            f"{row.measure.title} ({row.measure.unit})",
            _spread(row.ours, row.measure.digits),
            *(_spread(row.peers.get(name, ()), row.measure.digits) for name in peers),
            *("" if ratio is None else f"{ratio:.2f}" for ratio in (row.to_default, row.to_best)),
            _goal(row),
        ]
        for row in found
    ]
    text = f"{pods:,} pods\n\n" + _markdown(head, body)
    reached = next((median(row.ours) for row in found if row.measure.name == LIMIT), None)
    if limits and reached is not None:
        best = max(limits, key=lambda name: median(limits[name]))
        bare = ", ".join(f"{name} {_spread(values, 0)}" for name, values in limits.items())
        share = reached / median(limits[best])
        text += (
            f"\nThe API server's own limit, by bare loops of the same applies (/s): {bare}. Ours: {share:.2f} of it.\n"
        )
    return text


def document(runs: Runs, limits: Mapping[int, Mapping[str, Sequence[float]]], ours: str, machine: Numbers | Any) -> Any:
    """Everything, to be kept: the raw numbers and what was made of them."""
    return {
        "machine": machine,
        "runs": {str(pods): by_side for pods, by_side in runs.items()},
        "limits": {str(pods): by_client for pods, by_client in limits.items()},
        "ratios": {
            str(pods): {
                row.measure.name: {
                    "to_default": row.to_default,
                    "to_best": row.to_best,
                    "goal": row.measure.goal,
                    "verdict": row.verdict,
                }
                for row in rows(by_side, ours)
            }
            for pods, by_side in runs.items()
        },
    }


def _goal(row: Row) -> str:
    sign = ">=" if row.measure.more_is_better else "<="
    return f"{sign} {row.measure.goal}: {row.verdict}" if row.verdict else ""


def _ratio(ours: float, peers: float) -> float | None:
    return ours / peers if peers > 0 else None


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return middle if low == high else f"{low} / {middle} / {high}"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[n]) for line in (head, *body)) for n in range(len(head))]
    lines = [head, ["-" * width for width in widths], *body]
    padded = ([text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)
