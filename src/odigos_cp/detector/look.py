"""What can be seen of one process? Puts together what the kernel and its files say.

Runs in a child that has become the process' user (`examination`). Nothing that fails here stops the rest: what could
not be read is named in the facts. Many processes run the same executable, so what is slow to read is read once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from odigos_cp.detector import agents, content, elf, environment, files, languages, versions
from odigos_cp.detector.facts import ElfFacts, ProcessFacts
from odigos_cp.detector.procfs import Process, Status

_ARGUMENTS = 8
_ARGUMENT_LIMIT = 256
_NONE: tuple[str, ...] = ()

T = TypeVar("T")


class Looker:
    """Looks at processes, and remembers the executables it has read."""

    def __init__(self) -> None:
        self._elves: dict[tuple[int, int], ElfFacts | None] = {}
        self._texts: dict[tuple[int, int], dict[str, str]] = {}
        self._versions: dict[tuple[object, ...], str | None] = {}

    def look(self, process: Process, status: Status) -> ProcessFacts:
        unreadable: list[str] = []

        def attempt(name: str, read: Callable[[], T], otherwise: T) -> T:
            try:
                return read()
            except (OSError, ValueError):
                unreadable.append(name)
                return otherwise

        identity = attempt("elf", lambda: self._identity(process), None)
        elf_facts = self._elves.get(identity) if identity else None
        loaded, mapped = attempt("loaded", lambda: process.maps(agents.TELLING), (_NONE, _NONE))
        words = attempt("arguments", lambda: _words(process.arguments()), _NONE)
        variables = attempt("environment", lambda: environment.parse(process.environ()), None)
        facts = ProcessFacts(
            pid=process.pid,
            parent=status.parent,
            namespace_pids=status.namespace_pids,
            state=status.state,
            exe=attempt("exe", process.exe, None),
            arguments=tuple(word[:_ARGUMENT_LIMIT] for word in words[:_ARGUMENTS]),
            loaded=loaded,
            mapped=mapped,
            listening=attempt("listening", process.listening, False),
            elf=elf_facts,
            environment=environment.tell(variables),
            secure=attempt("secure", lambda: process.secure(elf_facts.bits if elf_facts else 64), False),
        )
        facts = self._with_content(process, facts, identity)
        language = languages.judge(facts).language
        return replace(
            facts,
            agents=agents.find(variables, words, (*loaded, *mapped), language),
            version=self._version(process, language, facts, variables or {}, identity),
            lacks_agents=versions.lacks_agents(language, facts, _TargetFiles(process)),
            unreadable=tuple(unreadable),
        )

    def _identity(self, process: Process) -> tuple[int, int]:
        with process.open_exe() as descriptor:
            found = os.fstat(descriptor)
            identity = (found.st_dev, found.st_ino)
            if identity not in self._elves:
                self._elves[identity] = elf.read(descriptor)
            return identity

    def _with_content(self, process: Process, facts: ProcessFacts, identity: tuple[int, int] | None) -> ProcessFacts:
        """Where nothing strong decides, what the executable's content says; each executable is searched once."""
        if identity is None or facts.elf is None or languages.judge(facts).weight >= languages.STRONG:
            return facts
        if identity not in self._texts:
            try:
                with process.open_exe() as descriptor:
                    self._texts[identity] = content.read(descriptor, facts.elf)
            except OSError:
                self._texts[identity] = {}
        return replace(facts, elf=replace(facts.elf, texts=self._texts[identity]))

    def _version(
        self,
        process: Process,
        language: str,
        facts: ProcessFacts,
        variables: dict[str, str],
        identity: tuple[int, int] | None,
    ) -> str | None:
        key = (identity, language, facts.loaded, variables.get("PYTHON_VERSION"))
        if identity is None or key not in self._versions:
            self._versions[key] = versions.find(language, facts, variables, _TargetFiles(process))
        return self._versions[key]


class _TargetFiles:
    """The files of one process' root, bounded."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def text(self, path: str) -> str:
        with self._process.open_file(path) as descriptor:
            return files.read_up_to(descriptor).decode("utf-8", "replace")

    def occurrences(self, path: str | None, marker: bytes, following: re.Pattern[bytes]) -> Iterator[str]:
        with self._process.open_file(path) if path else self._process.open_exe() as descriptor:
            yield from files.occurrences(descriptor, marker, following)


def _words(raw: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(word) for word in raw.split(b"\0") if word)
