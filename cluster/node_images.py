"""The images that a node has, and how archives get there: only what it does not have yet, in exactly that build."""

from __future__ import annotations

from pathlib import Path

from cluster.images import archive_digest, archive_names
from cluster.namespaces import inside
from cluster.node import SOCKET

LABEL = "odigos.io/image-id"
IMPORT_SECONDS = 300.0


def missing(holder: int, archives: list[Path]) -> list[Path]:
    """Those whose image, under all its names, is not on the node."""
    there = present(holder)
    return [a for a in archives if any(there.get(name) != archive_digest(a) for name in archive_names(a))]


def present(holder: int) -> dict[str, str]:
    """Name -> the image id it was imported with."""
    found = {}
    for line in _ctr(holder, "images", "list").splitlines()[1:]:
        name, *rest = line.split()
        labels = dict(word.partition("=")[::2] for word in rest[-1].split(","))
        found[name] = labels.get(LABEL, "")
    return found


def bring(holder: int, archive: Path) -> None:
    _ctr(holder, "images", "import", "-", file=archive)
    for name in archive_names(archive):
        _ctr(holder, "images", "label", name, f"{LABEL}={archive_digest(archive)}")


def _ctr(holder: int, *words: str, file: Path | None = None) -> str:
    return inside(
        holder, "ctr", "--address", SOCKET, "--namespace", "k8s.io", *words, timeout=IMPORT_SECONDS, file=file
    )
