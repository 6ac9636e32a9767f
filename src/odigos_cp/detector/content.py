"""What does the content of an executable say that nothing in its structure does? A search for a few fixed texts.

It costs a walk through the whole file, so `look` asks only where the stronger ranks are silent or weak. A text that a
runtime carries for its own messages survives every strip; none of them alone outweighs structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from odigos_cp.detector import files

MARKS: Mapping[str, tuple[bytes, re.Pattern[bytes]]] = {
    # name: the text, and what must follow it (its first group is told)
    "graalvm": (b"Substrate VM", re.compile(rb"()")),
    "bun": (b"Bun v", re.compile(rb"([0-9]+\.[0-9]+\.[0-9]+)")),
    "deno": (b"Deno/", re.compile(rb"([0-9]+\.[0-9]+\.[0-9]+)")),
    "cxx": (b"St9bad_alloc", re.compile(rb"()\0")),
    "upx": (b"UPX!", re.compile(rb"()")),
    "haskell": (b"+RTS", re.compile(rb"()")),
    "ocaml": (b"OCAMLRUNPARAM", re.compile(rb"()\0")),
    "pascal": (b"FPC ", re.compile(rb"([0-9]+\.[0-9]+\.[0-9]+) \[")),
    "d": (b"drt-gcopt", re.compile(rb"()")),
    "crystal": (b"CRYSTAL_LOAD_", re.compile(rb"()")),
    "dart": (b"_kDartVmSnapshotData", re.compile(rb"()\0")),
}


def read(descriptor: int) -> dict[str, str]:
    """The first match of each mark that occurs."""
    found = {}
    for name, (text, following) in MARKS.items():
        first = next(files.occurrences(descriptor, text, following), None)
        if first is not None:
            found[name] = first
    return found
