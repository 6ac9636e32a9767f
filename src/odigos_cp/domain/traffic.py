"""Does each destination accept what it is sent? Judged from the gateway's own metrics.

A destination delivers when its back end has accepted something; it does not when something waits in its queue, or was
refused, and nothing of that signal was accepted for a while; nor when its queue stays full, since then more is sent
than it accepts. Signals are judged one by one: a back end that takes
traces and refuses metrics is a fault that the sum would hide. Counters are read a pod at a time, since a pod that
restarts counts from zero. `History` is what the rounds before have shown; a restart of the control plane builds it
anew, and until then conditions stay as they are.

Writes are rare by construction: a condition when the verdict changes, numbers at most every half minute and only when
they moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta

from odigos_cp.api.application import SIGNALS, Signal
from odigos_cp.api.destination import DESTINATIONS, DeliveringReason, Destination, DestinationCondition, Throughput
from odigos_cp.api.meta import Condition, find_condition
from odigos_cp.domain import conditions, exporters
from odigos_cp.domain.exporters import Exporter
from odigos_cp.domain.plan import Plan, Write, apply_status

MANAGER = "odigos-autoscaler-traffic"
STUCK_AFTER = timedelta(seconds=20)
WRITE_EVERY = 30.0
UNREADABLE_AFTER = timedelta(seconds=30)
MAX_LINES = 50_000
ERROR_LIMIT = 300


# What a gateway pod says


@dataclass(frozen=True)
class Counts:
    """Of one signal of one exporter: items since the collector started, and bytes in the queue now."""

    sent: int = 0
    failed: int = 0
    queued: int = 0
    overflowed: int = 0
    """What the queue did not take, because it was full."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


Reading = Mapping[tuple[str, Signal], Counts]
"""One pod's counts by exporter and signal."""

_SAMPLE = re.compile(r"^otelcol_exporter_(sent|send_failed|enqueue_failed|queue)_([a-z_]+?)(?:_total)?\{(.*)\} (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_COUNTED = {"sent": "sent", "send_failed": "failed", "enqueue_failed": "overflowed", "queue": "queued"}
_ITEMS: Mapping[str, Signal] = {"spans": "TRACES", "metric_points": "METRICS", "log_records": "LOGS"}
_DATA_TYPES: Mapping[str, Signal] = {"traces": "TRACES", "metrics": "METRICS", "logs": "LOGS"}


def read(text: str) -> Reading:
    """The exporters' counts in the Prometheus text of a collector; what is not understood is passed over."""
    found: dict[tuple[str, Signal], Counts] = {}
    for line in text.splitlines()[:MAX_LINES]:
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        what, of, labels_text, value = sample.groups()
        labels = dict(_LABEL.findall(labels_text))
        signal = _ITEMS.get(of) or (_DATA_TYPES.get(labels.get("data_type", "")) if of == "size" else None)
        number = _number(value)
        if signal is None or number is None or "exporter" not in labels:
            continue
        key = (labels["exporter"], signal)
        found[key] = found.get(key, Counts()) + Counts(**{_COUNTED[what]: number})
    return found


def _number(text: str) -> int | None:
    try:
        return max(0, int(float(text)))
    except (ValueError, OverflowError):
        return None


def last_error(log: str, component: str) -> str:
    """The last answer of an exporter's back end in a collector's JSON log."""
    for line in reversed(log.splitlines()):
        if component not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("otelcol.component.id") == component and entry.get("error"):
            text = "".join(c if c.isprintable() else " " for c in str(entry["error"]))
            return text if len(text) <= ERROR_LIMIT else text[: ERROR_LIMIT - 1] + "…"
    return ""


# What the rounds before have shown


@dataclass(frozen=True)
class Series:
    """One signal of one exporter over all gateway pods."""

    counts: Counts = Counts()
    accepted: bool = False
    """Something was accepted between two rounds of this process."""

    refused: bool = False
    """Something was refused for good, and nothing was accepted since."""

    overflowing: bool = False
    """The queue did not take something between two rounds."""

    trouble_since: datetime | None = None
    """Since when something waits or was refused without anything being accepted, or the queue is full."""

    def stuck(self, now: datetime) -> bool:
        return self.trouble_since is not None and now - self.trouble_since >= STUCK_AFTER


@dataclass(frozen=True)
class History:
    pods: Mapping[str, Reading] = field(default_factory=dict)
    series: Mapping[tuple[str, Signal], Series] = field(default_factory=dict)
    unreadable_since: datetime | None = None

    def of(self, component: str) -> dict[Signal, Series]:
        return {s: self.series[component, s] for s in SIGNALS if (component, s) in self.series}


def advance(before: History, readings: Mapping[str, Reading], now: datetime) -> History:
    """The history with one more round; `readings` has the pods that could be read, by uid."""
    if not readings:
        return replace(before, unreadable_since=before.unreadable_since or now)
    keys = {key for reading in readings.values() for key in reading}
    return History(dict(readings), {key: _advanced(before, key, readings, now) for key in keys})


def _advanced(before: History, key: tuple[str, Signal], readings: Mapping[str, Reading], now: datetime) -> Series:
    known = before.series.get(key)
    counts, new = Counts(), Counts()
    for pod, reading in readings.items():
        current = reading.get(key, Counts())
        earlier = before.pods.get(pod, {}).get(key, Counts())
        counts += current
        new += Counts(
            sent=_grown(earlier.sent, current.sent),
            failed=_grown(earlier.failed, current.failed),
            overflowed=_grown(earlier.overflowed, current.overflowed),
        )
    if known is None:
        # At the first look nobody knows when it was accepted, nor what came last.
        new, known = Counts(failed=0 if counts.sent else new.failed), Series()
    overflowing = new.overflowed > 0
    if new.sent and not overflowing:
        return Series(counts, accepted=True)
    refused = not new.sent and (known.refused or new.failed > 0)
    since = (known.trouble_since or now) if counts.queued or refused or overflowing else None
    return Series(counts, bool(new.sent) or (known.accepted and since is None), refused, overflowing, since)


def _grown(before: int, now: int) -> int:
    """A counter that fell belongs to a collector that has started again."""
    return now - before if before <= now else now


# What follows


@dataclass(frozen=True)
class Observed:
    destinations: tuple[Destination, ...]
    gateway_ready: bool
    history: History
    errors: Mapping[str, str] = field(default_factory=dict)
    """The last answer of a back end, by exporter; asked for only of `stuck` ones."""


def stuck(destinations: Iterable[Destination], history: History, now: datetime) -> tuple[str, ...]:
    """Exporters whose back end accepts nothing: of these the gateway's log is worth reading."""
    built = (exporters.build(d) for d in destinations if not d.spec.disabled)
    return tuple(
        e.component
        for e in built
        if isinstance(e, Exporter) and any(series.stuck(now) for series in history.of(e.component).values())
    )


def plan(observed: Observed, now: datetime) -> Plan:
    writes: list[Write] = []
    for destination in observed.destinations:
        verdict = _verdict(destination, observed, now)
        if verdict is not None:
            writes += _told(destination, verdict, now)
    return Plan(tuple(writes), because="what the gateway's metrics say")


@dataclass(frozen=True)
class _Verdict:
    status: bool | None
    reason: DeliveringReason
    message: str
    throughput: Throughput | None = None
    error: str = ""


def _verdict(destination: Destination, observed: Observed, now: datetime) -> _Verdict | None:
    """None: nothing can be said now, so what was said stays."""
    built = exporters.build(destination)
    if destination.spec.disabled or not isinstance(built, Exporter):
        return _Verdict(None, DeliveringReason.NO_DATA_YET, "Not in use: the condition Configured says why.")
    counted = destination.status.throughput
    if not observed.gateway_ready:
        message = "The gateway is not ready; the conditions of its CollectorsGroup say why."
        return _Verdict(None, DeliveringReason.GATEWAY_NOT_READY, message, counted, destination.status.last_error)
    if observed.history.unreadable_since:
        if now - observed.history.unreadable_since < UNREADABLE_AFTER:
            return None
        message = "The gateway's metrics cannot be read from this pod; does a NetworkPolicy close port 8888?"
        return _Verdict(None, DeliveringReason.METRICS_UNREADABLE, message, counted, destination.status.last_error)
    return _judged(destination, built, observed, now)


def _judged(destination: Destination, exporter: Exporter, observed: Observed, now: datetime) -> _Verdict:
    series = observed.history.of(exporter.component)
    throughput = Throughput(
        spans=_sent(series, "TRACES"),
        metric_points=_sent(series, "METRICS"),
        log_records=_sent(series, "LOGS"),
        queued_bytes=sum(s.counts.queued for s in series.values()),
    )
    if late := {signal: s for signal, s in series.items() if s.stuck(now)}:
        error = observed.errors.get(exporter.component, "") or destination.status.last_error
        message = _complaint(exporter.endpoint, late) + (f": {error}" if error else ". Its answer is not known yet.")
        return _Verdict(False, DeliveringReason.NOT_ACCEPTING, message, throughput, error)
    said = find_condition(destination.status.conditions, DestinationCondition.DELIVERING)
    of_this_spec = said is not None and said.observed_generation == (destination.metadata.generation or None)
    was = said.status if said and of_this_spec else "Unknown"
    troubled = any(s.trouble_since for s in series.values())
    accepted = any(s.accepted for s in series.values())
    sent = any(s.counts.sent for s in series.values())
    if not troubled and (accepted or (sent and was != "False")):
        was = "True"
    if was == "True":
        return _Verdict(True, DeliveringReason.DELIVERING, f"{exporter.endpoint} accepts what it is sent.", throughput)
    if was == "False" and said:
        error = destination.status.last_error
        return _Verdict(False, DeliveringReason.NOT_ACCEPTING, said.message, throughput, error)
    message = f"Nothing has been sent to {exporter.endpoint} yet."
    return _Verdict(None, DeliveringReason.NO_DATA_YET, message, throughput)


def _complaint(endpoint: str, late: Mapping[Signal, Series]) -> str:
    signals = " and ".join(signal.lower() for signal in late)
    since = min(s.trouble_since for s in late.values() if s.trouble_since)
    queued = sum(s.counts.queued for s in late.values())
    failed = sum(s.counts.failed for s in late.values())
    if any(s.overflowing for s in late.values()):
        return (
            f"The gateway's queue of {signals} is full ({_size(queued)}) since {since:%H:%M:%S} UTC: the back end "
            f"{endpoint} accepts less than is sent to it, and the newest data is not kept"
        )
    held = f"The gateway holds {_size(queued)} of {signals}" if queued else f"{failed} items of {signals} were refused"
    return f"{held}; the back end {endpoint} has accepted none since {since:%H:%M:%S} UTC"


def _sent(series: Mapping[Signal, Series], signal: Signal) -> int:
    return series[signal].counts.sent if signal in series else 0


def _size(bytes_: int) -> str:
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if bytes_ >= of:
            return f"{bytes_ / of:.1f} {unit}"
    return f"{bytes_} bytes"


def _told(destination: Destination, verdict: _Verdict, now: datetime) -> Sequence[Write]:
    status = destination.status
    said = find_condition(status.conditions, DestinationCondition.DELIVERING)
    saying = conditions.about(
        destination, DestinationCondition.DELIVERING, verdict.status, verdict.reason, verdict.message, now
    )
    same_verdict = said is not None and _essence(said) == _essence(saying)
    counted = status.throughput
    written = conditions.seconds_since(counted.read_at, now) if counted else None
    if same_verdict and written is not None and written < WRITE_EVERY:
        return ()
    throughput = verdict.throughput
    if throughput is not None:
        before = counted.read_at if counted else ""
        same = throughput.model_copy(update={"read_at": before}) == counted
        quiet = same and saying == said and verdict.error == status.last_error
        throughput = throughput.model_copy(update={"read_at": before if quiet else conditions.rfc3339(now)})
    fields = {"throughput": throughput, "lastError": verdict.error}
    return apply_status(DESTINATIONS, destination, MANAGER, fields, [saying])


def _essence(condition: Condition) -> tuple[str, str, int | None]:
    return condition.status, condition.reason, condition.observed_generation
