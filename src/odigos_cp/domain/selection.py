"""Which applications does the user want instrumented, and does each Source mean something? Pure.

Who has the last word on a workload: its own Sources (by name or pattern) before one for its namespace; among those of
one rank on before off, then the first by name; without any, the mode of the configuration. Some namespaces are out of
it whatever anybody says. Patterns are RE2's: linear in time, whoever wrote them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import re2

from odigos_cp.api.application import MarkedReason
from odigos_cp.api.builtin import Namespace
from odigos_cp.api.configuration import ALWAYS_IGNORED_NAMESPACES, ConfigurationSpec
from odigos_cp.api.source import SOURCES, WORKLOAD_KINDS, ContainerOverride, Source, SourceReason
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import NOTHING, Plan, apply_status

MANAGER = "odigos-instrumentor-discovery"
NAMESPACE = "Namespace"
MATCHED = "Matched"
PATTERN_LIMIT = 253
_QUIET = re2.Options()
_QUIET.log_errors = False  # a wrong pattern is told in the Source's condition


class Target(NamedTuple):
    """What a Source may be about; for a whole namespace `kind` is Namespace and `name` the namespace's."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"namespace {self.name}" if self.kind == NAMESPACE else f"{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True)
class Wish:
    """What is wanted of one workload, who said so, and how."""

    enabled: bool
    reason: MarkedReason
    message: str
    service_name: str = ""
    containers: tuple[ContainerOverride, ...] = ()


class Arrangement:
    """Sources, arranged so that who has the last word is a look-up. Sources that mean nothing are not in it."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._exact: dict[Target, list[Source]] = defaultdict(list)
        self._patterns: dict[tuple[str, str], list[tuple[Any, Source]]] = defaultdict(list)
        for source in sorted(sources, key=lambda s: s.metadata.name):
            target = target_of(source)
            if source.metadata.deletion_timestamp or source.metadata.namespace != target.namespace:
                continue
            if not source.spec.match_workload_name_as_regex:
                self._exact[target].append(source)
            elif (pattern := compiled(target.name)) is not None:
                self._patterns[target.namespace, target.kind].append((pattern, source))

    def exact(self, target: Target) -> Sequence[Source]:
        return self._exact.get(target, ())

    def deciding(self, target: Target) -> Source | None:
        """The Source that has the last word on the target; None: the mode has."""
        own = [*self.exact(target), *self._by_pattern(target)]
        if not own and target.kind != NAMESPACE:
            own = [*self.exact(Target(target.namespace, NAMESPACE, target.namespace))]
        return min(own, key=lambda s: s.spec.disable_instrumentation, default=None)

    def _by_pattern(self, target: Target) -> Iterable[Source]:
        for pattern, source in self._patterns.get((target.namespace, target.kind), ()):
            if pattern.fullmatch(target.name):
                yield source


def target_of(source: Source) -> Target:
    workload = source.spec.workload
    return Target(workload.namespace, workload.kind, workload.name)


def compiled(pattern: str) -> Any | None:
    """The pattern of workload names, or None where it is none."""
    if len(pattern) > PATTERN_LIMIT:
        return None
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error:
        return None


def ignored_namespaces(configuration: ConfigurationSpec) -> frozenset[str]:
    return ALWAYS_IGNORED_NAMESPACES | frozenset(configuration.ignored_namespaces)


def wish(target: Target, sources: Arrangement, configuration: ConfigurationSpec) -> Wish:
    """The wish for one workload."""
    if target.namespace in ignored_namespaces(configuration):
        return Wish(False, MarkedReason.NAMESPACE_IGNORED, f"Namespace {target.namespace} is never instrumented.")
    source = sources.deciding(target)
    if source is None:
        if configuration.instrumentation_mode == "OPT_OUT":
            return Wish(True, MarkedReason.OPT_OUT_MODE, "The mode is OPT_OUT and no Source disables it.", target.name)
        return Wish(False, MarkedReason.NO_SOURCE, "No Source asks for it.")
    named = f"Source {source.metadata.name}"
    if source.spec.disable_instrumentation:
        return Wish(False, MarkedReason.DISABLED_BY_SOURCE, f"{named} keeps it out.")
    if source.spec.workload.kind == NAMESPACE:
        message = f"{named} asks for all of namespace {target.namespace}."
        return Wish(True, MarkedReason.NAMESPACE_SOURCE, message, target.name)
    return Wish(
        True,
        MarkedReason.WORKLOAD_SOURCE,
        f"{named} asks for it.",
        source.spec.otel_service_name or target.name,
        source.spec.container_overrides,
    )


@dataclass(frozen=True)
class ObservedSource:
    source: Source
    sources: Arrangement
    configuration: ConfigurationSpec
    namespace: Namespace | None
    workloads: Mapping[str, Sequence[str]]
    """Names of the workloads in the Source's namespace, by kind."""


def plan_source(observed: ObservedSource, now: datetime) -> Plan:
    """The condition Matched: what the Source is about, or why it is about nothing."""
    source = observed.source
    if source.metadata.deletion_timestamp:
        return NOTHING
    reason, message = _judge(observed)
    status = reason is SourceReason.MATCHED
    said = conditions.about(source, MATCHED, status, reason, message, now)
    return Plan(apply_status(SOURCES, source, MANAGER, {}, [said]), because=f"it means: {reason}")


def _judge(observed: ObservedSource) -> tuple[SourceReason, str]:
    source, target = observed.source, target_of(observed.source)
    own = source.metadata.namespace
    if target.kind == NAMESPACE and target.name != target.namespace:
        return (
            SourceReason.WRONG_NAMESPACE,
            f"workload.name is {target.name!r} and workload.namespace {target.namespace!r}: for a whole namespace both "
            "are its name.",
        )
    if target.namespace != own:
        return (
            SourceReason.WRONG_NAMESPACE,
            f"It is about namespace {target.namespace!r} but lives in {own!r}: write it into {target.namespace!r}, so "
            "that only those who may write there decide.",
        )
    if target.kind != NAMESPACE and target.kind not in WORKLOAD_KINDS:
        known = ", ".join((*WORKLOAD_KINDS, NAMESPACE))
        return SourceReason.KIND_NOT_SUPPORTED, f"Kind {target.kind!r} cannot be instrumented; there are {known}."
    if observed.namespace is None:
        return SourceReason.NAMESPACE_NOT_FOUND, f"There is no namespace {own!r}."
    if own in ignored_namespaces(observed.configuration):
        return SourceReason.NAMESPACE_IGNORED, f"Namespace {own!r} is never instrumented (see ignoredNamespaces)."
    if source.spec.match_workload_name_as_regex and compiled(target.name) is None:
        return (
            SourceReason.INVALID_PATTERN,
            f"workload.name is no regular expression of RE2 syntax with at most {PATTERN_LIMIT} characters.",
        )
    return _matched(observed, target)


def _matched(observed: ObservedSource, target: Target) -> tuple[SourceReason, str]:
    source = observed.source
    matching = _matching(source, target, observed.workloads)
    if not matching:
        if target.kind == NAMESPACE:
            return (
                SourceReason.NOTHING_MATCHES,
                f"Namespace {target.name!r} has no Deployment, StatefulSet or DaemonSet yet; those to come will match.",
            )
        if source.spec.match_workload_name_as_regex:
            return SourceReason.NOTHING_MATCHES, f"No {target.kind}'s whole name matches {target.name!r} yet."
        return (
            SourceReason.WORKLOAD_NOT_FOUND,
            f"There is no {target.kind} {target.name!r} in {target.namespace!r} yet; it will match when it comes.",
        )
    decided = [t for t in matching if _has_last_word(source, observed.sources.deciding(t))]
    verb = "keeps out" if source.spec.disable_instrumentation else "asks for"
    if not decided:
        other = observed.sources.deciding(matching[0])
        name = other.metadata.name if other else ""
        return SourceReason.OVERRIDDEN, f"Other Sources decide for all that it names: {name} for {matching[0].name}."
    names = ", ".join(t.name for t in decided[:5]) + (" and more" if len(decided) > 5 else "")
    return SourceReason.MATCHED, f"It {verb} {len(decided)} of the {len(matching)} it names: {names}."


def _has_last_word(source: Source, deciding: Source | None) -> bool:
    return deciding is not None and deciding.metadata.name == source.metadata.name


def _matching(source: Source, target: Target, workloads: Mapping[str, Sequence[str]]) -> list[Target]:
    kinds = WORKLOAD_KINDS if target.kind == NAMESPACE else (target.kind,)
    pattern = compiled(target.name) if source.spec.match_workload_name_as_regex else None
    return [
        Target(target.namespace, kind, name)
        for kind in kinds
        for name in sorted(workloads.get(kind, ()))
        if target.kind == NAMESPACE or (pattern.fullmatch(name) if pattern else name == target.name)
    ]
