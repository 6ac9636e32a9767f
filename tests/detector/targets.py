"""Every parser of the detector that strangers' bytes reach, as a function of bytes that must not raise.

`test_parsers` gives them what Hypothesis makes, `fuzz` what a coverage-guided fuzzer makes. What a caller tolerates
(`look.attempt`, `__main__.find`) is tolerated here too, and nothing else; and each answer is checked for its bounds.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from odigos_cp.api import report as contract
from odigos_cp.detector import (
    agents,
    belonging,
    choosing,
    content,
    elf,
    environment,
    facts,
    languages,
    procfs,
    report,
    snapshots,
)
from odigos_cp.detector.facts import ProcessFacts

NONCE, ID = "ab12", "6d1cc3728ac940f45cc9063bcd27baafcd7b97afd09dfd95ee4f86699328c947"
TOLERATED = (OSError, ValueError, IndexError)


class _Folder:
    """A /proc/<pid> of one file."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="parsers-"))
        atexit.register(shutil.rmtree, self._path, ignore_errors=True)
        (self._path / "net").mkdir()
        self.process = procfs.Process(7, os.open(self._path, os.O_PATH | os.O_DIRECTORY))

    def write(self, name: str, data: bytes) -> procfs.Process:
        (self._path / name).write_bytes(data)
        return self.process


_folder: _Folder | None = None


def _holding(name: str, data: bytes) -> procfs.Process:
    global _folder
    _folder = _folder or _Folder()
    return _folder.write(name, data)


def maps(data: bytes) -> None:
    libraries, others = _holding("maps", data).maps(agents.TELLING)
    assert len(libraries) <= 2048
    assert len(others) <= 64
    assert all(len(path) <= 512 for path in (*libraries, *others))
    seen = ProcessFacts(pid=7, exe="/app/x", loaded=libraries, mapped=others, state="S")
    assert languages.judge(seen).language in languages.VERDICTS
    agents.find(None, (), (*libraries, *others), "unknown")


def environ(data: bytes) -> None:
    variables = environment.parse(data)
    told = environment.tell(variables)
    assert all(len(value) <= environment.VALUE_LIMIT for value in told.shown.values())
    assert len(told.shown) <= environment.NAMES_LIMIT
    agents.find(variables, (), (), "unknown")


def arguments(data: bytes) -> None:
    words = tuple(os.fsdecode(word) for word in data.split(b"\0") if word)
    agents.find({}, words, (), "nodejs")
    choosing.choose([ProcessFacts(pid=7, exe="/usr/bin/node", arguments=words, loaded=("/x/libnode.so.108",))])


def executable(data: bytes) -> None:
    descriptor = os.memfd_create("target")
    try:
        os.write(descriptor, data)
        found = elf.read(descriptor)
        texts = content.read(descriptor, found) if found else {}
    finally:
        os.close(descriptor)
    if found is not None:
        seen = ProcessFacts(pid=7, exe="/app/x", elf=found, state="S")
        assert facts.decode(facts.encode(seen)) == seen
        assert languages.judge(seen).language in languages.VERDICTS
    assert all(len(text) <= 32 for text in texts.values())


def status(data: bytes) -> None:
    with suppress(*TOLERATED):
        _holding("status", data).status()


def control_groups(data: bytes) -> None:
    with suppress(*TOLERATED):
        groups = _holding("cgroup", data).control_groups()
        belonging.belongs(groups, ID, "8cf090c6-ac9e-494c-3de5-67b020557592")


def sockets(data: bytes) -> None:
    with suppress(*TOLERATED):
        _holding("net/tcp", data).listening()


def auxiliary_vector(data: bytes) -> None:
    with suppress(*TOLERATED):
        process = _holding("auxv", data)
        process.secure(64)
        process.secure(32)


def pipe(data: bytes) -> None:
    """What a child writes: the parent believes nothing that it cannot decode, and can report whatever it decodes."""
    with suppress(ValueError, TypeError, AttributeError, KeyError):
        seen = facts.decode(data)
        facts.encode(seen)


def message(data: bytes) -> None:
    """The termination message, on the control plane's side."""
    with suppress(contract.UnbelievableError):
        for name, container in contract.read(data.decode("utf-8", "replace"), NONCE, {"app": ID}).items():
            assert name == "app"
            assert container.verdict in languages.VERDICTS


def answer(data: bytes) -> None:
    """Whatever a name says, the report is JSON within its limit."""
    text = data.decode("utf-8", "surrogateescape")
    seen = ProcessFacts(pid=7, exe=f"/{text}/node", arguments=(text,), loaded=(f"/{text}/libnode.so.1",), state="S")
    choice = choosing.choose([seen])
    said = report.render(NONCE, [report.Answer("app", ID, choice, 1, text)], 512)
    assert len(said) <= 512
    assert json.loads(said)["nonce"] == NONCE


def snapshot(data: bytes) -> None:
    with suppress(*TOLERATED, KeyError, TypeError, AttributeError):
        said = snapshots.judge(json.loads(data))
        assert said["language"] in languages.VERDICTS


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "maps": maps,
    "environ": environ,
    "arguments": arguments,
    "executable": executable,
    "status": status,
    "control-groups": control_groups,
    "sockets": sockets,
    "auxiliary-vector": auxiliary_vector,
    "pipe": pipe,
    "message": message,
    "answer": answer,
    "snapshot": snapshot,
}
