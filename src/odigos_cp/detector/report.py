"""What does the detector answer? The JSON contract with the control plane, and its bounds.

    {"schema":1, "nonce":"..", "containers":[{"name":"app", "id":"<12 hex>", "verdict":"java", "version":"17.0.21",
     "libc":"glibc", "confidence":100, "secure":false, "injectable":true, "agents":[],
     "env":{"JAVA_TOOL_OPTIONS":".."}, "envKnown":true,
     "evidence":[{"rule":"loaded-library", "saw":"/usr/lib/jvm/..", "says":"java", "weight":100}],
     "processes":2, "error":null}]}

- `verdict` is one of `languages.VERDICTS`; unknown has a `reason`, one of `choosing.REASONS`, known has none.
- `version` and `libc` are null where not known; `libc` is glibc, musl, static or null; `error` is a sentence or null.
- `injectable`: whether a variable in the environment can bring an agent in; null where nothing speaks.
- `envKnown` false: `env` may lack something that an instrumentation would have to extend.
- The answer is ASCII and at most `limit` bytes. What does not fit is left out: evidence first, the weakest before the
  stronger, then environment values, the longest first, then whole containers from the end; `"truncated":true` tells it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from odigos_cp.detector import injectable
from odigos_cp.detector.choosing import Choice
from odigos_cp.detector.environment import EXTENDED
from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.languages import program

SCHEMA = 1
SAW_LIMIT = 160
ERROR_LIMIT = 200
SMALLEST_LIMIT = 512

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be said of one container."""

    name: str
    container_id: str
    choice: Choice
    processes: int
    error: str | None = None


def render(nonce: str, answers: Iterable[Answer], limit: int) -> bytes:
    """The report: always valid JSON, never longer than `limit` (which is at least SMALLEST_LIMIT)."""
    containers = [_container(answer) for answer in answers]
    report: dict[str, Any] = {"schema": SCHEMA, "nonce": nonce, "containers": containers}
    if len(_dump(report)) > limit:
        report["truncated"] = True
        _cut(report, limit)
    return _dump(report)


def _container(answer: Answer) -> dict[str, Any]:
    choice = answer.choice
    main, first = choice.main, choice.first
    speaker = main or first
    environment = first.environment if first else None
    told: dict[str, Any] = {
        "name": answer.name,
        "id": answer.container_id[:12],
        "verdict": choice.verdict,
        "version": main.version if main else None,
        "libc": libc(speaker) if speaker else None,
        "confidence": choice.confidence,
        "secure": bool(speaker and speaker.secure),
        "injectable": injectable.is_injectable(choice.verdict, main) if main else None,
        "agents": list(agents_of(choice)),
        "env": dict(environment.shown) if environment else {},
        "envKnown": bool(environment and environment.known),
        "evidence": [
            {"rule": item.rule, "saw": _clean(item.saw, SAW_LIMIT), "says": item.says, "weight": item.weight}
            for item in choice.evidence
        ],
        "processes": answer.processes,
        "error": _clean(answer.error, ERROR_LIMIT) if answer.error else None,
    }
    return told | ({"reason": choice.reason} if choice.reason else {})


def agents_of(choice: Choice) -> tuple[str, ...]:
    """Those of the process that speaks; where its environment is out of sight, also what the first one was given."""
    main, first = choice.main, choice.first
    witnesses = (main,) if main and main.environment.known else (main, first)
    return tuple(sorted({agent for facts in witnesses if facts for agent in facts.agents}))


def libc(facts: ProcessFacts) -> str | None:
    """By the loader that the file asks for, or, of one started by naming the loader, by that."""
    elf = facts.elf
    if elf is None:
        return None
    loader = facts.exe if program(facts) != (facts.exe or "") else elf.interpreter
    if loader is None:
        return "static"
    if "musl" in loader:
        return "musl"
    return "glibc" if re.search(r"/ld(-linux|64)?[^/]*\.so", loader) else None


def _cut(report: dict[str, Any], limit: int) -> None:
    containers: list[dict[str, Any]] = report["containers"]
    for leave_out in (_weakest_evidence, _longest_value, _last_container):
        while len(_dump(report)) > limit and leave_out(containers):
            continue


def _weakest_evidence(containers: list[dict[str, Any]]) -> bool:
    """Leaves one thing out; false if there is none. So do its neighbours."""
    items = [(container, item) for container in containers for item in container["evidence"]]
    if not items:
        return False
    container, item = min(items, key=lambda pair: (pair[1]["weight"], -len(pair[1]["saw"])))
    container["evidence"].remove(item)
    return True


def _longest_value(containers: list[dict[str, Any]]) -> bool:
    items = [(container, name) for container in containers for name in container["env"]]
    if not items:
        return False
    container, name = max(items, key=lambda pair: len(pair[0]["env"][pair[1]]))
    del container["env"][name]
    container["envKnown"] &= name not in EXTENDED
    return True


def _last_container(containers: list[dict[str, Any]]) -> bool:
    return bool(containers and containers.pop())


def _dump(report: dict[str, Any]) -> bytes:
    return json.dumps(report, separators=(",", ":"), allow_nan=False).encode("ascii")


def _clean(text: str, limit: int) -> str:
    """A stranger's text as one bounded line."""
    return _UNPRINTABLE.sub("?", text)[:limit]
