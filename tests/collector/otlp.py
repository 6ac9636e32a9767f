"""OTLP requests whose every item has a number, so that each can be looked for at the other end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PATHS = {"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"}


def request(signal: str, numbers: Iterable[int], *, padding: int = 0, **resource: str) -> dict[str, Any]:
    attributes = [_attribute(k, v) for k, v in ({"service.name": "cart"} | resource).items()]
    group, scope, items = {
        "traces": ("resourceSpans", "scopeSpans", "spans"),
        "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    }[signal]
    made = [_ITEMS[signal](n, padding) for n in numbers]
    return {group: [{"resource": {"attributes": attributes}, scope: [{items: made}]}]}


def _span(number: int, padding: int) -> dict[str, Any]:
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": f"n{number}",
        "kind": 2,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        "attributes": [_attribute("padding", "x" * padding)],
    }


def _metric(number: int, padding: int) -> dict[str, Any]:
    return {"name": f"n{number}", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asInt": str(number)}]}}


def _log(number: int, padding: int) -> dict[str, Any]:
    return {"timeUnixNano": "1", "body": {"stringValue": f"n{number}" + "x" * padding}}


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


_ITEMS = {"traces": _span, "metrics": _metric, "logs": _log}
