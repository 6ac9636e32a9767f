"""Which process speaks for a container? Pure: from the facts of all its processes to one verdict.

Shells, init processes and the like are dropped by their file, and so is what entered the container from outside (exec,
probes) while the container's own first process is there. Process managers, by their file or arguments, and helpers that
stand beside applications speak only if nothing else is there. Of the rest: whoever listens comes first, web servers in
front of an application later, weak evidence later, ancestors before descendants. If two languages still stand beside
each other, or a compiled program above an interpreter and neither listens, all are told and nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.languages import COMPILED, ENOUGH, UNKNOWN, Evidence, Finding, judge, program

NO_PROCESS, NO_RUNTIME, CONFLICT, UNREADABLE = "noProcess", "noRuntime", "conflict", "unreadable"
REASONS = (NO_PROCESS, NO_RUNTIME, CONFLICT, UNREADABLE)

PROCESSES = 64
"""Of one container are looked at: the lowest pids. The runtime is among them; the rest are workers."""

_WRAPPERS = re.compile(
    # shells and what starts one program and waits
    r"ash|bash|dash|ksh[0-9]*|mksh|sh|zsh|busybox[-.a-z0-9]*|toybox|coreutils|tini(-static)?|dumb-init|docker-init|catatonit"
    r"|pause|systemd|my_init|gosu|su-exec|runuser|setpriv|start-stop-daemon|daemonize"
    # supervisors that are nothing else
    r"|s6-[-a-z0-9]+|runit|runit-init|runsv|runsvdir|svlogd|svscan|supervise|multilog|monit|crond?|anacron|fcron"
    # parts of a runtime that are programs of their own
    r"|epmd|erl_child_setup|inet_gethost|jspawnhelper|chrome_crashpad_handler"
)
"""What starts or serves others, by its file, wherever it lies."""

_TOOLS = re.compile(
    r"(/usr(/local)?)?/s?bin/"
    r"(env|login|su|sudo|doas|setsid|chroot|unshare|nsenter|nohup|nice|ionice|stdbuf|script|time|timeout|flock|chpst|softlimit"
    r"|setuidgid|capsh|strace|ltrace|perf|cat|tail|head|tee|sleep|xargs|watch|inotifywait|inotifywatch|grep|sed|sort|less|more"
    r"|top|htop|ps|find|rsync|cp|ls|curl|wget|nc|nc\.(openbsd|traditional)|ncat|netcat|socat|ssh|sshd|ssh-agent|gpg-agent"
    r"|dbus-daemon|rsyslogd|syslogd|syslog-ng|logrotate|logger|tcpdump|dig|ping|openssl|git|make|vim?(\.[a-z]+)?|nano|screen"
    r"|tmux|gdb|gdbserver|[gmn]?awk|original-awk|psql|mysql|mariadb|redis-cli|valkey-cli)"
)
"""Tools that run beside an application; elsewhere than in the system's directories such a name is an application's."""

_MANAGER_FILES = re.compile(
    r"supervisord|supervisor\.supervisord|circusd|circus|honcho|honcho\.command|foreman|npm|npm-cli\.js|npx|npx-cli\.js"
    r"|yarn|yarn\.js|yarnpkg|yarn-[0-9.]+\.cjs|pnpm|pnpm\.c?js|corepack|pm2|pm2-runtime|pm2-docker|pm2-dev|Daemon\.js|nodemon"
    r"|nodemon\.js|forever|ts-node-dev|concurrently|npm-run-all|run-[sp]|lerna|turbo|nx|my_init|watchmedo|watchfiles|ddtrace-run"
    r"|overmind|hivemind|goreman|forego|process-compose|air|reflex|dockerize|supercronic|kubexit|go-init|envconsul|chamber"
    r"|consul-template|vault-env|vault|containerpilot|pebble|horust|unitd|PassengerAgent|uwsgi-emperor"
)
_MANAGER_TITLES = re.compile(r"(npm (start|run|exec|ci|install|test)\b|PM2 v[0-9]|yarn (start|run)\b|foreman: )")
_HELPERS = re.compile(
    r".+[-_]exporter|fluent-bit|fluentd|filebeat|metricbeat|promtail|vector|telegraf|otelcol[-a-z]*|envoy|pilot-agent|daprd"
    r"|linkerd2-proxy|cloud[-_]sql[-_]proxy|datadog-agent|trace-agent|process-agent|newrelic-infra|statsd|collectd"
    r"|oneagent[a-z]*|memcached|gitaly|esbuild"
)
"""They serve an application, or watch it."""
_WEB_SERVERS = frozenset({"nginx", "apache"})
_PROXIES = re.compile(r"haproxy|traefik|caddy|varnishd|lighttpd|h2o|nghttpx|pgbouncer|stunnel4?|squid")
_SERVER_FILES = re.compile(r"php-fpm[0-9.]*|uwsgi[-_a-z0-9]*")
_SERVER_SCRIPTS = re.compile(
    r"gunicorn3?|uwsgi|uvicorn|hypercorn|daphne|waitress-serve|puma|pumactl|unicorn(_rails)?|thin"
)
_SERVER_TITLES = re.compile(r"(gunicorn: (master|worker)|puma:? [0-9c]|uWSGI |unicorn (master|worker)|Passenger )")
"""Application servers behind a web server listen on a socket of the file system, which is not seen as listening."""
_LISTENS, _WEB_SERVER = 100, -60
_CERTAIN = 80
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
        listens = self.facts.listening or _serves_others(self.facts)
        web_server = self.finding.language in _WEB_SERVERS or _PROXIES.fullmatch(_file(self.facts)) is not None
        return (_LISTENS * listens + _WEB_SERVER * web_server, self.finding.weight >= _CERTAIN)


def choose(processes: Sequence[ProcessFacts]) -> Choice:
    """One verdict, with its evidence."""
    alive = sorted((facts for facts in processes if facts.state not in ("Z", "X")), key=_from_the_top)
    first = alive[0] if alive else None
    if not alive:
        return Choice(UNKNOWN, 0, (), NO_PROCESS, None, None)
    judged = [_Candidate(facts, judge(facts)) for facts in _own(alive) if not is_wrapper(facts)]
    known = [candidate for candidate in judged if candidate.finding.known]
    candidates = [candidate for candidate in known if not _stands_back(candidate.facts)] or known
    if not candidates:
        return replace(_nothing_decides(alive, judged), first=first)
    best = max(candidate.score for candidate in candidates)
    top = [candidate for candidate in candidates if candidate.score == best]
    chosen = next((each for each in top if all(_may_follow(other, each, alive) for other in top)), None)
    if chosen is None or _is_doubtful(chosen, top):
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
    wrappers = [Evidence("wrapper", facts.exe or "", UNKNOWN, 0) for facts in alive if is_wrapper(facts)]
    return Choice(UNKNOWN, 0, _strongest([*seen, *wrappers]), NO_RUNTIME, None, None)


def _from_the_top(facts: ProcessFacts) -> tuple[bool, int, int]:
    """The container's own first process before others; else parents, which have the lower numbers, before children."""
    return (not facts.is_first, len(facts.namespace_pids), facts.pid)


def _own(alive: Sequence[ProcessFacts]) -> Sequence[ProcessFacts]:
    """Without what entered from outside: beside the first process, and not a descendant of it."""
    first = alive[0]
    if not first.is_first or len(alive) >= PROCESSES:
        return alive
    return [facts for facts in alive if facts is first or _descends(facts, first, alive)]


def _file(facts: ProcessFacts) -> str:
    return program(facts).rpartition("/")[2]


def is_wrapper(facts: ProcessFacts) -> bool:
    """By its file; nothing of it is judged."""
    return bool(_WRAPPERS.fullmatch(_file(facts)) or _TOOLS.fullmatch(program(facts)))


def _stands_back(facts: ProcessFacts) -> bool:
    if _MANAGER_TITLES.match(facts.arguments[0] if facts.arguments else ""):
        return True
    file = _file(facts)
    if _MANAGER_FILES.fullmatch(file) or _HELPERS.fullmatch(file):
        return True
    return _MANAGER_FILES.fullmatch(_script(facts.arguments).rpartition("/")[2]) is not None


def _script(arguments: Sequence[str]) -> str:
    """What an interpreter was told to run: its first argument that is no option (or, behind -m, a module)."""
    return next((word for word in arguments[1:] if not word.startswith("-")), "")


def _serves_others(facts: ProcessFacts) -> bool:
    if _SERVER_FILES.fullmatch(_file(facts)):
        return True
    title = facts.arguments[0] if facts.arguments else ""
    script = _script(facts.arguments).rpartition("/")[2]
    return bool(_SERVER_TITLES.match(title) or _SERVER_SCRIPTS.fullmatch(script))


def _is_doubtful(chosen: _Candidate, top: Sequence[_Candidate]) -> bool:
    """A compiled program over an interpreter, and neither listens: it may be the application, or may only start it."""
    beside = {other.finding.language for other in top} - {chosen.finding.language}
    return chosen.finding.language in COMPILED and bool(beside - COMPILED) and not chosen.facts.listening


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
