"""What FROM means where no registry is: the machine's own Debian archives, and which images a Dockerfile stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import base_images
from cluster.base_images import Source, debian_sources, read_sources
from cluster.buildah import BuildError

DEBIAN = Source("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main",))
SECURITY = Source("http://mirror.example/debian-security", ("bookworm-security",), ("main",))
VENDOR = Source("https://apt.vendor.example/node_20.x", ("nodistro",), ("main",))


def apt(directory: Path, **files: str) -> list[Source]:
    (directory / "sources.list.d").mkdir()
    for name, text in files.items():
        place = "sources.list" if name == "main" else f"sources.list.d/{name.replace('_', '.')}"
        (directory / place).write_text(text)
    return read_sources(directory)


def test_a_machine_without_a_debian_archive_is_told_what_to_do() -> None:
    with pytest.raises(BuildError, match="configure one"):
        debian_sources([VENDOR])


def test_comments_switched_off_entries_and_source_packages_are_left_out(tmp_path: Path) -> None:
    stanzas = "Types: deb-src\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\n"
    stanzas += "Enabled: no\nTypes: deb\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main\n"
    lines = "# deb http://c.example/debian bookworm main\ndeb-src http://d.example/debian bookworm main\n\n"
    assert apt(tmp_path, main=lines, debian_sources=stanzas) == []


def test_a_line_with_options_is_read(tmp_path: Path) -> None:
    line = "deb [arch=amd64 signed-by=/usr/share/k.gpg] http://mirror.example/debian/ bookworm main contrib # ours\n"
    assert apt(tmp_path, main=line) == [Source("http://mirror.example/debian", ("bookworm",), ("main", "contrib"))]


def test_a_stanza_with_comments_and_folded_fields_is_read(tmp_path: Path) -> None:
    stanza = "Types: deb\n# a note\nURIs: http://mirror.example/debian\n"
    stanza += "Suites: bookworm\n bookworm-updates\nComponents: main\n"
    assert apt(tmp_path, debian_sources=stanza) == [DEBIAN]


def test_updates_and_security_fixes_are_part_of_the_image() -> None:
    assert debian_sources([VENDOR, SECURITY, DEBIAN]) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]


def test_a_machine_of_another_release_serves_as_well() -> None:
    newer = Source("http://mirror.example/debian", ("trixie",), ("main", "non-free-firmware"))
    assert debian_sources([newer])[0] == "deb http://mirror.example/debian bookworm main non-free-firmware"


def test_short_names_are_docker_hubs() -> None:
    assert base_images.qualified("debian:bookworm-slim") == "docker.io/library/debian:bookworm-slim"
    assert base_images.qualified("odigos-cp/x:1") == "docker.io/odigos-cp/x:1"
