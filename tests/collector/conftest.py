"""The real collector, as built for the local cluster, on loopback. Building it takes minutes, the first time only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from cluster import builds
from tests.collector.running import Collector
from tests.collector.store import Store

Start = Callable[..., Collector]
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the build; each wait within a test has a limit of its own."""
    for item in items:
        if "tests/collector" in str(item.path):
            item.add_marker(pytest.mark.timeout(builds.BUILD_SECONDS))


@pytest.fixture(scope="session")
def binary() -> Path:
    return builds.collector()


@pytest.fixture
def start(binary: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a collector with a configuration; all are stopped at the end of the test."""
    with ExitStack() as running:

        def start_one(name: str, text: str, **more: object) -> Collector:
            made = Collector(binary, tmp_path / name, text, **more)  # type: ignore[arg-type]
            running.callback(made.kill)
            made.start()
            return made

        yield start_one


@pytest.fixture
def store() -> Iterator[Store]:
    """The demo's destination, receiving OTLP over HTTP."""
    with Store() as running:
        yield running
