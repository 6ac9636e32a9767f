"""Images as files, and what of them is sent to a node."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from cluster import archive, node_images


@pytest.fixture
def pause(tmp_path: Path) -> Path:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF")
    return archive.of_binary(binary, "shop:1", tmp_path / "shop.tar")


def test_the_image_of_a_binary_is_that_file_and_runs_it(pause: Path) -> None:
    found = archive.contents(pause)
    assert json.loads(found.configuration)["config"] == {"Entrypoint": ["/program"]}
    assert found.names == ("shop:1",)
    with tarfile.open(pause) as tar:
        (layer,) = found.layers
        content = tar.extractfile(layer.member)
        assert content is not None
        assert layer.digest == f"sha256:{hashlib.sha256(content.read()).hexdigest()}"


def test_the_same_binary_gives_the_same_bytes(pause: Path, tmp_path: Path) -> None:
    again = archive.of_binary(tmp_path / "binary", "shop:1", tmp_path / "again.tar")
    assert again.read_bytes() == pause.read_bytes()


def test_another_name_keeps_the_image(pause: Path) -> None:
    with tarfile.open(pause, "a") as tar:
        archive.add(tar, "repositories", b"{}")  # as Docker writes it
    before = archive.contents(pause)
    archive.rename(pause, ("shop:123", "shop:local"))
    after = archive.contents(pause)
    assert after.names == ("shop:123", "shop:local")
    assert (after.identity, after.layers) == (before.identity, before.layers)


def layout(image: node_images.Importable, without: set[str]) -> dict[str, bytes]:
    written = io.BytesIO()
    node_images.write_layout(image, without, written)
    written.seek(0)
    with tarfile.open(fileobj=written) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_everything_in_a_layout_is_what_its_digest_says(pause: Path) -> None:
    files = layout(node_images.importable(pause), set())
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/sha256/")}
    assert len(blobs) == 3  # manifest, configuration, layer
    assert all(name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}" for name, data in blobs.items())


def test_a_layout_leads_from_each_name_to_the_image(pause: Path) -> None:
    archive.rename(pause, ("shop:123", "shop:local"))
    image = node_images.importable(pause)
    index = json.loads(layout(image, set())["index.json"])
    found = {m["annotations"]["io.containerd.image.name"]: m["digest"] for m in index["manifests"]}
    assert found == {"shop:123": image.digest, "shop:local": image.digest}


def test_a_layer_that_the_node_has_is_not_sent(pause: Path) -> None:
    image = node_images.importable(pause)
    (layer,) = image.contents.layers
    assert sum(map(len, layout(image, {layer.digest}).values())) < layer.size
