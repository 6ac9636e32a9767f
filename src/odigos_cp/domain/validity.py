"""Does an object say of itself that it cannot be understood, for as long as that is so?

Its schema keeps most misfits out; what was written under a looser one, or by another version, is there all the same. It
is told where whoever wrote it looks: in its own status, by the condition Valid, which no object has that is understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.meta import VALID, CustomResource, Kind, Unreadable, ValidReason, find_condition, key_of
from odigos_cp.api.source import SOURCES
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import NOTHING, Apply, Plan, identity

_UNKNOWN = {
    SOURCES.kind: "leaves the applications of its namespace that are instrumented as they are",
    CONFIGURATIONS.kind: "goes by the defaults, and leaves the applications that are instrumented as they are",
}
"""What holds while nothing is known of an object; for all other kinds it is as if it were not there."""


@dataclass(frozen=True)
class Observed:
    kind: Kind[Any]
    unreadable: Unreadable | None
    held: CustomResource | None
    """What was last understood of it."""


def plan(observed: Observed, manager: str, now: datetime) -> Plan:
    if observed.unreadable is not None:
        return _tell(observed.kind, observed.unreadable, observed.held is not None, manager, now)
    if observed.held is not None and is_told(observed.held):
        return _take_back(observed.kind, observed.held, manager)
    return NOTHING


def is_told(resource: Any) -> bool:
    """Whether an object that can be understood still says that it cannot."""
    return find_condition(resource.status.conditions, VALID) is not None


def _tell(kind: Kind[Any], unreadable: Unreadable, is_known: bool, manager: str, now: datetime) -> Plan:
    if not unreadable.uid:
        return NOTHING  # it could not even be fetched
    before = (unreadable.told,) if unreadable.told else ()
    generation = unreadable.generation or None
    message = _message(kind, unreadable.why, is_known)
    said = conditions.say(before, VALID, False, ValidReason.INVALID, message, now=now, generation=generation)
    if said in before:
        return NOTHING
    body = identity(kind, unreadable.key, unreadable.uid) | {"status": {"conditions": [said.wire()]}}
    return Plan((Apply(kind, body, manager, subresource="status"),), because="it cannot be understood")


def _take_back(kind: Kind[Any], held: CustomResource, manager: str) -> Plan:
    body = identity(kind, key_of(held), held.metadata.uid)
    return Plan((Apply(kind, body, manager, subresource="status"),), because="it can be understood again")


def _message(kind: Kind[Any], why: str, is_known: bool) -> str:
    unknown = _UNKNOWN.get(kind.kind, "does as if it were not there")
    meanwhile = "goes on with what it last understood of it" if is_known else unknown
    return (
        f"odigos-cp cannot understand this {kind.kind}: {why}. Correct or delete it; until then odigos-cp {meanwhile}."
    )
