"""The ELF reader on real programs of this machine, and on files that lie."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.detector import elf
from odigos_cp.detector.facts import ElfFacts

GO_SOURCE = 'package main\n\nfunc main() { println("hello") }\n'


def read(path: Path) -> ElfFacts | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return elf.read(descriptor)
    finally:
        os.close(descriptor)


def facts(path: str | Path) -> ElfFacts:
    found = read(Path(path))
    assert found is not None
    return found


def program(name: str) -> Path:
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: `make test` needs it"
    return Path(found).resolve()


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hello")
    (folder / "main.go").write_text(GO_SOURCE)
    (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.24\n")
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "hello", "."]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=120, stdin=subprocess.DEVNULL)
    return folder / "hello"


def test_this_python_is_dynamically_linked_and_carries_its_runtime() -> None:
    found = facts(Path(sys.executable).resolve())
    assert found.interpreter
    assert ".PyRuntime" in found.sections or any(name.startswith("libpython") for name in found.needed)


def test_node_exports_its_own_names() -> None:
    found = facts(program("node"))
    assert found.exports.get("_ZN4node", 0) > 1000 or any(name.startswith("libnode") for name in found.needed)


@pytest.mark.timeout(150)
def test_a_stripped_go_program_tells_its_version_and_module(go_program: Path) -> None:
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=20)
    found = facts(go_program)
    assert (found.go_version, found.go_module) == (version.stdout.strip(), "example.com/hello")
    assert found.interpreter is None


def test_ls_is_a_plain_c_program() -> None:
    found = facts(program("ls"))
    assert found.interpreter
    assert any(name.startswith("libc.") for name in found.needed)
    assert (found.go_version, found.exports, found.rust_paths) == (None, {}, False)


def test_no_elf_file_is_no_elf_file(tmp_path: Path) -> None:
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF", b"MZ" * 100, b"\x7fELF\x09\x09" + b"\0" * 100):
        (tmp_path / "file").write_bytes(content)
        assert read(tmp_path / "file") is None


def test_a_program_cut_in_the_middle_still_tells_what_is_left(tmp_path: Path) -> None:
    whole = program("ls").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    found = facts(tmp_path / "cut")
    assert found.interpreter
    assert found.sections == ()


def test_the_older_form_of_go_build_information_is_read(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(_old_go_program(b"go1.16.5"))
    assert facts(tmp_path / "old").go_version == "go1.16.5"


@settings(max_examples=300, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=24))
def test_damaged_headers_never_raise(damage: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(_old_go_program(b"go1.16.5").ljust(4096, b"\0"))
    for at, value in damage:
        content[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    found = read(path)
    assert found is None or isinstance(found.sections, tuple)


def _old_go_program(version: bytes) -> bytes:
    """A little ELF file with one segment and `.go.buildinfo` as Go 1.13 to 1.17 wrote it, with pointers."""
    address, text, header_at, info_at, names_at, table_at = 0x400000, 0x400, 0x300, 0x200, 0x500, 0x600
    info = b"\xff Go buildinf:" + bytes([8, 0]) + struct.pack("<QQ", address + header_at, address + header_at)
    names = b"\0.go.buildinfo\0.shstrtab\0"
    sections = [
        struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        struct.pack("<IIQQQQIIQQ", 1, 1, 2, address + info_at, info_at, len(info), 0, 0, 16, 0),
        struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, names_at, len(names), 0, 0, 1, 0),
    ]
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, 0x1000, 0x1000, 0x1000)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + b"\0" * 9
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, address, 64, table_at, 0, 64, 56, 1, 64, 3, 2)
    image = bytearray(0x1000)
    parts = {0: header, 64: segment, info_at: info, text: version, names_at: names, table_at: b"".join(sections)}
    parts[header_at] = struct.pack("<QQ", address + text, len(version))
    for at, part in parts.items():
        image[at : at + len(part)] = part
    return bytes(image)


@pytest.mark.parametrize("size", [4, 20, 52, 54, 63])
def test_a_header_that_is_cut_off_is_no_header(tmp_path: Path, size: int) -> None:
    """54 bytes of a 64-bit file: found by the fuzzer."""
    file = tmp_path / "short"
    file.write_bytes((b"\x7fELF\x02\x01\x01" + bytes(64))[:size])
    assert read(file) is None
