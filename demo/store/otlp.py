"""OTLP as plain dictionaries: whatever way it came, a message looks as OTLP/JSON does.

OTLP/JSON is that already. OTLP/protobuf is decoded with the few tables below: field number -> name and kind. A number
that no table knows is passed over, as protobuf demands, so newer senders do no harm.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
Fields = dict[int, tuple[str, "str | Fields"]]

# Kinds: string, hex (an id), int, bool, double, fixed (8 or 4 bytes); a table is a message inside. A name that
# ends in "*" is repeated.
VALUE: Fields = {
    1: ("stringValue", "string"),
    2: ("boolValue", "bool"),
    3: ("intValue", "int"),
    4: ("doubleValue", "double"),
}
ATTRIBUTE: Fields = {1: ("key", "string"), 2: ("value", VALUE)}
VALUE[5] = ("arrayValue", {1: ("values*", VALUE)})
VALUE[6] = ("kvlistValue", {1: ("values*", ATTRIBUTE)})
EVENT: Fields = {1: ("timeUnixNano", "fixed"), 2: ("name", "string"), 3: ("attributes*", ATTRIBUTE)}
LINK: Fields = {1: ("traceId", "hex"), 2: ("spanId", "hex"), 4: ("attributes*", ATTRIBUTE)}
SPAN: Fields = {
    1: ("traceId", "hex"),
    2: ("spanId", "hex"),
    4: ("parentSpanId", "hex"),
    5: ("name", "string"),
    6: ("kind", "int"),
    7: ("startTimeUnixNano", "fixed"),
    8: ("endTimeUnixNano", "fixed"),
    9: ("attributes*", ATTRIBUTE),
    11: ("events*", EVENT),
    13: ("links*", LINK),
    15: ("status", {2: ("message", "string"), 3: ("code", "int")}),
}


def _points(attributes: int, **values: int) -> Fields:
    """A metric's data points: their fields have other numbers in each kind of metric."""
    kinds = {"asDouble": "double", "sum": "double"}
    fields: Fields = {number: (name, kinds.get(name, "fixed")) for name, number in values.items()}
    return {1: ("dataPoints*", {attributes: ("attributes*", ATTRIBUTE), 3: ("timeUnixNano", "fixed"), **fields})}


METRIC: Fields = {
    1: ("name", "string"),
    3: ("unit", "string"),
    5: ("gauge", _points(7, asDouble=4, asInt=6)),
    7: ("sum", _points(7, asDouble=4, asInt=6)),
    9: ("histogram", _points(9, count=4, sum=5)),
    10: ("exponentialHistogram", _points(1, count=4, sum=5)),
    11: ("summary", _points(7, count=4, sum=5)),
}
LOG: Fields = {
    1: ("timeUnixNano", "fixed"),
    2: ("severityNumber", "int"),
    3: ("severityText", "string"),
    5: ("body", VALUE),
    6: ("attributes*", ATTRIBUTE),
    9: ("traceId", "hex"),
    10: ("spanId", "hex"),
    12: ("eventName", "string"),
}


def _request(groups: str, scopes: str, items: str, item: Fields) -> Fields:
    """The nesting that the three requests share: resource, then scope, then the items."""
    scope: Fields = {1: ("scope", {1: ("name", "string"), 2: ("version", "string")}), 2: (items, item)}
    return {1: (groups, {1: ("resource", {1: ("attributes*", ATTRIBUTE)}), 2: (scopes, scope)})}


REQUESTS: dict[str, Fields] = {
    "traces": _request("resourceSpans*", "scopeSpans*", "spans*", SPAN),
    "metrics": _request("resourceMetrics*", "scopeMetrics*", "metrics*", METRIC),
    "logs": _request("resourceLogs*", "scopeLogs*", "logRecords*", LOG),
}


class Malformed(ValueError):
    """The body is not an OTLP request."""


def from_json(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def from_protobuf(signal: str, body: bytes) -> Message:
    try:
        return _message(memoryview(body), REQUESTS[signal])
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise Malformed(f"not protobuf: {error}") from None


def _message(data: memoryview, fields: Fields) -> Message:
    found: Message = {}
    for number, raw in _wire(data):
        if number not in fields:
            continue
        name, kind = fields[number]
        value = _value(raw, kind)
        if name.endswith("*"):
            found.setdefault(name[:-1], []).append(value)
        else:
            found[name] = value
    return found


def _value(raw: int | memoryview, kind: str | Fields) -> Any:
    if isinstance(raw, int):
        return bool(raw) if kind == "bool" else raw - (1 << 64) if raw >> 63 else raw
    if isinstance(kind, dict):
        return _message(raw, kind)
    if kind == "string":
        return str(raw, "utf-8")
    if kind == "hex":
        return raw.hex()
    return struct.unpack("<d" if kind == "double" else "<Q" if len(raw) == 8 else "<I", raw)[0]


def _wire(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        length, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if length < 0 or at + length > len(data):
            raise IndexError(f"a field of wire type {wire} goes past the end")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError("a number is longer than 64 bits")


def attributes(listed: list[Message] | None) -> dict[str, Any]:
    """[{key, value}] as a plain dictionary."""
    return {one.get("key", ""): plain(one.get("value", {})) for one in listed or ()}


def plain(value: Message) -> Any:
    """An OTLP value without its wrapping."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [plain(one) for one in content.get("values", ())]
        if kind == "kvlistValue":
            return attributes(content.get("values"))
        return content
    return None
