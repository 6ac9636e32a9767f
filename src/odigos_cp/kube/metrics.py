"""What did the process do, in numbers? A small Prometheus text registry.

A metric is made once, at import, by the module that counts into it: `CALLS = metrics.counter("name", "help", "verb")`,
then `CALLS.inc("list")`. All in one event loop, so there are no locks; `render()` is what /metrics answers.
(prometheus_client was weighed: we need a hundred lines of it, and neither its locks nor its process collectors.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MAX_SERIES = 2000
"""A label that is not bounded by the code would grow without end: further series count under `other`."""

Labels = tuple[str, ...]


class Metric:
    """A name, what it means, and the names of its labels."""

    type = "untyped"

    def __init__(self, name: str, help_: str, labels: Labels) -> None:
        self.name = name
        self.help = help_
        self.labels = labels

    def lines(self) -> Iterator[str]:
        raise AssertionError("every type of metric has its own lines")

    def _series(self, values: Labels, known: dict[Labels, Any]) -> Labels:
        """Under which a series counts that is not known yet."""
        if len(values) != len(self.labels):
            raise ValueError(f"metric {self.name} has the labels {self.labels}, not the values {values}")
        if len(known) >= MAX_SERIES:
            return ("other",) * len(values)
        return values

    def _text(self, values: Labels, extra: str = "") -> str:
        pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(self.labels, values, strict=True)]
        inside = ",".join([*pairs, extra] if extra else pairs)
        return f"{{{inside}}}" if inside else ""


class Counter(Metric):
    type = "counter"

    def __init__(self, name: str, help_: str, labels: Labels) -> None:
        super().__init__(name, help_, labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def inc(self, *labels: str, by: float = 1.0) -> None:
        if labels not in self._values:
            labels = self._series(labels, self._values)
        self._values[labels] = self._values.get(labels, 0.0) + by

    def value(self, *labels: str) -> float:
        return self._values.get(labels, 0.0)

    def lines(self) -> Iterator[str]:
        for series, value in self._values.items():
            yield f"{self.name}{self._text(series)} {_number(value)}"


class Gauge(Counter):
    type = "gauge"

    def set(self, value: float, *labels: str) -> None:
        if labels not in self._values:
            labels = self._series(labels, self._values)
        self._values[labels] = value


class _Distribution:
    """The counts of one series of a histogram."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0


class Histogram(Metric):
    type = "histogram"

    def __init__(self, name: str, help_: str, labels: Labels, buckets: Sequence[float]) -> None:
        super().__init__(name, help_, labels)
        self.buckets = tuple(sorted(buckets))
        self._values: dict[Labels, _Distribution] = {}

    def observe(self, value: float, *labels: str) -> None:
        found = self._values.get(labels)
        if found is None:
            series = self._series(labels, self._values)
            found = self._values.setdefault(series, _Distribution(len(self.buckets)))
        found.counts[bisect_left(self.buckets, value)] += 1
        found.sum += value

    def count(self, *labels: str) -> int:
        found = self._values.get(labels)
        return sum(found.counts) if found else 0

    def lines(self) -> Iterator[str]:
        for series, found in self._values.items():
            total = 0
            for bound, count in zip((*map(_number, self.buckets), "+Inf"), found.counts, strict=True):
                total += count
                upper = f'le="{bound}"'
                yield f"{self.name}_bucket{self._text(series, upper)} {total}"
            yield f"{self.name}_sum{self._text(series)} {_number(found.sum)}"
            yield f"{self.name}_count{self._text(series)} {total}"


M = TypeVar("M", bound=Metric)

_registry: dict[str, Metric] = {}


def counter(name: str, help_: str, *labels: str) -> Counter:
    return _registered(Counter(name, help_, labels))


def gauge(name: str, help_: str, *labels: str) -> Gauge:
    return _registered(Gauge(name, help_, labels))


def histogram(name: str, help_: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    return _registered(Histogram(name, help_, labels, buckets))


def render() -> str:
    """All metrics in Prometheus' text format, version 0.0.4."""
    return "".join(
        f"# HELP {m.name} {m.help}\n# TYPE {m.name} {m.type}\n" + "".join(line + "\n" for line in m.lines())
        for m in sorted(_registry.values(), key=lambda m: m.name)
    )


def _registered(metric: M) -> M:
    if metric.name in _registry:
        raise ValueError(f"metric {metric.name} is made twice: one module owns a metric")
    _registry[metric.name] = metric
    return metric


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
