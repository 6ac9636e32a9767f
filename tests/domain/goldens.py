"""Expected outputs as files beside their inputs: a diff that a reviewer can read.

GOLDEN=write makes them anew; what has changed is then seen in `git diff`.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

GOLDEN = Path(__file__).parent / "golden"


def check(path: Path, text: str) -> None:
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    expected = path.read_text() if path.exists() else ""
    assert text == expected, f"{path.name} differs: look at it, and run with GOLDEN=write if it is as it should be"


def dump(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120)
