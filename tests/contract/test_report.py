"""The detector and the control plane do not import each other; both say the same contract."""

from __future__ import annotations

from typing import get_args

from odigos_cp.api import report
from odigos_cp.detector import choosing, languages
from odigos_cp.detector import report as spoken
from odigos_cp.detector.facts import Environment, ProcessFacts


def test_both_know_the_same_languages_and_reasons() -> None:
    assert set(report.LANGUAGES) == set(languages.VERDICTS)
    assert set(get_args(report.Reason)) == set(choosing.REASONS)
    assert spoken.SCHEMA == report.SCHEMA


def test_what_the_detector_writes_is_read_whole() -> None:
    facts = ProcessFacts(
        pid=7,
        namespace_pids=(7, 1),
        exe="/usr/bin/python3.11",
        loaded=("/usr/lib/libpython3.11.so.1.0",),
        environment=Environment(known=True, shown={"PYTHONPATH": "/app"}),
        version="3.11.2",
    )
    choice = choosing.choose((facts,))
    text = spoken.render("abc", [spoken.Answer("app", "f" * 64, choice, 1)], 4096).decode()
    read = report.read(text, "abc", {"app": "f" * 64})["app"]
    assert (read.verdict, read.version, read.env, read.env_known) == ("python", "3.11.2", {"PYTHONPATH": "/app"}, True)
    assert read.evidence


def test_the_longest_answer_is_still_read() -> None:
    facts = ProcessFacts(
        pid=7, namespace_pids=(7, 1), exe="/x" * 2000, loaded=("/usr/lib/libpython3.11.so" + "y" * 900,)
    )
    answers = [spoken.Answer(f"c{n}", "f" * 64, choosing.choose((facts,)), 1) for n in range(16)]
    text = spoken.render("abc", answers, 4096).decode()
    assert len(report.read(text, "abc", {f"c{n}": "f" * 64 for n in range(16)})) == 16
