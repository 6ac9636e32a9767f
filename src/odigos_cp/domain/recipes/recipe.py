"""What a language's page says: how its agent enters a container, or why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from odigos_cp.api.application import AgentReason

HOME = "/odigos-cp"
"""Every agent's files are mounted below it: `/odigos-cp/<language>`."""

Version = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """The one variable by which the runtime finds the agent. Others may use it too, so it is extended, not set."""

    variable: str
    value: str
    merge: Literal["append", "prepend"]
    separator: str


@dataclass(frozen=True)
class Recipe:
    """How one language is instrumented."""

    language: str
    title: str
    """The language's name for a person."""

    distribution: str
    """Name of the agent: what `otelDistroName` of a Source's override may ask for."""

    entry: Entry
    needs: str
    """The versions of `supported`, for a person."""

    supported: tuple[tuple[Version, Version | None], ...]
    """Ranges: the least, and the end that is no longer part of it; None is no end."""

    files_limit: str
    """Bound of the volume, more than three times what the agent's files take: a pod beyond it is evicted."""

    env: tuple[tuple[str, str], ...] = ()
    """What this agent needs beside what all have."""

    secure_execution: bool = True
    """Whether the runtime heeds `entry` in a process that gained privileges when it was started."""

    @property
    def directory(self) -> str:
        return f"{HOME}/{self.language}"

    @property
    def volume(self) -> str:
        return f"odigos-cp-{self.language}"

    def supports(self, version: str) -> bool:
        """A version that is not known is no reason to refuse: the entries themselves decline what is too old."""
        numbers = parse_version(version)
        if not numbers:
            return True
        return any(least <= numbers and (end is None or numbers < end) for least, end in self.supported)


@dataclass(frozen=True)
class NoRecipe:
    """A language that cannot be instrumented, and why."""

    language: str
    title: str
    reason: AgentReason
    message: str


def compiled(language: str, title: str) -> NoRecipe:
    return NoRecipe(
        language,
        title,
        AgentReason.COMPILED_LANGUAGE,
        f"{title} is compiled to machine code, which only an eBPF agent can instrument, and this release has none. "
        "The application runs on unchanged",
    )


def without_agent(language: str, title: str) -> NoRecipe:
    return NoRecipe(
        language,
        title,
        AgentReason.NO_AGENT,
        f"This release has no agent for {title}. The application runs on unchanged",
    )


def parse_version(text: str) -> Version:
    """The leading numbers: `17.0.21+9` is (17, 0, 21). Java's old way of counting, 1.8, is 8. Empty: no version."""
    found = re.match(r"v?([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})", text)
    numbers = tuple(int(number) for number in found.group(1).split(".")) if found else ()
    return numbers[1:] if len(numbers) > 1 and numbers[0] == 1 else numbers
