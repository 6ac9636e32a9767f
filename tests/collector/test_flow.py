"""Data through real collectors with the rendered configurations: node, gateway, destinations, on loopback.

Every item has a number, so that lost and doubled ones are told apart; the destinations are the demo's.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.api.destination import Destination
from odigos_cp.domain import pipeline, traffic
from tests import builders
from tests.collector import otlp
from tests.collector.conftest import Start
from tests.collector.running import Collector, post, wait_until
from tests.collector.store import Store
from tests.ports import free_port

SIZES = ResourceSizes()
ALL = ("TRACES", "METRICS", "LOGS")
SMALL_QUEUE = 4_000_000
"""Bytes: one batch of a node fits."""

SIGNALS = ("traces", "metrics", "logs")


def http_destination(name: str, port: int, signals: Sequence[str] = ALL, **spec: Any) -> Destination:
    data = {"OTLP_HTTP_ENDPOINT": f"http://127.0.0.1:{port}"} | spec.pop("data", {})
    return builders.destination(name, type_="otlphttp", data=data, signals=signals, **spec)


def gateway(start: Start, *destinations: Destination, **more: Any) -> Collector:
    rendered = pipeline.render_gateway(destinations, SIZES)
    assert not rendered.faults, rendered.faults
    return start("gateway", rendered.text, **more)


def node(start: Start, gateway_: Collector) -> Collector:
    return start("node", pipeline.render_node(gateway_.target, SIZES).text)


def send(to: Collector, signal: str = "traces", numbers: range = range(10), **more: Any) -> None:
    assert post(to.http, otlp.PATHS[signal], otlp.request(signal, numbers, **more)) == 200


def impatient(component: str, queue: int = 500_000_000) -> dict[str, Any]:
    """Tries again soon when the other side has come back, so that a test need not wait half a minute."""
    sending_queue = {"queue_size": queue, "batch": {"min_size": min(queue, 1_000_000)}}
    return {"exporters": {component: {"retry_on_failure": {"max_interval": "500ms"}, "sending_queue": sending_queue}}}


# Through


def test_traces_metrics_and_logs_pass_through_a_node_and_a_gateway(start: Start, store: Store) -> None:
    first = node(start, gateway(start, http_destination("store", store.port)))
    for signal in SIGNALS:
        send(first, signal, range(100), **{"k8s.pod.name": "cart-1"})
    for signal in SIGNALS:
        wait_until(f"{signal} arrive", lambda signal=signal: store.received(signal) == 100)  # type: ignore[misc]
        assert store.twice(signal) == 0
    assert store.service()["resource"] == {"service.name": "cart", "k8s.pod.name": "cart-1"}


def test_a_signal_that_no_destination_takes_is_accepted_and_dropped(start: Start, store: Store) -> None:
    first = node(start, gateway(start, http_destination("store", store.port, ["LOGS"])))
    for signal in SIGNALS:
        send(first, signal)
    wait_until("logs arrive", lambda: store.received("logs") == 10)
    wait_until("nothing waits on the node", lambda: not any(c.queued for c in first.counts().values()))
    assert (store.received("traces"), store.received("metrics")) == (0, 0)


def test_only_the_selected_namespaces_reach_a_destination_that_selects(start: Start, store: Store) -> None:
    with Store() as everything:
        first = gateway(
            start,
            http_destination("all", everything.port),
            http_destination("bank", store.port, sourceSelector={"namespaces": ["bank", "bank-test"]}),
        )
        for signal in SIGNALS:
            send(first, signal, range(10), **{"k8s.namespace.name": "bank"})
            send(first, signal, range(10, 20), **{"k8s.namespace.name": "bank-test"})
            send(first, signal, range(20, 30), **{"k8s.namespace.name": "bank-test-2"})
            send(first, signal, range(30, 40))
        for signal in SIGNALS:
            wait_until(f"all {signal}", lambda signal=signal: everything.received(signal) == 40)  # type: ignore[misc]
            wait_until(f"the bank's {signal}", lambda signal=signal: store.received(signal) == 20)  # type: ignore[misc]
            assert store.names(signal) == {f"n{n}" for n in range(20)}


def test_batches_stay_below_what_a_grpc_server_takes_by_default(start: Start) -> None:
    """Four MiB: more is refused for good, whatever the number of items. 8,000 spans of 1 kB are twice that."""
    plain = {
        "extensions": {"health_check": {}, "file_storage/queue": {}},
        "receivers": {"otlp": {"protocols": {"grpc": {}, "http": {}}}},
        "exporters": {"nop": {}},
        "service": {
            "extensions": ["health_check", "file_storage/queue"],
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["nop"]}},
        },
    }
    sink = start("sink", json.dumps(plain))
    wish = builders.destination("sink", data={"OTLP_GRPC_ENDPOINT": sink.target})
    first = node(start, gateway(start, wish))
    for n in range(4):
        send(first, numbers=range(2000 * n, 2000 * (n + 1)), padding=1000)
    received = lambda: f'accepted_spans{{receiver="otlp",transport="grpc"}} {8000}' in sink.metrics()  # noqa: E731
    wait_until("all spans are accepted", received)


# Trouble


def test_a_destination_that_is_down_does_not_stop_the_other_and_gets_its_own_when_it_is_back(
    start: Start, store: Store
) -> None:
    port = free_port()
    both = http_destination("up", store.port), http_destination("down", port)
    first = node(start, gateway(start, *both, more=impatient("otlp_http/down")))
    for n in range(10):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    wait_until("the one that is up has everything", lambda: store.received() == 1000)
    assert store.twice() == 0
    with Store(port) as back:
        wait_until("the one that was down has everything", lambda: back.received() == 1000)
        assert back.twice() == 0


def test_a_full_queue_is_its_own_destinations_trouble(start: Start, store: Store) -> None:
    """Without the ways kept apart everything would be refused, and the other would get it again and again."""
    port = free_port()
    both = http_destination("up", store.port), http_destination("full", port)
    second = gateway(start, *both, more=impatient("otlp_http/full", SMALL_QUEUE))
    first = node(start, second)
    for n in range(16):
        send(first, numbers=range(500 * n, 500 * (n + 1)), padding=1000)
    wait_until("the other has everything", lambda: store.received() == 8000)
    assert store.twice() == 0
    wait_until("nothing waits on the node", lambda: not any(c.queued for c in first.counts().values()))
    assert second.counts()["otlp_http/full", "TRACES"].overflowed > 0


def test_a_full_queue_takes_again_when_there_is_room(start: Start, store: Store) -> None:
    port = free_port()
    both = http_destination("up", store.port), http_destination("full", port)
    first = gateway(start, *both, more=impatient("otlp_http/full", 30_000))
    for n in range(20):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    assert first.counts()["otlp_http/full", "TRACES"].overflowed > 0
    with Store(port) as back:

        def new_ones_arrive() -> bool:
            send(first, numbers=range(9000, 9010))
            return "n9000" in back.names()

        wait_until("new data arrives again", new_ones_arrive)


def test_the_only_destinations_full_queue_pushes_back_and_loses_nothing(start: Start) -> None:
    port = free_port()
    second = gateway(start, http_destination("only", port), more=impatient("otlp_http/only", SMALL_QUEUE))
    first = node(start, second)
    for n in range(16):
        send(first, numbers=range(500 * n, 500 * (n + 1)), padding=1000)
    wait_until("the gateway is full", lambda: second.counts()["otlp_http/only", "TRACES"].overflowed > 0)
    assert first.counts()["otlp_grpc/gateway", "TRACES"].queued > 0
    with Store(port) as back:
        wait_until("everything arrives", lambda: back.received() == 8000, seconds=30)


def test_a_gateway_that_is_killed_loses_nothing(start: Start) -> None:
    port = free_port()
    second = gateway(start, http_destination("store", port), more=impatient("otlp_http/store"))
    first = node(start, second)
    for n in range(10):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    wait_until("something waits in the gateway", lambda: second.counts()["otlp_http/store", "TRACES"].queued > 0)
    second.kill()
    for n in range(10, 20):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    second.start()
    with Store(port) as store:
        wait_until("everything arrives", lambda: store.received() == 2000, seconds=30)


def test_a_gateway_that_is_killed_under_load_loses_nothing(start: Start, store: Store) -> None:
    """What was acknowledged arrives, be it twice: the kill comes somewhere between the two."""
    second = gateway(start, http_destination("store", store.port), more=impatient("otlp_http/store"))
    first = node(start, second)
    over = threading.Event()

    def load() -> None:
        number = 0
        while not over.is_set():
            send(first, numbers=range(number, number + 100))
            number += 100
            sent.append(number)

    sent: list[int] = []
    loading = threading.Thread(target=load)
    loading.start()
    try:
        for _ in range(2):
            before = store.received()
            wait_until("it flows", lambda before=before: store.received() > before + 300)  # type: ignore[misc]
            second.kill()
            second.start()
    finally:
        over.set()
        loading.join()
    wait_until("everything arrives", lambda: store.received() == sent[-1], seconds=30)


def test_a_node_that_is_killed_loses_nothing_that_it_acknowledged(start: Start, store: Store) -> None:
    second = gateway(start, http_destination("store", store.port))
    first = node(start, second)
    second.kill()
    for n in range(10):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    first.kill()
    second.start()
    first.start()
    wait_until("everything arrives", lambda: store.received() == 1000, seconds=30)


def test_a_gateway_that_is_told_to_go_delivers_what_it_has(start: Start, store: Store) -> None:
    """Its disk goes with its pod: what it has acknowledged and not delivered when it ends would be lost."""
    first = gateway(start, http_destination("store", store.port))
    for n in range(20):
        send(first, numbers=range(100 * n, 100 * (n + 1)))
    assert first.stop() == 0
    assert store.received() == 2000


# Secrets, and text of users

HOSTILE = {
    "x-env": "${env:OTHER}",
    "x-dollars": "a$b$$c$$$d",
    "x-file": "$${file:/etc/hostname}",
    "x-quotes": "'\"\\ # a: {b}",
    "x-yes": "yes",
}


def test_hostile_headers_arrive_as_they_were_written(start: Start, store: Store) -> None:
    text = json.dumps([{"key": name, "value": value} for name, value in HOSTILE.items()])
    wish = http_destination("store", store.port, data={"OTLP_HTTP_HEADERS": text})
    send(gateway(start, wish, environment={"OTHER": "leaked"}))
    (headers,) = wait_until("it arrives", lambda: store.headers)
    assert {name: headers[name] for name in HOSTILE} == HOSTILE


def test_hostile_metadata_of_grpc_arrives_as_it_was_written(start: Start, store: Store) -> None:
    """A plain collector in between writes the metadata it gets into the spans."""
    seen = [{"key": name, "from_context": f"metadata.{name}", "action": "insert"} for name in HOSTILE]
    between = {
        "extensions": {"health_check": {}, "file_storage/queue": {}},
        "receivers": {"otlp": {"protocols": {"grpc": {"include_metadata": True}, "http": {}}}},
        "processors": {"resource/seen": {"attributes": seen}},
        "exporters": {"otlp_http": {"endpoint": store.url}},
        "service": {
            "extensions": ["health_check", "file_storage/queue"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["resource/seen"], "exporters": ["otlp_http"]}
            },
        },
    }
    sink = start("between", json.dumps(between))
    text = json.dumps([{"key": name, "value": value} for name, value in HOSTILE.items()])
    wish = builders.destination("a", data={"OTLP_GRPC_ENDPOINT": sink.target, "OTLP_GRPC_HEADERS": text})
    send(gateway(start, wish, environment={"OTHER": "leaked"}))
    wait_until("it arrives", store.received)
    assert store.service()["resource"] == {"service.name": "cart"} | HOSTILE


def test_a_secret_arrives_as_it_was_typed(start: Start, store: Store) -> None:
    """Whoever writes the Secret doubles its dollars, since the collector expands values once more."""
    typed = "Bearer pa$$word${env:OTHER}${file:/etc/hostname}"
    wish = http_destination("store", store.port, secretRef={"name": "keys"})
    name = "DST_STORE__OTLP_HTTP_AUTHORIZATION"
    send(gateway(start, wish, environment={name: typed.replace("$", "$$"), "OTHER": "leaked"}))
    (headers,) = wait_until("it arrives", lambda: store.headers)
    assert headers["authorization"] == typed


def test_a_user_name_and_a_password_arrive_as_they_were_typed(start: Start, store: Store) -> None:
    user, password = "${OTHER} $$ é", "pa:s$${env:OTHER}"
    wish = http_destination(
        "store", store.port, data={"OTLP_HTTP_BASIC_AUTH_USERNAME": user}, secretRef={"name": "keys"}
    )
    name = "DST_STORE__OTLP_HTTP_BASIC_AUTH_PASSWORD"
    send(gateway(start, wish, environment={name: password.replace("$", "$$"), "OTHER": "leaked"}))
    (headers,) = wait_until("it arrives", lambda: store.headers)
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"{user}:{password}"


# What the autoscaler reads


def test_the_counts_and_the_last_error_are_what_the_autoscaler_looks_for(start: Start, store: Store) -> None:
    wishes = http_destination("up", store.port), http_destination("down", free_port())
    first = gateway(start, *wishes)
    send(first, "traces", range(40))
    send(first, "logs", range(7))
    wait_until("they arrive", lambda: (store.received("traces"), store.received("logs")) == (40, 7))
    wait_until("they are counted", lambda: first.counts()["otlp_http/up", "LOGS"].sent == 7)
    assert first.counts()["otlp_http/up", "TRACES"].sent == 40
    assert first.counts()["otlp_http/down", "TRACES"].queued > 0
    wait_until("it is logged", lambda: traffic.last_error(first.log, "otlp_http/down"))
    assert "connection refused" in traffic.last_error(first.log, "otlp_http/down")
    assert traffic.last_error(first.log, "otlp_http/up") == ""


def test_a_back_end_that_refuses_is_counted_as_refusing(start: Start) -> None:
    with Store() as store:
        # The demo's destination knows no such path: it answers 404, which no retry would mend.
        wish = http_destination("wrong", store.port, data={"OTLP_HTTP_ENDPOINT": f"{store.url}/elsewhere"})
        first = gateway(start, wish)
        send(first)
        wait_until("it is counted", lambda: first.counts().get(("otlp_http/wrong", "TRACES"), traffic.Counts()).failed)
    assert "404" in wait_until("it is logged", lambda: traffic.last_error(first.log, "otlp_http/wrong"))


@pytest.mark.parametrize("several", [False, True])
def test_a_collector_at_rest_logs_nothing(several: bool, start: Start, store: Store) -> None:
    """The way that always refuses is tried each second, and must not fill the log."""
    wishes = [http_destination("a", store.port), http_destination("b", store.port)]
    first = gateway(start, *wishes[: 2 if several else 1])
    send(first)
    wait_until("it arrives", lambda: store.received() == 10)
    before = first.log

    def tried_again() -> bool:
        send(first)
        refused = first.counts().get(("otlp_http/_refuses", "TRACES"), traffic.Counts()).overflowed
        return not several or refused >= 20

    wait_until("the refusing way is tried again", tried_again)
    assert first.log == before
