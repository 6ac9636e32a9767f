"""What is brought into each container of an application, or why nothing is? The plan, its hash, and how pods find it.

A plan is decided when everything it depends on is known: what runs in each container, which collectors the application
was assigned to, and which signals are wanted. While something of this is missing, what was decided before stays: an
application is not restarted because a detector looks again, because its collectors are gone for a moment, or because
the last destination was removed (another one may come, and until then the collectors drop what arrives).

The hash is of what is injected and of nothing else, so evidence, versions and messages may change without a restart.
What the image itself sets is decided once for an image, as the first look at it showed it: later looks see the pod's
own settings and ours among them. Nodes whose addresses are IPv6 need brackets around them (`Observed.ipv6`).

Owns status.injection and the condition AgentEnabled of InstrumentedApplications.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from odigos_cp.api.application import (
    APPLICATIONS,
    SIGNALS,
    AgentReason,
    ApplicationCondition,
    ContainerInjection,
    EnvEdit,
    Injection,
    InstrumentedApplication,
    Runtime,
    Signal,
)
from odigos_cp.api.builtin import TemplateContainer, Workload
from odigos_cp.api.collectors import CollectorsGroup
from odigos_cp.api.configuration import ConfigurationSpec
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Condition, ConditionStatus, find_condition
from odigos_cp.api.rules import InstrumentationRule
from odigos_cp.domain import conditions, environment, patching, recipes, rules
from odigos_cp.domain.detection import LOOKS_AT_UNKNOWN
from odigos_cp.domain.environment import RESOURCE_ATTRIBUTES
from odigos_cp.domain.pipeline import HTTP_PORT
from odigos_cp.domain.plan import Plan, apply_status
from odigos_cp.domain.recipes import NoRecipe, Recipe

MANAGER = "odigos-instrumentor-injection"
HASH_INDEX = "injection-hash"
HASH_DIGITS = 16
FORMAT = 1
"""Part of every hash: another number brings a change of patching.py into pods that run already."""

UNKNOWN = "unknown"
FIELDS = {
    "ODIGOS_NODE_IP": "status.hostIP",
    "ODIGOS_NODE_NAME": "spec.nodeName",
    "ODIGOS_POD_NAME": "metadata.name",
    "ODIGOS_POD_UID": "metadata.uid",
}
"""Fields of the Pod that values refer to."""

WAITING = frozenset({AgentReason.WAITING_FOR_DETECTION, AgentReason.WAITING_FOR_COLLECTOR, AgentReason.NO_SIGNALS})
"""Nothing is decided while these hold."""

patch = patching.patch


@dataclass(frozen=True)
class Observed:
    application: InstrumentedApplication
    workload: Workload
    group: CollectorsGroup | None = None
    """The one that the application is assigned to."""

    configuration: ConfigurationSpec = field(default_factory=ConfigurationSpec)
    rules: tuple[InstrumentationRule, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """Of the agents, by language."""

    system_namespace: str = SYSTEM_NAMESPACE
    ipv6: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a container gets no agent; the message goes on from the container's name."""

    reason: AgentReason
    message: str


def index_by_hash(application: InstrumentedApplication) -> Iterable[Hashable]:
    """How the webhook finds the plan of a pod: by its namespace and the label's value."""
    decided = application.status.injection
    return ((application.metadata.namespace, decided.hash),) if decided and decided.hash else ()


def plan(observed: Observed, now: datetime) -> Plan:
    application = observed.application
    if not application.spec.enabled:
        message = "The application is not to be instrumented."
        return _say(application, Injection(), "False", AgentReason.NOT_WANTED, message, now)
    before = application.status.injection
    verdicts = [_decide(subject) for subject in _subjects(observed)]
    waiting = [v for v in verdicts if v.reason in WAITING]
    if waiting or not verdicts:
        first = waiting[0] if waiting else Refusal(AgentReason.WAITING_FOR_DETECTION, "nothing is known of it yet")
        return _stay(application, before, first.reason, _listed(waiting) or first.message, now)
    decided = Injection(hash=_hash(verdicts), containers=tuple(verdicts))
    return _say(application, decided, *_summary(observed, verdicts), now)


def _stay(
    application: InstrumentedApplication, before: Injection | None, reason: str, message: str, now: datetime
) -> Plan:
    """What was decided before holds on."""
    if before is None or not before.hash:
        status: ConditionStatus = "False" if reason == AgentReason.NO_SIGNALS else "Unknown"
        return _say(application, before, status, reason, f"{message}.", now)
    said = find_condition(application.status.conditions, ApplicationCondition.AGENT_ENABLED)
    partly = said is not None and said.reason == AgentReason.PARTLY_ENABLED
    enabled = AgentReason.PARTLY_ENABLED if partly else AgentReason.ENABLED
    return _say(application, before, "True", enabled, f"Its agents stay as they are meanwhile: {message}.", now)


def _summary(observed: Observed, verdicts: list[ContainerInjection]) -> tuple[ConditionStatus, str, str]:
    considered = [v for v in verdicts if v.reason != AgentReason.IGNORED_CONTAINER]
    message = f"{_listed(considered or verdicts)}."
    if observed.configuration.injection.method == "imageVolume":
        message += " injection.method imageVolume is not in this release: the files come by an init container."
    refused = [v for v in considered if v.method == "none"]
    if not considered:
        return "False", AgentReason.IGNORED_CONTAINER, message
    if len(refused) == len(considered):
        return "False", refused[0].reason, message
    return "True", AgentReason.PARTLY_ENABLED if refused else AgentReason.ENABLED, message


def _listed(verdicts: Iterable[ContainerInjection]) -> str:
    return "; ".join(f"{v.name}: {v.message}" for v in verdicts)


def _say(
    application: InstrumentedApplication,
    decided: Injection | None,
    status: ConditionStatus,
    reason: str,
    message: str,
    now: datetime,
) -> Plan:
    said: Condition = conditions.about(application, ApplicationCondition.AGENT_ENABLED, status, reason, message, now)
    writes = apply_status(APPLICATIONS, application, MANAGER, {"injection": decided}, [said])
    return Plan(writes, because=f"{reason}: plan {decided.hash if decided else ''}".rstrip())


def _hash(verdicts: Iterable[ContainerInjection]) -> str:
    """A label's value; empty when nothing is injected. Who sends is part of it, so no two workloads have the same."""
    chosen = sorted((v for v in verdicts if v.method == "agent"), key=lambda v: v.name)
    injected = [[v.name, v.agent, v.image, [edit.wire() for edit in v.env]] for v in chosen]
    if not injected:
        return ""
    return hashlib.sha256(json.dumps([FORMAT, injected], sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


# --- one container --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Subject:
    """One container, and all that its verdict depends on."""

    name: str
    observed: Observed
    runtime: Runtime | None
    template: TemplateContainer
    before: ContainerInjection | None
    """What was decided for it last, if that was an agent."""

    @property
    def language(self) -> str:
        return self.runtime.language if self.runtime else UNKNOWN

    @property
    def told(self) -> str:
        """The agent that the user asks for."""
        found = (c for c in self.observed.application.spec.containers if c.container_name == self.name)
        return next((c.otel_distro_name for c in found), "")

    @property
    def page(self) -> Recipe | NoRecipe:
        return recipes.find(self.language)

    @property
    def title(self) -> str:
        version = self.runtime.version if self.runtime else ""
        return f"{self.page.title} {version}".rstrip()

    @property
    def set_by_template(self) -> frozenset[str]:
        return frozenset(v.name for v in self.template.env)

    @property
    def same_image(self) -> ContainerInjection | None:
        """What was decided for this very image and agent."""
        before, runtime = self.before, self.runtime
        if before and runtime and runtime.image_id and before.image_id == runtime.image_id:
            return before if before.language == runtime.language else None
        return None


def _subjects(observed: Observed) -> Iterable[_Subject]:
    """The containers of the template; what other webhooks bring into the pods is not ours to instrument."""
    runtimes = {r.container: r for r in observed.application.status.runtimes}
    decided = observed.application.status.injection
    before = {c.name: c for c in decided.containers if c.method == "agent"} if decided else {}
    for container in observed.workload.spec.template.spec.containers:
        name = container.name
        yield _Subject(name, observed, runtimes.get(name), container, before.get(name))


def _decide(subject: _Subject) -> ContainerInjection:
    """The first check that speaks decides."""
    refused = next(filter(None, (check(subject) for check in _CHECKS)), None)
    page = subject.page
    if refused is not None or not isinstance(page, Recipe):
        refused = refused or Refusal(AgentReason.NO_AGENT, f"there is no agent for {page.title}")
        return ContainerInjection(
            name=subject.name,
            language=subject.language if subject.runtime else "",
            reason=refused.reason,
            message=refused.message,
        )
    return ContainerInjection(
        name=subject.name,
        method="agent",
        agent=page.distribution,
        language=page.language,
        image=subject.observed.images[page.language],
        env=tuple(_edits(subject, page)),
        image_id=subject.runtime.image_id if subject.runtime else "",
        message=f"{subject.title} gets {page.distribution}",
    )


def _is_ignored(subject: _Subject) -> Refusal | None:
    if subject.name not in subject.observed.configuration.ignored_containers:
        return None
    return Refusal(AgentReason.IGNORED_CONTAINER, "the configuration's ignoredContainers names it")


def _is_not_detected(subject: _Subject) -> Refusal | None:
    if subject.runtime is None:
        return Refusal(AgentReason.WAITING_FOR_DETECTION, "what it is written in is not known yet")
    if subject.language == UNKNOWN and subject.before and _looks_again(subject.observed.application):
        return Refusal(AgentReason.WAITING_FOR_DETECTION, "what it is written in is looked at again")
    return None


def _looks_again(application: InstrumentedApplication) -> bool:
    said = find_condition(application.status.conditions, ApplicationCondition.RUNTIME_DETECTED)
    looked = application.status.detection
    return said is None or said.status == "Unknown" or (looked is not None and looked.attempts < LOOKS_AT_UNKNOWN)


def _is_unknown(subject: _Subject) -> Refusal | None:
    if subject.language != UNKNOWN:
        return None
    return Refusal(
        AgentReason.UNKNOWN_LANGUAGE,
        "the detector could not tell what it is written in, see RuntimeDetected; containerOverrides of its Source can",
    )


def _asks_for_another_agent(subject: _Subject) -> Refusal | None:
    if not subject.told:
        return None
    recipe = recipes.BY_DISTRIBUTION.get(subject.told)
    if recipe is None:
        known = ", ".join(sorted(recipes.BY_DISTRIBUTION))
        return Refusal(AgentReason.UNKNOWN_AGENT, f"there is no agent {subject.told[:80]!r}; known: {known}")
    if recipe.language != subject.language:
        return Refusal(AgentReason.UNKNOWN_AGENT, f"{subject.told} is for {recipe.title}, and it runs {subject.title}")
    return None


def _has_no_agent(subject: _Subject) -> Refusal | None:
    page = subject.page
    if isinstance(page, NoRecipe):
        return Refusal(page.reason, page.message)
    if not subject.observed.images.get(page.language):
        return Refusal(AgentReason.NO_AGENT, f"no image is set for the agent of {page.title} (--agent-images)")
    return None


def _is_of_another_version(subject: _Subject) -> Refusal | None:
    page = subject.page
    if not isinstance(page, Recipe) or subject.runtime is None or page.supports(subject.runtime.version):
        return None
    return Refusal(AgentReason.VERSION_NOT_SUPPORTED, f"it runs {subject.title}, and the agent needs {page.needs}")


def _has_other_agents(subject: _Subject) -> Refusal | None:
    if not (subject.runtime and subject.runtime.other_agents):
        return None
    names = ", ".join(subject.runtime.other_agents)
    return Refusal(AgentReason.OTHER_AGENT, f"an agent runs in it already ({names}), and two disturb each other")


def _executes_securely(subject: _Subject) -> Refusal | None:
    page = subject.page
    if not (isinstance(page, Recipe) and subject.runtime and subject.runtime.secure_execution) or page.secure_execution:
        return None
    return Refusal(
        AgentReason.SECURE_EXECUTION,
        f"its program gains privileges when it starts (file capabilities or set-uid), and then {page.title} "
        f"does not heed {page.entry.variable}",
    )


def _hides_its_environment(subject: _Subject) -> Refusal | None:
    """A value that we would extend may come from the image or an envFrom, and the process has written over it."""
    page = subject.page
    if not isinstance(page, Recipe) or subject.runtime is None or subject.runtime.env_known or subject.same_image:
        return None
    missing = [n for n in (page.entry.variable, RESOURCE_ATTRIBUTES) if n not in subject.set_by_template]
    if not missing:
        return None
    return Refusal(
        AgentReason.ENVIRONMENT_UNKNOWN,
        f"its process hides its environment, so what its image sets of {' and '.join(missing)} is not known and would "
        "be lost; set it in the pod template, to nothing if there is nothing",
    )


def _has_no_collector(subject: _Subject) -> Refusal | None:
    group = subject.observed.group
    if group is None or not (group.status.config_hash or _signals(group)):
        return Refusal(AgentReason.WAITING_FOR_COLLECTOR, "no collectors are assigned to it, see CollectorAssigned")
    if not _signals(group):
        message = f"nobody wants what {group.metadata.name} would carry; add a destination"
        return Refusal(AgentReason.NO_SIGNALS, message)
    if not group.status.ready and not subject.before:
        return Refusal(AgentReason.WAITING_FOR_COLLECTOR, f"its collectors are not ready: {group.metadata.name}")
    return None


_CHECKS: tuple[Callable[[_Subject], Refusal | None], ...] = (
    _is_ignored,
    _is_not_detected,
    _is_unknown,
    _asks_for_another_agent,
    _has_no_agent,
    _is_of_another_version,
    _has_other_agents,
    _executes_securely,
    _hides_its_environment,
    _has_no_collector,
)


# --- the variables of one container ---------------------------------------------------------------------------------


def _edits(subject: _Subject, recipe: Recipe) -> Iterable[EnvEdit]:
    """In the order in which they refer to each other."""
    own = _own(subject)
    for name, path in FIELDS.items():
        yield EnvEdit(name=name, field_path=path)
    for name, value in _settings(subject, recipe).items():
        if name not in own and environment.GOES_WITH.get(name) not in own:
            yield EnvEdit(name=name, value=value)
    entry = recipe.entry
    yield EnvEdit(
        name=entry.variable,
        value=entry.value,
        merge=entry.merge,
        separator=entry.separator,
        base=own.get(entry.variable, ""),
    )
    yield EnvEdit(
        name=RESOURCE_ATTRIBUTES,
        value=_attributes(subject),
        merge="attributes",
        separator=",",
        base=own.get(RESOURCE_ATTRIBUTES, ""),
    )


def _own(subject: _Subject) -> Mapping[str, str]:
    """What the image sets (or an envFrom, which shows nowhere else), decided once for each image."""
    seen = subject.runtime.env if subject.runtime else {}
    decided = subject.same_image
    if decided is None:
        return {name: value for name, value in seen.items() if name not in subject.set_by_template}
    return environment.own_values(seen, decided.env)


def _settings(subject: _Subject, recipe: Recipe) -> dict[str, str]:
    observed = subject.observed
    host = "[$(ODIGOS_NODE_IP)]" if observed.ipv6 else "$(ODIGOS_NODE_IP)"
    signals = _signals(observed.group)
    told = rules.settings(observed.rules, observed.application, observed.system_namespace)
    values = {
        environment.ENDPOINT: f"http://{host}:{HTTP_PORT}",
        environment.PROTOCOL: "http/protobuf",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        **{f"OTEL_{signal}_EXPORTER": "otlp" if signal in signals else "none" for signal in SIGNALS},
        **dict(recipe.env),
        **{name: environment.literal(value) for name, value in sorted(told.env.items())},
    }
    if told.ratio is not None:
        values[environment.SAMPLER] = "parentbased_traceidratio"
        values[environment.SAMPLER_ARGUMENT] = f"{told.ratio:.9f}".rstrip("0").rstrip(".")
    return values


def _signals(group: CollectorsGroup | None) -> tuple[Signal, ...]:
    return group.status.receiver_signals if group else ()


def _attributes(subject: _Subject) -> str:
    """Who sends it. The service's name is among them, since OTEL_SERVICE_NAME would win over a user's attribute."""
    spec = subject.observed.application.spec
    literal = environment.attributes(
        {
            "service.name": spec.service_name or spec.workload.name,
            "k8s.namespace.name": spec.workload.namespace,
            f"k8s.{spec.workload.kind.lower()}.name": spec.workload.name,
            "k8s.container.name": subject.name,
        }
    )
    return f"{literal},k8s.pod.name=$(ODIGOS_POD_NAME),k8s.pod.uid=$(ODIGOS_POD_UID),k8s.node.name=$(ODIGOS_NODE_NAME)"
