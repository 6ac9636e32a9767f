"""Does each destination accept what it is sent? On what a collector wrote, and on rounds of counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odigos_cp.api.destination import Destination
from odigos_cp.domain import plan, traffic
from odigos_cp.domain.traffic import Counts, History, Observed, Reading
from tests import builders

RECORDED = Path(__file__).parent / "collector"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAME = "store"
COMPONENT = f"otlp_grpc/{NAME}"
ROUND = timedelta(seconds=10)


def recorded(name: str) -> Reading:
    return traffic.read((RECORDED / name).read_text())


# Reading


def test_the_metrics_of_a_collector_are_read() -> None:
    reading = recorded("metrics-after-1000-spans.txt")
    assert reading["otlp_grpc/grpc-store", "TRACES"].sent == 1000
    assert reading["otlp_http/store", "TRACES"].sent == 1000
    assert reading["otlp_http/refusing", "TRACES"].failed == 1000
    assert reading["debug/printed", "LOGS"].sent == 1


def test_what_waits_is_read_in_bytes() -> None:
    reading = recorded("metrics-with-the-stores-down.txt")
    assert reading["otlp_grpc/down", "TRACES"].queued == 114_200
    assert reading["otlp_grpc/down", "METRICS"].queued == 35


@pytest.mark.parametrize(
    "line",
    [
        "",
        "otelcol_exporter_sent_spans 5",
        'otelcol_exporter_sent_spans{exporter="a"} NaN',
        'otelcol_exporter_sent_spans{exporter="a"} +Inf',
        'otelcol_exporter_sent_spans{other="a"} 5',
        'otelcol_exporter_sent_profiles{exporter="a"} 5',
        'otelcol_exporter_queue_capacity{exporter="a",data_type="traces"} 5',
        'otelcol_exporter_queue_size{exporter="a",data_type="profiles"} 5',
        'otelcol_exporter_sent_spans{exporter="a',
        "\0\xff",
    ],
)
def test_what_is_not_understood_is_passed_over(line: str) -> None:
    assert traffic.read(line) == {}


def test_names_with_a_total_and_several_series_of_one_exporter_add_up() -> None:
    text = (
        'otelcol_exporter_sent_spans_total{exporter="a",server_port="1"} 5\n'
        'otelcol_exporter_sent_spans_total{exporter="a",server_port="2"} 1e3\n'
        'otelcol_exporter_enqueue_failed_spans{exporter="a"} 7\n'
    )
    assert traffic.read(text) == {("a", "TRACES"): Counts(sent=1005, overflowed=7)}


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    traffic.read(f'otelcol_exporter_sent_spans{{exporter="{text}"}} 5\n{text}')
    traffic.last_error(text, COMPONENT)


def test_the_last_error_of_an_exporter_is_found_in_a_collectors_log() -> None:
    log = (RECORDED / "gateway.log").read_text()
    assert "responded with HTTP Status Code 401" in traffic.last_error(log, "otlp_http/refusing")
    assert "connection refused" in traffic.last_error(log, "otlp_grpc/down")
    assert traffic.last_error(log, "otlp_grpc/well") == ""


def test_an_error_from_a_back_end_is_bounded_and_printable() -> None:
    entry = {"otelcol.component.id": COMPONENT, "error": "\x1b[31mno\n" + "x" * 5000}
    found = traffic.last_error(f"{COMPONENT} no json\n{json.dumps(entry)}\n{COMPONENT}: []", COMPONENT)
    assert len(found) == traffic.ERROR_LIMIT
    assert found.isprintable()


# Rounds


class Rounds:
    """One destination, looked at every ten seconds; what is written about it is what it says then."""

    def __init__(self, destination: Destination | None = None) -> None:
        self.now = START
        self.history = History()
        self.destination = destination or builders.destination(NAME)
        self.writes = 0

    def look(
        self, *, pods: Mapping[str, Counts] | None, ready: bool = True, error: str = "", **metrics: Counts
    ) -> Rounds:
        """`pods` has the counts of the traces of each pod that can be read; None: there is none to read."""
        self.now += ROUND
        if pods is not None:
            readings = {pod: {(COMPONENT, "TRACES"): counts} for pod, counts in pods.items()}
            for pod, counts in metrics.items():
                readings[pod] = readings.get(pod, {}) | {(COMPONENT, "METRICS"): counts}
            self.history = traffic.advance(self.history, readings, self.now)  # type: ignore[arg-type]
        stuck = traffic.stuck([self.destination], self.history, self.now)
        errors = {component: error for component in stuck if error}
        made = traffic.plan(Observed((self.destination,), ready, self.history, errors), self.now)
        for write in made.writes:
            assert isinstance(write, plan.Apply)
            assert write.manager == "odigos-autoscaler-traffic"
            self.writes += 1
            configured = [c for c in self.destination.status.conditions if c.type != "Delivering"]
            status = write.body["status"] | {
                "conditions": [*(c.wire() for c in configured), *write.body["status"].get("conditions", [])]
            }
            self.destination = self.destination.model_copy(
                update={"status": self.destination.status.model_validate(status)}
            )
        return self

    def one(self, sent: int = 0, failed: int = 0, queued: int = 0, overflowed: int = 0, *, error: str = "") -> Rounds:
        return self.look(pods={"pod": Counts(sent, failed, queued, overflowed)}, error=error)

    @property
    def said(self) -> tuple[str, str]:
        (condition,) = [c for c in self.destination.status.conditions if c.type == "Delivering"]
        return condition.status, condition.reason

    @property
    def message(self) -> str:
        return self.destination.status.conditions[-1].message


def test_nothing_sent_is_nothing_known() -> None:
    rounds = Rounds().one()
    assert rounds.said == ("Unknown", "NoDataYet")
    assert rounds.message == "Nothing has been sent to jaeger.observability:4317 yet."


def test_what_is_accepted_is_delivered_and_counted() -> None:
    rounds = Rounds().one().one(sent=40)
    assert rounds.said == ("True", "Delivering")
    assert rounds.destination.status.throughput is not None
    assert rounds.destination.status.throughput.spans == 40


def test_a_back_end_that_accepts_nothing_for_a_while_is_told_with_its_last_answer() -> None:
    rounds = Rounds().one(sent=40).one(sent=40, queued=2_500_000)
    assert rounds.said == ("True", "Delivering"), "a queue is no fault yet"
    rounds.one(sent=40, queued=2_600_000).one(sent=40, queued=2_700_000, error="connection refused")
    assert rounds.said == ("False", "NotAccepting")
    assert rounds.message == (
        "The gateway holds 2.7 MB of traces; the back end jaeger.observability:4317 has accepted none since 12:00:20 "
        "UTC: connection refused"
    )
    assert rounds.destination.status.last_error == "connection refused"


def test_it_recovers_with_the_first_thing_accepted() -> None:
    rounds = Rounds().one(queued=10).one(queued=10).one(queued=10, error="no")
    assert rounds.said == ("False", "NotAccepting")
    rounds.one(sent=5, queued=5)
    assert rounds.said == ("True", "Delivering")
    assert rounds.destination.status.last_error == ""


def test_what_is_refused_for_good_is_a_fault_though_nothing_waits() -> None:
    rounds = Rounds().one().one(failed=100).one(failed=100).one(failed=100, error="401")
    assert rounds.said == ("False", "NotAccepting")
    assert "100 items of traces were refused" in rounds.message


def test_one_signal_that_is_refused_is_a_fault_that_the_other_does_not_hide() -> None:
    rounds = Rounds(builders.destination(NAME, signals=["TRACES", "METRICS"]))
    for n in range(1, 6):
        rounds.look(pods={"pod": Counts(sent=100 * n)}, pod=Counts(queued=50))
    assert rounds.said == ("False", "NotAccepting")
    assert "50 bytes of metrics" in rounds.message


def test_a_back_end_that_is_slower_than_what_it_is_sent_is_told_though_it_accepts() -> None:
    rounds = Rounds().one()
    for n in range(1, 5):
        rounds.one(sent=100 * n, queued=500_000_000, overflowed=10 * n)
    assert rounds.said == ("False", "NotAccepting")
    assert "queue of traces is full (500.0 MB)" in rounds.message
    assert rounds.one(sent=900, queued=400_000_000, overflowed=40).said == ("True", "Delivering")


def test_a_queue_that_was_full_long_ago_is_no_trouble() -> None:
    assert Rounds().one(sent=5, overflowed=9).one(sent=6, overflowed=9).said == ("True", "Delivering")


def test_counters_are_read_a_pod_at_a_time() -> None:
    """One pod restarts: its counter falls, and the sum with it, while the other goes on."""
    rounds = Rounds().look(pods={"a": Counts(sent=1000), "b": Counts(sent=10)})
    rounds.look(pods={"a": Counts(sent=0), "b": Counts(sent=20, queued=5)})
    assert rounds.history.series[COMPONENT, "TRACES"].accepted
    rounds.look(pods={"a": Counts(sent=0), "b": Counts(sent=20, queued=5)})
    rounds.look(pods={"a": Counts(sent=0), "b": Counts(sent=20, queued=5)})
    rounds.look(pods={"a": Counts(sent=0), "b": Counts(sent=20, queued=5)})
    assert rounds.said == ("False", "NotAccepting")


def test_a_gateway_that_is_not_ready_is_the_reason_and_the_counts_stay() -> None:
    rounds = Rounds().one().one(sent=40).look(pods=None, ready=False)
    assert rounds.said == ("Unknown", "GatewayNotReady")
    assert rounds.destination.status.throughput is not None
    assert rounds.destination.status.throughput.spans == 40


def test_metrics_that_cannot_be_read_are_told_after_a_while() -> None:
    rounds = Rounds().one().one(sent=40).look(pods={}).look(pods={})
    assert rounds.said == ("True", "Delivering")
    rounds.look(pods={}).look(pods={}).look(pods={})
    assert rounds.said == ("Unknown", "MetricsUnreadable")
    assert "port 8888" in rounds.message
    assert rounds.one(sent=50).said == ("True", "Delivering")


@pytest.mark.parametrize("spec", [{"disabled": True}, {"type_": "pigeon"}, {"data": {}}])
def test_one_that_is_not_in_use_says_where_to_look(spec: dict[str, Any]) -> None:
    rounds = Rounds(builders.destination(NAME, **spec)).one()
    assert rounds.said == ("Unknown", "NoDataYet")
    assert rounds.destination.status.throughput is None


def test_a_restart_of_the_control_plane_takes_nothing_back() -> None:
    well = Rounds().one().one(sent=40)
    well.history = History()
    assert well.one(sent=40).said == ("True", "Delivering")
    ill = Rounds().one(queued=9).one(queued=9).one(queued=9, error="connection refused")
    ill.history = History()
    assert ill.one(queued=9).said == ("False", "NotAccepting")
    assert ill.destination.status.last_error == "connection refused"


def test_a_changed_destination_is_judged_anew() -> None:
    """What was said was said of another endpoint."""
    ill = Rounds(with_generation(1)).one(queued=9).one(queued=9).one(queued=9, error="no")
    assert ill.said == ("False", "NotAccepting")
    status = ill.destination.status
    ill.destination = with_generation(2).model_copy(update={"status": status})
    ill.history = History()
    assert ill.one().said == ("Unknown", "NoDataYet")


def with_generation(generation: int) -> Destination:
    made = builders.destination(NAME)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"generation": generation})})


# Quiet


def test_a_destination_at_rest_is_written_to_once() -> None:
    rounds = Rounds().one().one(sent=40)
    for _ in range(20):
        rounds.one(sent=40)
    before = rounds.writes
    for _ in range(20):
        rounds.one(sent=40)
    assert rounds.writes == before


def test_counts_that_move_are_written_every_half_minute() -> None:
    rounds = Rounds().one().one(sent=1)
    before = rounds.writes
    for n in range(30):
        rounds.one(sent=100 * n + 2)
    assert rounds.writes - before <= 10


def test_a_back_end_that_stays_down_is_written_about_every_half_minute_at_most() -> None:
    rounds = Rounds().one(queued=1)
    for n in range(3):
        rounds.one(queued=n + 1, error="no")
    before = rounds.writes
    for n in range(30):
        rounds.one(queued=1000 * n, error="no")
    assert rounds.writes - before <= 10


COUNTS = st.builds(Counts, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), COUNTS)), min_size=1, max_size=12))
def test_whatever_the_counters_do_there_is_a_verdict_and_it_comes_to_rest(
    readings: list[dict[str, Counts] | None],
) -> None:
    rounds = Rounds()
    for reading in readings:
        rounds.look(pods=reading, ready=reading is not None)
    last = readings[-1]
    for _ in range(8):
        rounds.look(pods=last, ready=last is not None)
    before = rounds.writes
    for _ in range(5):
        rounds.look(pods=last, ready=last is not None)
    assert rounds.writes == before
    assert rounds.said
