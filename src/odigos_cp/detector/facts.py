"""What is known about one process? The values that pass from the looking to the judging.

`look` makes them, in a child process that has become the target's user; they cross a pipe as one line of JSON; all that
decides (`languages`, `versions`, `choosing`) sees only them. What could not be read is named in `unreadable`, so that
"nothing there" and "could not look" are never the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """What an executable file says about itself."""

    bits: int = 64
    interpreter: str | None = None
    """The dynamic loader; None: statically linked."""
    needed: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    """The compilers' signatures."""
    exports: Mapping[str, int] = field(default_factory=dict)
    """How many dynamic names begin so, for the markers of `elf.MARKERS` that occur."""
    symbols: Mapping[str, int] = field(default_factory=dict)
    """The same of the symbol table, which a stripped file lacks."""
    go_version: str | None = None
    go_module: str | None = None
    rust_paths: bool = False
    """The file names source files of Rust's standard library."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What its content says, by the names of `content.MARKS`; looked for only where nothing stronger decides."""

    def names(self, marker: str) -> int:
        """How many names begin so, in either table."""
        return max(self.exports.get(marker, 0), self.symbols.get(marker, 0))


@dataclass(frozen=True, slots=True)
class Environment:
    """The part of a process' environment that may be told."""

    known: bool = False
    """False: unreadable, wiped, or a value that others would have to extend cannot be told whole."""
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process, as far as it could be seen."""

    pid: int
    parent: int = 0
    namespace_pids: tuple[int, ...] = ()
    """Its id in each nested namespace, the container's own last."""
    state: str = "?"
    exe: str | None = None
    """The executable's path, without the kernel's ` (deleted)`."""
    arguments: tuple[str, ...] = ()
    """The first few, cut. They pick between processes, and never decide a language."""
    loaded: tuple[str, ...] = ()
    """Shared libraries mapped as code."""
    mapped: tuple[str, ...] = ()
    """Other files mapped: programs, and what names an agent."""
    listening: bool = False
    elf: ElfFacts | None = None
    environment: Environment = Environment()
    agents: tuple[str, ...] = ()
    secure: bool = False
    """Secure execution: the loader and the runtimes ignore the environment."""
    version: str | None = None
    lacks_agents: bool = False
    """The runtime was made without what an agent needs, and would end at the sight of one."""
    unreadable: tuple[str, ...] = ()
    """What could not be read: names of the fields above."""

    @property
    def is_first(self) -> bool:
        return self.namespace_pids[-1:] == (1,)

    def completed_by(self, other: ProcessFacts) -> ProcessFacts:
        """This, with what only the other look could see."""
        gained = [name for name in self.unreadable if name not in other.unreadable]
        left = tuple(name for name in self.unreadable if name not in gained)
        seen = {name: getattr(other, name) for name in gained}
        agents = tuple(sorted({*self.agents, *other.agents}))
        return replace(self, **seen, agents=agents, version=self.version or other.version, unreadable=left)


def encode(facts: ProcessFacts) -> bytes:
    """One line of JSON: not pickle, for the writer has been near hostile files."""
    return json.dumps(asdict(facts)).encode() + b"\n"


def decode(line: bytes) -> ProcessFacts:
    """The inverse of `encode`; raises ValueError or TypeError for what `encode` cannot have written."""
    raw = _tuples(json.loads(line))
    elf = raw.pop("elf")
    environment = Environment(**raw.pop("environment"))
    return ProcessFacts(elf=ElfFacts(**elf) if elf else None, environment=environment, **raw)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
