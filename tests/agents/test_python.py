"""The Python agent's entry (agents/python/boot/sitecustomize.py), in real interpreters."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.agents.conftest import Application, Island, installed
from tests.waiting import eventually

DELAYS = ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY")
pytestmark = pytest.mark.timeout(420)  # the first test of a language may have to install its agent

SERVER = """
import logging, sys, starlette.applications, starlette.responses, starlette.routing, uvicorn
async def hello(request):
    logging.getLogger("shop").warning("somebody came")
    return starlette.responses.PlainTextResponse("hello")
app = starlette.applications.Starlette(routes=[starlette.routing.Route("/hello", hello)])
config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="info")
uvicorn.Server(config).run()
"""


@pytest.fixture(scope="session")
def agent() -> Path:
    return installed("python")


@pytest.fixture
def env(agent: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(agent / "boot")}


def run(island: Island, env: dict[str, str], code: str, *options: str) -> str:
    """What a short program printed; it must end well."""
    application = island.start(sys.executable, *options, "-c", code, env=env, collector=island.nobody)
    assert application.ended() == 0, application.output
    return application.output


def served(island: Island, env: dict[str, str], collector: str | None = None) -> tuple[str, Application]:
    application = island.start(sys.executable, "-c", SERVER, env=env, collector=collector)
    application.wait_said("running on ")
    url = application.output.split("running on ")[1].split()[0]
    assert island.get(f"{url}/hello") == b"hello"
    return url, application


def test_without_its_packages_the_application_runs_and_one_line_says_so(
    island: Island, tmp_path: Path, agent: Path
) -> None:
    shutil.copytree(agent / "boot", tmp_path / "boot")
    said = run(island, {"PYTHONPATH": str(tmp_path / "boot")}, "print('it runs')")
    assert said.splitlines()[-1] == "it runs"
    assert "odigos-cp: the application runs without telemetry" in said
    assert len(said.splitlines()) == 2


def test_a_setting_that_is_no_number_leaves_the_application_running(island: Island, env: dict[str, str]) -> None:
    said = run(island, env | {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "print('it runs')")
    assert "it runs" in said
    assert "without telemetry: ValueError" in said


def test_what_the_application_brings_itself_wins(island: Island, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "wrapt.py").write_text("__version__ = 'the own one'\n")
    said = run(island, {"PYTHONPATH": f"{env['PYTHONPATH']}:{tmp_path}"}, "import wrapt; print(wrapt.__version__)")
    assert said.splitlines()[-1] == "the own one"


def test_the_hidden_sitecustomize_runs_and_keeps_its_name(island: Island, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("OWN = 'ran'\n")
    said = run(
        island, {"PYTHONPATH": f"{env['PYTHONPATH']}:{tmp_path}"}, "import sitecustomize; print(sitecustomize.OWN)"
    )
    assert said == "ran\n"


def test_an_error_of_the_hidden_sitecustomize_is_told_as_python_tells_it(
    island: Island, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("1 / 0\n")
    said = run(island, {"PYTHONPATH": f"{env['PYTHONPATH']}:{tmp_path}"}, "print('it runs')")
    assert "Error in sitecustomize" in said
    assert "ZeroDivisionError" in said
    assert said.splitlines()[-1] == "it runs"


@pytest.mark.parametrize("option", ["-S", "-I", "-E"])
def test_an_interpreter_that_asks_for_nothing_gets_nothing(island: Island, env: dict[str, str], option: str) -> None:
    said = run(island, env, "import sys; print([m for m in sys.modules if 'opentelemetry' in m])", option)
    assert said == "[]\n"


def test_the_application_and_its_children_see_the_environment_as_it_was(island: Island, env: dict[str, str]) -> None:
    show = "import os; print({k: v for k, v in os.environ.items() if 'TIMEOUT' in k or 'EXPORTER' in k}, flush=True)"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[0] or SHOW])"
    without = run(island, {}, show)
    assert run(island, env, show) == without
    assert run(island, env, f"SHOW = {show!r}\n{show}\n{child.replace('sys.argv[0] or ', '')}") == without * 2


def test_traces_metrics_and_logs_arrive_as_json_under_the_services_name(island: Island, env: dict[str, str]) -> None:
    served(island, env | dict.fromkeys(DELAYS, "100"))
    span = eventually(lambda: next((s for s in island.spans() if s["kind"] == 2), None), "a server's span")
    assert span["name"] == "GET /hello"
    assert span["resource"]["telemetry.sdk.language"] == "python"
    eventually(lambda: "somebody came" in [log["body"] for log in island.memory.logs("tested", 50)], "the log record")
    eventually(lambda: any("http.server" in name for name in island.memory.metrics("tested")), "a metric")
    assert island.kinds == {"application/json"}


@pytest.mark.parametrize("collector", ["nobody", "black_hole"])
def test_a_dead_collector_does_not_hold_up_the_end(island: Island, env: dict[str, str], collector: str) -> None:
    _, application = served(island, env, getattr(island, collector))
    assert application.terminated() < 3


def test_a_dead_collector_does_not_fill_the_applications_log(island: Island, env: dict[str, str]) -> None:
    code = "import logging; logging.basicConfig(level=10); logging.warning('mine')"
    assert run(island, env, code) == "WARNING:root:mine\n"


def test_what_the_application_itself_does_by_http_is_still_told(island: Island, env: dict[str, str]) -> None:
    code = """
import logging, urllib3
logging.basicConfig(level=10)
try:
    urllib3.PoolManager().request("GET", "http://127.0.0.1:1/own", retries=False)
except urllib3.exceptions.HTTPError:
    pass
"""
    assert "DEBUG:urllib3.connectionpool:Starting new HTTP connection (1): 127.0.0.1:1\n" in run(island, env, code)
