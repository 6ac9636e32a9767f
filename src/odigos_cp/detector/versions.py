"""Which version of its runtime does a process run? One rule a language, from files and paths, never from names alone.

The environment lies about versions (an image's `NODE_VERSION` is the base's, not the program's), so it is believed only
where it completes what the files say: Python's patch level, and only of an interpreter that the distribution did not
bring. What cannot be known exactly is left out; of Python alone the minor version is told, for it decides what loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.languages import program

_PLAIN = re.compile(r"[0-9A-Za-z.+-]{1,32}")
_NUMBERS = rb"([0-9]{1,4}(?:\.[0-9]{1,4}){1,3})"
_THREE = rb"([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})"
_JAVA_LINE = re.compile(r'^JAVA_VERSION="([^"\n]*)"', re.MULTILINE)
_JAVA_MODULES = re.compile(r'^MODULES="([^"\n]*)"', re.MULTILINE)
_JAVA_DEPTH = 5
_CANDIDATES = 64


class Files(Protocol):
    """The target's files, for who may read them. Failures are OSErrors."""

    def text(self, path: str) -> str:
        """The beginning of a small file of the target's root."""

    def occurrences(self, path: str | None, marker: bytes, following: re.Pattern[bytes]) -> Iterator[str]:
        """What stands behind a marker in a file of the target's root; None: in the executable."""


Rule = Callable[[ProcessFacts, Mapping[str, str], Files], str | None]


def find(language: str, facts: ProcessFacts, environment: Mapping[str, str], files: Files) -> str | None:
    """The version, checked to be harmless; None where it is not known."""
    rule = RULES.get(language)
    try:
        version = rule(facts, environment, files) if rule else None
    except OSError:
        version = None
    return version if version and _PLAIN.fullmatch(version) else None


def lacks_agents(language: str, facts: ProcessFacts, files: Files) -> bool:
    """Whether this is a runtime image of Java that was made without the module for agents: one would end it."""
    modules = _JAVA_MODULES.search(_java_release(facts, files)) if language == "java" else None
    return modules is not None and "java.instrument" not in modules.group(1).split()


def _java(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    """As `release` says. Java 8 still wrote 1.8.0_472: told as 8.0.472, as all later ones count."""
    found = _JAVA_LINE.search(_java_release(facts, files))
    return found.group(1).removeprefix("1.").replace("_", ".") if found else None


def _java_release(facts: ProcessFacts, files: Files) -> str:
    """The file `release` of the runtime's own directory, above libjvm.so (two levels since Java 9, four before)."""
    folder = _loaded(facts, r"/lib(jvm|j9vm[0-9]*)\.so$") or ""
    for _ in range(_JAVA_DEPTH):
        folder = folder.rpartition("/")[0]
        if not folder:
            break
        try:
            if _JAVA_LINE.search(text := files.text(f"{folder}/release")):
                return text
        except OSError:
            continue
    return ""


def _nodejs(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    """The text `node.js/v20.20.2` that each Node.js carries, in the executable or in libnode."""
    return next(files.occurrences(_loaded(facts, r"/libnode\.so"), b"node.js/v", re.compile(_NUMBERS)), None)


def _python(facts: ProcessFacts, environment: Mapping[str, str], files: Files) -> str | None:
    """The minor version from a path; the patch level from the interpreter's own text, or from who installed it."""
    minor = _python_minor(facts)
    if minor is None:
        return None
    patch = _python_patch(facts, minor, files)
    if patch:
        return f"{minor}.{patch}"
    path = program(facts)
    for part in path.split("/"):
        if found := re.fullmatch(rf"(?:c?python[-@]?)?({re.escape(minor)}\.[0-9]{{1,3}})([-+][-a-z0-9_.+]*)?", part):
            return found.group(1)
    if path.startswith("/usr/bin/"):
        return _python_of_debian(minor, files) or minor
    hint = environment.get("PYTHON_VERSION", "")
    return hint if re.fullmatch(rf"{re.escape(minor)}\.[0-9]{{1,3}}((a|b|rc)[0-9]{{1,2}})?", hint) else minor


def _python_patch(facts: ProcessFacts, minor: str, files: Files) -> str | None:
    """From the one text in the interpreter that continues the minor version."""
    following = re.compile(rb"([0-9]{1,3}(?:(?:a|b|rc)[0-9]{1,2})?\+?)\0")
    path = program(facts)
    library = _loaded(facts, r"/libpython[23][^/]*\.so") or (path if path != facts.exe else None)
    try:
        return _only(files.occurrences(library, f"\0{minor}.".encode(), following))
    except OSError:
        return None


_PYTHON_OF_DEBIAN = {("10", "3.7"): "3.7.3", ("11", "3.9"): "3.9.2", ("12", "3.11"): "3.11.2", ("13", "3.13"): "3.13.5"}
"""Debian never changes it within a release: fixes are added to the same version."""


def _python_of_debian(minor: str, files: Files) -> str | None:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = dict(line.partition("=")[::2] for line in files.text(path).splitlines())
        except OSError:
            continue
        if lines.get("ID") == "debian":
            return _PYTHON_OF_DEBIAN.get((lines.get("VERSION_ID", "").strip('"'), minor))
    return None


def _python_minor(facts: ProcessFacts) -> str | None:
    for path in (program(facts), *facts.loaded):
        if found := re.search(r"/(?:lib)?python([23]\.[0-9]{1,2})[a-z]?(?:\.so[.0-9]*|/.*)?$", path):
            return found.group(1)
    for path in facts.loaded:
        if found := re.search(r"\.cpython-3([0-9]{1,2})-", path):
            return f"3.{found.group(1)}"
    return None


def _go(facts: ProcessFacts, _environment: Mapping[str, str], _files: Files) -> str | None:
    found = re.match(r"go([0-9][0-9A-Za-z.]*)", (facts.elf.go_version if facts.elf else None) or "")
    return found.group(1) if found else None


def _rust(facts: ProcessFacts, _environment: Mapping[str, str], _files: Files) -> str | None:
    comments = facts.elf.comments if facts.elf else ()
    return next((found.group(1) for text in comments if (found := re.match(r"rustc version (\S+)", text))), None)


def _ruby(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    """In the library's name, or, linked in, in the line that `ruby --version` prints."""
    in_path = _in_path(facts, r"/libruby[^/]*\.so\.([0-9]+\.[0-9]+\.[0-9]+)$")
    return in_path or next(files.occurrences(None, b"ruby ", re.compile(_THREE + rb"(?:p[0-9-]+)? \(")), None)


def _dotnet(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    """In the shared runtime's path; of an application that brings its own, in the list of what it brings."""
    in_path = _in_path(facts, r"/Microsoft\.NETCore\.App/([0-9A-Za-z.+-]+)/")
    if in_path or not facts.exe:
        return in_path
    try:
        listed = files.text(f"{facts.exe}.deps.json")
    except OSError:
        return None
    found = set(re.findall(r'runtimepack\.Microsoft\.NETCore\.App\.Runtime\.[-.a-z0-9]+/([0-9A-Za-z.+-]+)"', listed))
    return found.pop() if len(found) == 1 else None


def _php(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    library = _loaded(facts, r"/(libphp[0-9.]*|mod_php[0-9.]*|php[0-9.]*\.unit)\.so$")
    return next(files.occurrences(library, b"X-Powered-By: PHP/", re.compile(_THREE)), None)


def _perl(facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
    """In the library's name, or in the paths that the executable has been built with."""
    in_path = _in_path(facts, r"/libperl\.so\.(5\.[0-9]+\.[0-9]+)$")
    return in_path or _only(files.occurrences(None, b"/perl/", re.compile(_THREE)))


def _said(text: bytes, numbers: bytes, following: bytes = rb"") -> Rule:
    """What stands behind a text that the executable itself carries, if that is always the same."""
    pattern = re.compile(numbers + following)

    def rule(_facts: ProcessFacts, _environment: Mapping[str, str], files: Files) -> str | None:
        return _only(files.occurrences(None, text, pattern))

    return rule


def _only(said: Iterator[str]) -> str | None:
    """What is said, if it is always the same."""
    found = set(islice(said, _CANDIDATES))
    return found.pop() if len(found) == 1 else None


RULES: Mapping[str, Rule] = {
    "java": _java,
    "nodejs": _nodejs,
    "python": _python,
    "go": _go,
    "rust": _rust,
    "ruby": _ruby,
    "dotnet": _dotnet,
    "php": _php,
    "perl": _perl,
    "lua": _said(b"Lua ", _THREE, rb"  Copyright"),
    "nginx": _said(b"nginx/", _THREE),
    "apache": _said(b"Apache/", _THREE),
    "postgres": _said(b"PostgreSQL ", _NUMBERS, rb"(?: \(| on )"),
    "bun": _said(b"Bun v", _THREE),
    "deno": _said(b"Deno/", _THREE, rb"\+[0-9a-f]{7}"),
}


def _loaded(facts: ProcessFacts, pattern: str) -> str | None:
    return next((path for path in facts.loaded if re.search(pattern, path)), None)


def _in_path(facts: ProcessFacts, pattern: str) -> str | None:
    return next((found.group(1) for path in facts.loaded if (found := re.search(pattern, path))), None)
