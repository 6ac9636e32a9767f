"""The Java agent as it is injected: JAVA_TOOL_OPTIONS, in a real JVM that runs the shop's pricing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.agents.conftest import ROOT, Application, Island, installed
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(420)  # the first test of a language may have to install its agent


@pytest.fixture(scope="session")
def agent() -> Path:
    return installed("java")


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("classes")
    source = ROOT / "demo/shop/pricing-java/Pricing.java"
    subprocess.run(["javac", "-d", target, source], check=True, stdin=subprocess.DEVNULL, timeout=60)
    return target


def priced(island: Island, agent: Path, classes: Path, collector: str | None = None) -> Application:
    env = {
        "JAVA_TOOL_OPTIONS": f"-Xmx96m -javaagent:{agent}/javaagent.jar",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PORT": "8500",
    }
    application = island.start("java", "-cp", str(classes), "Pricing", env=env, collector=collector)
    application.wait_said("pricing listens on")
    assert island.get("http://127.0.0.1:8500/price?item=tea") == b'{"price": 3.5}'
    return application


def test_spans_arrive_and_the_options_of_the_application_stay(island: Island, agent: Path, classes: Path) -> None:
    application = priced(island, agent, classes)
    span = eventually(lambda: next((s for s in island.spans() if s["kind"] == 2), None), "a server's span")
    assert span["name"] == "GET /price"
    assert span["resource"]["telemetry.sdk.language"] == "java"
    assert "at most 96 MB" in application.output


@pytest.mark.parametrize("collector", ["nobody", "black_hole"])
def test_a_dead_collector_does_not_hold_up_the_end(island: Island, agent: Path, classes: Path, collector: str) -> None:
    application = priced(island, agent, classes, getattr(island, collector))
    assert application.terminated() < 3
    assert "pricing closed" in application.output
