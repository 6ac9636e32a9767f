"""Versions, where a file says them and where only a hint is left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from odigos_cp.detector import versions
from odigos_cp.detector.facts import ElfFacts, ProcessFacts

LIBJVM = "/opt/jdk8/jre/lib/amd64/server/libjvm.so"
OS = "/etc/os-release"
BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
DEPENDENCIES = '{"libraries": {"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.11": {}}}'
LIBPYTHON = "/usr/local/lib/libpython3.12.so.1.0"


class Files:
    """Texts by path, and bytes that every search goes through."""

    def __init__(self, texts: Mapping[str, str] | None = None, content: bytes = b"") -> None:
        self._texts, self._content = texts or {}, content

    def text(self, path: str) -> str:
        if path not in self._texts:
            raise FileNotFoundError(path)
        return self._texts[path]

    def occurrences(self, path: str | None, marker: bytes, following: re.Pattern[bytes]) -> Iterator[str]:
        for found in re.finditer(re.escape(marker), self._content):
            if behind := following.match(self._content, found.end()):
                yield behind.group(1).decode()


def process(exe: str = "/app", *loaded: str, go: str | None = None) -> ProcessFacts:
    return ProcessFacts(pid=7, exe=exe, loaded=loaded, elf=ElfFacts(go_version=go))


@pytest.mark.parametrize(
    ("language", "facts", "environment", "files", "version"),
    [
        ("java", process("/x", LIBJVM), {}, Files({"/opt/jdk8/release": 'JAVA_VERSION="1.8.0_472"\n'}), "8.0.472"),
        ("java", process("/x", LIBJVM), {}, Files({"/opt/jdk8/release": 'JAVA_VERSION="1.8.0"\n'}), "8.0"),
        ("java", process("/x", LIBJVM), {"JAVA_VERSION": "21"}, Files(), None),
        ("java", process("/x"), {}, Files(), None),
        (
            "nodejs",
            process("/usr/bin/node"),
            {"NODE_VERSION": "9"},
            Files(content=b"node.js/v node.js/v22.1.0 "),
            "22.1.0",
        ),
        ("nodejs", process("/usr/bin/node"), {"NODE_VERSION": "9"}, Files(), None),
        ("python", process("/usr/bin/python3.11"), {}, Files(), "3.11"),
        ("python", process("/usr/bin/python3.11"), {}, Files(content=b"\x003.11.2\0"), "3.11.2"),
        ("python", process("/usr/bin/python3.11"), {}, Files(content=b"\x003.11.2\0\x003.11.9\0"), "3.11"),
        ("python", process("/app", LIBPYTHON), {"PYTHON_VERSION": "3.12.4"}, Files(), "3.12.4"),
        ("python", process("/app", LIBPYTHON), {"PYTHON_VERSION": "3.9.1"}, Files(), "3.12"),
        ("python", process("/app", LIBPYTHON), {"PYTHON_VERSION": "3.12.<b>"}, Files(), "3.12"),
        ("python", process("/usr/bin/python3.12"), {"PYTHON_VERSION": "3.12.4"}, Files(), "3.12"),
        ("python", process("/usr/bin/python3.11"), {"PYTHON_VERSION": "3.11.9"}, Files({OS: BOOKWORM}), "3.11.2"),
        ("python", process("/usr/bin/python3.10"), {}, Files({OS: BOOKWORM}), "3.10"),
        ("python", process("/usr/local/bin/python3.11"), {}, Files({OS: BOOKWORM}), "3.11"),
        ("python", process("/root/.pyenv/versions/3.11.9/bin/python3.11"), {}, Files(), "3.11.9"),
        ("python", process("/opt/cpython-3.12.7-linux-x86_64-gnu/bin/python3.12"), {}, Files(), "3.12.7"),
        ("python", process("/opt/3.9.1/bin/python3.11"), {}, Files(), "3.11"),
        ("ruby", process("/x", "/usr/lib/libruby-3.1.so.3.1.7"), {"RUBY_VERSION": "2.7.0"}, Files(), "3.1.7"),
        ("ruby", process("/usr/local/bin/ruby"), {}, Files(content=b"ruby 3.3.4 (2024-07-09 revision "), "3.3.4"),
        ("dotnet", process("/app/shop"), {}, Files({"/app/shop.deps.json": DEPENDENCIES}), "8.0.11"),
        ("perl", process("/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libperl.so.5.36.0"), {}, Files(), "5.36.0"),
        ("postgres", process("/usr/lib/postgresql/15/bin/postgres"), {}, Files(content=b"PostgreSQL 15.14 ("), "15.14"),
        ("redis", process("/usr/bin/redis-check-rdb"), {"REDIS_VERSION": "7"}, Files(), None),
        ("python", process("/app", "/x/a.cpython-310-x86_64-linux-gnu.so"), {}, Files(), "3.10"),
        ("python", process("/usr/bin/python3"), {}, Files(), None),
        ("go", process(go="go1.26.8"), {}, Files(), "1.26.8"),
        ("go", process(go="go1.25.1 X:boringcrypto"), {}, Files(), "1.25.1"),
        ("go", process(go="devel +abc"), {}, Files(), None),
        (
            "dotnet",
            process("/x", "/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so"),
            {},
            Files(),
            "8.0.1",
        ),
        ("unknown", process(), {}, Files(), None),
    ],
)
def test_a_version_is_what_the_files_say(
    language: str, facts: ProcessFacts, environment: dict[str, str], files: Files, version: str | None
) -> None:
    assert versions.find(language, facts, environment, files) == version


@pytest.mark.parametrize(
    ("modules", "lacks"),
    [("java.base jdk.httpserver", True), ("java.base java.instrument", False), ("java.base xjava.instrumentx", True)],
)
def test_a_runtime_image_without_the_module_for_agents_is_known(modules: str, lacks: bool) -> None:
    release = f'JAVA_VERSION="21.0.1"\nMODULES="{modules}"\n'
    files = Files({"/opt/jre/release": release})
    assert versions.lacks_agents("java", process("/x", "/opt/jre/lib/server/libjvm.so"), files) is lacks
    assert not versions.lacks_agents("python", process("/x", "/opt/jre/lib/server/libjvm.so"), files)


def test_an_old_java_whose_file_names_no_modules_has_them_all() -> None:
    files = Files({"/opt/jdk8/release": 'JAVA_VERSION="1.8.0_472"\n'})
    assert not versions.lacks_agents("java", process("/x", LIBJVM), files)
