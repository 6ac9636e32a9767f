"""The images that a node has, and how more of them get there: only what it does not have yet.

An archive is given to containerd as an OCI layout, made while it is read, without the layers that the node has already:
images stand on one another, and most of each is in the one before.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster import archive
from cluster.archive import Contents
from cluster.commands import ClusterError
from cluster.namespaces import inside
from cluster.node import SOCKET

IMPORT_SECONDS = 300.0
DOCKER = "application/vnd.docker"
MANIFEST = f"{DOCKER}.distribution.manifest.v2+json"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Importable:
    """An archive and what a node will know it by."""

    file: Path
    contents: Contents
    manifest: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"


def importable(file: Path) -> Importable:
    contents = archive.contents(file)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": f"{DOCKER}.container.image.v1+json",
            "digest": contents.identity,
            "size": len(contents.configuration),
        },
        "layers": [
            {"mediaType": f"{DOCKER}.image.rootfs.diff.tar", "digest": layer.digest, "size": layer.size}
            for layer in contents.layers
        ],
    }
    return Importable(file, contents, json.dumps(manifest).encode())


def bring(holder: int, images: Iterable[Importable]) -> int:
    """Makes these images the node's, under all their names; how many it did not have as they are."""
    there = present(holder)
    missing = [i for i in images if any(there.get(name) != i.digest for name in i.contents.names)]
    for image in missing:
        try:
            _import(holder, image, blobs(holder))
        except ClusterError:  # perhaps a layer went while it was counted on
            _import(holder, image, set())
    return len(missing)


def present(holder: int) -> dict[str, str]:
    """Name -> digest of what the node has."""
    rows = [line.split() for line in _ctr(holder, "images", "list").splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def blobs(holder: int) -> set[str]:
    """The digests of the layers that the node has."""
    return set(_ctr(holder, "content", "list", "--quiet").split())


def write_layout(image: Importable, without: set[str], target: IO[bytes]) -> None:
    """The image as an OCI layout, a tar without the layers of `without`."""
    described = {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest)}
    index = {
        "schemaVersion": 2,
        "manifests": [
            {**described, "annotations": {"io.containerd.image.name": name}} for name in image.contents.names
        ],
    }
    with tarfile.open(image.file) as source, tarfile.open(fileobj=target, mode="w|", bufsize=BLOCK) as layout:
        archive.add(layout, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        archive.add(layout, "index.json", json.dumps(index).encode())
        archive.add(layout, _place(image.digest), image.manifest)
        archive.add(layout, _place(image.contents.identity), image.contents.configuration)
        for layer in image.contents.layers:
            if layer.digest not in without:
                entry = tarfile.TarInfo(_place(layer.digest))
                entry.size = layer.size
                layout.addfile(entry, source.extractfile(layer.member))


def _import(holder: int, image: Importable, without: set[str]) -> None:
    _ctr(holder, "images", "import", "-", feed=lambda target: write_layout(image, without, target))


def _place(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _ctr(holder: int, *words: str, feed: Callable[[IO[bytes]], None] | None = None) -> str:
    command = ["ctr", "--address", SOCKET, "--namespace", "k8s.io", *words]
    return inside(holder, *command, timeout=IMPORT_SECONDS, feed=feed)
