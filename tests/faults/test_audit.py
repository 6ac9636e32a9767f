"""The second witness itself: whole lines only, writes in the order in which they were done, and whose they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit import AuditLog, Entry, last_before_first


def line(
    user: str = "a", verb: str = "patch", ended: int = 1, *, began: int = 0, code: int = 200, **more: Any
) -> bytes:
    about = {"resource": "pods", "namespace": "ns", "name": "x"} | more.pop("about", {})
    event = {
        "stage": "ResponseComplete",
        "user": {"username": user},
        "verb": verb,
        "objectRef": about,
        "requestURI": "/api/v1/pods?fieldManager=odigos-x&force=true",
        "requestReceivedTimestamp": f"2026-01-01T00:00:{began:02}.000000Z",
        "stageTimestamp": f"2026-01-01T00:00:{ended:02}.000000Z",
        "responseStatus": {"code": code},
    }
    return json.dumps(event | more).encode() + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_a_log_that_is_not_there_yet_is_empty(log: Path) -> None:
    assert AuditLog(log).entries() == []
    assert AuditLog(log).position == 0


@pytest.mark.parametrize("half", [b"", b'{"half', b"x" * 200_000])
def test_a_position_is_never_within_a_line_although_one_may_be_half_written(log: Path, half: bytes) -> None:
    log.write_bytes(line() + half)
    assert AuditLog(log).position == len(line())
    log.write_bytes(half)
    assert AuditLog(log).position == 0


def test_half_a_line_is_no_entry_until_its_rest_has_come(log: Path) -> None:
    whole = line(user="b")
    log.write_bytes(line() + whole[:-1])
    assert [entry.user for entry in AuditLog(log).entries()] == ["a"]
    log.write_bytes(line() + whole)
    assert [entry.user for entry in AuditLog(log).entries()] == ["a", "b"]


def test_what_was_before_a_position_is_left_out(log: Path) -> None:
    log.write_bytes(line())
    since = AuditLog(log).position
    log.write_bytes(line() + line(user="b"))
    assert [entry.user for entry in AuditLog(log).entries(since)] == ["b"]


def test_writes_are_those_that_were_accepted_in_the_order_in_which_they_were_done(log: Path) -> None:
    log.write_bytes(line(ended=3) + line(ended=2, verb="create") + line(verb="get") + line(code=409))
    assert [(entry.verb, entry.ended.second) for entry in AuditLog(log).writes()] == [("create", 2), ("patch", 3)]


def test_writes_are_those_of_one_user_when_he_is_named(log: Path) -> None:
    log.write_bytes(line() + line(user="b"))
    assert [entry.user for entry in AuditLog(log).writes("b")] == ["b"]


def test_an_entry_says_what_was_asked_of_which_object_and_by_which_manager(log: Path) -> None:
    log.write_bytes(line(about={"subresource": "status"}))
    (entry,) = AuditLog(log).entries()
    assert str(entry) == "00:00:01.000000 a patch pods/status ns/x 200"
    assert entry.kind_of_write == "patch pods/status odigos-x"


def test_a_generated_name_stands_in_the_answer(log: Path) -> None:
    log.write_bytes(line(verb="create", about={"name": ""}, responseObject={"metadata": {"name": "made"}}))
    assert AuditLog(log).entries()[0].name == "made"


def test_what_is_about_no_object_and_what_has_only_begun_are_no_entries(log: Path) -> None:
    log.write_bytes(line(objectRef=None) + line(stage="ResponseStarted"))
    assert AuditLog(log).entries() == []


def test_a_writer_that_goes_on_after_another_has_begun_is_caught(log: Path) -> None:
    log.write_bytes(line("old", ended=1) + line("new", began=2, ended=4) + line("old", ended=3, code=201))
    late = last_before_first(AuditLog(log).writes(), "old", "new")
    assert [entry.code for entry in late] == [201]


def test_one_that_stopped_in_time_or_has_no_successor_is_not(log: Path) -> None:
    log.write_bytes(line("old", ended=1) + line("new", began=2, ended=3))
    writes: list[Entry] = AuditLog(log).writes()
    assert last_before_first(writes, "old", "new") == []
    assert last_before_first(writes, "old", "nobody") == []
