"""What does the content of an executable say that nothing in its structure does? A search for a few fixed texts.

It costs a walk through the file, so `look` asks only where the stronger ranks are silent or weak, for what could matter
then, and within a budget. A text that a runtime carries for its own messages survives every strip; none of them alone
outweighs structure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from odigos_cp.detector.facts import ElfFacts

MARKS: Mapping[str, bytes] = {
    "graalvm": b"Substrate VM",
    "cxx": b"St9bad_alloc\0",
    "upx": b"UPX!",
    "haskell": b"+RTS",
    "ocaml": b"OCAMLRUNPARAM\0",
    "pascal": b"FPC 3.",
    "d": b"drt-gcopt",
    "crystal": b"CRYSTAL_LOAD_",
    "dart": b"_kDartVmSnapshotData\0",
}
ENGINES: Mapping[str, bytes] = {"bun": b"Bun v1.", "deno": b"deno.land/"}
"""Of a program with a JavaScript engine in it, only the name of the engine is asked."""

SIZE_LIMIT = 256 * 1024 * 1024
SECONDS = 0.7
"""Of the two that a process has: what is not found by then is not there."""
_CHUNK = 1024 * 1024
_OVERLAP = 32


def read(descriptor: int, elf: ElfFacts) -> dict[str, str]:
    """The marks that occur, each with its text."""
    until = time.monotonic() + SECONDS
    has_engine = "napi_create_function" in elf.exports or "_ZN2v8" in elf.exports
    left = dict(ENGINES if has_engine else MARKS)
    found: dict[str, str] = {}
    kept, offset = b"", 0
    while left and offset < SIZE_LIMIT and time.monotonic() < until:
        chunk = os.pread(descriptor, _CHUNK, offset)
        if not chunk:
            break
        block = kept + chunk
        for name in [name for name, text in left.items() if text in block]:
            found[name] = left.pop(name).rstrip(b"\0").decode("ascii")
        offset += len(chunk)
        kept = chunk[-_OVERLAP:]
    return found
