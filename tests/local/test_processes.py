"""Programs that are started once, found again, and started anew only when they must be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cgroups import Tree
from cluster.commands import ClusterError
from cluster.processes import Processes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes real cgroups: needs root")
SLEEP = ["sleep", "100"]


@pytest.fixture
def tree() -> Iterator[Tree]:
    tree = Tree(f"odigos-test-{os.getpid()}")
    yield tree
    tree.kill()
    tree.remove()


@pytest.fixture
def processes(tree: Tree, tmp_path: Path) -> Processes:
    return Processes(tree, tmp_path / "processes", tmp_path / "log")


def test_what_runs_as_wanted_is_left_alone_also_by_a_later_run_of_the_tool(
    processes: Processes, tree: Tree, tmp_path: Path
) -> None:
    assert processes.ensure("node-a/kubelet", SLEEP, "configuration")
    pid = processes.pid("node-a/kubelet")
    later = Processes(tree, tmp_path / "processes", tmp_path / "log")
    assert not later.ensure("node-a/kubelet", SLEEP, "configuration")
    assert later.pid("node-a/kubelet") == pid


@pytest.mark.parametrize(
    ("command", "configuration"), [(["sleep", "99"], "old"), (SLEEP, "new")], ids=["command", "configuration"]
)
def test_what_is_wanted_otherwise_is_started_anew(
    processes: Processes, tree: Tree, command: list[str], configuration: str
) -> None:
    processes.ensure("etcd", SLEEP, "old")
    before = processes.pid("etcd")
    assert processes.ensure("etcd", command, configuration)
    assert processes.pid("etcd") != before
    assert len(tree.pids("etcd")) == 1


def test_what_died_is_started_again(processes: Processes) -> None:
    processes.ensure("etcd", SLEEP)
    pid = processes.pid("etcd")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    processes.wait("it is gone", 5, lambda: True if not processes.alive("etcd") else None)
    assert processes.ensure("etcd", SLEEP)
    assert processes.alive("etcd")


def test_what_it_has_started_goes_on_when_it_is_started_anew(processes: Processes, tree: Tree) -> None:
    """containerd is replaced, its containers stay."""
    processes.ensure("containerd", ["sh", "-c", "setsid sleep 200 & exec sleep 100"])
    processes.wait("both run", 5, lambda: True if len(tree.pids("containerd")) == 2 else None)
    processes.stop("containerd")
    assert len(tree.pids("containerd")) == 1


def test_a_number_that_is_somebody_elses_by_now_is_not_taken_for_ours(processes: Processes, tmp_path: Path) -> None:
    processes.ensure("etcd", SLEEP)
    (tmp_path / "processes/etcd.pid").write_text(str(os.getpid()))
    assert not processes.alive("etcd")
    processes.stop("etcd")  # and this test goes on


@pytest.mark.parametrize("content", ["", "no number", "-1"])
def test_a_spoilt_note_counts_as_none(processes: Processes, tmp_path: Path, content: str) -> None:
    processes.ensure("etcd", SLEEP)
    (tmp_path / "processes/etcd.pid").write_text(content)
    assert processes.pid("etcd") is None


def test_waiting_for_what_has_died_ends_at_once_and_shows_the_end_of_its_log(processes: Processes) -> None:
    processes.ensure("node-a/kubelet", ["sh", "-c", "echo no such flag; exit 3"])
    with pytest.raises(ClusterError, match=r"(?s)Ready: node-a/kubelet has ended.*node-a-kubelet.log.*no such"):
        processes.wait("Ready", 10, lambda: None, ["node-a/kubelet"])


def test_waiting_too_long_shows_the_ends_of_the_logs(processes: Processes) -> None:
    processes.ensure("etcd", SLEEP)
    with pytest.raises(ClusterError, match=r"(?s)ready: not within 0 s.*etcd.log"):
        processes.wait("ready", 0, lambda: None, ["etcd"])


def test_what_does_not_exist_says_so_in_its_log(processes: Processes) -> None:
    processes.ensure("etcd", ["/no/such/program"])
    with pytest.raises(ClusterError, match="No such file"):
        processes.wait("ready", 10, lambda: None, ["etcd"])
