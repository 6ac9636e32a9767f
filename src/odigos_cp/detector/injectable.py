"""Can a variable in the environment bring an agent into this program? Pure.

Only runtimes that load code at their start can be asked so, and not all of them listen: a frozen program carries its
own paths, a program with more rights than its user is told nothing by its user's environment, and some are started
with the option not to listen.
"""

from __future__ import annotations

import re

from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.languages import UNKNOWN, is_frozen

LISTENING = frozenset({"java", "python", "nodejs", "dotnet", "ruby", "php"})
DEAF_WHEN_SECURE = frozenset({"nodejs"})
"""Runtimes that look at the auxiliary vector themselves; the others look at most at their user ids."""

_PYTHON_DEAF = re.compile(r"-[bBdiOqsuvx]*[EIS][a-zA-Z]*")
_RUBY_DEAF = re.compile(r"--disable(-|=)(rubyopt|all)")


def is_injectable(language: str, facts: ProcessFacts) -> bool | None:
    """None where it is not known what the program is."""
    if language == UNKNOWN:
        return None
    if language not in LISTENING or (facts.secure and language in DEAF_WHEN_SECURE):
        return False
    if language == "java":
        return not facts.lacks_agents
    if language == "python":
        return not is_frozen(facts) and not _told(facts, _PYTHON_DEAF)
    if language == "ruby":
        return not _told(facts, _RUBY_DEAF)
    if language == "dotnet":
        return not _is_ahead_of_time(facts)
    return True


def _is_ahead_of_time(facts: ProcessFacts) -> bool:
    """.NET that was compiled to one native file: nothing is left in it that would load an assembly."""
    exports = facts.elf.exports if facts.elf else {}
    hosts = "DotNetRuntimeInfo" in exports or any(path.endswith("/libcoreclr.so") for path in facts.loaded)
    return "DotNetRuntimeDebugHeader" in exports and not hosts


def _told(facts: ProcessFacts, option: re.Pattern[str]) -> bool:
    """Among the options before the script."""
    for word in facts.arguments[1:]:
        if not word.startswith("-") or word in ("-c", "-m", "-e"):
            return False
        if option.fullmatch(word):
            return True
    return False
