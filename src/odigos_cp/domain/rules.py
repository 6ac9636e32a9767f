"""What do InstrumentationRules change in an application, and does each rule change anything?

A rule acts in its own namespace; one in odigos-system acts everywhere. It concerns the applications that `workloads`
names (a workload, or a whole Namespace), or all when it names none. Where two set the same thing, the narrower one has
the last word: one of the application's own namespace before one for all, one that names workloads before one that does
not, then the later by name.

`env` sets OpenTelemetry's own settings (OTEL_*) and nothing else: a rule must not be a way to run something in other
people's applications. What odigos-cp itself decides elsewhere cannot be set here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from odigos_cp.api.application import InstrumentedApplication
from odigos_cp.api.meta import ConditionStatus
from odigos_cp.api.rules import RULES, InstrumentationRule, RuleReason
from odigos_cp.api.source import WorkloadReference
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import Plan, apply_status

MANAGER = "odigos-instrumentor-rules"
APPLIED = "Applied"
NAME = re.compile(r"OTEL_[A-Z0-9_]{1,123}")
VALUE_LIMIT = 1024
SETTINGS_LIMIT = 64
NAMED = 5

DECIDED_ELSEWHERE: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry goes to the collector of the application's own node",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "telemetry goes to the collector of the application's own node",
    "OTEL_TRACES_EXPORTER": "the destinations say which signals are wanted",
    "OTEL_METRICS_EXPORTER": "the destinations say which signals are wanted",
    "OTEL_LOGS_EXPORTER": "the destinations say which signals are wanted",
    "OTEL_SERVICE_NAME": "otelServiceName of the Source says it",
    "OTEL_RESOURCE_ATTRIBUTES": "they are merged with the application's own",
    "OTEL_TRACES_SAMPLER": "sampling.ratio of the rule says it",
    "OTEL_TRACES_SAMPLER_ARG": "sampling.ratio of the rule says it",
}


@dataclass(frozen=True)
class Settings:
    """What the rules make of one application."""

    ratio: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    rule: InstrumentationRule
    applications: tuple[InstrumentedApplication, ...]
    """All that are wanted."""

    system_namespace: str


def settings(
    rules: Iterable[InstrumentationRule], application: InstrumentedApplication, system_namespace: str
) -> Settings:
    ratio, env = None, dict[str, str]()
    for rule in sorted(rules, key=lambda r: _width(r, system_namespace)):
        if is_sound(rule) and concerns(rule, application, system_namespace):
            ratio = rule.spec.sampling.ratio if rule.spec.sampling else ratio
            env |= rule.spec.env
    return Settings(ratio, env)


def concerns(rule: InstrumentationRule, application: InstrumentedApplication, system_namespace: str) -> bool:
    workload = application.spec.workload
    if rule.metadata.namespace not in (system_namespace, workload.namespace):
        return False
    return not rule.spec.workloads or any(_names(named, workload) for named in rule.spec.workloads)


def is_sound(rule: InstrumentationRule) -> bool:
    return not (rule.spec.disabled or rule.metadata.deletion_timestamp or _fault(rule))


def plan(observed: Observed, now: datetime) -> Plan:
    rule = observed.rule
    status, reason, message = _verdict(observed)
    said = conditions.about(rule, APPLIED, status, reason, message, now)
    return Plan(apply_status(RULES, rule, MANAGER, {}, [said]), because=reason)


def _verdict(observed: Observed) -> tuple[ConditionStatus, RuleReason, str]:
    spec = observed.rule.spec
    later = [
        name
        for name, given in (
            ("instrumentationLibraries", spec.instrumentation_libraries),
            ("headersCollection", spec.headers_collection),
        )
        if given
    ]
    if spec.disabled:
        return "False", RuleReason.DISABLED, "Switched off by spec.disabled: it changes nothing."
    if fault := _fault(observed.rule):
        return "False", RuleReason.INVALID, f"{fault}. The whole rule changes nothing."
    left_out = f"{' and '.join(later)}: not in this release, and left out."
    if not (spec.sampling or spec.env):
        if later:
            return "False", RuleReason.NOT_IMPLEMENTED_YET, left_out
        return "False", RuleReason.INVALID, "It sets nothing: give sampling.ratio or env."
    found = [a for a in observed.applications if concerns(observed.rule, a, observed.system_namespace)]
    if not found:
        return "False", RuleReason.MATCHES_NOTHING, _nobody(observed)
    names = sorted(f"{a.spec.workload.namespace}/{a.spec.workload.name}" for a in found)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = f"It applies to {', '.join(names[:NAMED])}{more}."
    if later:
        return "True", RuleReason.PARTLY_APPLIED, f"{message} {left_out}"
    return "True", RuleReason.APPLIED, message


def _nobody(observed: Observed) -> str:
    own = observed.rule.metadata.namespace
    where = "anywhere" if own == observed.system_namespace else f"in namespace {own}"
    if not observed.rule.spec.workloads:
        return f"No application {where} is to be instrumented."
    if own != observed.system_namespace and all(w.namespace != own for w in observed.rule.spec.workloads):
        return (
            f"It names workloads of other namespaces only, and a rule in {own} acts in {own} alone. "
            f"Move it to their namespace, or to {observed.system_namespace}."
        )
    return f"None of the workloads it names is an application {where} that is to be instrumented."


def _fault(rule: InstrumentationRule) -> str:
    """What is wrong with it, for a person; nothing if it is sound."""
    env, sampling = rule.spec.env, rule.spec.sampling
    if sampling and not 0.0 <= sampling.ratio <= 1.0:
        return f"sampling.ratio is {sampling.ratio}, and must be from 0 to 1"
    if len(env) > SETTINGS_LIMIT:
        return f"env has {len(env)} settings, more than {SETTINGS_LIMIT}"
    for name, value in sorted(env.items()):
        if not NAME.fullmatch(name):
            return f"env may set OTEL_* only, and names {name[:80]!r}"
        if name in DECIDED_ELSEWHERE:
            return f"env cannot set {name}: {DECIDED_ELSEWHERE[name]}"
        if len(value) > VALUE_LIMIT or not value.isprintable():
            return f"the value of {name} is longer than {VALUE_LIMIT} characters, or not printable"
    return ""


def _names(named: WorkloadReference, workload: WorkloadReference) -> bool:
    if named.kind == "Namespace":
        return workload.namespace == (named.name or named.namespace)
    return named == workload


def _width(rule: InstrumentationRule, system_namespace: str) -> tuple[bool, bool, str, str]:
    """Sorts the widest first, so that the narrowest comes last and wins."""
    meta = rule.metadata
    return meta.namespace != system_namespace, bool(rule.spec.workloads), meta.namespace, meta.name
