"""Rules in conflict, and what must not decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odigos_cp.detector.facts import ElfFacts, ProcessFacts
from odigos_cp.detector.languages import judge

PLAIN = ElfFacts(interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libc.so.6",), sections=(".text",))
NODE = replace(PLAIN, exports={"_ZN4node": 5086, "_ZN2v8": 34169}, needed=("libstdc++.so.6",))
PYTHON = replace(PLAIN, sections=(".PyRuntime",), exports={"Py_BytesMain": 1})
JAVA = replace(PLAIN, needed=("libjli.so",))
GO = replace(PLAIN, sections=(".gopclntab", ".go.buildinfo"), go_version="go1.26.8")
GCC = replace(PLAIN, comments=("GCC: (Debian 12.2.0-14+deb12u1) 12.2.0",))
STATIC = replace(PLAIN, interpreter=None, needed=())
FROZEN = replace(GCC, sections=(".text", "pydata"))
RUST = replace(PLAIN, comments=("rustc version 1.95.0 (59807616e 2026-04-14)",))
LIBJVM = "/opt/jre/lib/server/libjvm.so"
LIBRUBY = "/usr/lib/libruby-3.1.so.3.1.7"
LIBPYTHON = "/usr/local/lib/libpython3.12.so.1.0"


def process(
    exe: str | None,
    elf: ElfFacts | None = PLAIN,
    *loaded: str,
    mapped: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
) -> ProcessFacts:
    return ProcessFacts(pid=7, exe=exe, elf=elf, loaded=loaded, mapped=mapped, arguments=arguments)


@pytest.mark.parametrize(
    ("facts", "language"),
    [
        pytest.param(process("/app/node", GO), "go", id="a Go program whose file is named node"),
        pytest.param(process("/app/node", RUST), "rust", id="a Rust program whose file is named node"),
        pytest.param(process("/app/java", PLAIN), "c", id="a C program whose file is named java"),
        pytest.param(process("/app/python3", NODE), "nodejs", id="Node.js whose file is named python3"),
        pytest.param(process("/app/service", NODE), "nodejs", id="a single executable with Node.js in it"),
        pytest.param(process("/opt/jre/bin/java", JAVA), "java", id="a Java that has not loaded its machine yet"),
        pytest.param(process("/usr/bin/ruby", PLAIN, LIBJVM), "java", id="JRuby is Java"),
        pytest.param(process("/app/svc", PLAIN, "/tmp/_MEI12/libpython3.11.so.1.0"), "python", id="PyInstaller"),
        pytest.param(
            process("/usr/bin/python3.11", PYTHON, LIBJVM), "python", id="Python that has loaded a Java machine"
        ),
        pytest.param(process("/opt/jre/bin/java", JAVA, LIBJVM, LIBPYTHON), "java", id="Java that has loaded Python"),
        pytest.param(process("/app/svc", PLAIN, LIBRUBY, LIBPYTHON), "unknown", id="two runtimes and no hint which"),
        pytest.param(
            process("/app/svc", PLAIN, LIBJVM, LIBPYTHON), "java", id="a launcher of Java that has loaded Python"
        ),
        pytest.param(
            process("/app/svc", replace(PLAIN, needed=("libpython3.12.so.1.0",)), LIBJVM, LIBPYTHON),
            "python",
            id="Python under another name that has loaded a Java machine",
        ),
        pytest.param(process("/usr/lib/postgresql/15/bin/postgres", PLAIN, LIBPYTHON), "postgres", id="PL/Python"),
        pytest.param(
            process("/app/svc", replace(GO, interpreter=None, needed=()), LIBJVM),
            "go",
            id="a static program loads nothing",
        ),
        pytest.param(
            process("/app/svc", ElfFacts(texts={"upx": ""}), LIBJVM),
            "java",
            id="a packed launcher has no parts to judge by",
        ),
        pytest.param(process("/usr/sbin/apache2", PLAIN, "/usr/lib/apache2/modules/libphp8.2.so"), "php", id="mod_php"),
        pytest.param(
            process("/app/esbuild", replace(PLAIN, sections=(".gopclntab",))), "go", id="Go without build info"
        ),
        pytest.param(
            process("/app/svc", replace(PLAIN, sections=(".svm_heap",))), "graalvm-native", id="a native image"
        ),
        pytest.param(
            process("/app/svc", replace(RUST, exports={"napi_create_function": 1, "_ZN2v8": 120})),
            "unknown",
            id="a program made by Bun",
        ),
        pytest.param(
            process("/app/svc", replace(RUST, exports={"napi_create_function": 1}, texts={"deno": "2.9.6"})),
            "deno",
            id="a program made by Deno",
        ),
        pytest.param(
            process("/app/svc", replace(RUST, exports={"napi_create_function": 145})),
            "deno",
            id="Deno by its structure",
        ),
        pytest.param(
            process("/app/svc", replace(GCC, exports={"napi_create_function": 145})), "unknown", id="some other engine"
        ),
        pytest.param(
            process("/app/svc", replace(RUST, sections=(".bun",))), "bun", id="a program made by Bun, in a section"
        ),
        pytest.param(process("/app/nginx", RUST), "rust", id="a Rust program whose file is named nginx"),
        pytest.param(process("/app/ruby", RUST), "rust", id="a Rust program whose file is named ruby"),
        pytest.param(process("/app/svc", GCC), "c", id="C"),
        pytest.param(
            process("/app/svc", replace(STATIC, comments=("clang version 22.1.8", "Linker: LLD 22.1.8"))),
            "c",
            id="C by clang, static",
        ),
        pytest.param(
            process(
                "/app/svc", replace(STATIC, sections=(".text", ".gcc_except_table"), comments=("clang version 22.1.8",))
            ),
            "unknown",
            id="static, with exceptions, by clang: C++ or not",
        ),
        pytest.param(
            process(
                "/app/svc",
                replace(STATIC, sections=(".text", ".gcc_except_table"), comments=("GCC: (Alpine 13.2.1) 13.2.1",)),
            ),
            "unknown",
            id="static on musl, with exceptions: C++ or not",
        ),
        pytest.param(
            process("/app/svc", replace(STATIC, comments=("Linker: LLD 22.1.8",))), "unknown", id="Zig is not C"
        ),
        pytest.param(process("/app/svc", replace(PLAIN, comments=("ldc version 1.30.0",))), "unknown", id="D is not C"),
        pytest.param(
            process("/app/svc", replace(PLAIN, interpreter=None, needed=())),
            "unknown",
            id="static, and names no compiler",
        ),
        pytest.param(process("/app/svc", replace(GCC, interpreter=None, needed=())), "c", id="C, static and stripped"),
        pytest.param(
            process("/app/svc", replace(GCC, sections=(".text", ".gcc_except_table", ".stapsdt.base"))),
            "cpp",
            id="C++ with its library linked in, stripped",
        ),
        pytest.param(
            process("/app/svc", replace(PLAIN, interpreter=None, needed=(), texts={"cxx": ""})), "cpp", id="C++, static"
        ),
        pytest.param(
            process(
                "/app/svc",
                replace(PLAIN, needed=("libpthread.so.0", "libgmp.so.10", "libc.so.6"), texts={"haskell": ""}),
            ),
            "unknown",
            id="Haskell is not C",
        ),
        pytest.param(process("/app/svc", replace(GCC, needed=("libswiftCore.so",))), "unknown", id="Swift is not C"),
        pytest.param(process("/usr/bin/tclsh8.6", GCC), "unknown", id="an interpreter of another language is not C"),
        pytest.param(process("/app/svc", ElfFacts(texts={"upx": ""})), "unknown", id="a packed file tells nothing"),
        pytest.param(process("/app/svc", FROZEN), "unknown", id="the first process of a frozen Python is not C"),
        pytest.param(
            process("/lib64/ld-linux-x86-64.so.2", GCC, mapped=("/usr/bin/python3.11",)),
            "python",
            id="started by the loader",
        ),
        pytest.param(
            process("/usr/bin/redis-check-rdb", replace(PLAIN, needed=("libstdc++.so.6",))), "redis", id="redis"
        ),
        pytest.param(process("/usr/bin/python3.11", None), "python", id="an executable that cannot be read: its name"),
        pytest.param(process(None, None), "unknown", id="nothing could be read"),
        pytest.param(process("/app/svc", None, arguments=("java", "-jar")), "unknown", id="arguments decide nothing"),
    ],
)
def test_the_stronger_evidence_decides(facts: ProcessFacts, language: str) -> None:
    finding = judge(facts)
    assert finding.language == language, finding.evidence


def test_a_conflict_is_told_with_both_sides() -> None:
    finding = judge(process("/app/svc", PLAIN, LIBRUBY, LIBPYTHON))
    assert finding.conflict
    assert {"ruby", "python"} <= {item.says for item in finding.evidence}


def test_a_mere_native_program_says_that_it_names_no_language() -> None:
    assert [item.rule for item in judge(process("/app/svc", ElfFacts())).evidence] == ["native"]
