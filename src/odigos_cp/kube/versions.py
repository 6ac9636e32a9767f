"""Which of two resource versions is the later one?

Kubernetes promises since 1.35 that versions of one resource are comparable as integers, and all before it behaved so.
What is not a number is only ever equal or not.
"""

from __future__ import annotations


def is_older(version: str, than: str) -> bool:
    """Certainly older: false when that cannot be known."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def covers(version: str, wanted: str) -> bool:
    """Certainly the wanted one or later: false when that cannot be known."""
    if version.isdigit() and wanted.isdigit():
        return int(version) >= int(wanted)
    return bool(wanted) and version == wanted


def later(one: str, other: str) -> str:
    """The later of two; the second when that cannot be known."""
    return one if is_older(other, one) else other
