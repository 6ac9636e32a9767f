"""The report: within its bound, always valid, cut in the promised order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from odigos_cp.detector import languages, report
from odigos_cp.detector.choosing import NO_PROCESS, Choice
from odigos_cp.detector.facts import ElfFacts, Environment, ProcessFacts
from odigos_cp.detector.languages import Evidence
from odigos_cp.detector.report import Answer, render
from tests.detector.proctree import CONTAINER

EVIDENCE = (Evidence("loaded-library", "/x/libjvm.so", "java", 100), Evidence("file-name", "/x/java", "java", 95))
MAIN = ProcessFacts(
    pid=7,
    elf=ElfFacts(interpreter="/lib/ld-musl-x86_64.so.1"),
    environment=Environment(known=True, shown={"JAVA_TOOL_OPTIONS": "-Dx=1", "JAVA_VERSION": "17"}),
    version="17.0.21",
    agents=("datadog",),
)
CHOICE = Choice("java", 100, EVIDENCE, None, MAIN, MAIN)
ANSWER = Answer("app", CONTAINER, CHOICE, 2)

words = st.text(max_size=300)
evidence = st.builds(Evidence, words, words, st.sampled_from(languages.VERDICTS), st.integers(0, 100))
environments = st.builds(Environment, st.booleans(), st.dictionaries(words, words, max_size=12))
processes = st.builds(replace, st.just(MAIN), environment=environments, agents=st.lists(words, max_size=3).map(tuple))
choices = st.builds(
    Choice,
    verdict=st.sampled_from(languages.VERDICTS),
    confidence=st.integers(0, 100),
    evidence=st.lists(evidence, max_size=8).map(tuple),
    reason=st.none() | st.just(NO_PROCESS),
    main=st.none() | processes,
    first=st.none() | processes,
)
answers = st.lists(st.builds(Answer, st.just("app"), st.just(CONTAINER), choices, st.integers(0, 9), st.none() | words))


def rendered(*answers: Answer, limit: int = 4096) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render("ab12", answers, limit))
    return found


@given(answers=answers, limit=st.integers(report.SMALLEST_LIMIT, 8192))
def test_whatever_was_seen_the_report_is_valid_and_within_its_limit(answers: list[Answer], limit: int) -> None:
    said = render("f" * 64, answers, limit)
    found = json.loads(said)
    assert len(said) <= limit
    assert said.isascii()
    assert found["schema"] == 1
    assert len(found["containers"]) == len(answers) or found["truncated"] is True


def test_a_report_that_fits_has_every_field_and_is_not_marked() -> None:
    assert rendered(ANSWER) == {
        "schema": 1,
        "nonce": "ab12",
        "containers": [
            {
                "name": "app",
                "id": CONTAINER[:12],
                "verdict": "java",
                "version": "17.0.21",
                "libc": "musl",
                "confidence": 100,
                "secure": False,
                "injectable": True,
                "agents": ["datadog"],
                "env": {"JAVA_TOOL_OPTIONS": "-Dx=1", "JAVA_VERSION": "17"},
                "envKnown": True,
                "evidence": [
                    {"rule": "loaded-library", "saw": "/x/libjvm.so", "says": "java", "weight": 100},
                    {"rule": "file-name", "saw": "/x/java", "says": "java", "weight": 95},
                ],
                "processes": 2,
                "error": None,
            }
        ],
    }


def test_the_weakest_evidence_goes_first() -> None:
    whole = len(render("ab12", [ANSWER], 4096))
    cut = rendered(replace(ANSWER, error="x" * 90), limit=max(whole + 50, report.SMALLEST_LIMIT))
    assert cut["truncated"]
    assert [item["weight"] for item in cut["containers"][0]["evidence"]] == [100]


def test_a_value_left_out_that_would_be_extended_makes_the_environment_unknown() -> None:
    long = replace(MAIN, environment=Environment(known=True, shown={"JAVA_TOOL_OPTIONS": "-Dx=" + "y" * 500}))
    cut = rendered(replace(ANSWER, choice=replace(CHOICE, first=long)), limit=600)["containers"][0]
    assert (cut["evidence"], cut["env"], cut["envKnown"]) == ([], {}, False)


def test_containers_that_do_not_fit_are_left_out_from_the_end() -> None:
    cut = rendered(*(replace(ANSWER, name=f"app{number}") for number in range(32)), limit=1024)
    assert cut["truncated"]
    names = [container["name"] for container in cut["containers"]]
    assert names == [f"app{number}" for number in range(len(names))]
    assert 2 < len(names) < 32


def test_an_unknown_verdict_carries_its_reason() -> None:
    nothing = rendered(replace(ANSWER, choice=Choice("unknown", 0, (), NO_PROCESS, None, None)))["containers"][0]
    assert (nothing["reason"], nothing["libc"], nothing["envKnown"]) == ("noProcess", None, False)
