"""What has been received, in an SQLite database in memory: the newest spans and logs, and counts of everything.

Bounded: beyond the limits the oldest rows go. The counts go on, so that "how much came" stays true. One connection and
one lock: the receivers and the query API run in threads.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .otlp import Message, attributes, plain

SPAN_LIMIT = 200_000
LOG_LIMIT = 50_000
TABLES = """
CREATE TABLE spans (
    trace TEXT, span TEXT, parent TEXT, service TEXT, name TEXT, kind INTEGER, start INTEGER, end INTEGER,
    attributes TEXT, resource TEXT, scope TEXT, status TEXT, events TEXT
);
CREATE INDEX spans_by_trace ON spans (trace);
CREATE INDEX spans_by_service ON spans (service);
CREATE TABLE logs (service TEXT, time INTEGER, severity TEXT, body TEXT, attributes TEXT, resource TEXT, trace TEXT);
CREATE INDEX logs_by_service ON logs (service);
"""
POINT_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


@dataclass
class Service:
    spans: int = 0
    metric_points: int = 0
    log_records: int = 0
    metrics: dict[str, int] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)


class Memory:
    def __init__(self, span_limit: int = SPAN_LIMIT, log_limit: int = LOG_LIMIT) -> None:
        self._span_limit, self._log_limit = span_limit, log_limit
        self._lock = threading.Lock()
        self._services: dict[str, Service] = {}
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.executescript(TABLES)

    # --- writing

    def add(self, signal: str, request: Message) -> None:
        with self._lock:
            {"traces": self._add_spans, "metrics": self._add_metrics, "logs": self._add_logs}[signal](request)

    def clear(self) -> None:
        with self._lock:
            self._services.clear()
            self._database.executescript("DELETE FROM spans; DELETE FROM logs;")

    def _add_spans(self, request: Message) -> None:
        rows = []
        for service, resource, scope, spans in self._groups(request, "resourceSpans", "scopeSpans", "spans"):
            service_name = self._name(resource)
            service.spans += len(spans)
            rows += [
                (
                    s.get("traceId", "").lower(),
                    s.get("spanId", "").lower(),
                    s.get("parentSpanId", "").lower(),
                    service_name,
                    s.get("name", ""),
                    int(s.get("kind", 0)),
                    int(s.get("startTimeUnixNano", 0)),
                    int(s.get("endTimeUnixNano", 0)),
                    json.dumps(attributes(s.get("attributes"))),
                    json.dumps(resource),
                    scope,
                    json.dumps(s.get("status", {})),
                    json.dumps(
                        [{"name": e.get("name"), **attributes(e.get("attributes"))} for e in s.get("events", ())]
                    ),
                )
                for s in spans
            ]
        self._database.executemany(f"INSERT INTO spans VALUES ({', '.join('?' * 13)})", rows)
        self._trim("spans", self._span_limit)

    def _add_metrics(self, request: Message) -> None:
        for service, _, _, metrics in self._groups(request, "resourceMetrics", "scopeMetrics", "metrics"):
            for metric in metrics:
                points = sum(len(metric.get(kind, {}).get("dataPoints", ())) for kind in POINT_KINDS)
                service.metric_points += points
                service.metrics[metric.get("name", "")] = service.metrics.get(metric.get("name", ""), 0) + points

    def _add_logs(self, request: Message) -> None:
        rows = []
        for service, resource, _, records in self._groups(request, "resourceLogs", "scopeLogs", "logRecords"):
            service.log_records += len(records)
            rows += [
                (
                    self._name(resource),
                    int(r.get("timeUnixNano", 0)),
                    r.get("severityText", ""),
                    json.dumps(plain(r.get("body", {}))),
                    json.dumps(attributes(r.get("attributes"))),
                    json.dumps(resource),
                    r.get("traceId", "").lower(),
                )
                for r in records
            ]
        self._database.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._trim("logs", self._log_limit)

    def _groups(
        self, request: Message, outer: str, inner: str, items: str
    ) -> Iterator[tuple[Service, dict[str, Any], str, list[Message]]]:
        for group in request.get(outer, ()):
            resource = attributes(group.get("resource", {}).get("attributes"))
            service = self._services.setdefault(self._name(resource), Service())
            service.resource = resource
            for scope in group.get(inner, ()):
                yield service, resource, scope.get("scope", {}).get("name", ""), scope.get(items, [])

    def _trim(self, table: str, limit: int) -> None:
        newest = self._database.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0
        self._database.execute(f"DELETE FROM {table} WHERE rowid <= ?", (newest - limit,))

    @staticmethod
    def _name(resource: dict[str, Any]) -> str:
        return str(resource.get("service.name", "unknown"))

    # --- reading

    def summary(self) -> dict[str, Any]:
        with self._lock:
            return {
                "services": {
                    name: {
                        "spans": s.spans,
                        "metricPoints": s.metric_points,
                        "logRecords": s.log_records,
                        "resource": s.resource,
                    }
                    for name, s in sorted(self._services.items())
                }
            }

    def metrics(self, service: str) -> dict[str, int]:
        """Metric name -> data points received."""
        with self._lock:
            return dict(self._services.get(service, Service()).metrics)

    def traces(self, services: list[str], limit: int) -> list[dict[str, Any]]:
        """The newest traces that have a span of every one of `services`."""
        places = ", ".join("?" * len(services))
        having = f"HAVING count(DISTINCT CASE WHEN service IN ({places}) THEN service END) = ?" if services else ""
        rows = self._rows(
            "SELECT trace, count(*), group_concat(DISTINCT service), min(start), max(end) FROM spans "
            f"GROUP BY trace {having} ORDER BY max(rowid) DESC LIMIT ?",
            (*services, *((len(set(services)),) if services else ()), limit),
        )
        return [
            {
                "traceId": trace,
                "spans": spans,
                "services": sorted(names.split(",")),
                "start": start,
                "milliseconds": (end - start) / 1e6,
            }
            for trace, spans, names, start, end in rows
        ]

    def trace(self, trace: str) -> list[dict[str, Any]]:
        names = ("traceId", "spanId", "parentSpanId", "service", "name", "kind", "start", "end",
                 "attributes", "resource", "scope", "status", "events")  # fmt: skip
        rows = self._rows("SELECT * FROM spans WHERE trace = ? ORDER BY start", (trace.lower(),))
        return [dict(zip(names, _decoded(row, (8, 9, 11, 12)), strict=True)) for row in rows]

    def logs(self, service: str, limit: int) -> list[dict[str, Any]]:
        names = ("service", "time", "severity", "body", "attributes", "resource", "traceId")
        rows = self._rows("SELECT * FROM logs WHERE service = ? ORDER BY rowid DESC LIMIT ?", (service, limit))
        return [dict(zip(names, _decoded(row, (3, 4, 5)), strict=True)) for row in rows]

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _event(event: Message) -> dict[str, Any]:
    return {"name": event.get("name"), **attributes(event.get("attributes"))}


def _decoded(row: tuple[Any, ...], columns: tuple[int, ...]) -> list[Any]:
    return [json.loads(value) if index in columns else value for index, value in enumerate(row)]
