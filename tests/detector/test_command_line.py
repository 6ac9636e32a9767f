"""The command: wrong arguments are answered in words; it runs with the standard library alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import odigos_cp.detector
from odigos_cp.detector.__main__ import main
from tests.detector.proctree import CONTAINER, LIBJVM, ProcTree

TARGET = ["--target", f"app={CONTAINER}"]
NONCE = ["--nonce", "ab12"]
PACKAGE = Path(odigos_cp.detector.__file__).parent


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "output").write_text("left from before")
    return tmp_path / "output"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give 1 to 32 --target"),
        (TARGET, "--nonce HEX is missing"),
        ([*TARGET, *TARGET, *NONCE], "different names"),
        (["--target", "app=123", *NONCE], "--target needs NAME=ID"),
        (["--target", f"App\n={CONTAINER}", *NONCE], "--target needs NAME=ID"),
        ([*TARGET, "--nonce", "xyz"], "--nonce needs 1 to 64 hexadecimal digits, and got 'xyz'"),
        ([*TARGET, *NONCE, *NONCE], "--nonce is given twice"),
        ([*TARGET, *NONCE, "--limit", "100"], "at least 512, and got 100"),
        ([*TARGET, *NONCE, "--pod-uid", "../x"], "--pod-uid needs the uid of a pod"),
        ([*TARGET, *NONCE, "--privileged", "1"], "'--privileged' is not an option"),
        ([*TARGET, "--nonce"], "--nonce needs"),
    ],
)
def test_wrong_arguments_are_explained_in_one_line_of_the_output(output: Path, words: list[str], said: str) -> None:
    assert main(["--output", str(output), *words]) == 2
    line = output.read_text()
    assert said in line
    assert line.count("\n") == 1


def test_an_output_that_is_not_there_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TARGET, *NONCE, "--output", str(tmp_path / "nowhere")]) == 1
    assert "must be an existing file" in capsys.readouterr().err


def test_an_output_that_is_a_link_is_refused(tmp_path: Path, output: Path) -> None:
    (tmp_path / "link").symlink_to(output)
    assert main([*TARGET, *NONCE, "--output", str(tmp_path / "link")]) == 1
    assert output.read_text() == "left from before"


def test_a_proc_that_is_not_there_is_told_in_the_report(output: Path) -> None:
    assert main([*TARGET, *NONCE, "--proc", "/nowhere", "--output", str(output)]) == 0
    assert (
        json.loads(output.read_bytes())["containers"][0]["error"] == "cannot list /nowhere: No such file or directory"
    )


def test_it_runs_with_nothing_but_its_package_and_the_standard_library(proc: ProcTree, tmp_path: Path) -> None:
    proc.process(maps=[LIBJVM])
    shutil.copytree(PACKAGE, tmp_path / "alone/odigos_cp/detector")
    shutil.copy(PACKAGE.parent / "__init__.py", tmp_path / "alone/odigos_cp/")
    command = [
        sys.executable,
        "-S",
        "-m",
        "odigos_cp.detector",
        *TARGET,
        *NONCE,
        "--proc",
        str(proc.root),
        "--output",
        "-",
    ]
    environment = {"PYTHONPATH": str(tmp_path / "alone"), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        command, capture_output=True, timeout=15, stdin=subprocess.DEVNULL, env=environment, cwd=tmp_path, check=True
    )
    assert json.loads(ended.stdout)["containers"][0]["verdict"] == "java"
    assert ended.stderr == b""
