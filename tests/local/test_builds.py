"""Programs that are built once for each state of their sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import builds
from cluster.builds import Program
from cluster.commands import ClusterError

PROGRAM = Program("hello")
MAIN = 'package main\n\nimport "os"\n\nfunc main() { os.Exit(7) }\n'


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "go/hello"
    directory.mkdir(parents=True)
    (directory / "go.mod").write_text("module hello\n\ngo 1.24\n")
    (directory / "main.go").write_text(MAIN)
    monkeypatch.setattr(builds, "GO", tmp_path / "go")
    monkeypatch.setenv("ODIGOS_CP_CACHE", str(tmp_path / "cache"))
    return directory


def content(program: Program, sources: Path, version: str = "go1.26") -> str:
    return builds.content(program, version, sources.parent)


def test_sources_flags_and_go_itself_make_another_program(sources: Path) -> None:
    before = content(PROGRAM, sources)
    assert content(PROGRAM, sources, "go1.27") != before
    assert content(Program("hello", (("main.version", "2"),)), sources) != before
    (sources / "main.go").write_text(MAIN.replace("7", "8"))
    assert content(PROGRAM, sources) != before


def test_a_program_is_built_once(sources: Path) -> None:
    said: list[str] = []
    binary = builds.build(PROGRAM, said.append)
    assert builds.build(PROGRAM, said.append) == binary
    assert len([text for text in said if "built in" in text]) == 1


def test_a_program_that_does_not_build_says_why_and_leaves_nothing(sources: Path, tmp_path: Path) -> None:
    (sources / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(ClusterError, match=r"(?s)hello did not build.*undefined: undefined"):
        builds.build(PROGRAM, print)
    assert not list((tmp_path / "cache/bin").glob("*.unfinished"))


def test_the_version_that_a_kubelet_tells_is_the_one_that_is_built() -> None:
    """In the module's list of requirements, and in what the linker sets."""
    modules = (Path(builds.__file__).parent / "go/kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes {builds.KUBERNETES_VERSION}\n" in modules
    assert ("k8s.io/component-base/version.gitVersion", builds.KUBERNETES_VERSION) in builds.PROGRAMS[
        "kubernetes"
    ].variables
