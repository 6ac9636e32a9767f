"""The text that Prometheus reads."""

from __future__ import annotations

import pytest

from odigos_cp.kube import metrics


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_registry", {})


def test_a_counter_without_labels_is_there_from_the_beginning() -> None:
    metrics.counter("c_total", "Things.")
    assert metrics.render() == "# HELP c_total Things.\n# TYPE c_total counter\nc_total 0\n"


def test_label_values_are_escaped() -> None:
    metrics.gauge("g", "Things.", "name").set(1.5, 'a"b\\c\nd')
    assert 'g{name="a\\"b\\\\c\\nd"} 1.5\n' in metrics.render()


def test_a_histogram_counts_into_every_bucket_above() -> None:
    seconds = metrics.histogram("h", "Things.", "verb", buckets=(1, 5))
    for value in (0.5, 5, 7):
        seconds.observe(value, "get")
    assert metrics.render().splitlines()[2:] == [
        'h_bucket{verb="get",le="1"} 1',
        'h_bucket{verb="get",le="5"} 2',
        'h_bucket{verb="get",le="+Inf"} 3',
        'h_sum{verb="get"} 12.5',
        'h_count{verb="get"} 3',
    ]


def test_labels_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 2)
    counter = metrics.counter("c_total", "Things.", "pod")
    for pod in ("a", "b", "c", "d"):
        counter.inc(pod)
    assert (counter.value("a"), counter.value("other")) == (1, 2)


def test_a_wrong_number_of_labels_is_a_bug_that_says_so() -> None:
    with pytest.raises(ValueError, match="labels"):
        metrics.counter("c_total", "Things.", "verb").inc()


def test_one_name_is_one_metric() -> None:
    metrics.counter("c_total", "Things.")
    with pytest.raises(ValueError, match="made twice"):
        metrics.counter("c_total", "Things.")
