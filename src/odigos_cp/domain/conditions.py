"""How a condition is said again: the transition time moves only when the status does.

Every state a user can meet is a condition with a reason and a message; the enums of reasons stand beside the kinds
in api/.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from odigos_cp.api.meta import Condition, ConditionStatus, Resource, find_condition

MESSAGE_LIMIT = 1024


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime | None:
    """The moment an RFC 3339 text names, or None: such texts stand in objects that anyone may edit."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds_since(text: str, now: datetime) -> float | None:
    moment = parse_time(text)
    return (now - moment).total_seconds() if moment else None


def say(
    current: Iterable[Condition],
    type_: str,
    status: ConditionStatus | bool | None,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int | None = None,
) -> Condition:
    """The condition to write. `status` may be a bool, or None for Unknown."""
    word: ConditionStatus = status if isinstance(status, str) else _WORDS[status]
    before = find_condition(tuple(current), type_)
    same = before is not None and before.status == word
    return Condition(
        type=type_,
        status=word,
        reason=str(reason),
        message=message[:MESSAGE_LIMIT],
        last_transition_time=before.last_transition_time if same and before else rfc3339(now),
        observed_generation=generation,
    )


class Told(Resource, Protocol):
    """An object whose status has conditions."""

    @property
    def status(self) -> Conditions: ...


class Conditions(Protocol):
    @property
    def conditions(self) -> tuple[Condition, ...]: ...


def about(
    resource: Told, type_: str, status: ConditionStatus | bool | None, reason: str, message: str, now: datetime
) -> Condition:
    """The condition to write about a custom resource as it was seen."""
    generation = resource.metadata.generation or None
    return say(resource.status.conditions, type_, status, reason, message, now=now, generation=generation)


_WORDS: dict[bool | None, ConditionStatus] = {True: "True", False: "False", None: "Unknown"}
