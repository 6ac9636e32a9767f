"""docs/runtime.md says which test shows what happens under which fault: all are there, and no fault is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "faults"
PAGE = (ROOT / "docs" / "runtime.md").read_text()
PROMISED = [*range(1, 26), 29, *range(31, 36), *range(37, 43), 46, 47, 54]
HAZARDS = range(1, 9)
MENTION = re.compile(r"`((?:tests/\w+/)?test_\w+\.py)(?:::(test_\w+)(\.\.\.)?)?[^`]*`")
SOURCES = {path.name: path.read_text() for path in FAULTS.glob("test_*.py")}


@pytest.mark.parametrize(("file", "test", "more"), MENTION.findall(PAGE))
def test_what_the_page_names_is_there(file: str, test: str, more: str) -> None:
    path = ROOT / file if "/" in file else FAULTS / file
    found = re.findall(r"def (test_\w+)\(", path.read_text())
    assert found, f"{file} has no tests"
    assert not test or any(name.startswith(test) if more else name == test for name in found), f"{file} has no {test}"


@pytest.mark.parametrize("number", PROMISED)
def test_each_promised_fault_is_named_by_a_test_and_told_on_the_page(number: int) -> None:
    assert any(re.search(rf"fault_{number:02}(?!\d)", text) for text in SOURCES.values())
    assert re.search(rf"^\| ([\d, ]*\b){number}\b", PAGE, re.MULTILINE)


@pytest.mark.parametrize("number", HAZARDS)
def test_each_hazard_is_named_by_a_test_and_told_on_the_page(number: int) -> None:
    assert any(re.search(rf"(test_\w*h{number}\b|_h{number}_)", text) for text in SOURCES.values())
    assert f"H{number}" in PAGE
