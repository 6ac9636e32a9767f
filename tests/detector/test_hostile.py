"""Processes that mean harm, or that are gone: the whole detector answers, in time, and tells nothing it must not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from odigos_cp.detector import examination, procfs
from odigos_cp.detector.facts import ProcessFacts
from odigos_cp.detector.look import Looker
from odigos_cp.detector.procfs import Process, Status
from tests.detector.conftest import Ask
from tests.detector.proctree import CONTAINER, LIBJVM, ProcTree, mapping

RELEASE = {"/usr/lib/jvm/java-17/release": 'JAVA_VERSION="17.0.21"\nLIBC="gnu"\n'}


def test_an_honest_java_is_the_measure(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM], files=RELEASE, environ=b"JAVA_TOOL_OPTIONS=-Dx=1\0", listens=True)
    answer = ask()
    assert (answer["verdict"], answer["version"], answer["confidence"]) == ("java", "17.0.21", 100)
    assert (answer["env"], answer["envKnown"], answer["processes"]) == ({"JAVA_TOOL_OPTIONS": "-Dx=1"}, True, 1)
    assert answer["error"] is None
    assert "reason" not in answer


def test_secure_execution_is_told(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM], secure=True)
    assert ask()["secure"] is True


def test_a_container_without_a_process_is_told_as_such(ask: Ask) -> None:
    answer = ask()
    assert (answer["verdict"], answer["reason"], answer["envKnown"]) == ("unknown", "noProcess", False)


def test_arguments_full_of_lines_and_nonsense_change_nothing(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM], arguments=b'\n\x1b[31m\xff\xfe"}],\n' * 9000, files=RELEASE)
    assert ask()["verdict"] == "java"


def test_an_environment_without_separators_is_unknown(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM], environ=b"x" * 100_000)
    answer = ask()
    assert (answer["verdict"], answer["env"], answer["envKnown"]) == ("java", {}, False)


def test_an_executable_replaced_under_its_process_keeps_its_name(proc: ProcTree, ask: Ask) -> None:
    proc.process(exe="/opt/x/bin/python3.11 (deleted)")
    answer = ask()
    assert (answer["verdict"], answer["version"]) == ("python", "3.11")


def test_a_name_with_lines_in_it_stays_one_line(proc: ProcTree, ask: Ask) -> None:
    proc.process(exe='/opt/evil\n"},\x1b[31m/node')
    answer = ask()
    assert answer["evidence"][0]["saw"] == '/opt/evil?"},?[31m/node'


def test_a_library_that_is_only_read_is_not_running(proc: ProcTree, ask: Ask) -> None:
    folder = proc.process()
    (folder / "maps").write_text(mapping(LIBJVM, "r--p"))
    assert ask()["verdict"] == "unknown"


def test_the_runtime_is_found_among_65_thousand_mappings(proc: ProcTree, ask: Ask) -> None:
    noise = [f"/data/index/segment{number}.dat" for number in range(65_000)]
    proc.process(maps=[*noise, LIBJVM], files=RELEASE)
    assert ask()["version"] == "17.0.21"


def test_a_flood_of_libraries_is_bounded(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[f"/x/{'y' * 300}{number}.so" for number in range(20_000)])
    assert ask()["verdict"] == "unknown"


@pytest.mark.parametrize("name", ["environ", "maps", "cmdline", "auxv", "exe"])
def test_a_pipe_in_the_way_is_not_waited_for(proc: ProcTree, ask: Ask, name: str) -> None:
    file = proc.process(exe="/opt/svc") / name
    file.unlink()
    os.mkfifo(file)
    began = time.monotonic()
    assert ask()["verdict"] == "unknown"
    assert time.monotonic() - began < examination.SILENCE_SECONDS


@pytest.mark.parametrize("place", ["/usr/lib/jvm/java-17/release", "/usr/lib/jvm/java-17", "/usr"])
def test_a_link_below_the_targets_root_is_never_followed(proc: ProcTree, ask: Ask, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    file = outside / "usr/lib/jvm/java-17/release"
    file.parent.mkdir(parents=True)
    file.write_text('JAVA_VERSION="6.6.6"\n')
    proc.process(maps=[LIBJVM])
    link = proc.root / "root-of-100" / place.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside / place.lstrip("/"))
    answer = ask()
    assert (answer["verdict"], answer["version"]) == ("java", None)


def test_a_path_that_climbs_out_of_the_root_is_refused(proc: ProcTree, ask: Ask) -> None:
    (proc.root / "release").write_text('JAVA_VERSION="6.6.6"\n')
    proc.process(maps=["/../x/lib/server/libjvm.so", LIBJVM])
    assert ask()["version"] is None


def test_a_version_that_is_no_version_is_left_out(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM], files={"/usr/lib/jvm/java-17/release": 'JAVA_VERSION="<img src=x>"\n'})
    assert ask()["version"] is None


def test_a_process_that_vanishes_in_the_middle_is_no_error(
    proc: ProcTree, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = proc.process(pid=100, maps=[LIBJVM])
    proc.process(pid=101, parent=100, inside=7, maps=[LIBJVM], files=RELEASE)
    status = procfs.Process.status

    def status_then_gone(process: Process) -> Status:
        found = status(process)
        if process.pid == 100:
            shutil.rmtree(gone)
        return found

    monkeypatch.setattr(procfs.Process, "status", status_then_gone)
    answer = ask()
    assert (answer["verdict"], answer["version"]) == ("java", "17.0.21")


def test_a_process_that_may_not_be_looked_at_is_unreadable(proc: ProcTree, ask: Ask) -> None:
    folder = proc.process()
    for name in ("exe", "maps", "environ", "auxv"):
        (folder / name).unlink()
    answer = ask()
    assert (answer["verdict"], answer["reason"]) == ("unknown", "unreadable")


def test_a_process_that_hangs_the_reader_costs_its_deadline_and_nothing_else(
    proc: ProcTree, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.process(pid=100, maps=[LIBJVM])
    proc.process(pid=101, parent=100, inside=7, maps=[LIBJVM], files=RELEASE)
    look = Looker.look

    def hang(looker: Looker, process: Process, status: Status) -> ProcessFacts:
        while process.pid == 100:
            signal.pause()
        return look(looker, process, status)

    monkeypatch.setattr(Looker, "look", hang)
    monkeypatch.setattr(examination, "SILENCE_SECONDS", 0.2)
    answer = ask()
    assert answer["verdict"] == "java"
    assert answer["error"] == "process 100 did not answer within 0.2 s"


def test_a_process_that_ends_the_reader_is_told_and_the_others_are_seen(
    proc: ProcTree, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.process(pid=100)
    proc.process(pid=101, parent=100, inside=7, maps=[LIBJVM])
    look = Looker.look

    def end(looker: Looker, process: Process, status: Status) -> ProcessFacts:
        if process.pid == 100:
            os._exit(1)
        return look(looker, process, status)

    monkeypatch.setattr(Looker, "look", end)
    assert ask()["verdict"] == "java"


def test_a_decoy_in_another_pod_is_not_looked_at_and_is_told(proc: ProcTree, ask: Ask) -> None:
    proc.process(group=f"/kubepods/pod{'0' * 8}-0000-0000-0000-{'0' * 12}/{'f' * 64}/{CONTAINER}", maps=[LIBJVM])
    answer = ask()
    assert (answer["verdict"], answer["processes"]) == ("unknown", 0)
    assert "another pod" in answer["error"]


def test_a_decoy_beside_the_real_process_spoils_nothing(proc: ProcTree, ask: Ask) -> None:
    proc.process(pid=99, group=f"/kubepods/pod{'0' * 8}-0000-0000-0000-{'0' * 12}/{'f' * 64}/{CONTAINER}")
    proc.process(pid=100, maps=[LIBJVM])
    answer = ask()
    assert (answer["verdict"], answer["processes"], answer["error"]) == ("java", 1, None)
