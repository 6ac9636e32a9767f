"""Images as files: docker-archives, as `docker load`, `kind load image-archive` and `ctr images import` take them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """A layer of files, uncompressed: its digest is also what the image's configuration calls it by."""

    digest: str
    size: int
    member: str


@dataclass(frozen=True)
class Contents:
    names: tuple[str, ...]
    configuration: bytes
    layers: tuple[Layer, ...]

    @property
    def identity(self) -> str:
        """The id of the image."""
        return f"sha256:{hashlib.sha256(self.configuration).hexdigest()}"


def contents(archive: Path) -> Contents:
    with tarfile.open(archive) as tar:
        manifest = json.loads(_read(tar, MANIFEST))[0]
        configuration = _read(tar, manifest["Config"])
        digests = json.loads(configuration)["rootfs"]["diff_ids"]
        layers = [
            Layer(digest, tar.getmember(member).size, member)
            for digest, member in zip(digests, manifest["Layers"], strict=True)
        ]
    return Contents(tuple(manifest["RepoTags"]), configuration, tuple(layers))


def of_binary(binary: Path, reference: str, target: Path) -> Path:
    """The archive of an image whose only file and entry point is `binary`; the same input gives the same bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        add(tar, "program", binary.read_bytes(), 0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    configuration = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": ["/program"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = [
        {
            "Config": f"{hashlib.sha256(configuration).hexdigest()}.json",
            "RepoTags": [reference],
            "Layers": [f"{digest}.tar"],
        }
    ]
    unfinished = target.with_suffix(".unfinished")
    with tarfile.open(unfinished, mode="w") as tar:
        add(tar, str(manifest[0]["Config"]), configuration)
        add(tar, f"{digest}.tar", layer.getvalue())
        add(tar, MANIFEST, json.dumps(manifest).encode())
    unfinished.rename(target)
    return target


def rename(archive: Path, names: Sequence[str]) -> None:
    """Gives the image of an archive all of `names`. Its list of contents comes last, so only that is written again."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(_read(tar, MANIFEST))
        members = tar.getmembers()
        after = members[[m.name for m in members].index(MANIFEST) :]
    assert {m.name for m in after} <= {MANIFEST, "repositories"}, f"{archive} goes on after its {MANIFEST}"
    manifest[0]["RepoTags"] = list(names)
    with archive.open("r+b") as file:
        file.truncate(file.seek(after[0].offset))
        with tarfile.open(fileobj=file, mode="w") as tar:
            add(tar, MANIFEST, json.dumps(manifest).encode())


def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None, f"{name} is no file"
    return content.read()
