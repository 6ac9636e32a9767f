"""What every layer of tests shares: one real cluster a session, made only when a test asks for it.

The cluster is named `test` and stands beside the one of `make run`. It is removed at the end, unless `--keep-cluster`
says that the next session shall find it warm; then what the tests made in it, they take away themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from cluster.kubectl import Kubectl

CLUSTER_SECONDS = 300.0
"""So long a cluster may take to stand, its programs built already."""

# A busy machine is no fault of the example; the test as a whole has its time limit.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# Else the first asynchronous test makes Python 3.11 create a loop for the main thread that nobody ever closes.
asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-cluster", action="store_true", help="leave the test cluster running at the end")
    parser.addoption("--cluster-name", default="test", help="name of the local cluster that the tests use")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test on the cluster waits until it stands, which is no fault of the test."""
    cluster = {"kubeconfig", "local_cluster"}
    first = next((item for item in items if cluster.intersection(getattr(item, "fixturenames", ()))), None)
    if first is not None:
        own = first.get_closest_marker("timeout")
        seconds = own.args[0] if own else float(first.config.getini("timeout"))
        first.add_marker(pytest.mark.timeout(seconds + CLUSTER_SECONDS), append=False)


@pytest.fixture(scope="session")
def local_cluster(request: pytest.FixtureRequest) -> Iterator[object]:
    """A running two-node cluster of the project's own."""
    from cluster.local import LocalCluster
    from cluster.steps import Steps

    cluster = LocalCluster(request.config.getoption("--cluster-name"))
    cluster.up(Steps())
    yield cluster
    if not request.config.getoption("--keep-cluster"):
        cluster.down()


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """A kubeconfig with all rights: ODIGOS_TEST_KUBECONFIG's, else of the project's own cluster."""
    given = os.environ.get("ODIGOS_TEST_KUBECONFIG")
    return Path(given) if given else Path(request.getfixturevalue("local_cluster").kubeconfig)


@pytest.fixture(scope="session")
def kubectl(request: pytest.FixtureRequest, kubeconfig: Path) -> Kubectl:
    if os.environ.get("ODIGOS_TEST_KUBECONFIG"):
        return Kubectl(kubeconfig)
    return Kubectl(kubeconfig, request.getfixturevalue("local_cluster").kubectl_path)
