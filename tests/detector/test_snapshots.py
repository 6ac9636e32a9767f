"""Labelled snapshots of real containers: the rules say what a person found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from odigos_cp.detector import belonging, languages, snapshots
from odigos_cp.detector.__main__ import main
from odigos_cp.detector.belonging import Belonging

FOLDER = Path(__file__).parent / "snapshots"
SNAPSHOTS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@pytest.fixture(params=sorted(SNAPSHOTS))
def snapshot(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = SNAPSHOTS[request.param]
    return found


def test_a_recorded_container_is_what_a_person_found_out(snapshot: dict[str, Any]) -> None:
    expected, said = snapshot["expected"], snapshots.judge(snapshot)
    known = expected["language"] != languages.UNKNOWN
    assert said["language"] in (expected["language"], *expected.get("accept", ())), said["evidence"]
    assert said["pid"] in (expected["main_pids"] if known else [None])
    assert said["libc"] == (expected["libc"] if known else None)
    assert said["version"] in (None, expected.get("runtime_version"))
    assert said["injectable"] == (expected["injectable"] if known else None)
    assert said["agents"] == expected.get("other_agents", [])
    assert bool(said["secure"]) == expected.get("secure_execution", False)


def test_a_version_is_told_of_most_that_have_one() -> None:
    """A recorder keeps less than the process has: the rest is told of living processes only."""
    labelled = [snapshot for snapshot in SNAPSHOTS.values() if snapshot["expected"].get("runtime_version")]
    told = [snapshot for snapshot in labelled if snapshots.judge(snapshot)["version"]]
    assert len(told) > 0.75 * len(labelled)


def test_every_language_with_a_name_was_recorded() -> None:
    recorded = {snapshot["expected"]["language"] for snapshot in SNAPSHOTS.values()}
    assert recorded == set(languages.VERDICTS)
    assert len(SNAPSHOTS) >= 100


def test_the_processes_belong_to_their_container_and_to_no_other(snapshot: dict[str, Any]) -> None:
    expected = snapshot["expected"]
    for raw in snapshot["processes"]:
        paths = [line.split(":", 2)[2] for line in raw["cgroup"]]
        assert belonging.belongs(paths, expected["container_id"], expected["pod_uid"]) is Belonging.YES
        assert belonging.belongs(paths, "0" * 64, expected["pod_uid"]) is Belonging.NO


def test_a_wiped_environment_is_unknown_and_not_empty() -> None:
    master = snapshots.facts_of(SNAPSHOTS["nginx"]["processes"][0])
    assert not master.environment.known


def test_every_verdict_of_the_rules_is_listed() -> None:
    said = {language for _, language, _ in languages.LOADED} | {name.language for name in languages.NAMES}
    assert said <= set(languages.VERDICTS)


def test_the_command_prints_a_line_a_file_with_the_standard_library_alone(tmp_path: Path) -> None:
    for name in ("nginx", "node-20"):
        (tmp_path / f"{name}.json").write_text(json.dumps(SNAPSHOTS[name]))
    (tmp_path / "README.md").write_text("not a snapshot")
    source = Path(snapshots.__file__).parents[2]
    command = [sys.executable, "-S", "-m", "odigos_cp.detector", "--snapshots", str(tmp_path)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(source)}, capture_output=True, text=True, timeout=60, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["id"], line["language"]) for line in lines] == [("nginx", "nginx"), ("node-20", "nodejs")]
    assert {"version", "pid", "libc", "agents", "secure", "injectable", "evidence"} <= set(lines[0])


def test_a_directory_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--snapshots", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "x", "processes": [7]}', "\xff", '{"id": "x"'])
def test_a_file_that_is_no_snapshot_is_told_and_the_others_are_judged(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    (tmp_path / "b.json").write_text(json.dumps(SNAPSHOTS["nginx"]))
    odd, nginx = snapshots.judge_all(str(tmp_path))
    assert (odd["id"], odd["language"], odd["reason"]) == ("a", "unknown", "unreadable")
    assert nginx["language"] == "nginx"


@pytest.mark.parametrize(
    "process",
    [
        {"pid": 7},
        {"pid": 7, "exe": None, "state": "Z", "cmdline": [], "environ": None, "maps": [], "elf": None},
        {
            "pid": 7,
            "exe": "/x",
            "elf": {"elf": False},
            "root_files": {"odd": {"error": "gone"}},
            "state": "S (sleeping)",
        },
    ],
)
def test_a_process_of_which_little_was_recorded_is_unknown(process: dict[str, Any]) -> None:
    said = snapshots.judge({"id": "little", "processes": [process]})
    assert (said["language"], said["version"], said["pid"]) == ("unknown", None, None)
