"""What the UI's API says and takes: every JSON shape of /api, and nothing else.

`make generate` makes the TypeScript types of the UI from these models, so both sides change together. Requests forbid
unknown fields: a misspelt one is an error, not silence. Responses are complete: every field is always there.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class View(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
    )


SignalName = Literal["TRACES", "METRICS", "LOGS"]
ConditionWord = Literal["True", "False", "Unknown"]

ApplicationState = Literal[
    "notSelected",  # nobody asked for it
    "waiting",  # asked for; some step has not happened yet, the reason says which
    "instrumented",  # every pod carries its agent
    "notInstrumentable",  # asked for and refused, the reason says why
    "failed",  # something went wrong, the reason says what
    "stopping",  # no longer asked for; pods are being restarted without the agent
]


class TaskView(View):
    """One of the controllers, or the UI itself."""

    name: str
    running: bool
    queue_depth: int = 0
    waiting: int = Field(default=0, description="Objects that wait until their own writes are seen.")
    last_success: str = ""
    last_error: str = ""


class UnreadableView(View):
    """An object that odigos-cp cannot understand."""

    kind: str
    namespace: str
    name: str
    why: str
    known: bool = Field(description="What was last understood of it still holds.")
    kubectl: str = Field(description="The command with which to correct it.")


class MetaView(View):
    version: str
    cluster_version: str
    namespace: str
    boot: str = Field(description="Changes when the process restarts.")
    leader: bool
    synced_kinds: int
    kinds: int
    tasks: list[TaskView]
    unreadable: list[UnreadableView] = Field(description="Objects that cannot be understood; the first of them.")
    unreadable_count: int


class ConditionView(View):
    type: str
    status: ConditionWord
    reason: str
    message: str
    since: str
    fix: str = Field(description="What a person can do about it; empty where there is nothing to do.")


class EvidenceView(View):
    rule: str
    saw: str
    says: str
    weight: int


class ContainerView(View):
    name: str
    language: str
    version: str
    confidence: int
    evidence: list[EvidenceView]
    other_agents: list[str]
    method: str
    agent: str
    reason: str
    message: str


class ApplicationView(View):
    """One row of the list."""

    id: str = Field(description="namespace/Kind/name")
    namespace: str
    kind: str
    name: str
    languages: list[str] = Field(description="Of its containers; empty until detected.")
    wanted: bool
    wanted_by: str = Field(description="The name of the Source that decides, or empty.")
    state: ApplicationState
    reason: str
    message: str
    fix: str
    collector: str
    pods_ready: int
    pods_wanted: int
    pods_injected: int
    since: str


class NamespaceView(View):
    name: str
    instrumented: bool = Field(description="A Source names the whole namespace.")
    ignored: bool = Field(description="Never instrumented; a Source would not change that.")
    terminating: bool
    applications: int
    instrumented_applications: int


class ApplicationsView(View):
    """GET /api/sources"""

    seq: int
    namespaces: list[NamespaceView]
    items: list[ApplicationView]
    counts: dict[str, int] = Field(description="Applications by state.")
    summary: str = Field(description="One sentence of truth for the top of the page.")


class ApplicationDetailView(View):
    """GET /api/sources/{namespace}/{kind}/{name}"""

    seq: int
    application: ApplicationView
    chain: list[ConditionView] = Field(description="The conditions in the order of the walk.")
    containers: list[ContainerView]
    source_yaml: str
    kubectl: str = Field(description="The command that would do what the switch does.")


class InstrumentRequest(View):
    """PUT /api/sources/{namespace}/{kind}/{name}; kind Namespace is the whole namespace."""

    instrument: bool


class PlannedApplicationView(View):
    id: str = Field(description="namespace/Kind/name")
    pods: int = Field(description="That are replaced, one after the other.")


class SwitchPlanView(View):
    """GET /api/sources/{namespace}/{kind}/{name}/plan?instrument=true: what the switch would bring about."""

    target: str
    instrument: bool
    changes: list[PlannedApplicationView] = Field(description="Whose wish changes; the first of them.")
    change_count: int
    restart_count: int = Field(description="Of those, the ones whose pods are replaced.")
    pod_count: int
    unchanged_count: int = Field(description="That are so already.")
    kept_out: list[str] = Field(description="That a Source of their own keeps as they are; the first of them.")
    kept_out_count: int
    automatic: bool = Field(description="False: nothing restarts by itself, somebody restarts each.")
    max_concurrent: int = Field(description="Workloads that restart at the same time.")
    blocked_by: str = Field(description="The Source because of which nothing would change, or empty.")
    kubectl: str = Field(description="The command that does the same.")


class DestinationFieldView(View):
    name: str
    label: str
    kind: Literal["text", "multiline", "url", "select", "boolean", "secret"]
    required: bool
    options: list[str]
    placeholder: str
    default: str
    help: str


class DestinationTypeView(View):
    type: str
    display: str
    category: str
    signals: list[SignalName]
    fields: list[DestinationFieldView]


class DestinationTypesView(View):
    """GET /api/destination-types"""

    items: list[DestinationTypeView]


class DestinationView(View):
    name: str
    display: str
    type: str
    signals: list[SignalName]
    disabled: bool
    data: dict[str, str]
    secret_fields: list[str]
    conditions: list[ConditionView]
    state: Literal["pending", "ok", "error", "disabled"]
    reason: str
    message: str
    since: str
    fix: str
    last_error: str
    spans: int
    metric_points: int
    log_records: int
    queued_bytes: int
    read_at: str = Field(description="When the numbers were read; empty: never.")
    source_yaml: str
    kubectl: str = Field(description="The command that deletes it.")


class DestinationsView(View):
    """GET /api/destinations"""

    seq: int
    items: list[DestinationView]


class NewDestinationRequest(View):
    """POST /api/destinations; secret fields stand in `data` too and go into a Secret that is never read back."""

    type: str
    display: str = ""
    signals: list[SignalName]
    data: dict[str, str] = {}


class CollectorGroupView(View):
    name: str
    role: str
    ready: bool
    endpoint: str
    replicas: int
    receiver_signals: list[SignalName]
    conditions: list[ConditionView]


class CollectorsView(View):
    """GET /api/collectors"""

    seq: int
    items: list[CollectorGroupView]


class AcceptedView(View):
    """202: the wish is written; the controllers do the rest."""

    accepted: bool
    object: str
    kubectl: str


class ProblemView(View):
    """application/problem+json: what went wrong, for a person."""

    type: str
    title: str
    status: int
    detail: str
    field: str = ""
    fix: str = ""


class DestinationPreviewView(View):
    """POST /api/destinations?dryRun=true: what the same request would write, or what is wrong with it."""

    name: str
    kubectl: str = Field(description="Without the secret values.")
    secret_fields: list[str] = Field(description="That would go into a Secret.")
    problem: ProblemView | None = None


class HelloEvent(View):
    """SSE `hello`: the first event; `reset` means re-read everything."""

    boot: str
    seq: int
    reset: bool


class ChangedEvent(View):
    """SSE `changed`: which parts to read again. A lost event costs nothing, the next read has it all."""

    seq: int
    topics: list[Literal["sources", "destinations", "collectors", "meta"]]
