"""What is a process written in? Ordered rules over its facts, pure: evidence first, then one finding.

Ranks, strongest first: a runtime that is loaded > what the executable's own structure says (Go, a linked-in runtime) >
the executable's file name > what its content hints at. Titles, arguments and environment never decide. The highest rank
that says something wins; if it names two languages, the one that a lower rank confirms; else the one that hosts the
other; else it is a conflict, and a conflict is unknown: wrong is worse than unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from odigos_cp.detector.facts import ElfFacts, ProcessFacts

UNKNOWN = "unknown"
INSTRUMENTABLE = ("java", "python", "nodejs", "go", "dotnet", "ruby", "php", "rust", "cpp", "nginx")
OTHERS = (
    "apache", "bun", "c", "deno", "erlang", "graalvm-native", "lua", "mono", "mysql", "perl", "postgres", "redis",
)  # fmt: skip
VERDICTS = (*INSTRUMENTABLE, *OTHERS, UNKNOWN)
"""Every verdict there is: named here so that a reader of the report can refuse others."""
COMPILED = frozenset({"go", "rust", "cpp", "c", "graalvm-native"})

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
    (r"/(libphp[0-9.]*|mod_php[0-9.]*|php[0-9.]*\.unit)\.so$", "php", 100),
    (r"/libpython[23](\.[0-9]+)?[a-z]*\.so[.0-9]*$", "python", 100),
    (r"/libpypy3?[^/]*-c\.so[^/]*$", "python", 100),
    (r"/lib-dynload/[^/]+\.cpython-3[0-9]+[^/]*\.so$", "python", 98),
    (r"\.cpython-3[0-9]+[^/]*\.so$", "python", 95),
)

HOSTS = frozenset({"java", "dotnet", "mono"})
"""Of two loaded runtimes, these host the other: the program that starts them is a launcher and nothing else."""

SERVERS = frozenset({"postgres", "mysql", "redis", "erlang"})
"""Programs that load interpreters for their users' procedures, and stay what they are."""

OTHER_RUNTIMES = re.compile(
    r"/(libR|libjulia[-a-z]*|libtcl[0-9.]*|libguile[-0-9.]*|libswiftCore|libHSrts[^/]*|libgfortran|libgnat[-0-9]*|libobjc"
    r"|libphobos2[^/]*|libdruntime[^/]*|libgphobos|libgdruntime|libcamlrun[^/]*|libswipl|libecl|libgambit|libchicken"
    r"|libracket[^/]*|libcrystal|libflutter_[^/]*|libapp)\.so[.0-9]*$"
)
"""Runtimes of languages that have no name here; a program that runs on one of them is not C or C++."""
OTHER_PROGRAMS = re.compile(
    r"R|Rscript|julia|tclsh[0-9.]*|wish[0-9.]*|guile[-0-9.]*|sbcl|ecl|clisp|racket|scheme|csi|gsi|petite|swipl|octave[-a-z]*"
    r"|dart(aotruntime)?|[gmn]?awk|original-awk|qemu-[-a-z0-9_]+|wine[0-9]*(-preloader)?|gst|ocamlrun|wasmtime|wasmer|hhvm"
    r"|elixir|escript|crystal|nim|vim(\.[a-z]+)?|emacs[-0-9a-z.]*|gdb|pwsh|fish|tcsh|nu|xonsh"
)
"""Interpreters and emulators of other things: what runs in them is not C either."""


def _needs(elf: ElfFacts, *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in elf.needed)


def _is_node(elf: ElfFacts) -> bool:
    return elf.exports.get("_ZN4node", 0) > 1000 or _needs(elf, "libnode.so")


def _is_python(elf: ElfFacts) -> bool:
    linked = ".PyRuntime" in elf.sections or "Py_BytesMain" in elf.exports or "Py_Main" in elf.exports
    return linked or _needs(elf, "libpython", "libpypy")


def _is_java(elf: ElfFacts) -> bool:
    return _needs(elf, "libjli.so") or "JLI_Launch" in elf.exports


def _is_ruby(elf: ElfFacts) -> bool:
    return _needs(elf, "libruby") or elf.names("ruby_init") > 0 or elf.interpreter is None


def _is_php(elf: ElfFacts) -> bool:
    return elf.names("php_module_startup") > 0 or _needs(elf, "libphp") or elf.interpreter is None


def _is_nginx(elf: ElfFacts) -> bool:
    return elf.names("ngx_") > 0 or not (_is_rust(elf) or _needs(elf, *_CXX_LIBRARIES))


def _is_not_rust(elf: ElfFacts) -> bool:
    return not _is_rust(elf)


@dataclass(frozen=True, slots=True)
class _Name:
    """A file name, and what must be true of a readable file with that name."""

    pattern: str
    language: str
    weight: int
    is_so: Callable[[ElfFacts], bool]
    by_structure: bool = False
    """`is_so` proves it, not only allows it."""


NAMES = (
    _Name(r"python([23](\.[0-9]+)?)?[a-z]?", "python", 95, _is_python, True),
    _Name(r"pypy(3(\.[0-9]+)?)?(-c)?", "python", 95, _is_python, True),
    _Name(r"node|nodejs", "nodejs", 95, _is_node, True),
    _Name(r"java", "java", 95, _is_java, True),
    _Name(r"dotnet", "dotnet", 90, _is_not_rust),
    _Name(r"ruby[0-9.]*", "ruby", 95, _is_ruby),
    _Name(r"php(-fpm|-cgi)?[0-9.]*", "php", 95, _is_php),
    _Name(r"nginx|nginx-debug|openresty", "nginx", 90, _is_nginx),
    _Name(r"apache2|httpd([.-](worker|event|prefork))?", "apache", 90, _is_not_rust),
    _Name(r"beam(\.smp)?", "erlang", 95, _is_not_rust),
    _Name(r"postgres|postmaster", "postgres", 90, _is_not_rust),
    _Name(r"mysqld(-debug)?|mariadbd", "mysql", 90, _is_not_rust),
    _Name(r"(redis|valkey)-(server|sentinel|check-rdb|check-aof)|keydb-server", "redis", 90, _is_not_rust),
    _Name(r"bun", "bun", 90, lambda elf: elf.exports.get("napi_create_function", 0) > 0 or ".bun" in elf.sections),
    _Name(r"deno", "deno", 90, lambda elf: elf.exports.get("napi_create_function", 0) > 0 or not elf.exports),
    _Name(r"perl[0-9.]*", "perl", 90, _is_not_rust),
    _Name(r"lua(jit)?(-?[0-9][-0-9a-z.]*)?", "lua", 90, _is_not_rust),
    _Name(r"mono(-sgen)?", "mono", 90, _is_not_rust),
)

LINKED = (
    # exported name, how often at least, language of the runtime that is linked in
    ("_ZN4node", 1000, "nodejs"),
    ("DotNetRuntimeInfo", 1, "dotnet"),
    ("DotNetRuntimeDebugHeader", 1, "dotnet"),
    ("Py_BytesMain", 1, "python"),
    ("php_module_startup", 1, "php"),
)

_CXX_LIBRARIES = ("libstdc++.so", "libc++.so")
_LOADERS = re.compile(r"ld-(linux|musl)[^/]*|ld(64)?[-.0-9]*\.so[.0-9]*|ld\.so")


_FROZEN_LIBRARY = re.compile(r"/(_MEI[^/]*|_internal|onefile_[^/]+|[^/]+\.dist)/libpython3[^/]*\.so")


def is_frozen(facts: ProcessFacts) -> bool:
    """A Python that runs from an archive of its own, and reads no variable."""
    has_python = any("/libpython3" in path for path in facts.loaded)
    archived = facts.elf is not None and "pydata" in facts.elf.sections
    return has_python and (archived or any(_FROZEN_LIBRARY.search(path) for path in facts.loaded))


def program(facts: ProcessFacts) -> str:
    """The path of the program: of one that was started by naming the loader, the loader is not what it is."""
    exe = facts.exe or ""
    if not _LOADERS.fullmatch(exe.rpartition("/")[2]):
        return exe
    others = [path for path in facts.mapped if path != exe]
    by_argument = (path for path in others if path in facts.arguments)
    by_name = (path for path in others if _by_name(path))
    return next(by_argument, None) or next(by_name, exe)


def _loaded_runtime(facts: ProcessFacts) -> Iterator[Evidence]:
    named = _named(facts)
    is_server = bool(named and named.language in SERVERS)
    told: set[str] = set()
    for pattern, language, weight in () if _loads_nothing(facts) else LOADED:
        path = next((path for path in facts.loaded if re.search(pattern, path)), None)
        if path and path not in told:
            told.add(path)
            yield Evidence("loaded-library", path, language, ENOUGH - 10 if is_server else weight)
    if is_frozen(facts):
        yield Evidence("frozen", "an archive of Python in the executable", "python", 97)
    if facts.exe and named and named.by_structure and facts.elf and named.is_so(facts.elf):
        yield Evidence("runtime-in-executable", facts.exe, named.language, 97)


def _loads_nothing(facts: ProcessFacts) -> bool:
    """A static program has no loader: a library among its mappings is a file that it reads. (Not: a packed one.)"""
    elf = facts.elf
    return elf is not None and elf.interpreter is None and bool(elf.sections) and program(facts) == (facts.exe or "")


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
    for section, language in ((".svm_heap", "graalvm-native"), (".PyRuntime", "python"), (".bun", "bun")):
        if section in elf.sections:
            yield Evidence("elf-section", section, language, 96)
    for library, language in (("libpython", "python"), ("libjli.so", "java"), ("libcoreclr", "dotnet")):
        if _needs(elf, library):
            yield Evidence("needed-library", library, language, 95)
    for marker, least, language in LINKED:
        if elf.exports.get(marker, 0) >= least:
            yield Evidence("exported-names", f"{marker} {elf.exports[marker]} times", language, 96)


def _file_name(facts: ProcessFacts) -> Iterator[Evidence]:
    named = _named(facts)
    if named:
        readable = facts.elf is not None and program(facts) == facts.exe
        doubtful = readable and facts.elf is not None and not named.is_so(facts.elf)
        yield Evidence("file-name", program(facts), named.language, 40 if doubtful else named.weight)


def _named(facts: ProcessFacts) -> _Name | None:
    return _by_name(program(facts))


def _by_name(path: str) -> _Name | None:
    name = path.rpartition("/")[2]
    return next((known for known in NAMES if re.fullmatch(known.pattern, name)), None)


def _content(facts: ProcessFacts) -> Iterator[Evidence]:
    elf = facts.elf
    if elf is None or program(facts) != facts.exe:
        return
    if "graalvm" in elf.texts:
        yield Evidence("content", "Substrate VM", "graalvm-native", 85)
        return
    if "napi_create_function" in elf.exports or "_ZN2v8" in elf.exports:
        yield _engine(elf)
        return
    if _is_rust(elf):
        yield Evidence("compiler", _rust_comment(elf) or "sources of Rust's standard library", "rust", 80)
    other = _other_runtime(facts)
    if other:
        yield Evidence("another-runtime", other, UNKNOWN, 40)
        return
    yield from _compiled(elf)


def _engine(elf: ElfFacts) -> Evidence:
    """Of a program that offers Node.js' native interface and is not Node.js. Bun offers V8's too, Deno is Rust."""
    engine = "bun" if "_ZN2v8" in elf.exports else "deno"
    if engine in elf.texts:
        return Evidence("content", elf.texts[engine], engine, 85)
    if engine == "deno" and _rust_comment(elf):
        return Evidence("exported-names", "Node.js' native interface, in Rust", engine, 60)
    return Evidence("exported-names", "a JavaScript engine that is not Node.js", UNKNOWN, 40)


def _other_runtime(facts: ProcessFacts) -> str | None:
    """What says that the program is of a language that has no name here."""
    if OTHER_PROGRAMS.fullmatch(program(facts).rpartition("/")[2]):
        return program(facts)
    elf = facts.elf
    foreign = ("upx", "haskell", "ocaml", "pascal", "d", "crystal", "dart")
    if elf and (mark := next((name for name in foreign if name in elf.texts), None)):
        return mark
    if elf and (needed := next((name for name in elf.needed if OTHER_RUNTIMES.search(f"/{name}")), None)):
        return needed
    return None


def _is_rust(elf: ElfFacts) -> bool:
    return bool(_rust_comment(elf)) or elf.rust_paths or elf.names("rust_eh_personality") > 0


def _rust_comment(elf: ElfFacts) -> str | None:
    return next((comment for comment in elf.comments if comment.startswith("rustc version ")), None)


def _compiled(elf: ElfFacts) -> Iterator[Evidence]:
    """C++ by its library, which may be linked in: its exceptions leave probes and tables even in a stripped file.

    C is what is left of a file that a C compiler made: it says of itself that nothing of C++ or Rust is in it.
    """
    library = next((name for name in elf.needed if name.startswith(_CXX_LIBRARIES)), None)
    marker = next((name for name in ("__gxx_personality_v0", "_ZSt", "_ZNSt") if elf.names(name)), None)
    if library:
        yield Evidence("needed-library", library, "cpp", 60)
    elif marker or "cxx" in elf.texts:
        yield Evidence("exported-names" if marker else "content", "the C++ standard library", "cpp", 55)
    elif {".gcc_except_table", ".stapsdt.base"} <= set(elf.sections) and _made_by_gcc(elf):
        yield Evidence("elf-section", ".gcc_except_table, .stapsdt.base", "cpp", 55)
    elif _is_plain_c(elf):
        saw = next((text for text in elf.comments if text.startswith(("GCC:", "clang"))), "the C library only")
        yield Evidence("compiler", saw, "c", ENOUGH)
    else:
        yield Evidence("native", "an ELF file that names no language", UNKNOWN, 30)


_LINKER = "Linker: "
_C_COMPILER = re.compile(r"GCC: |([A-Za-z]+ )?clang version ")
_GCC_WITH_PROBES = re.compile(r"GCC: \((Debian|Ubuntu)|GCC: .*Red Hat")
"""Whose C++ leaves `.stapsdt.base` where its library is linked in."""


def _made_by_gcc(elf: ElfFacts) -> bool:
    compilers = [text for text in elf.comments if not text.startswith(_LINKER)]
    return bool(compilers) and all(text.startswith("GCC:") for text in compilers)


def _is_plain_c(elf: ElfFacts) -> bool:
    """No tables of exceptions, which C++ has and C has not; but the GNU C library, linked in, brings some of its own.

    A static file must name its compiler: many languages make small static files.
    """
    if _is_rust(elf) or ".text" not in elf.sections or "pydata" in elf.sections:
        return False
    compilers = [text for text in elf.comments if not text.startswith(_LINKER)]
    if not all(map(_C_COMPILER.match, compilers)):
        return False
    unwinds = ".gcc_except_table" in elf.sections
    if elf.interpreter is not None:
        return not unwinds and _needs(elf, "libc.so", "libc.musl")
    explained = "__libc_IO_vtables" in elf.sections and any(map(_GCC_WITH_PROBES.match, compilers))
    return bool(compilers) and (explained or not unwinds)


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
        if items is not by_rank[-1]:
            evidence = tuple(item for item in evidence if item.says != "c")  # how runtimes are built says nothing
        if language is None:
            return Finding(UNKNOWN, 0, evidence, conflict=True)
        return Finding(language, max(item.weight for item in decisive if item.says == language), evidence)
    return Finding(UNKNOWN, 0, evidence)


def _one_of(decisive: list[Evidence], confirmed: set[str]) -> str | None:
    """The one language of a rank; of several, the one a lower rank confirms, or the one that hosts the others."""
    said = {item.says for item in decisive}
    if len(said) > 1 and said & confirmed:
        said &= confirmed
    if len(said) > 1 and len(said & HOSTS) == 1:
        said &= HOSTS
    if len(said) > 1 and not any(item.weight >= STRONG for item in decisive):
        said = {max(decisive, key=lambda item: item.weight).says}
    return said.pop() if len(said) == 1 else None
