"""The benchmark, small: what it finds is for `make bench-kube` to say; here it must measure, and end, and compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import report, sides
from tests.bench.__main__ import SIDES
from tests.bench.measuring import quantile
from tests.bench.report import MEASURES

LITTLE = ("--pods=200", "--repetitions=1", "--burst=200", "--drips=100", "--applies=100", "--hold=1.1")


@pytest.mark.timeout(1200)  # the program in Go may have to be built first, on a busy machine
def test_a_small_run_measures_every_side_in_everything_and_leaves_nothing_running(tmp_path: Path) -> None:
    result = tmp_path / "kube.json"
    command = [sys.executable, "-m", "tests.bench", *LITTLE, f"--json={result}"]
    done = subprocess.run(
        command, cwd=sides.ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = json.loads(result.read_text())["runs"]["200"]
    assert set(runs) == set(SIDES)
    for name, repetitions in runs.items():
        assert {m.name for m in MEASURES} <= set(repetitions[0]), name
        assert all(value >= 0 for value in repetitions[0].values() if value != repetitions[0]["kb_per_pod"]), name
    assert "200 pods" in done.stdout
    assert [path for path in tmp_path.iterdir() if path.name.startswith("bench-kube-")] == []
    assert _commands_with(str(tmp_path)) == []


def _commands_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command and str(os.getpid()) != path.parent.name:
            found.append(command)
    return found


def test_a_side_that_is_unknown_is_refused_in_words() -> None:
    command = [sys.executable, "-m", "tests.bench", "--sides=odigos-cp;kopf"]
    done = subprocess.run(command, cwd=sides.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such side: kopf" in done.stderr


def _row(measure: str, ours: list[float], **peers: list[float]) -> report.Row:
    by_side = {"ours": ours} | {name.replace("_", "-"): values for name, values in peers.items()}
    (row,) = report.rows({name: [{measure: value} for value in values] for name, values in by_side.items()}, "ours")
    return row


def test_ratios_are_of_medians_to_client_go_and_to_the_best_of_all() -> None:
    row = _row("held_mb", [10.0, 30.0, 20.0], client_go=[50.0], other=[40.0])
    assert (row.to_default, row.to_best, row.verdict) == (0.4, 0.5, report.REACHED)


def test_a_goal_that_is_reached_against_the_defaults_only_is_said_to_be() -> None:
    assert _row("held_mb", [20.0], client_go=[40.0], other=[30.0]).verdict == report.PARTLY
    assert _row("held_mb", [20.0], client_go=[30.0], other=[40.0]).verdict == report.MISSED


def test_where_more_is_better_the_goal_is_a_lower_bound() -> None:
    row = _row("burst_events_per_second", [90.0], client_go=[50.0], other=[100.0])
    assert (row.to_best, row.verdict) == (0.9, report.PARTLY)


def test_what_has_no_goal_or_no_peer_is_neither_reached_nor_missed() -> None:
    assert _row("start_seconds", [1.0], client_go=[0.1]).verdict == ""
    assert _row("held_mb", [1.0]).verdict == ""


def test_memory_a_pod_is_what_came_with_the_pods() -> None:
    runs = report.with_a_pod({"ours": [{"held_mb": 70.0}]}, {"ours": [{"empty_mb": 49.0}, {"empty_mb": 51.0}]}, 10_000)
    assert runs["ours"][0]["kb_per_pod"] == pytest.approx(2.0)


def test_the_table_shows_spread_ratios_and_verdict() -> None:
    text = report.table(1000, [_row("sync_seconds", [1.0, 3.0], client_go=[4.0], other=[8.0])], {}, "ours")
    assert "1.00 / 2.00 / 3.00" in text
    assert text.splitlines()[-1].endswith("| 0.50               | 0.50        | <= 1.0: reached |")


def test_a_quantile_is_one_of_the_values() -> None:
    values = list(range(1, 101))
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert quantile([7], 0.99) == 7
