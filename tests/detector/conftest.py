"""The detector on a /proc of files, and how to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odigos_cp.detector.__main__ import main
from tests.detector.proctree import CONTAINER, POD, ProcTree

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


@pytest.fixture
def ask(proc: ProcTree, tmp_path: Path) -> Ask:
    """Runs the whole detector over the tree; the answer about the container `app`."""
    output = tmp_path / "termination-log"
    output.touch()

    def run(*more: str) -> dict[str, Any]:
        words = ["--target", f"app={CONTAINER}", "--pod-uid", POD, "--nonce", "ab12"]
        assert main([*words, "--proc", str(proc.root), "--output", str(output), *more]) == 0
        report = json.loads(output.read_bytes())
        assert report["nonce"] == "ab12"
        answer: dict[str, Any] = report["containers"][0]
        return answer

    return run
