"""How are many processes looked at, each as its own user, with none able to stop us?

For each user one child is forked; it becomes that user, can from then on only read and answer (`confinement`), and
writes one line of facts a process into a pipe. A process that it hangs on for two seconds ends the child, by its own
alarm (we may not have the right to kill a child that has become someone else); that process is told as unreadable, and
a new child goes on with the next one. What a user cannot read of his own processes (a set-uid program), a further child
reads as we are.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from odigos_cp.detector import confinement, privileges
from odigos_cp.detector.facts import ProcessFacts, decode, encode
from odigos_cp.detector.look import Looker
from odigos_cp.detector.procfs import Process, Status

SILENCE_SECONDS = 2.0
GRACE_SECONDS = 0.5
_LINE_LIMIT = 4 * 1024 * 1024
_ALL_FIELDS = ("exe", "loaded", "arguments", "environment", "listening", "elf", "secure")


@dataclass(frozen=True, slots=True)
class Subject:
    """A process to look at, and what anyone may know of it."""

    process: Process
    status: Status


@dataclass(frozen=True, slots=True)
class Examination:
    """What was seen, and what went wrong, in words."""

    facts: tuple[ProcessFacts, ...]
    troubles: tuple[str, ...]
    left: tuple[Subject, ...] = ()
    """Not looked at yet, because too many before them hung: `facts` has nothing of them."""

    def followed_by(self, later: Examination) -> Examination:
        return Examination((*self.facts, *later.facts), (*self.troubles, *later.troubles), later.left)


def examine(
    subjects: Sequence[Subject], deadline: float, secrets: Iterable[int] = (), hangs: int | None = None
) -> Examination:
    """Facts of each subject, in order, until the (monotonic) deadline; no child keeps the descriptors in `secrets`.

    After so many `hangs` (None: however many) the rest is left for later: others wait too.
    """
    seen: dict[int, ProcessFacts] = {}
    troubles: list[str] = []
    for subject in subjects:
        if hangs is not None and len(troubles) >= hangs:
            break
        if subject.process.pid not in seen:
            same = [other for other in subjects if _user(other) == _user(subject)]
            seen.update(_look_at_all(same, subject.status, deadline, secrets, troubles, hangs))
    left = [subject for subject in subjects if subject.process.pid not in seen]
    looked = [subject for subject in subjects if subject.process.pid in seen]
    gaps = [each for each in looked if each.status.uid != os.geteuid() and _has_gaps(seen[each.process.pid])]
    for pid, facts in _look_at_all(gaps, None, deadline, secrets, []).items():
        seen[pid] = seen[pid].completed_by(facts)
    return Examination(tuple(seen[subject.process.pid] for subject in looked), tuple(troubles), tuple(left))


def _has_gaps(facts: ProcessFacts) -> bool:
    """Something could not be read; if nothing at all could be, the process has ended, or hangs whoever looks at it."""
    return facts.unreadable not in ((), _ALL_FIELDS)


def _user(subject: Subject) -> tuple[int, int]:
    return subject.status.uid, subject.status.gid


def _look_at_all(
    subjects: Sequence[Subject],
    user: Status | None,
    deadline: float,
    secrets: Iterable[int],
    troubles: list[str],
    hangs: int | None = None,
) -> Mapping[int, ProcessFacts]:
    """Child after child, until each subject has facts or is told as unreadable, or too many hang."""
    seen: dict[int, ProcessFacts] = {}
    left = list(subjects)
    while left:
        if time.monotonic() >= deadline:
            troubles.append(f"out of time with {len(left)} processes left")
            break
        lines, trouble = _one_child(left, user, deadline, secrets)
        for subject, line in zip(left, lines, strict=False):
            try:
                seen[subject.process.pid] = decode(line)
            except (ValueError, TypeError, AttributeError):
                seen[subject.process.pid] = _blind(subject)
        left = left[len(lines) :]
        if left:
            stuck, left = left[0], left[1:]
            seen[stuck.process.pid] = _blind(stuck)
            troubles.append(f"process {stuck.process.pid} {trouble}")
            if hangs is not None and len(troubles) >= hangs:
                return seen
    seen.update({subject.process.pid: _blind(subject) for subject in left})
    return seen


def _one_child(
    subjects: Sequence[Subject], user: Status | None, deadline: float, secrets: Iterable[int]
) -> tuple[list[bytes], str]:
    """The lines of one child, and how it ended."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return [], f"could not be looked at: {error.strerror}"
    if child == 0:
        _be_the_child(subjects, user, (reading, *secrets), writing)
    os.close(writing)
    lines: list[bytes] = []
    rest = b""
    try:
        while len(lines) < len(subjects):
            patience = min(SILENCE_SECONDS + GRACE_SECONDS, deadline - time.monotonic())
            ready, _, _ = select.select([reading], [], [], max(patience, 0))
            part = os.read(reading, 65536) if ready else b""
            if not part or len(rest) > _LINE_LIMIT:
                break
            *whole, rest = (rest + part).split(b"\n")
            lines += whole
    finally:
        os.close(reading)
        _end(child)
    return lines[: len(subjects)], f"did not answer within {SILENCE_SECONDS:g} s"


def _be_the_child(subjects: Sequence[Subject], user: Status | None, not_ours: Iterable[int], writing: int) -> None:
    """Never returns, whatever happens: a second copy of the parent must not go on."""
    try:
        for descriptor in not_ours:
            os.close(descriptor)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        privileges.become(user)
        confinement.confine()
        looker = Looker()
        for subject in subjects:
            signal.setitimer(signal.ITIMER_REAL, SILENCE_SECONDS)
            line = memoryview(encode(looker.look(subject.process, subject.status)))
            while line:
                line = line[os.write(writing, line) :]
    finally:
        os._exit(0)


def _end(child: int) -> None:
    """Waits a little for a child to be gone; one that the kernel holds is left to it, and goes with us."""
    with suppress(PermissionError):
        os.kill(child, signal.SIGKILL)
    until = time.monotonic() + GRACE_SECONDS
    while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < until:
        select.select([], [], [], 0.005)


def _blind(subject: Subject) -> ProcessFacts:
    return ProcessFacts(
        pid=subject.process.pid,
        parent=subject.status.parent,
        namespace_pids=subject.status.namespace_pids,
        state=subject.status.state,
        unreadable=_ALL_FIELDS,
    )
