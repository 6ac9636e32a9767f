"""`python -S -m odigos_cp.detector`: looks at the processes of the containers it is given, writes the report, and ends.

    --target NAME=ID    a container's name and its 64-digit id (repeatable)
    --pod-uid UID       the pod they belong to: a check only
    --nonce HEX         comes back in the report: it tells this answer from another one's
    --proc DIR          where /proc is mounted                               (/proc)
    --output FILE       an existing file, or `-`                             (/dev/termination-log)
    --limit BYTES       of the report                                        (4096)

    --snapshots DIR     instead of all these: judges recorded containers (`snapshots`), one JSON line a file

Exit code: 0 a report was written, 2 the arguments are wrong (the output says how), 1 the output cannot be written.
The output is opened before any target is touched, and no target is waited for longer than the deadlines allow.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from odigos_cp.detector import belonging, choosing, examination, procfs, report, snapshots
from odigos_cp.detector.belonging import Belonging
from odigos_cp.detector.examination import Subject

TERMINATION_LOG = "/dev/termination-log"
TOTAL_SECONDS = 20.0
TARGETS = 32


class ArgumentsError(Exception):
    """The command line is wrong; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    container_id: str


@dataclass(frozen=True, slots=True)
class Arguments:
    targets: tuple[Target, ...]
    nonce: str
    pod_uid: str = ""
    proc: str = "/proc"
    output: str = TERMINATION_LOG
    limit: int = 4096


OPTIONS = {
    "--target": (r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?=[0-9a-f]{64}", "NAME=ID, with the id's 64 hexadecimal digits"),
    "--pod-uid": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", "the uid of a pod"),
    "--nonce": (r"[0-9a-f]{1,64}", "1 to 64 hexadecimal digits"),
    "--proc": (r"/[^\0]*", "an absolute path"),
    "--output": (r"-|/[^\0]*", "an absolute path, or -"),
    "--limit": (r"[0-9]{3,6}", f"a number of bytes, at least {report.SMALLEST_LIMIT}"),
}


def parse(words: Sequence[str]) -> Arguments:
    """The arguments, each as strict as its table entry."""
    given: dict[str, list[str]] = {}
    for at in range(0, len(words), 2):
        option = words[at]
        if option not in OPTIONS:
            raise ArgumentsError(f"{option[:40]!a} is not an option; there are {', '.join(OPTIONS)}")
        pattern, meaning = OPTIONS[option]
        value = words[at + 1] if at + 1 < len(words) else ""
        if not re.fullmatch(pattern, value):
            raise ArgumentsError(f"{option} needs {meaning}, and got {value[:80]!a}")
        given.setdefault(option, []).append(value)
    targets = tuple(Target(*word.split("=")) for word in given.pop("--target", []))
    twice = next((option for option, values in given.items() if len(values) > 1), None)
    if twice:
        raise ArgumentsError(f"{twice} is given twice; give it once")
    if not 1 <= len(targets) <= TARGETS or len({target.name for target in targets}) < len(targets):
        raise ArgumentsError(f"give 1 to {TARGETS} --target NAME=ID with different names")
    if "--nonce" not in given:
        raise ArgumentsError("--nonce HEX is missing: the report could not be told from another one")
    plain = {option.lstrip("-").replace("-", "_"): values[0] for option, values in given.items()}
    limit = int(plain.pop("limit", "4096"))
    if limit < report.SMALLEST_LIMIT:
        raise ArgumentsError(f"--limit needs {OPTIONS['--limit'][1]}, and got {limit}")
    return Arguments(targets=targets, limit=limit, **plain)


@dataclass(slots=True)
class Found:
    """The processes of one target."""

    subjects: list[Subject] = field(default_factory=list)
    processes: int = 0
    oddity: str | None = None

    def take(self, process: procfs.Process) -> bool:
        """Keeps a process to look at: the first ones, and always the container's own first."""
        status = process.status()
        self.processes += 1
        wanted = len(self.subjects) < choosing.PROCESSES or status.namespace_pids[-1:] == (1,)
        if wanted:
            self.subjects.append(Subject(process, status))
        return wanted


def find(arguments: Arguments) -> dict[str, Found]:
    """The processes of each target, by its name."""
    found = {target.name: Found() for target in arguments.targets}
    for process in procfs.processes(arguments.proc):
        kept = False
        try:
            groups = process.control_groups()
            for target in arguments.targets:
                match belonging.belongs(groups, target.container_id, arguments.pod_uid):
                    case Belonging.YES:
                        kept = kept or found[target.name].take(process)
                    case Belonging.OTHER_POD:
                        oddity = f"process {process.pid} names this container, but is in another pod"
                        found[target.name].oddity = oddity
        except (OSError, ValueError, IndexError):
            continue  # it has ended
        finally:
            if not kept:
                process.close()
    return found


def answer(arguments: Arguments, secrets: Sequence[int], deadline: float) -> list[report.Answer]:
    """One answer a target, in the order given; what goes wrong with one is told in its answer only."""
    try:
        found = find(arguments)
    except OSError as error:
        oddity = f"cannot list {arguments.proc}: {error.strerror}"
        found = {target.name: Found(oddity=oddity) for target in arguments.targets}
    seen = {name: examination.examine(each.subjects, deadline, secrets, hangs=1) for name, each in found.items()}
    for name, so_far in seen.items():  # where one process hung, the others of its container after everybody else's
        seen[name] = so_far.followed_by(examination.examine(so_far.left, deadline, secrets))
    return [_answer(target, found[target.name], seen[target.name]) for target in arguments.targets]


def _answer(target: Target, found: Found, seen: examination.Examination) -> report.Answer:
    for subject in found.subjects:
        subject.process.close()
    oddities = [found.oddity] if found.oddity and not found.processes else []  # a decoy must not spoil the real answer
    troubles = [*oddities, *seen.troubles]
    choice = choosing.choose(seen.facts)
    return report.Answer(target.name, target.container_id, choice, found.processes, "; ".join(troubles) or None)


def main(words: Sequence[str]) -> int:
    if len(words) == 2 and words[0] == "--snapshots":
        return _judge_snapshots(words[1])
    deadline = time.monotonic() + TOTAL_SECONDS
    arguments, wrong = None, ""
    try:
        arguments = parse(words)
        path = arguments.output
    except ArgumentsError as error:
        arguments = None
        path, wrong = _output_among(words), f"the detector's arguments are wrong: {error}\n"
        print(wrong, file=sys.stderr, end="")
    try:
        output = 1 if path == "-" else os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        print(f"the detector cannot open {path}: {error.strerror}; --output must be an existing file", file=sys.stderr)
        return 2 if wrong else 1
    said = _report(arguments, output, deadline) if arguments else wrong.encode("ascii", "replace")
    try:
        os.write(output, said)
    except OSError as error:
        print(f"the detector cannot write to {path}: {error.strerror}", file=sys.stderr)
        return 1
    return 2 if wrong else 0


def _judge_snapshots(directory: str) -> int:
    try:
        for answer in snapshots.judge_all(directory):
            print(json.dumps(answer, separators=(",", ":")))
    except OSError as error:
        print(f"the snapshots in {directory} cannot be judged: {error}", file=sys.stderr)
        return 1
    return 0


def _report(arguments: Arguments, output: int, deadline: float) -> bytes:
    return report.render(arguments.nonce, answer(arguments, (output,), deadline), arguments.limit)


def _output_among(words: Sequence[str]) -> str:
    """Where to say that the arguments are wrong: the output they name, if they name one."""
    for option, value in pairwise(words):
        if option == "--output" and re.fullmatch(OPTIONS["--output"][0], value):
            return value
    return TERMINATION_LOG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
