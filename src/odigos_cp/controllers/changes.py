"""What of an object changed? For the mappings from changes to keys: most changes concern nobody else."""

from __future__ import annotations

from typing import Any

from odigos_cp.api.application import InstrumentedApplication
from odigos_cp.kube.store import Change


def is_of_spec(change: Change[Any]) -> bool:
    """Whether the object came, went, is going, or says something else; its status does not count."""
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    gone = before.metadata.deletion_timestamp != after.metadata.deletion_timestamp
    return bool(gone or before.spec != after.spec)


def is_of_wish(change: Change[InstrumentedApplication]) -> bool:
    """Whether an application is wanted now and was not before, or the other way round."""
    before = change.before is not None and change.before.spec.enabled
    after = change.after is not None and change.after.spec.enabled
    return before != after
