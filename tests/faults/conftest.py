"""One rig for all who treat it well enough, and one of his own for whoever kills its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.audit import AuditLog
from tests.faults.node import Node, node
from tests.faults.rig import Rig, standing
from tests.faults.stage import Reference, Stage
from tests.faults.story import Story


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """etcd, API server and controllers; who kills one of them takes `own_rig`."""
    with standing(tmp_path_factory.mktemp("rig")) as made:
        made.start_controllers()
        yield made


@pytest.fixture(scope="session")
def fake_node(rig: Rig) -> Iterator[Node]:
    with node(rig) as made:
        yield made


@pytest.fixture
def own_rig(tmp_path: Path) -> Iterator[Rig]:
    """etcd and an API server to be killed, without controllers."""
    with standing(tmp_path / "rig") as made:
        yield made


@contextmanager
def staged(rig: Rig, node: Node, directory: Path) -> Iterator[Stage]:
    """A stage with a story that has begun: its namespaces and its application are there."""
    stage = Stage(rig, node, directory, Story(rig), AuditLog(rig.audit_log))
    stage.since = stage.audit.position
    stage.story.check = stage.check
    try:
        stage.story.prepare()
        yield stage
    finally:
        stage.close()


@pytest.fixture
def stage(rig: Rig, fake_node: Node, tmp_path: Path) -> Iterator[Stage]:
    with staged(rig, fake_node, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def reference(rig: Rig, fake_node: Node, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The story without any fault, once."""
    with staged(rig, fake_node, tmp_path_factory.mktemp("reference")) as made:
        replica = made.start()
        replica.wait_leading()
        told = made.play()
        assert replica.stop() == 0
        made.assert_no_complaints()
        return told
