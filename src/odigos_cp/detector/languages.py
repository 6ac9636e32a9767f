"""What is a process written in? Ordered rules over its facts, pure: evidence first, then one finding.

Ranks, strongest first: a runtime that is loaded > what the executable's own structure says (Go, a linked-in runtime) >
the executable's file name > what its content hints at. Titles, arguments and environment never decide. The highest rank
that says something wins; if it names two languages, the one that a lower rank confirms; else it is a conflict, and a
conflict is unknown: wrong is worse than unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from odigos_cp.detector.facts import ElfFacts, ProcessFacts

UNKNOWN = "unknown"
INSTRUMENTABLE = ("java", "python", "nodejs", "go", "dotnet", "ruby", "php", "rust", "cpp", "nginx")
OTHERS = ("apache", "bun", "deno", "erlang", "graalvm", "lua", "mono", "perl", "postgres", "redis")
VERDICTS = (*INSTRUMENTABLE, *OTHERS, UNKNOWN)
"""Every verdict there is: named here so that a reader of the report can refuse others."""

ENOUGH = 50
"""Evidence below this is told, and decides nothing."""
STRONG = 90


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing seen, and what it says."""

    rule: str
    saw: str
    says: str
    weight: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What one process is. `language` is unknown where nothing decides, and where two things conflict."""

    language: str
    weight: int
    evidence: tuple[Evidence, ...]
    conflict: bool = False

    @property
    def known(self) -> bool:
        return self.language != UNKNOWN


LOADED: tuple[tuple[str, str, int], ...] = (
    # pattern of the library's path, language, weight
    (r"/libjvm\.so$", "java", 100),
    (r"/libj9vm[0-9]*\.so$", "java", 100),
    (r"/libcoreclr\.so$", "dotnet", 100),
    (r"/libmonosgen-[^/]*\.so[^/]*$", "mono", 100),
    (r"/libnode\.so[.0-9]*$", "nodejs", 100),
    (r"/libruby[-0-9.]*\.so[.0-9]*$", "ruby", 100),
    (r"/libphp[0-9.]*\.so$", "php", 100),
    (r"/libpython[23](\.[0-9]+)?[a-z]*\.so[.0-9]*$", "python", 100),
    (r"/libpypy3?[^/]*-c\.so[^/]*$", "python", 100),
    (r"/lib-dynload/[^/]+\.cpython-3[0-9]+[^/]*\.so$", "python", 98),
    (r"\.cpython-3[0-9]+[^/]*\.so$", "python", 95),
)


def _needs(elf: ElfFacts, beginning: str) -> bool:
    return any(name.startswith(beginning) for name in elf.needed)


def _is_node(elf: ElfFacts) -> bool:
    return elf.exports.get("_ZN4node", 0) > 0 or _needs(elf, "libnode.so")


def _is_python(elf: ElfFacts) -> bool:
    linked = ".PyRuntime" in elf.sections or "Py_BytesMain" in elf.exports or "Py_Main" in elf.exports
    return linked or _needs(elf, "libpython") or _needs(elf, "libpypy")


def _is_java(elf: ElfFacts) -> bool:
    return _needs(elf, "libjli.so") or "JLI_Launch" in elf.exports


@dataclass(frozen=True, slots=True)
class _Name:
    """A file name, and what must be true of a readable file with that name."""

    pattern: str
    language: str
    weight: int
    is_so: Callable[[ElfFacts], bool] | None = None


NAMES = (
    _Name(r"python([23](\.[0-9]+)?)?[a-z]?", "python", 95, _is_python),
    _Name(r"pypy(3(\.[0-9]+)?)?", "python", 95, _is_python),
    _Name(r"node|nodejs", "nodejs", 95, _is_node),
    _Name(r"java", "java", 95, _is_java),
    _Name(r"dotnet", "dotnet", 90),
    _Name(r"ruby[0-9.]*", "ruby", 95),
    _Name(r"php(-fpm|-cgi)?[0-9.]*", "php", 95),
    _Name(r"nginx", "nginx", 90),
    _Name(r"apache2|httpd", "apache", 90),
    _Name(r"beam(\.smp)?", "erlang", 95),
    _Name(r"postgres", "postgres", 90),
    _Name(r"redis-[a-z-]+|valkey-[a-z-]+", "redis", 90),
    _Name(r"bun", "bun", 90),
    _Name(r"deno", "deno", 90),
    _Name(r"perl[0-9.]*", "perl", 90),
    _Name(r"lua(jit)?[-0-9.a-z]*", "lua", 90),
    _Name(r"mono(-sgen)?", "mono", 90),
)

LINKED = (
    # exported name, language of the runtime that is linked in
    ("DotNetRuntimeInfo", "dotnet"),
    ("Py_BytesMain", "python"),
    ("php_module_startup", "php"),
)


def _loaded_runtime(facts: ProcessFacts) -> Iterator[Evidence]:
    told: set[str] = set()
    for pattern, language, weight in LOADED:
        path = next((path for path in facts.loaded if re.search(pattern, path)), None)
        if path and path not in told:
            told.add(path)
            yield Evidence("loaded-library", path, language, weight)
    named = _named(facts)
    if facts.exe and named and named.is_so and facts.elf and named.is_so(facts.elf):
        yield Evidence("runtime-in-executable", facts.exe, named.language, 97)


def _structure(facts: ProcessFacts) -> Iterator[Evidence]:
    """What the linker left in the executable; sections survive a rename and a strip of the symbols."""
    elf = facts.elf
    if elf is None:
        return
    if elf.go_version:
        yield Evidence("go-build-info", elf.go_version, "go", 99)
    else:
        for section in (".go.buildinfo", ".note.go.buildid", ".gopclntab", ".go.module"):
            if section in elf.sections:
                yield Evidence("go-section", section, "go", 99)
                break
    if ".svm_heap" in elf.sections:
        yield Evidence("elf-section", ".svm_heap", "graalvm", 95)
    if ".PyRuntime" in elf.sections:
        yield Evidence("elf-section", ".PyRuntime", "python", 96)


def _file_name(facts: ProcessFacts) -> Iterator[Evidence]:
    named = _named(facts)
    if facts.exe and named:
        doubtful = named.is_so is not None and facts.elf is not None and not named.is_so(facts.elf)
        yield Evidence("file-name", facts.exe, named.language, 40 if doubtful else named.weight)


def _named(facts: ProcessFacts) -> _Name | None:
    name = (facts.exe or "").rpartition("/")[2]
    return next((known for known in NAMES if re.fullmatch(known.pattern, name)), None)


def _content(facts: ProcessFacts) -> Iterator[Evidence]:
    elf = facts.elf
    if elf is None:
        return
    exports = elf.exports
    if exports.get("_ZN4node", 0) > 1000:
        yield Evidence("exported-names", f"_ZN4node* {exports['_ZN4node']} times", "nodejs", 96)
        return
    for marker, language in LINKED:
        if marker in exports:
            yield Evidence("exported-names", marker, language, 90)
    if "napi_create_function" in exports or "_ZN2v8" in exports:
        yield Evidence("exported-names", "a JavaScript engine that is not Node.js", UNKNOWN, 40)
        return
    rust = next((comment for comment in elf.comments if comment.startswith("rustc version ")), None)
    if rust or elf.rust_paths or "rust_eh_personality" in exports:
        yield Evidence("compiler", rust or "sources of Rust's standard library", "rust", 80)
    library = next((name for name in elf.needed if name.startswith(("libstdc++.so", "libc++.so"))), None)
    if library:
        yield Evidence("needed-library", library, "cpp", 60)
    elif any(marker in exports for marker in ("__gxx_personality_v0", "_ZSt", "_ZNSt")):
        yield Evidence("exported-names", "the C++ standard library", "cpp", 55)
    else:
        yield Evidence("native", "an ELF file that names no language", UNKNOWN, 30)


RANKS = (_loaded_runtime, _structure, _file_name, _content)


def judge(facts: ProcessFacts) -> Finding:
    """What one process is, with all that was seen of it."""
    by_rank = [tuple(rank(facts)) for rank in RANKS]
    distinct = {item for items in by_rank for item in items if item.says != UNKNOWN} or set(by_rank[-1])
    evidence = tuple(sorted(distinct, key=lambda item: (-item.weight, item.rule, item.saw)))
    for at, items in enumerate(by_rank):
        decisive = [item for item in items if item.weight >= ENOUGH]
        if not decisive:
            continue
        below = {item.says for lower in by_rank[at + 1 :] for item in lower if item.weight >= ENOUGH}
        language = _one_of(decisive, below)
        if language is None:
            return Finding(UNKNOWN, 0, evidence, conflict=True)
        return Finding(language, max(item.weight for item in decisive if item.says == language), evidence)
    return Finding(UNKNOWN, 0, evidence)


def _one_of(decisive: list[Evidence], confirmed: set[str]) -> str | None:
    """The one language of a rank; of several, the one a lower rank confirms; compilers are told apart by weight."""
    said = {item.says for item in decisive}
    if len(said) > 1 and said & confirmed:
        said &= confirmed
    if len(said) > 1 and not any(item.weight >= STRONG for item in decisive):
        said = {max(decisive, key=lambda item: item.weight).says}
    return said.pop() if len(said) == 1 else None
