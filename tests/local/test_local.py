"""The tool itself, without a cluster: one at a time, and no fault in taking down what is not there."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cluster import local
from cluster.commands import ClusterError
from cluster.local import LocalCluster
from cluster.spec import spec_of
from cluster.steps import Step


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ODIGOS_CLUSTER_STATE", str(tmp_path))
    monkeypatch.setenv("ODIGOS_CLUSTER_INDEX", "18")
    return tmp_path


def test_of_a_cluster_that_never_was_nothing_runs_and_nothing_is_removed(elsewhere: Path) -> None:
    cluster = LocalCluster("never")
    assert not any(cluster.status().values())
    assert cluster.down() == []


def test_images_for_a_cluster_that_does_not_run_are_refused(elsewhere: Path) -> None:
    with pytest.raises(ClusterError, match="node-a does not run: bring the cluster up first"):
        LocalCluster("never").import_images([])


def test_two_that_work_on_one_cluster_take_turns(elsewhere: Path) -> None:
    spec = spec_of("never")
    done: list[str] = []
    waits = threading.Event()

    class Told(Step):
        def say(self, text: str) -> None:
            waits.set()

    def second() -> None:
        with local._alone(spec, Told("second")):
            done.append("second")

    thread = threading.Thread(target=second)
    with local._alone(spec, None):
        thread.start()
        assert waits.wait(10)
        done.append("first")
    thread.join(10)
    assert done == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--name", "Nonsense"], "no cluster name"),
        (["up", "--name", "other"], "ODIGOS_CLUSTER_INDEX"),
        (["sideways"], "invalid choice"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_answered_in_words(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "cluster", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}, timeout=15
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
