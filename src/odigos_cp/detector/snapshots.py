"""The second reader: containers that were recorded, one JSON file each, judged by the same rules as /proc.

What a recorder kept of a process stands where `procfs` and `elf` would look; a text that it did not keep is not there.
Files in a directory are read in the order of their names, and each gives one line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from odigos_cp.detector import agents, choosing, environment, injectable, languages, report, versions
from odigos_cp.detector.facts import ElfFacts, ProcessFacts
from odigos_cp.detector.procfs import DELETED

_FILE_LIMIT = 32 * 1024 * 1024

STRINGS: Mapping[bytes, tuple[str, ...]] = {
    # a text that is searched for: the names under which a recorder keeps the number behind its first match
    b"node.js/v": ("node_ver",),
    b"X-Powered-By: PHP/": ("php", "php_ver"),
    b"nginx/": ("nginx", "nginx_ver"),
    b"Apache/": ("apache", "apache_ver"),
}
"""Only texts whose first match is always the right one."""
MARKS: Mapping[str, tuple[str, ...]] = {
    # a mark of `content`: the beginnings of the names under which a recorder keeps that it occurs
    "graalvm": ("graal", "svm", "substrate"),
    "bun": ("bun",),
    "deno": ("deno",),
    "cxx": ("cxx", "libstdc", "gxx"),
    "upx": ("upx",),
}


def judge_all(directory: str) -> Iterator[dict[str, Any]]:
    """One answer a file; of one that is no snapshot, that it cannot be read."""
    for name in sorted(name for name in os.listdir(directory) if name.endswith(".json")):
        with open(os.path.join(directory, name), "rb") as file:
            raw = file.read(_FILE_LIMIT)
        try:
            yield judge(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            nothing = choosing.Choice(languages.UNKNOWN, 0, (), choosing.UNREADABLE, None, None)
            print(f"{name} is no snapshot: {type(error).__name__}: {error}", file=sys.stderr)
            yield _told(name.removesuffix(".json"), nothing, None, None)


def judge(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What the rules say of one recorded container."""
    recorded = {raw["pid"]: raw for raw in snapshot["processes"]}
    choice = choosing.choose([facts_of(raw) for raw in recorded.values()])
    main = choice.main
    version = None
    if main is not None:
        raw = recorded[main.pid]
        kept = RecordedFiles(raw)
        version = versions.find(choice.verdict, main, raw.get("environ") or {}, kept)
        main = replace(main, lacks_agents=versions.lacks_agents(choice.verdict, main, kept))
    return _told(snapshot["id"], choice, main, version)


def _told(name: str, choice: choosing.Choice, main: ProcessFacts | None, version: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "language": choice.verdict,
        "version": version if _is_exact(choice.verdict, version) else None,
        "pid": main.pid if main else None,
        "libc": report.libc(main) if main else None,
        "agents": list(report.agents_of(choice)),
        "secure": main.secure if main else None,
        "injectable": injectable.is_injectable(choice.verdict, main) if main else None,
        "reason": choice.reason,
        "evidence": [
            {"rule": item.rule, "saw": item.saw, "says": item.says, "weight": item.weight} for item in choice.evidence
        ],
    }


def facts_of(raw: Mapping[str, Any]) -> ProcessFacts:
    """A recorded process as `look` would have seen it."""
    exe = raw.get("exe")
    words = tuple(raw.get("cmdline") or ())
    maps = tuple(path.removesuffix(DELETED) for path in raw.get("maps") or () if path.startswith("/"))
    loaded = tuple(path for path in maps if ".so" in path.rpartition("/")[2])
    variables = raw.get("environ") or None
    seen = ProcessFacts(
        pid=raw["pid"],
        parent=raw.get("ppid") or 0,
        namespace_pids=tuple(raw.get("nspid") or ()),
        state=(raw.get("state") or "?")[:1],
        exe=exe.removesuffix(DELETED) if exe else None,
        arguments=words,
        loaded=loaded,
        mapped=tuple(path for path in maps if path not in loaded),
        listening=bool(raw.get("listen")),
        elf=_elf_of(raw.get("elf") or {}),
        environment=environment.tell(variables),
        secure=bool(raw.get("at_secure")),
        unreadable=() if exe else ("exe",),
    )
    return replace(seen, agents=agents.find(variables, words, maps, languages.judge(seen).language))


def _elf_of(raw: Mapping[str, Any]) -> ElfFacts | None:
    if not raw or raw.get("elf") is False:
        return None
    go = raw.get("go_buildinfo") or {}
    strings = raw.get("strings") or {}
    comments = list(raw.get("comment") or ())
    if "rustc_ver" in strings and not any(text.startswith("rustc version ") for text in comments):
        comments.append(f"rustc version {strings['rustc_ver']}")
    sections = list(raw.get("sections") or ())
    if raw.get("go_build_id"):
        sections.append(".note.go.buildid")
    return ElfFacts(
        bits=raw.get("bits") or 64,
        interpreter=raw.get("interp"),
        needed=tuple(raw.get("needed") or ()),
        sections=tuple(sections),
        comments=tuple(comments),
        exports=dict(raw.get("dynsym_markers") or {}),
        symbols=dict(raw.get("symtab_markers") or {}),
        go_version=go.get("version"),
        go_module=go.get("main"),
        rust_paths="rustc" in strings,
        texts={
            mark: str(strings[name])
            for mark, beginnings in MARKS.items()
            for name in strings
            if name.startswith(beginnings)
        },
    )


class RecordedFiles:
    """The files that a recorder kept: a few texts, and what stood in the executable."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        kept = (raw.get("root_files") or {}).values()
        self._texts = {file["path"]: file["text"] for file in kept if isinstance(file, dict) and "text" in file}
        self._strings = (raw.get("elf") or {}).get("strings") or {}

    def text(self, path: str) -> str:
        if path not in self._texts:
            raise FileNotFoundError(path)
        text: str = self._texts[path]
        return text

    def occurrences(self, path: str | None, marker: bytes, following: re.Pattern[bytes]) -> Iterator[str]:
        """Only the executable was searched, for fixed texts, and only the first match was kept."""
        for name in STRINGS.get(marker, ()):
            kept = re.search(r"[0-9].*", str(self._strings.get(name, "")))
            if kept and (found := following.match(kept.group().encode() + b" (")):
                yield found.group(1).decode()
                return


def _is_exact(language: str, version: str | None) -> bool:
    """A minor version alone is not the version of an interpreter."""
    return version is not None and (language != "python" or version.count(".") > 1)
