"""Labelled snapshots of real processes: the rules say what a person found out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odigos_cp.detector import belonging, environment, languages, versions
from odigos_cp.detector.belonging import Belonging
from odigos_cp.detector.choosing import Choice, choose
from odigos_cp.detector.elf import MARKERS
from odigos_cp.detector.facts import ElfFacts, ProcessFacts, decode, encode
from odigos_cp.detector.procfs import DELETED
from odigos_cp.detector.report import libc

SNAPSHOTS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("snapshots/*.json")}


def elf_of(raw: dict[str, Any]) -> ElfFacts:
    go = raw.get("go_buildinfo") or {}
    markers = raw.get("dynsym_markers", {})
    return ElfFacts(
        bits=raw["bits"],
        interpreter=raw.get("interp"),
        needed=tuple(raw.get("needed", ())),
        sections=tuple(raw["sections"]),
        comments=tuple(raw.get("comment", ())),
        exports={marker: markers[marker] for marker in MARKERS if marker in markers},
        go_version=go.get("version"),
        go_module=go.get("main"),
        rust_paths="rustc" in raw["strings"],
    )


def facts_of(raw: dict[str, Any]) -> ProcessFacts:
    return ProcessFacts(
        pid=raw["pid"],
        parent=raw["ppid"],
        namespace_pids=tuple(raw["nspid"]),
        state=raw["state"],
        exe=raw["exe"].removesuffix(DELETED),
        arguments=tuple(raw["cmdline"]),
        loaded=tuple(path for path in raw["maps"] if ".so" in path),
        listening=bool(raw["listen"]),
        elf=elf_of(raw["elf"]),
        environment=environment.tell(raw["environ"] or None),
        secure=raw["at_secure"],
    )


class SnapshotFiles:
    """The files a snapshot kept: a few texts, and strings of the executable."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._texts = {file["path"]: file["text"] for file in raw["root_files"].values()}
        strings = raw["elf"]["strings"]
        self._content = "\0".join([
            f"node.js/{strings['node_ver']}" if "node_ver" in strings else "",
            f"X-Powered-By: PHP/{strings['php']}" if "php" in strings else "",
            f"nginx/{strings['nginx']}" if "nginx" in strings else "",
        ]).encode()  # fmt: skip

    def text(self, path: str) -> str:
        if path not in self._texts:
            raise FileNotFoundError(path)
        text: str = self._texts[path]
        return text

    def occurrences(self, path: str | None, marker: bytes, following: re.Pattern[bytes]) -> Iterator[str]:
        at = self._content.find(marker)
        if at >= 0 and (found := following.match(self._content, at + len(marker))):
            yield found.group(1).decode()


def chosen(snapshot: dict[str, Any]) -> Choice:
    return choose([decode(encode(facts_of(raw))) for raw in snapshot["processes"]])


@pytest.fixture(params=sorted(SNAPSHOTS))
def snapshot(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = SNAPSHOTS[request.param]
    return found


def test_the_language_is_the_labelled_one(snapshot: dict[str, Any]) -> None:
    choice = chosen(snapshot)
    assert choice.verdict == snapshot["expected"]["language"], choice.evidence


def test_the_process_that_speaks_is_a_labelled_one(snapshot: dict[str, Any]) -> None:
    main = chosen(snapshot).main
    assert main is not None
    assert main.pid in snapshot["expected"]["main_pids"]


def test_the_c_library_is_the_labelled_one(snapshot: dict[str, Any]) -> None:
    main = chosen(snapshot).main
    assert main is not None
    assert libc(main.elf) == snapshot["expected"]["libc"]


def test_the_version_is_the_labelled_one_or_its_beginning(snapshot: dict[str, Any]) -> None:
    """Python's patch level stands in no file that the snapshot kept."""
    expected = snapshot["expected"].get("runtime_version")
    choice = chosen(snapshot)
    raw = next(raw for raw in snapshot["processes"] if choice.main and raw["pid"] == choice.main.pid)
    found = versions.find(choice.verdict, facts_of(raw), raw["environ"] or {}, SnapshotFiles(raw))
    assert found == ("3.11" if choice.verdict == "python" else expected)


def test_the_processes_belong_to_their_container_and_to_no_other(snapshot: dict[str, Any]) -> None:
    expected = snapshot["expected"]
    for raw in snapshot["processes"]:
        paths = [line.split(":", 2)[2] for line in raw["cgroup"]]
        assert belonging.belongs(paths, expected["container_id"], expected["pod_uid"]) is Belonging.YES
        assert belonging.belongs(paths, "0" * 64, expected["pod_uid"]) is Belonging.NO


def test_a_wiped_environment_is_unknown_and_not_empty() -> None:
    first = chosen(SNAPSHOTS["nginx"]).first
    assert first is not None
    assert not first.environment.known


def test_every_verdict_of_the_rules_is_listed() -> None:
    said = {language for _, language, _ in languages.LOADED} | {name.language for name in languages.NAMES}
    assert said <= set(languages.VERDICTS)
