"""When an image is built again, and what can get into it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cluster import base_images, images
from cluster.buildah import Buildah, BuildError
from cluster.images import ImageSpec, base_names, content_hash

BASES = {"debian:bookworm-slim": "1b05"}
SPEC = ImageSpec("shop", "shop.Dockerfile", ("app",))
SPECS = images.all_images(collector=Path("/nowhere/otelcol"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app/lib").mkdir(parents=True)
    (tmp_path / "app/main.py").write_text("print('hello')\n")
    (tmp_path / "app/lib/part.py").write_text("")
    (tmp_path / "shop.Dockerfile").write_text("FROM debian:bookworm-slim\nCOPY app /app\n")
    return tmp_path


def test_a_file_that_is_not_there_is_named(root: Path) -> None:
    spec = ImageSpec("shop", "shop.Dockerfile", ("app", "gone"))
    with pytest.raises(BuildError, match=r"the image shop needs .*/gone, which is not there"):
        content_hash(spec, BASES, root)


def test_a_part_that_has_not_been_made_is_named(root: Path) -> None:
    spec = ImageSpec("shop", "shop.Dockerfile", (), (("build/binary", lambda: root / "binary"),))
    with pytest.raises(BuildError, match=r"needs .*/binary as build/binary, which has not been made"):
        content_hash(spec, BASES, root)


def test_a_failed_build_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(
        BuildError, match=r"(?s)the image shop could not be built: sh ended with code 3.*no such package"
    ):
        Buildah(tmp_path).logged("shop", ["sh", "-c", "echo no such package; exit 3"], say=print, timeout=10)


def test_a_build_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not done within 0 s"):
        Buildah(tmp_path).logged("shop", ["sleep", "60"], say=print, timeout=0.1)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "app/main.py").write_text("print('bye')\n"),
        lambda root: (root / "app/new.py").write_text(""),
        lambda root: (root / "app/main.py").chmod(0o755),
        lambda root: (root / "app/lib/part.py").rename(root / "app/part.py"),
        lambda root: (root / "shop.Dockerfile").write_text("FROM debian:bookworm-slim\nCOPY app /other\n"),
    ],
    ids=["content", "new file", "mode", "place", "Dockerfile"],
)
def test_whatever_the_image_could_hold_changes_its_tag(root: Path, change: object) -> None:
    before = content_hash(SPEC, BASES, root)
    change(root)  # type: ignore[operator]
    assert content_hash(SPEC, BASES, root) != before


def test_another_base_image_changes_the_tag(root: Path) -> None:
    assert content_hash(SPEC, BASES, root) != content_hash(SPEC, {"debian:bookworm-slim": "77aa"}, root)


def test_what_python_leaves_behind_does_not_change_the_tag(root: Path) -> None:
    before = content_hash(SPEC, BASES, root)
    (root / "app/__pycache__").mkdir()
    (root / "app/__pycache__/main.cpython-311.pyc").write_bytes(b"x")
    (root / "app/main.py").touch()
    assert content_hash(SPEC, BASES, root) == before
    assert re.fullmatch("[0-9a-f]{12}", before)


def test_only_what_is_hashed_gets_into_the_build(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "secret").write_text("x")
    context = tmp_path_factory.mktemp("context")
    images.stage(SPEC, context, root)
    found = {str(p.relative_to(context)) for p in context.rglob("*") if p.is_file()}
    assert found == {"shop.Dockerfile", "app/main.py", "app/lib/part.py"}


def test_stages_and_scratch_are_no_base_images() -> None:
    dockerfile = "FROM --platform=linux/amd64 debian:bookworm-slim AS build\nfrom build as next\nFROM scratch\n"
    assert base_names(dockerfile) == {"debian:bookworm-slim"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_image_has_its_dockerfile_and_known_base_images(spec: ImageSpec) -> None:
    dockerfile = (images.ROOT / spec.dockerfile).read_text()
    assert base_names(dockerfile) <= base_images.STAND_INS.keys()
    assert "#   docker build " in dockerfile  # how users build it
    assert "\nUSER 65532:65532\n" in dockerfile or spec.name == "detector"  # which needs root, without its capabilities


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_what_a_dockerfile_copies_is_in_the_images_context(spec: ImageSpec) -> None:
    dockerfile = (images.ROOT / spec.dockerfile).read_text()
    places = {*spec.context, *(place for place, _ in spec.made)}
    for line in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", dockerfile):
        for source in line.split():
            assert any(source == place or source.startswith(f"{place}/") for place in places), source


def test_no_lock_names_where_packages_come_from() -> None:
    locks = subprocess.run(
        ["git", "ls-files", "*.lock", "*package-lock.json"], cwd=images.ROOT, capture_output=True, text=True, check=True
    )
    for lock in locks.stdout.split():
        text = (images.ROOT / lock).read_text()
        assert '"resolved"' not in text, lock
        assert "index-url" not in text, lock
