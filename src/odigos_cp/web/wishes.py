"""What flipping a switch writes: the one Source to apply, or the Sources to delete. Pure.

A switch changes the least that makes the wish come true, in this order: take away what stands against it; write one
Source named after its target (`deployment-cart`, `namespace-shop`). A Source that holds settings of its own (service
name, overrides) is not deleted but set to `disableInstrumentation`, so that switching on again brings them back.
Who wins when several Sources speak is domain/selection.py's rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from odigos_cp.api.builtin import Workload
from odigos_cp.api.configuration import OdigosConfiguration
from odigos_cp.api.meta import Key
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.domain import selection
from odigos_cp.domain.selection import NAMESPACE, Arrangement, Target

__all__ = ["NAMESPACE", "Switch", "Target", "Wishes", "shown", "source_body", "source_key", "switch"]

MANAGER = "odigos-ui"


def source_key(target: Target) -> Key:
    """The Source that a switch writes, named after its target."""
    return Key(target.namespace, f"{target.kind.lower()}-{target.name}")


@dataclass(frozen=True)
class Switch:
    """The writes of one switch: `deletes` first, then `body` by server-side apply."""

    deletes: tuple[Key, ...] = ()
    body: dict[str, Any] | None = None
    blocked_by: str = ""
    """A Source that still decides otherwise; then nothing is to be written."""


class Wishes:
    """The Sources, arranged so that a target's wish is a look-up."""

    def __init__(self, sources: Iterable[Source], configuration: OdigosConfiguration) -> None:
        self.sources = tuple(sources)
        self.configuration = configuration
        self._arrangement = Arrangement(self.sources)
        self._ignored = selection.ignored_namespaces(configuration.spec)

    def exact(self, target: Target) -> list[Source]:
        return list(self._arrangement.exact(target))

    def deciding(self, target: Target) -> Source | None:
        """The Source that has the last word on the target, or None: then the mode has."""
        return self._arrangement.deciding(target)

    def wants(self, target: Target) -> bool:
        return selection.wish(target, self._arrangement, self.configuration.spec).enabled

    def of(self, workload: Workload, kind: str) -> tuple[bool, str]:
        """Whether it is wanted, and the name of the Source that says so."""
        target = Target(workload.metadata.namespace, kind, workload.metadata.name)
        source = self.deciding(target)
        return self.wants(target), source.metadata.name if source else ""

    def namespace_is_wanted(self, name: str) -> bool:
        return self.wants(Target(name, NAMESPACE, name))

    def is_ignored(self, namespace: str) -> bool:
        return namespace in self._ignored

    def after(self, change: Switch) -> Wishes:
        """The wishes as they will be when the change has been written."""
        gone = set(change.deletes)
        written = Source.model_validate(change.body) if change.body else None
        if written is not None:
            gone.add(Key(written.metadata.namespace, written.metadata.name))
        kept = [s for s in self.sources if Key(s.metadata.namespace, s.metadata.name) not in gone]
        return Wishes([*kept, written] if written else kept, self.configuration)


def switch(target: Target, on: bool, wishes: Wishes) -> Switch:
    """The least that brings the target to `on`; an empty Switch when it is there already."""
    if wishes.wants(target) == on:
        return Switch()
    against = [s for s in wishes.exact(target) if s.spec.disable_instrumentation == on]
    has_settings = [s for s in against if _has_settings(s)]
    if has_settings:
        flipped = has_settings[0]
        others = tuple(_key(s) for s in against if s is not flipped and not _has_settings(s))
        change = Switch(others, source_body(target, disable=not on, name=flipped.metadata.name))
    else:
        change = Switch(tuple(_key(s) for s in against))
        if wishes.after(change).wants(target) != on:
            kept = tuple(key for key in change.deletes if key != source_key(target)) if not on else ()
            change = Switch(kept, source_body(target, disable=not on))
    outcome = wishes.after(change)
    if outcome.wants(target) != on:
        blocking = outcome.deciding(target)
        return Switch(blocked_by=blocking.metadata.name if blocking else "the ignored namespaces")
    return change


def _has_settings(source: Source) -> bool:
    return bool(source.spec.otel_service_name or source.spec.container_overrides)


def _key(source: Source) -> Key:
    return Key(source.metadata.namespace, source.metadata.name)


def source_body(target: Target, *, disable: bool, name: str = "") -> dict[str, Any]:
    """The apply of the UI: exactly the fields it owns."""
    return {
        "apiVersion": SOURCES.api_version,
        "kind": SOURCES.kind,
        "metadata": {"name": name or source_key(target).name, "namespace": target.namespace},
        "spec": {
            "workload": {"namespace": target.namespace, "kind": target.kind, "name": target.name},
            "disableInstrumentation": disable,
        },
    }


def shown(source: Source) -> dict[str, Any]:
    """A Source as a person would write it: no status, nothing that says its default."""
    return {
        "apiVersion": SOURCES.api_version,
        "kind": SOURCES.kind,
        "metadata": {"name": source.metadata.name, "namespace": source.metadata.namespace},
        "spec": source.spec.model_dump(by_alias=True, exclude_defaults=True, mode="json"),
    }
