"""Which process speaks for a container? Pure: from the facts of all its processes to one verdict.

Shells, init processes and the like are dropped by their file, process managers by their arguments (unless nothing else
is there). Of the rest: whoever listens comes first, web servers in front of an application later, weak evidence later,
ancestors before descendants. If two languages still stand beside each other, both are told and nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.languages import ENOUGH, STRONG, UNKNOWN, Evidence, Finding, judge

NO_PROCESS, NO_RUNTIME, CONFLICT, UNREADABLE = "noProcess", "noRuntime", "conflict", "unreadable"
REASONS = (NO_PROCESS, NO_RUNTIME, CONFLICT, UNREADABLE)

WRAPPERS = frozenset({
    "ash", "bash", "busybox", "busybox.static", "cat", "catatonit", "chroot", "coreutils", "cron", "crond", "dash",
    "docker-init", "dumb-init", "env", "gosu", "ksh", "login", "pause", "runsv", "runsvdir", "runuser", "s6-linux-init",
    "s6-overlay-suexec", "s6-supervise", "s6-svscan", "setpriv", "sh", "sleep", "su", "su-exec", "sudo", "tail", "tee",
    "timeout", "tini", "tini-static", "toybox", "xargs", "zsh",
})  # fmt: skip
_MANAGER_FILES = re.compile(
    r"supervisord|circusd|honcho|npm|npm-cli\.js|npx|npx-cli\.js|yarn|yarn\.js|yarnpkg|pnpm|pnpm\.c?js|pm2|pm2-runtime|pm2-docker"
    r"|nodemon|nodemon\.js|ts-node-dev|concurrently"
)
_MANAGER_TITLES = re.compile(r"(npm (start|run|exec|ci|install|test)\b|PM2 v[0-9]|yarn (start|run)\b)")
_WEB_SERVERS = frozenset({"nginx", "apache"})
_LISTENS, _WEB_SERVER = 100, -60
_EVIDENCE = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """The verdict about one container."""

    verdict: str
    confidence: int
    evidence: tuple[Evidence, ...]
    reason: str | None
    """Why it is unknown; None if it is known."""
    main: ProcessFacts | None
    """The process that speaks; None if none does."""
    first: ProcessFacts | None
    """The container's first process: what the image and the pod's spec say stands in its environment."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    facts: ProcessFacts
    finding: Finding

    @property
    def score(self) -> tuple[int, bool]:
        listens = self.facts.listening or "php-fpm" in (self.facts.exe or "")
        web_server = self.finding.language in _WEB_SERVERS
        return (_LISTENS * listens + _WEB_SERVER * web_server, self.finding.weight >= STRONG)


def choose(processes: Sequence[ProcessFacts]) -> Choice:
    """One verdict, with its evidence."""
    alive = sorted((facts for facts in processes if facts.state not in ("Z", "X")), key=_from_the_top)
    first = alive[0] if alive else None
    if not alive:
        return Choice(UNKNOWN, 0, (), NO_PROCESS, None, None)
    judged = [_Candidate(facts, judge(facts)) for facts in alive if _file(facts) not in WRAPPERS]
    known = [candidate for candidate in judged if candidate.finding.known]
    candidates = [candidate for candidate in known if not _is_manager(candidate.facts)] or known
    if not candidates:
        return replace(_nothing_decides(alive, judged), first=first)
    best = max(candidate.score for candidate in candidates)
    top = [candidate for candidate in candidates if candidate.score == best]
    chosen = next((each for each in top if all(_may_follow(other, each, alive) for other in top)), None)
    if chosen is None:
        told = [item for candidate in top for item in candidate.finding.evidence]
        return Choice(UNKNOWN, 0, _strongest(told), CONFLICT, None, first)
    others = {
        other.finding.language: other for other in reversed(known) if other.finding.language != chosen.finding.language
    }
    told = [*chosen.finding.evidence, *(_beside(other) for other in others.values())]
    return Choice(chosen.finding.language, chosen.finding.weight, _strongest(told), None, chosen.facts, first)


def _nothing_decides(alive: Sequence[ProcessFacts], judged: Sequence[_Candidate]) -> Choice:
    conflicts = [item for candidate in judged if candidate.finding.conflict for item in candidate.finding.evidence]
    if conflicts:
        return Choice(UNKNOWN, 0, _strongest(conflicts), CONFLICT, None, None)
    blind = [facts for facts in alive if {"exe", "loaded"} & set(facts.unreadable)]
    if blind:
        told = [Evidence("unreadable", ", ".join(blind[0].unreadable), UNKNOWN, 0)]
        return Choice(UNKNOWN, 0, tuple(told), UNREADABLE, None, None)
    seen = [item for candidate in judged for item in candidate.finding.evidence]
    wrappers = [Evidence("wrapper", facts.exe or "", UNKNOWN, 0) for facts in alive if _file(facts) in WRAPPERS]
    return Choice(UNKNOWN, 0, _strongest([*seen, *wrappers]), NO_RUNTIME, None, None)


def _from_the_top(facts: ProcessFacts) -> tuple[bool, int, int]:
    """The container's own first process before others; else parents, which have the lower numbers, before children."""
    return (not facts.is_first, len(facts.namespace_pids), facts.pid)


def _file(facts: ProcessFacts) -> str:
    return (facts.exe or "").rpartition("/")[2]


def _is_manager(facts: ProcessFacts) -> bool:
    if _MANAGER_TITLES.match(facts.arguments[0] if facts.arguments else ""):
        return True
    return any(_MANAGER_FILES.fullmatch(word.rpartition("/")[2]) for word in facts.arguments[:2])


def _may_follow(other: _Candidate, chosen: _Candidate, alive: Sequence[ProcessFacts]) -> bool:
    return other.finding.language == chosen.finding.language or _descends(other.facts, chosen.facts, alive)


def _descends(facts: ProcessFacts, ancestor: ProcessFacts, all_of_them: Sequence[ProcessFacts]) -> bool:
    parents = {each.pid: each.parent for each in all_of_them}
    here = facts.pid
    for _ in range(len(parents)):
        here = parents.get(here, 0)
        if here == ancestor.pid:
            return True
        if not here:
            return False
    return False


def _beside(other: _Candidate) -> Evidence:
    return Evidence(
        "another-process", other.facts.exe or "", other.finding.language, min(other.finding.weight, ENOUGH - 1)
    )


def _strongest(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted(dict.fromkeys(evidence), key=lambda item: -item.weight)[:_EVIDENCE])
