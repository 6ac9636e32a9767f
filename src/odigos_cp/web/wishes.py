"""What flipping a switch writes: the one Source to apply, or the Sources to delete. Pure.

A switch changes the least that makes the wish come true, in this order: take away what stands against it; write one
Source named after its target (`deployment-cart`, `namespace-shop`). A Source that holds settings of its own (service
name, overrides) is not deleted but set to `disableInstrumentation`, so that switching on again brings them back.
Who wins when several Sources speak is the rule of instrumentor/discovery: a workload's own Source before one for its
namespace, on before off, then the mode of the configuration.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from odigos_cp.api.builtin import Workload
from odigos_cp.api.configuration import ALWAYS_IGNORED_NAMESPACES, OdigosConfiguration
from odigos_cp.api.meta import Key
from odigos_cp.api.source import SOURCES, Source

NAMESPACE = "Namespace"
MANAGER = "odigos-ui"
_PATTERN_LIMIT = 253


class Target(NamedTuple):
    """What a switch belongs to; for a whole namespace `kind` is Namespace and `name` its name."""

    namespace: str
    kind: str
    name: str

    @property
    def source_key(self) -> Key:
        return Key(self.namespace, f"{self.kind.lower()}-{self.name}")

    def __str__(self) -> str:
        return f"namespace {self.name}" if self.kind == NAMESPACE else f"{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True)
class Switch:
    """The writes of one switch: `deletes` first, then `body` by server-side apply."""

    deletes: tuple[Key, ...] = ()
    body: dict[str, Any] | None = None
    blocked_by: str = ""
    """A Source that still decides otherwise; then nothing is to be written."""


class Wishes:
    """The Sources, arranged so that a workload's wish is a look-up."""

    def __init__(self, sources: Iterable[Source], configuration: OdigosConfiguration) -> None:
        self.sources = tuple(sources)
        self.configuration = configuration
        self._opt_out = configuration.spec.instrumentation_mode == "OPT_OUT"
        self._ignored = ALWAYS_IGNORED_NAMESPACES | frozenset(configuration.spec.ignored_namespaces)
        self._exact: dict[Target, list[Source]] = defaultdict(list)
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Source]]] = defaultdict(list)
        for source in sorted(self.sources, key=lambda s: s.metadata.name):
            self._arrange(source)

    def _arrange(self, source: Source) -> None:
        workload = source.spec.workload
        if source.metadata.namespace != workload.namespace or source.metadata.deletion_timestamp:
            return  # its condition says that it means nothing there
        if not source.spec.match_workload_name_as_regex:
            self._exact[Target(workload.namespace, workload.kind, workload.name)].append(source)
        elif len(workload.name) <= _PATTERN_LIMIT:
            try:
                pattern = re.compile(workload.name)
            except re.error:
                return  # its condition says so
            self._patterns[(workload.namespace, workload.kind)].append((pattern, source))

    def exact(self, target: Target) -> list[Source]:
        return self._exact.get(target, [])

    def deciding(self, target: Target) -> Source | None:
        """The Source that has the last word on the target, or None: then the mode has."""
        own = [
            *self.exact(target),
            *(s for p, s in self._patterns.get((target.namespace, target.kind), ()) if p.fullmatch(target.name)),
        ]
        found = _winner(own)
        if found is None and target.kind != NAMESPACE:
            found = _winner(self.exact(Target(target.namespace, NAMESPACE, target.namespace)))
        return found

    def wants(self, target: Target) -> bool:
        return self._says(self.deciding(target), target.namespace)

    def of(self, workload: Workload, kind: str) -> tuple[bool, str]:
        """Whether it is wanted, and the name of the Source that says so."""
        namespace = workload.metadata.namespace
        source = self.deciding(Target(namespace, kind, workload.metadata.name))
        return self._says(source, namespace), source.metadata.name if source else ""

    def _says(self, source: Source | None, namespace: str) -> bool:
        if namespace in self._ignored:
            return False
        return self._opt_out if source is None else not source.spec.disable_instrumentation

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


def _winner(sources: Iterable[Source]) -> Source | None:
    """On wins over off; among equals the first by name, so that every reader says the same."""
    return min(sources, key=lambda s: s.spec.disable_instrumentation, default=None)


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
            kept = tuple(key for key in change.deletes if key != target.source_key) if not on else ()
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
        "metadata": {"name": name or target.source_key.name, "namespace": target.namespace},
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
