"""The UI's address on this machine, held open."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from cluster import door
from cluster.kubectl import Kubectl


@pytest.fixture
def said() -> list[str]:
    return []


def follow(script: str, said: list[str]) -> tuple[int, str]:
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as forward:
        return door._follow(forward, 0, said.append)


def test_a_port_that_somebody_listens_at_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not door.is_free(port)
    assert door.is_free(port)


def test_the_address_is_said_once_and_its_port_kept(said: list[str]) -> None:
    script = "echo 'Forwarding from 127.0.0.1:4321 -> 3000'; echo 'Forwarding from [::1]:4321 -> 3000'"
    assert follow(script, said) == (4321, "")
    assert [text.split("  ")[0] for text in said] == ["UI: http://localhost:4321"]


def test_why_it_closed_is_kubectls_last_word(said: list[str]) -> None:
    script = "echo 'error: lost connection to pod'; echo 'Handling connection for 3000'"
    assert follow(script, said) == (0, "error: lost connection to pod")


def test_more_connections_than_a_pipe_holds_do_not_stop_it(said: list[str]) -> None:
    assert follow("yes 'Handling connection for 3000' | head -n 20000", said) == (0, "")


def test_the_door_closes_when_the_cluster_is_removed_with_its_kubectl(tmp_path: Path, said: list[str]) -> None:
    door.hold(Kubectl(tmp_path / "kubeconfig", tmp_path / "kubectl"), "ui", "system", said.append)
    assert said[-1] == "the cluster has been removed"
