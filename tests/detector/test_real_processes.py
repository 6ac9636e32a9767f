"""Real processes of this machine, looked at as the kernel shows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from odigos_cp.detector import languages, procfs
from odigos_cp.detector.examination import Subject, examine
from odigos_cp.detector.facts import ProcessFacts

Look = Callable[..., ProcessFacts]

SERVE_PYTHON = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print('up', flush=True); sys.stdin.read()"
)
SERVE_NODE = (
    "require('http').createServer().listen(0, '127.0.0.1', () => console.log('up')); process.title = 'python app.py'"
)


@pytest.fixture
def look() -> Iterator[Look]:
    """Starts a program that says `up`, and looks at it."""
    with ExitStack() as ending:

        def start_and_look(*command: str, user: int | None = None, **environment: str) -> ProcessFacts:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PATH": os.environ["PATH"], **environment},
                cwd="/",
                user=user,
            )
            ending.callback(_end, process)
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"up"
            directory = os.open(f"/proc/{process.pid}", os.O_PATH | os.O_DIRECTORY)
            ending.callback(os.close, directory)
            held = procfs.Process(process.pid, directory)
            (facts,) = examine([Subject(held, held.status())], time.monotonic() + 10).facts
            return facts

        yield start_and_look


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=10)


def test_this_python_is_python_of_its_version(look: Look) -> None:
    facts = look(sys.executable, "-c", SERVE_PYTHON, PYTHONPATH="/nowhere")
    assert languages.judge(facts).language == "python"
    assert facts.version
    assert ".".join(map(str, sys.version_info[:3])).startswith(facts.version)
    assert facts.environment.shown == {"PYTHONPATH": "/nowhere"}
    assert facts.listening
    assert facts.unreadable == ()


def test_node_is_node_under_a_false_title_and_a_stale_variable(look: Look) -> None:
    facts = look("node", "-e", SERVE_NODE, NODE_VERSION="9.9.9")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    assert languages.judge(facts).language == "nodejs"
    assert facts.version == told.strip().removeprefix("v")


@pytest.mark.timeout(120)
def test_java_is_java_of_the_version_it_says(look: Look, tmp_path: Path) -> None:
    body = 'System.out.println("up"); System.in.read();'
    source = f"class Up {{ public static void main(String[] a) throws Exception {{ {body} }} }}"
    (tmp_path / "Up.java").write_text(source)
    facts = look("java", "-Xmx64m", str(tmp_path / "Up.java"), JAVA_TOOL_OPTIONS="-Dx=1")
    told = subprocess.run(["java", "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=30)
    version = re.search(r"java\.version = (\S+)", told.stderr)
    assert version
    assert languages.judge(facts).language == "java"
    assert facts.version == version.group(1)
    assert facts.environment.shown == {"JAVA_TOOL_OPTIONS": "-Dx=1"}


def test_the_process_of_another_user_is_read_whole(look: Look) -> None:
    """As root: the child becomes that user, and keeps one capability. As anyone else: one's own process."""
    user = 65534 if os.geteuid() == 0 else None
    facts = look("/bin/sh", "-c", "echo up; read x", user=user, OTEL_SERVICE_NAME="cart")
    assert facts.environment.known
    assert facts.environment.shown == {"OTEL_SERVICE_NAME": "cart"}
    assert facts.unreadable == ()
