"""The Node.js agent's entry (agents/nodejs/shim.cjs), in real processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.agents.conftest import Application, Island, installed
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(420)  # the first test of a language may have to install its agent

CJS = "const http = require('node:http');\n"
ESM = "import http from 'node:http';\n"
SERVER = """
const server = http.createServer((request, response) => response.end('hello'));
server.listen(0, '127.0.0.1', () => console.log(`running on ${server.address().port}.`));
"""
OWN_HANDLER = "process.on('SIGTERM', () => { console.log('own handler'); process.exit(7); });\n"


@pytest.fixture(scope="session")
def agent() -> Path:
    return installed("nodejs")


@pytest.fixture
def env(agent: Path) -> dict[str, str]:
    return {"NODE_OPTIONS": f"--require {agent}/shim.cjs"}


def serve(island: Island, file: Path, code: str, env: dict[str, str], collector: str | None = None) -> Application:
    file.write_text(code)
    application = island.start("node", str(file), env=env, collector=collector)
    application.wait_said("running on ")
    port = application.output.split("running on ")[1].split(".")[0]
    assert island.get(f"http://127.0.0.1:{port}/hello") == b"hello"
    return application


def test_without_its_packages_the_application_runs_and_one_line_says_so(
    island: Island, tmp_path: Path, agent: Path
) -> None:
    shim = tmp_path / "shim.cjs"
    shim.write_bytes((agent / "shim.cjs").read_bytes())
    application = island.start("node", "--require", str(shim), "-e", "console.log('it runs')", env={})
    assert application.ended() == 0
    first, last = application.output.splitlines()[0], application.output.splitlines()[-1]
    assert first.startswith("odigos-cp: the application runs without telemetry: Cannot find module")
    assert last == "it runs"


def test_a_node_that_is_too_old_for_the_sdk_is_left_alone(island: Island, tmp_path: Path, agent: Path) -> None:
    old = tmp_path / "old.cjs"
    old.write_text("Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '16.20.2' } });")
    show = "console.log(Object.keys(require.cache).some((file) => file.includes('opentelemetry')))"
    application = island.start("node", "-r", str(old), "-r", f"{agent}/shim.cjs", "-e", show, env={})
    assert application.ended() == 0
    assert application.output == "false\n"


@pytest.mark.parametrize(("name", "head"), [("app.cjs", CJS), ("app.mjs", ESM)])
def test_spans_arrive_from_both_kinds_of_modules(
    island: Island, env: dict[str, str], tmp_path: Path, name: str, head: str
) -> None:
    application = serve(island, tmp_path / name, head + SERVER, env | {"OTEL_BSP_SCHEDULE_DELAY": "100"})
    span = eventually(lambda: next((s for s in island.spans() if s["kind"] == 2), None), "a server's span")
    assert span["attributes"].get("http.target", span["attributes"].get("url.path")) == "/hello"
    assert span["resource"]["telemetry.sdk.language"] == "nodejs"
    assert len(application.output.splitlines()) == 1  # nothing but what the application says


def test_what_is_not_sent_yet_is_sent_when_the_process_is_terminated(
    island: Island, env: dict[str, str], tmp_path: Path
) -> None:
    application = serve(island, tmp_path / "app.cjs", CJS + SERVER, env | {"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    assert island.spans() == []
    application.terminated()
    assert application.process.returncode == -signal.SIGTERM
    assert [span["kind"] for span in island.spans()] == [2]


@pytest.mark.parametrize("collector", ["nobody", "black_hole"])
def test_a_dead_collector_does_not_hold_up_the_end(
    island: Island, env: dict[str, str], tmp_path: Path, collector: str
) -> None:
    application = serve(island, tmp_path / "app.cjs", CJS + SERVER, env, getattr(island, collector))
    assert application.terminated() < 3
    assert application.process.returncode == -signal.SIGTERM


def test_the_applications_own_handler_is_the_only_one(island: Island, env: dict[str, str], tmp_path: Path) -> None:
    count = "console.log(process.listenerCount('SIGTERM'));\n"
    application = serve(island, tmp_path / "app.cjs", CJS + OWN_HANDLER + count + SERVER, env, island.nobody)
    assert application.terminated() < 1
    assert application.process.returncode == 7
    assert application.output.splitlines()[0] == "1"


def test_a_program_that_is_done_ends_soon_without_a_collector(island: Island, env: dict[str, str]) -> None:
    application = island.start("node", "-e", "console.log('done')", env=env, collector=island.black_hole)
    assert application.ended(seconds=6) == 0
    assert application.output == "done\n"


def test_the_first_process_of_a_container_ignores_sigterm_as_without_the_agent(
    island: Island, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "app.cjs"
    file.write_text(f"console.log('pid', process.pid, 'listens', process.listenerCount('SIGTERM'));\n{CJS}{SERVER}")
    application = island.start("unshare", "--pid", "--fork", "--kill-child", "node", str(file), env=env)
    application.wait_said("running on ")
    assert application.output.startswith("pid 1 listens 0\n")
