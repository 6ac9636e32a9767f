"""Which settings hold, and where does each come from? OdigosConfiguration.status.effective, setting by setting.

The object itself is made, empty, where there is none: so that a user finds something to look at and to edit. It cannot
come with the manifests, since no object of a kind can be applied together with the kind itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS, OdigosConfiguration
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import NOTHING, Create, Plan, apply_status
from odigos_cp.domain.selection import MANAGER

IN_USE = "InUse"
VALUE_LIMIT = 256


def settings(part: BaseModel, path: str = "", given: bool = True) -> Iterator[tuple[str, str]]:
    """Each setting by its path, as `value (origin)`; a setting that the object does not name has its default."""
    for name, field in type(part).model_fields.items():
        value, here = getattr(part, name), given and name in part.model_fields_set
        where = f"{path}.{field.alias or name}".lstrip(".")
        if isinstance(value, BaseModel):
            yield from settings(value, where, here)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield where, f"{text[:VALUE_LIMIT]} ({'OdigosConfiguration' if here else 'default'})"


def plan(configuration: OdigosConfiguration | None, namespace: str, now: datetime) -> Plan:
    if configuration is None:
        body = {"metadata": {"name": CONFIGURATION_NAME, "namespace": namespace}, "spec": {}}
        return Plan((Create(CONFIGURATIONS, body),), because="there is none yet")
    if configuration.metadata.deletion_timestamp:
        return NOTHING
    name = configuration.metadata.name
    if name != CONFIGURATION_NAME:
        reason, message = (
            "OtherName",
            f"Only the object named {CONFIGURATION_NAME} is looked at; {name} changes nothing.",
        )
        effective: dict[str, str] = {}
    else:
        reason, message = "InUse", "status.effective has every setting and where it comes from."
        effective = dict(settings(configuration.spec))
    said = conditions.about(configuration, IN_USE, name == CONFIGURATION_NAME, reason, message, now)
    writes = apply_status(CONFIGURATIONS, configuration, MANAGER, {"effective": effective}, [said])
    return Plan(writes, because="the settings changed")
