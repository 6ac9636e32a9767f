"""The demo store: what it makes of OTLP, and of what is not OTLP."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from demo.store import otlp
from demo.store.http_server import Query, Receiver, Server
from demo.store.memory import Memory


def request(service: str, *spans: tuple[str, str]) -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    listed = [
        {"traceId": trace, "spanId": span, "startTimeUnixNano": "1", "endTimeUnixNano": "9"} for trace, span in spans
    ]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": listed}]}]}


@pytest.fixture
def memory() -> Memory:
    return Memory(span_limit=3)


@pytest.fixture
def receiver(memory: Memory) -> Iterator[http.client.HTTPConnection]:
    yield from serve(Receiver, memory)


@pytest.fixture
def query(memory: Memory) -> Iterator[http.client.HTTPConnection]:
    yield from serve(Query, memory)


def serve(handler: type[Receiver] | type[Query], memory: Memory) -> Iterator[http.client.HTTPConnection]:
    with Server(("127.0.0.1", 0), handler, memory) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
        yield connection
        connection.close()
        server.shutdown()


def post(connection: http.client.HTTPConnection, body: bytes, path: str = "/v1/traces", **headers: str) -> int:
    given = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request("POST", path, body, given)
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"resourceSpans": 7}', {}, 400),
        (b"x", {"content_encoding": "gzip"}, 400),
        (b"\xff\xff", {"content_type": "application/x-protobuf"}, 400),
        (b"x", {"content_type": "text/plain"}, 415),
        (b"x", {"path": "/v1/profiles"}, 404),
    ],
)
def test_what_is_not_otlp_is_refused(
    receiver: http.client.HTTPConnection, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert post(receiver, body, **headers) == status


def test_protobuf_that_is_cut_off_anywhere_is_malformed_or_shorter() -> None:
    whole = bytes.fromhex("0a1f0a150a130a0c736572766963652e6e616d6512030a0178120612041202 2a00".replace(" ", ""))
    assert otlp.from_protobuf("traces", whole)["resourceSpans"][0]["resource"]["attributes"][0]["key"] == "service.name"
    for end in range(1, len(whole)):
        with pytest.raises(otlp.Malformed):
            otlp.from_protobuf("traces", whole[:end])


def test_json_and_gzip_in_chunks_are_taken(receiver: http.client.HTTPConnection, memory: Memory) -> None:
    body = json.dumps(request("cart", ("ab", "01"))).encode()
    assert post(receiver, body) == 200
    assert post(receiver, iter([gzip.compress(body)[:9], gzip.compress(body)[9:]]), content_encoding="gzip") == 200  # type: ignore[arg-type]
    assert memory.summary()["services"]["cart"]["spans"] == 2


def test_only_traces_that_cross_all_services_are_found(memory: Memory) -> None:
    memory.add("traces", request("cart", ("ab", "01"), ("cd", "02")))
    memory.add("traces", request("pricing", ("ab", "03")))
    assert [t["traceId"] for t in memory.traces(["cart", "pricing"], 10)] == ["ab"]
    assert memory.traces(["cart", "nobody"], 10) == []
    assert [span["service"] for span in memory.trace("AB")] == ["cart", "pricing"]


def test_the_oldest_spans_go_but_the_count_goes_on(memory: Memory) -> None:
    for number in range(9):
        memory.add("traces", request("cart", (f"{number:02}", "01")))
    assert [t["traceId"] for t in memory.traces([], 10)] == ["08", "07", "06"]
    assert memory.summary()["services"]["cart"]["spans"] == 9


def test_the_query_api_answers_and_forgets(query: http.client.HTTPConnection, memory: Memory) -> None:
    memory.add("traces", request("cart", ("ab", "01")))

    def ask(method: str, path: str) -> tuple[int, Any]:
        query.request(method, path)
        answer = query.getresponse()
        return answer.status, json.load(answer)

    assert ask("GET", "/api/traces?services=cart")[1]["traces"][0]["spans"] == 1
    assert ask("GET", "/api/traces/ab")[1]["spans"][0]["service"] == "cart"
    assert ask("DELETE", "/api/data")[0] == 200
    assert ask("GET", "/api/summary")[1] == {"services": {}}
    assert ask("GET", "/api/traces/ab")[0] == 404
    assert ask("GET", "/anything")[0] == 404
