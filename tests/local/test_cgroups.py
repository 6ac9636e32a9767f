"""The tree that every process of a cluster is in: on machines of each kind, and how it ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cgroups import Hierarchies, Tree, hierarchies
from cluster.commands import ClusterError

V1 = """\
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
"""
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n"
OTHERS = "proc /proc proc rw 0 0\ntmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0\n"


def test_on_cgroup_v1_containers_are_in_each_hierarchy_and_counted_in_pids() -> None:
    found = hierarchies(OTHERS + V1)
    assert found.counting == Path("/sys/fs/cgroup/pids")
    assert len(found.controllers) == 3


def test_on_cgroup_v2_there_is_one_for_all() -> None:
    assert hierarchies(OTHERS + V2) == Hierarchies((Path("/sys/fs/cgroup"),), Path("/sys/fs/cgroup"))


def test_on_a_mix_of_both_v1_counts_and_both_are_cleaned() -> None:
    mixed = hierarchies(V1 + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "))
    assert mixed.counting == Path("/sys/fs/cgroup/pids")
    assert Path("/sys/fs/cgroup/unified") in mixed.controllers


def test_a_machine_without_cgroups_is_refused_in_words() -> None:
    with pytest.raises(ClusterError, match="neither a cgroup v1 hierarchy with pids nor cgroup v2"):
        hierarchies(OTHERS)


def test_a_cpuset_gets_the_processors_of_its_parents(tmp_path: Path) -> None:
    """As in cgroup v1, where a new one has none; the kernel makes the files."""
    places = [tmp_path, tmp_path / "odigos", tmp_path / "odigos/node"]
    for place, text in zip(places, ("0-1\n", "\n", "\n"), strict=True):
        place.mkdir(exist_ok=True)
        (place / "cpuset.cpus").write_text(text)
    Tree("odigos", Hierarchies((tmp_path,), tmp_path)).make("node")
    assert [(place / "cpuset.cpus").read_text() for place in places] == ["0-1\n"] * 3


def test_on_cgroup_v2_only_the_controllers_that_there_are_are_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids rdma\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    Tree("odigos", Hierarchies((tmp_path,), tmp_path)).make("node")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes real cgroups: needs root")


@pytest.fixture
def tree() -> Iterator[Tree]:
    tree = Tree(f"odigos-test-{os.getpid()}")
    yield tree
    tree.kill()
    tree.remove()
    assert not tree.exists()


@needs_root
def test_what_left_its_session_and_its_parent_is_found_and_ended_all_the_same(tree: Tree) -> None:
    leaf = tree.leaf("deep/one")
    script = f"echo $$ > {leaf}/cgroup.procs; setsid sh -c 'sleep 100 & sleep 100 & exit' & wait"
    subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, timeout=10, check=True)
    assert len(tree.pids()) == 2
    assert tree.kill("deep") == 2
    assert tree.pids() == []


@needs_root
def test_removing_what_is_not_there_is_no_fault(tree: Tree) -> None:
    tree.remove("nothing")
    assert tree.kill("nothing") == 0
