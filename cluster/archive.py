"""An image of one static binary, as a docker-archive: what the cluster itself needs before it can run any image."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path


def of_binary(binary: Path, reference: str, target: Path) -> Path:
    """The archive of an image whose only file and entry point is `binary`; the same input gives the same bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "program", binary.read_bytes(), 0o755)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/program"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    unfinished = target.with_suffix(".unfinished")
    with tarfile.open(unfinished, mode="w") as tar:
        _add(tar, name, config)
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "manifest.json", manifest)
    unfinished.rename(target)
    return target


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
