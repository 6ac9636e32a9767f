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
        manifest = json.loads(_read(tar, "manifest.json"))[0]
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
        add(tar, "manifest.json", json.dumps(manifest).encode())
    unfinished.rename(target)
    return target


def rename(source: Path, target: Path, names: Sequence[str]) -> None:
    """A copy of an archive whose image has all of `names`."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member) if member.isfile() else None
            if member.name == "manifest.json" and content is not None:
                manifest = json.load(content)
                manifest[0]["RepoTags"] = list(names)
                add(new, member.name, json.dumps(manifest).encode())
            elif member.name != "repositories":
                new.addfile(member, content)


def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None, f"{name} is no file"
    return content.read()
