"""What do the collectors run, and is each Destination part of it?

Renders both groups' configurations, keeps them as ConfigMaps named by their hash, and says in status which one counts:
first the ConfigMap, then the hash, so that a hash is never named before its text can be read. A faulty Destination is
left out and told why; when rendering itself fails, the last good hash stays and the collectors go on with it.
Actions will be part of the configuration; so far each is told that it does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from odigos_cp.api.builtin import CONFIG_MAPS, ConfigMap
from odigos_cp.api.collectors import GROUPS, CollectorsGroup, GroupCondition, GroupReason
from odigos_cp.api.destination import DESTINATIONS, ConfiguredReason, Destination, DestinationCondition
from odigos_cp.api.meta import ConditionStatus, key_of
from odigos_cp.api.rules import ACTIONS, Action, RuleReason
from odigos_cp.domain import conditions, exporters, objects, pipeline
from odigos_cp.domain.exporters import Exporter
from odigos_cp.domain.pipeline import Rendered
from odigos_cp.domain.plan import Apply, Create, Delete, Plan, Write, apply_status

MANAGER = "odigos-autoscaler-config"
KEPT = 3
"""So many ConfigMaps of a group stay, and always those that a pod still runs."""


@dataclass(frozen=True)
class Observed:
    destinations: tuple[Destination, ...] = ()
    groups: Mapping[str, CollectorsGroup] = field(default_factory=dict)
    """The gateway and the node group, by name, as far as they are there."""

    actions: tuple[Action, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    """Those of the collectors."""

    running: frozenset[str] = frozenset()
    """Names of the ConfigMaps that live pods run."""


def plan(observed: Observed, now: datetime) -> Plan:
    writes: list[Write] = []
    for destination in observed.destinations:
        writes += _told(destination, now)
    for action in observed.actions:
        writes += _told_to_do_nothing(action, now)
    for name, group in sorted(observed.groups.items()):
        try:
            rendered = _render(group, observed.destinations)
        except Exception as error:  # whatever it is, it must not take away a configuration that works
            writes += _failed(group, error, now)
        else:
            owned = [c for c in observed.config_maps if c.metadata.labels.get(objects.GROUP_LABEL) == name]
            writes += _configured(group, rendered, owned, now)
            writes += _cleared(objects.config_map_name(name, rendered.hash), owned, observed.running)
    return Plan(tuple(writes), because="destinations, sizes or groups changed")


def _render(group: CollectorsGroup, destinations: Iterable[Destination]) -> Rendered:
    if group.spec.role == "node":
        return pipeline.render_node(objects.gateway_endpoint(group.metadata.namespace), group.spec.resources)
    return pipeline.render_gateway(tuple(destinations), group.spec.resources)


def _told(destination: Destination, now: datetime) -> tuple[Apply, ...]:
    status, reason, message = _verdict(destination)
    said = conditions.about(destination, DestinationCondition.CONFIGURED, status, reason, message, now)
    return apply_status(DESTINATIONS, destination, MANAGER, {}, [said])


def _told_to_do_nothing(action: Action, now: datetime) -> tuple[Apply, ...]:
    """So that nobody believes in a masking or a sampling that is not there."""
    reason, message = (
        (RuleReason.DISABLED, "Switched off by spec.disabled.")
        if action.spec.disabled
        else (RuleReason.NOT_IMPLEMENTED_YET, "This version does not carry out actions: telemetry passes unchanged.")
    )
    said = conditions.about(action, "Applied", False, reason, message, now)
    return apply_status(ACTIONS, action, MANAGER, {}, [said])


def _verdict(destination: Destination) -> tuple[ConditionStatus, ConfiguredReason, str]:
    if destination.spec.disabled:
        return "False", ConfiguredReason.DISABLED, "Switched off by spec.disabled: nothing is sent to it."
    built = exporters.build(destination)
    if not isinstance(built, Exporter):
        return "False", built.reason, built.message
    message = f"{_listed(built.signals)} are sent to {built.endpoint}."
    if built.namespaces:
        message += f" Only from: {', '.join(built.namespaces)[:300]}."
    if built.ignored:
        message += f" Not known to this version and ignored: {', '.join(built.ignored)[:300]}."
    return "True", ConfiguredReason.CONFIGURED, message


def _configured(group: CollectorsGroup, rendered: Rendered, owned: list[ConfigMap], now: datetime) -> tuple[Write, ...]:
    body = objects.config_map(group, rendered)
    # One that belongs to a group of the same name that is gone will go too, and is made again then.
    there = any(c.metadata.name == body["metadata"]["name"] for c in owned)
    told = _group_status(group, rendered.hash, rendered.signals, *_validity(group, rendered), now)
    return (() if there else (Create(CONFIG_MAPS, body),)) + told


def _validity(group: CollectorsGroup, rendered: Rendered) -> tuple[ConditionStatus, GroupReason, str]:
    if rendered.faults:
        left_out = ", ".join(rendered.faults)
        return (
            "True",
            GroupReason.DESTINATIONS_LEFT_OUT,
            f"Configuration {rendered.hash} is rendered without {left_out[:500]}: their conditions say what is wrong.",
        )
    if group.spec.role == "gateway" and not rendered.signals:
        return (
            "True",
            GroupReason.NO_DESTINATION,
            "There is no destination: what arrives is dropped. Add one in the UI, or write a Destination.",
        )
    return "True", GroupReason.RENDERED, f"Configuration {rendered.hash} carries {_listed(rendered.signals)}."


def _failed(group: CollectorsGroup, error: Exception, now: datetime) -> tuple[Apply, ...]:
    """The hash and the signals are said again, since an apply without them would take them away."""
    if isinstance(error, pipeline.TooLarge):
        why, cure = str(error), "Remove a destination, or shorten its headers and certificates."
    else:
        why = f"a fault of odigos-cp, {type(error).__name__}: {str(error)[:300]}"
        cure = "Undo the last change of a destination, and report it."
    message = f"The configuration cannot be rendered ({why}). The collectors go on with the last good one. {cure}"
    status = group.status
    return _group_status(
        group, status.config_hash, status.receiver_signals, "False", GroupReason.RENDER_FAILED, message, now
    )


def _group_status(
    group: CollectorsGroup,
    hash_: str,
    signals: tuple[str, ...],
    status: ConditionStatus,
    reason: GroupReason,
    message: str,
    now: datetime,
) -> tuple[Apply, ...]:
    said = conditions.say(group.status.conditions, GroupCondition.CONFIG_VALID, status, reason, message, now=now)
    fields = {"configHash": hash_, "receiverSignals": list(signals)}
    return apply_status(GROUPS, group, MANAGER, fields, [said])


def _cleared(current: str, owned: list[ConfigMap], running: frozenset[str]) -> tuple[Delete, ...]:
    """Configurations that nobody runs and that are too old to go back to."""
    others = [c for c in owned if c.metadata.name != current]
    newest_first = sorted(others, key=lambda c: (c.metadata.creation_timestamp, c.metadata.name), reverse=True)
    return tuple(
        Delete(CONFIG_MAPS, key_of(c), c.metadata.uid)
        for c in newest_first[KEPT - 1 :]
        if c.metadata.name not in running and c.metadata.deletion_timestamp is None
    )


def _listed(signals: tuple[str, ...]) -> str:
    *most, last = [s.lower() for s in signals]
    return (", ".join(most) + " and " + last if most else last).capitalize()
