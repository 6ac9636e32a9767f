"""What a person sees: objects of the caches -> views. Pure: no I/O, no clock, no store; the same input, the same page.

The state of an application is the first link of its chain of conditions that is not satisfied; the link's own reason
and message, written by the controller that owns it, are the answer to "why". Two tables say which reasons mean that
something is refused, and which that something went wrong; every other open link is simply waited for.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from odigos_cp.api.application import (
    AgentReason,
    ApplicationCondition,
    DetectedReason,
    InstrumentedApplication,
    PodsInjectedReason,
    RolledOutReason,
    application_key,
)
from odigos_cp.api.builtin import Namespace, Pod, Workload
from odigos_cp.api.collectors import CollectorsGroup
from odigos_cp.api.configuration import ALWAYS_IGNORED_NAMESPACES, OdigosConfiguration
from odigos_cp.api.destination import DESTINATIONS, Destination, DestinationCondition
from odigos_cp.api.meta import INJECTED_ANNOTATION, INSTRUMENTED_LABEL, Condition, Key, Kind, Unreadable, find_condition
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.web import advice, wishes
from odigos_cp.web.views import (
    ApplicationDetailView,
    ApplicationState,
    ApplicationsView,
    ApplicationView,
    CollectorGroupView,
    ConditionView,
    ContainerView,
    DestinationView,
    EvidenceView,
    NamespaceView,
    PlannedApplicationView,
    SwitchPlanView,
    UnreadableView,
)

CHAIN: tuple[ApplicationCondition, ...] = tuple(ApplicationCondition)

REFUSED: frozenset[str] = frozenset(
    {
        DetectedReason.NO_KNOWN_LANGUAGE,
        AgentReason.NO_SIGNALS,
        AgentReason.UNKNOWN_LANGUAGE,
        AgentReason.NO_AGENT,
        AgentReason.COMPILED_LANGUAGE,
        AgentReason.VERSION_NOT_SUPPORTED,
        AgentReason.OTHER_AGENT,
        AgentReason.ENVIRONMENT_UNKNOWN,
        AgentReason.IGNORED_CONTAINER,
        AgentReason.UNKNOWN_AGENT,
        AgentReason.SECURE_EXECUTION,
    }
)
WENT_WRONG: frozenset[str] = frozenset(
    {
        DetectedReason.DETECTOR_FAILED,
        DetectedReason.DETECTOR_TIMED_OUT,
        DetectedReason.INVALID_REPORT,
        RolledOutReason.CONFLICT,
        RolledOutReason.FAILED,
        PodsInjectedReason.SOME,
        PodsInjectedReason.NONE,
    }
)

_STEPS: Mapping[ApplicationCondition, str] = {
    ApplicationCondition.MARKED: "odigos-cp has not looked at this application yet.",
    ApplicationCondition.RUNTIME_DETECTED: "What it is written in is not known yet.",
    ApplicationCondition.COLLECTOR_ASSIGNED: "No collector has been chosen for it yet.",
    ApplicationCondition.AGENT_ENABLED: "Its agent has not been chosen yet.",
    ApplicationCondition.ROLLED_OUT: "Its restart has not begun yet.",
    ApplicationCondition.PODS_INJECTED: "Its pods have not been looked at yet.",
}
"""For a link that nobody has said anything about."""

NOT_YET = "NotYet"

PLAN_LIMIT = 50
"""So many applications are named in a plan; all are counted."""

_STATE_WORDS: tuple[tuple[ApplicationState, str], ...] = (
    ("waiting", "waiting"),
    ("failed", "failed"),
    ("notInstrumentable", "cannot be instrumented"),
    ("stopping", "being taken back"),
)


@dataclass(frozen=True)
class World:
    """Everything the application pages are made of, as the caches have it."""

    workloads: Mapping[str, Iterable[Workload]]
    """By kind: the objects of a list do not say theirs."""
    applications: Mapping[Key, InstrumentedApplication]
    sources: Iterable[Source]
    namespaces: Iterable[Namespace]
    configuration: OdigosConfiguration = field(default_factory=OdigosConfiguration)
    injected_pods: Iterable[Pod] = ()
    """The pods whose template carries our label."""

    @property
    def ignored(self) -> frozenset[str]:
        return ALWAYS_IGNORED_NAMESPACES | frozenset(self.configuration.spec.ignored_namespaces)


@dataclass(frozen=True)
class Verdict:
    """Where an application stands."""

    state: ApplicationState
    reason: str
    message: str
    since: str = ""


def judge(application: InstrumentedApplication | None, workload: Workload, wanted: bool, pods_injected: int) -> Verdict:
    """The first link that is not satisfied decides."""
    if application is None:
        return _without_application(workload, wanted)
    conditions = application.status.conditions
    if not application.spec.enabled:
        return _unwanted(conditions, workload, pods_injected)
    for link in CHAIN:
        condition = find_condition(conditions, link)
        if condition is None:
            return Verdict("waiting", NOT_YET, _STEPS[link], application.metadata.creation_timestamp)
        if condition.status != "True":
            return _told(_state_of(condition), condition)
    partly = find_condition(conditions, ApplicationCondition.AGENT_ENABLED)
    if partly is not None and partly.reason == AgentReason.PARTLY_ENABLED:
        return _told("instrumented", partly)
    last = find_condition(conditions, CHAIN[-1])
    assert last is not None, "the loop above found every link"
    return _told("instrumented", last)


def _without_application(workload: Workload, wanted: bool) -> Verdict:
    if wanted:
        return Verdict("waiting", NOT_YET, _STEPS[ApplicationCondition.MARKED])
    if workload.instrumented_hash:
        return Verdict("stopping", NOT_YET, "Its pod template still carries the label; it is about to be taken away.")
    return Verdict("notSelected", "NotSelected", "Nobody has asked for this application.")


def _unwanted(conditions: tuple[Condition, ...], workload: Workload, pods_injected: int) -> Verdict:
    told = find_condition(conditions, ApplicationCondition.MARKED)
    if workload.instrumented_hash or pods_injected:
        rolled = find_condition(conditions, ApplicationCondition.ROLLED_OUT)
        if rolled is not None and rolled.status != "True" and rolled.reason in WENT_WRONG:
            return _told("failed", rolled)
        message = (
            f"{pods_injected} of its pods still carry the agent." if pods_injected else "Its label is being removed."
        )
        return Verdict("stopping", "Stopping", message, told.last_transition_time if told else "")
    return _told("notSelected", told) if told else Verdict("notSelected", "NotSelected", "It is no longer asked for.")


def _state_of(condition: Condition) -> ApplicationState:
    if condition.status == "Unknown":
        return "waiting"
    if condition.reason in WENT_WRONG:
        return "failed"
    return "notInstrumentable" if condition.reason in REFUSED else "waiting"


def _told(state: ApplicationState, condition: Condition) -> Verdict:
    return Verdict(state, condition.reason, condition.message, condition.last_transition_time)


def applications(world: World, seq: int) -> ApplicationsView:
    """The list, its namespaces, and one sentence of truth. Namespaces that are never instrumented have no rows."""
    wish = wishes.Wishes(world.sources, world.configuration)
    injected = _injected(world.injected_pods)
    ignored = world.ignored
    rows: list[ApplicationView] = []
    totals: Counter[str] = Counter()
    for kind, workloads in world.workloads.items():
        for workload in workloads:
            totals[workload.metadata.namespace] += 1
            if workload.metadata.namespace not in ignored:
                rows.append(_row(kind, workload, world, wish, injected))
    rows.sort(key=lambda row: (row.namespace, row.name, row.kind))
    counts: Counter[str] = Counter(row.state for row in rows)
    instrumented = Counter(row.namespace for row in rows if row.state == "instrumented")
    return ApplicationsView(
        seq=seq,
        namespaces=[
            NamespaceView(
                name=namespace.metadata.name,
                instrumented=wish.namespace_is_wanted(namespace.metadata.name),
                ignored=namespace.metadata.name in ignored,
                terminating=namespace.status.phase == "Terminating",
                applications=totals[namespace.metadata.name],
                instrumented_applications=instrumented[namespace.metadata.name],
            )
            for namespace in sorted(world.namespaces, key=lambda n: n.metadata.name)
        ],
        items=rows,
        counts=dict(counts),
        summary=summary(rows),
    )


def _row(
    kind: str,
    workload: Workload,
    world: World,
    wish: wishes.Wishes,
    injected: Mapping[tuple[str, str], int],
) -> ApplicationView:
    meta = workload.metadata
    application = world.applications.get(application_key(meta.namespace, kind, meta.name))
    wanted, wanted_by = wish.of(workload, kind)
    pods_injected = sum(injected.get((meta.namespace, value), 0) for value in _hashes(workload, application))
    verdict = judge(application, workload, wanted, pods_injected)
    runtimes = application.status.runtimes if application else ()
    collector = application.status.collector if application else None
    status, spec = workload.status, workload.spec
    is_daemon = kind == "DaemonSet"
    return ApplicationView(
        id=f"{meta.namespace}/{kind}/{meta.name}",
        namespace=meta.namespace,
        kind=kind,
        name=meta.name,
        languages=sorted({r.language for r in runtimes if r.language and r.language != "unknown"}),
        wanted=wanted,
        wanted_by=wanted_by,
        state=verdict.state,
        reason=verdict.reason,
        message=verdict.message,
        fix="" if verdict.state == "instrumented" else advice.on(verdict.reason),
        collector=collector.group if collector else "",
        pods_ready=status.number_ready if is_daemon else status.ready_replicas,
        pods_wanted=status.desired_number_scheduled if is_daemon else spec.replicas,
        pods_injected=pods_injected,
        since=verdict.since,
    )


def _hashes(workload: Workload, application: InstrumentedApplication | None) -> frozenset[str]:
    """The plans that pods of this workload may carry now; a hash belongs to one workload alone."""
    found = {workload.instrumented_hash}
    if application is not None:
        status = application.status
        found.add(status.injection.hash if status.injection else "")
        found.update((status.rollout.hash, status.rollout.previous_hash) if status.rollout else ())
    return frozenset(found - {""})


def _injected(pods: Iterable[Pod]) -> Mapping[tuple[str, str], int]:
    """How many living pods carry which plan, by namespace and hash."""
    counted: dict[tuple[str, str], int] = defaultdict(int)
    for pod in pods:
        value = pod.metadata.annotations.get(INJECTED_ANNOTATION, "")
        if value and pod.metadata.deletion_timestamp is None and pod.status.phase in {"", "Pending", "Running"}:
            counted[(pod.metadata.namespace, value)] += 1
    return counted


def carries_our_marks(pod: Pod | None) -> bool:
    """Whether a pod can matter to the pages at all."""
    return pod is not None and (
        INSTRUMENTED_LABEL in pod.metadata.labels or INJECTED_ANNOTATION in pod.metadata.annotations
    )


def summary(rows: Sequence[ApplicationView]) -> str:
    """ "3 of 5 chosen applications are instrumented; 1 waiting; 1 failed: shop/cart"."""
    if not rows:
        return "There are no applications in this cluster yet."
    chosen = [row for row in rows if row.state != "notSelected"]
    if not chosen:
        return (
            f"None of the {len(rows)} applications has been chosen yet."
            if len(rows) > 1
            else (f"The one application, {rows[0].name}, has not been chosen yet.")
        )
    done = sum(row.state == "instrumented" for row in chosen)
    if done == len(chosen):
        return (
            f"All {done} chosen applications are instrumented." if done > 1 else (f"{chosen[0].name} is instrumented.")
        )
    noun = "application is" if len(chosen) == 1 else "applications are"
    parts = [f"{done} of {len(chosen)} chosen {noun} instrumented"]
    for state, words in _STATE_WORDS:
        there = [row for row in chosen if row.state == state]
        if there:
            parts.append(f"{len(there)} {words}{_named(there) if state == 'failed' or len(there) <= 2 else ''}")
    return "; ".join(parts) + "."


def _named(rows: Sequence[ApplicationView]) -> str:
    names = ", ".join(f"{row.namespace}/{row.name}" for row in rows[:2])
    more = f" and {len(rows) - 2} more" if len(rows) > 2 else ""
    return f" ({names}{more})"


def detail(kind: str, workload: Workload, world: World, seq: int) -> ApplicationDetailView:
    wish = wishes.Wishes(world.sources, world.configuration)
    row = _row(kind, workload, world, wish, _injected(world.injected_pods))
    application = world.applications.get(application_key(row.namespace, kind, row.name))
    switch = wishes.switch(wishes.Target(row.namespace, kind, row.name), not row.wanted, wish)
    return ApplicationDetailView(
        seq=seq,
        application=row,
        chain=chain(application) if application else [],
        containers=containers(workload, application),
        source_yaml=_source_yaml(row, wish),
        kubectl=kubectl(switch),
    )


def plan(target: wishes.Target, on: bool, world: World) -> SwitchPlanView:
    """What the switch would bring about: whose wish changes, which pods are replaced, and who is left out."""
    wish = wishes.Wishes(world.sources, world.configuration)
    change = wishes.switch(target, on, wish)
    outcome = wish if change.blocked_by else wish.after(change)
    injected = _injected(world.injected_pods)
    changes: list[PlannedApplicationView] = []
    kept_out: list[str] = []
    unchanged = 0
    for kind, workload in _targeted(target, world):
        meta = workload.metadata
        id_ = f"{meta.namespace}/{kind}/{meta.name}"
        is_wanted, (will_be, _) = wish.of(workload, kind)[0], outcome.of(workload, kind)
        if is_wanted != will_be:
            row = _row(kind, workload, world, wish, injected)
            carries = row.pods_injected if not workload.instrumented_hash else row.pods_wanted
            changes.append(PlannedApplicationView(id=id_, pods=row.pods_wanted if on else carries))
        elif is_wanted == on:
            unchanged += 1
        else:
            kept_out.append(id_)
    changes.sort(key=lambda planned: planned.id)
    rollout = world.configuration.spec.rollout
    return SwitchPlanView(
        target=str(target),
        instrument=on,
        changes=changes[:PLAN_LIMIT],
        change_count=len(changes),
        restart_count=sum(planned.pods > 0 for planned in changes),
        pod_count=sum(planned.pods for planned in changes),
        unchanged_count=unchanged,
        kept_out=sorted(kept_out)[:PLAN_LIMIT],
        kept_out_count=len(kept_out),
        automatic=rollout.automatic,
        max_concurrent=rollout.max_concurrent,
        blocked_by=change.blocked_by,
        kubectl=kubectl(change),
    )


def _targeted(target: wishes.Target, world: World) -> Iterable[tuple[str, Workload]]:
    """The workloads that the switch is about."""
    for kind, workloads in world.workloads.items():
        for workload in workloads:
            if workload.metadata.namespace != target.namespace:
                continue
            if target.kind == wishes.NAMESPACE or (kind, workload.metadata.name) == (target.kind, target.name):
                yield kind, workload


def chain(application: InstrumentedApplication) -> list[ConditionView]:
    """Every link, said or not, in the order of the walk."""
    found = (find_condition(application.status.conditions, link) for link in CHAIN)
    return [
        condition(said)
        if said
        else ConditionView(type=link, status="Unknown", reason=NOT_YET, message=_STEPS[link], since="", fix="")
        for link, said in zip(CHAIN, found, strict=True)
    ]


def condition(said: Condition) -> ConditionView:
    return ConditionView(
        type=said.type,
        status=said.status,
        reason=said.reason,
        message=said.message,
        since=said.last_transition_time,
        fix=advice.on(said.reason, said.status),
    )


def containers(workload: Workload, application: InstrumentedApplication | None) -> list[ContainerView]:
    """What is known of each container of the template, in its order."""
    status = application.status if application else None
    runtimes = {r.container: r for r in status.runtimes} if status else {}
    plans = {c.name: c for c in status.injection.containers} if status and status.injection else {}
    names = dict.fromkeys([*(c.name for c in workload.spec.template.spec.containers), *runtimes])
    views = []
    for name in names:
        runtime, plan = runtimes.get(name), plans.get(name)
        views.append(
            ContainerView(
                name=name,
                language=runtime.language if runtime else "",
                version=runtime.version if runtime else "",
                confidence=runtime.confidence if runtime else 0,
                evidence=[EvidenceView(rule=e.rule, saw=e.saw, says=e.says, weight=e.weight) for e in runtime.evidence]
                if runtime
                else [],
                other_agents=list(runtime.other_agents) if runtime else [],
                method=plan.method if plan else "none",
                agent=plan.agent if plan else "",
                reason=plan.reason if plan else (runtime.reason if runtime else ""),
                message=plan.message if plan else "",
            )
        )
    return views


def _source_yaml(row: ApplicationView, wish: wishes.Wishes) -> str:
    """The Source that decides now; without one, the Source that the switch would write."""
    target = wishes.Target(row.namespace, row.kind, row.name)
    source = wish.deciding(target)
    return to_yaml(wishes.shown(source) if source else wishes.source_body(target, disable=False))


def kubectl(change: wishes.Switch) -> str:
    """The command that does what the switch does, to be run with one's own rights."""
    commands = [delete_command(SOURCES, key) for key in change.deletes]
    if change.body is not None:
        commands.append(apply_command(change.body))
    return "\n".join(commands)


def unreadable(kind: Kind[Any], found: Unreadable, is_known: bool) -> UnreadableView:
    key = found.key
    where = f"-n {shlex.quote(key.namespace)} " if kind.namespaced else ""
    return UnreadableView(
        kind=kind.kind,
        namespace=key.namespace,
        name=key.name,
        why=found.why,
        known=is_known,
        kubectl=f"kubectl edit {kind} {where}{shlex.quote(key.name)}",
    )


def delete_command(kind: Kind[Any], key: Key) -> str:
    return f"kubectl delete {kind} -n {shlex.quote(key.namespace)} {shlex.quote(key.name)}"


def apply_command(body: Mapping[str, Any]) -> str:
    return f"kubectl apply -f - <<'EOF'\n{to_yaml(body)}EOF"


def to_yaml(body: Mapping[str, Any]) -> str:
    return yaml.dump(dict(body), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Quotes every string that any YAML reader could take for something else: kubectl's reads 1e3 as a number."""


_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _string)


def destination(resource: Destination, secret_names: Iterable[str]) -> DestinationView:
    """`secret_names` are the secret fields of its type: their values are shown to nobody, wherever they stand."""
    spec, status = resource.spec, resource.status
    secret = frozenset(secret_names)
    state, deciding = _destination_state(resource)
    counted = status.throughput
    return DestinationView(
        name=resource.metadata.name,
        display=spec.destination_name or resource.metadata.name,
        type=spec.type,
        signals=list(spec.signals),
        disabled=spec.disabled,
        data={name: value for name, value in spec.data.items() if name not in secret},
        secret_fields=sorted(secret) if spec.secret_ref else sorted(secret & spec.data.keys()),
        conditions=[condition(c) for c in status.conditions],
        state=state,
        reason=deciding.reason if deciding else "",
        message=deciding.message if deciding else "odigos-cp has not looked at this destination yet.",
        since=deciding.last_transition_time if deciding else resource.metadata.creation_timestamp,
        fix=advice.on(deciding.reason, deciding.status) if deciding else "",
        last_error=status.last_error,
        spans=counted.spans if counted else 0,
        metric_points=counted.metric_points if counted else 0,
        log_records=counted.log_records if counted else 0,
        queued_bytes=counted.queued_bytes if counted else 0,
        read_at=counted.read_at if counted else "",
        source_yaml=to_yaml(_shown_destination(resource, secret)),
        kubectl=delete_command(DESTINATIONS, Key(resource.metadata.namespace, resource.metadata.name)),
    )


def _shown_destination(resource: Destination, secret: frozenset[str]) -> dict[str, Any]:
    """A Destination as a person would write it; what is secret and stands in the open is not repeated here."""
    spec = resource.spec.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    if secret & spec.get("data", {}).keys():
        spec["data"] = {name: value for name, value in spec["data"].items() if name not in secret}
    return {
        "apiVersion": DESTINATIONS.api_version,
        "kind": DESTINATIONS.kind,
        "metadata": {"name": resource.metadata.name, "namespace": resource.metadata.namespace},
        "spec": spec,
    }


def _destination_state(resource: Destination) -> tuple[Any, Condition | None]:
    configured = find_condition(resource.status.conditions, DestinationCondition.CONFIGURED)
    delivering = find_condition(resource.status.conditions, DestinationCondition.DELIVERING)
    if resource.spec.disabled:
        return "disabled", configured
    for said in (configured, delivering):
        if said is not None and said.status == "False":
            return "error", said
    if configured is not None and delivering is not None and delivering.status == "True":
        return "ok", delivering
    return "pending", delivering or configured


def group(resource: CollectorsGroup) -> CollectorGroupView:
    status = resource.status
    return CollectorGroupView(
        name=resource.metadata.name,
        role=resource.spec.role,
        ready=status.ready,
        endpoint=status.endpoint,
        replicas=status.replicas,
        receiver_signals=list(status.receiver_signals),
        conditions=[condition(c) for c in status.conditions],
    )
