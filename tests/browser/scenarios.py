"""Clusters to look at: what the browser tests drive, and what their pictures show.

Each scenario fills the caches with objects as the API server would have them, with what the controllers say of them.
`python -m tests.browser.serving healthy` serves one for the eye.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from odigos_cp.api.application import APPLICATIONS, ApplicationCondition, InstrumentedApplication
from odigos_cp.api.builtin import NAMESPACES, PODS, WORKLOADS, Pod, Workload
from odigos_cp.api.builtin import Namespace as ClusterNamespace
from odigos_cp.api.collectors import GROUPS, CollectorsGroup
from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import Condition, Key, Kind, Unreadable
from odigos_cp.api.source import SOURCES, Source
from odigos_cp.kube import clock
from tests import builders
from tests.web.fake_cluster import FakeCluster

SYSTEM = ("odigos-system", "kube-system", "kube-public", "kube-node-lease")
Said = tuple[str, str, str]
"""Status, reason, message."""

_DONE: dict[str, Said] = {
    "Marked": ("True", "WorkloadSource", "Source deployment-{name} asks for it."),
    "RuntimeDetected": ("True", "Detected", "Container app is {language} {version}."),
    "CollectorAssigned": ("True", "Assigned", "Telemetry goes by the collector of its own node to odigos-gateway."),
    "AgentEnabled": ("True", "Enabled", "Container app gets the {language} agent."),
    "RolledOut": ("True", "RolledOut", "All of its {pods} pods were replaced."),
    "PodsInjected": ("True", "AllPodsInjected", "All {pods} pods carry the agent."),
}

_EVIDENCE: dict[str, tuple[tuple[str, str, int], ...]] = {
    "java": (("loaded library", "/opt/java/openjdk/lib/server/libjvm.so", 100), ("executable's name", "java", 70)),
    "python": (
        ("loaded library", "/usr/local/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", 98),
        ("executable's structure", "section .PyRuntime", 90),
        ("executable's name", "python3.11", 70),
    ),
    "nodejs": (("executable's structure", "exports _ZN4node (214)", 90), ("executable's name", "node", 70)),
    "go": (("build information", "go1.24.1, path example.com/load", 95),),
}

VERSIONS = {"java": "21.0.4", "python": "3.11.9", "nodejs": "20.17.0", "go": "1.24.1"}


def ago(minutes: float) -> str:
    """A moment so many minutes before now, as Kubernetes writes it."""
    moment: datetime = clock.now() - timedelta(minutes=minutes)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def digest(namespace: str, name: str) -> str:
    """A plan's hash that belongs to one workload alone."""
    return f"{abs(hash((namespace, name))):016x}"[:16]


@dataclass
class App:
    """One application: `stop` is the first open link of its chain and what is said there; without it all is done."""

    namespace: str
    name: str
    language: str = ""
    pods: int = 2
    kind: str = "Deployment"
    wanted: bool = True
    by_namespace: bool = False
    stop: tuple[str, Said] | None = None
    minutes: float = 42
    containers: tuple[str, ...] = ("app",)
    other_agents: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return digest(self.namespace, self.name)

    @property
    def is_labelled(self) -> bool:
        """Whether its template carries our label: it does from the roll-out on."""
        return self.wanted and (self.stop is None or self.stop[0] in {"RolledOut", "PodsInjected"})

    def workload(self) -> Workload:
        label = self.hash if self.is_labelled else ""
        made = builders.workload(self.name, self.namespace, replicas=self.pods, containers=self.containers, label=label)
        status = msgspec.structs.replace(made.status, desired_number_scheduled=self.pods, number_ready=self.pods)
        return msgspec.structs.replace(made, status=status)

    def source(self) -> Source:
        return builders.source(namespace=self.namespace, kind=self.kind, of=self.name)

    def conditions(self) -> list[Condition]:
        words = {"name": self.name, "language": self.language, "pods": self.pods}
        words["version"] = VERSIONS.get(self.language, "")
        said: list[Condition] = []
        for step, link in enumerate(ApplicationCondition):
            at = ago(max(self.minutes - step, 0.2))
            if self.stop and self.stop[0] == link:
                status, reason, message = self.stop[1]
                return [*said, _condition(link, status, reason, message, at)]
            status, reason, message = _DONE[link]
            if link == "Marked" and self.by_namespace:
                reason, message = (
                    "NamespaceSource",
                    f"Source namespace-{self.namespace} asks for all of {self.namespace}.",
                )
            said.append(_condition(link, status, reason, message.format(**words), at))
        return said

    def application(self) -> InstrumentedApplication:
        conditions = self.conditions()
        reached = {c.type for c in conditions if c.status == "True"}
        status: dict[str, Any] = {}
        if self.language:
            status["runtimes"] = [self._runtime(name) for name in self.containers]
        if "CollectorAssigned" in reached:
            status["collector"] = {"group": "odigos-gateway", "reason": "the gateway that all share", "since": ago(40)}
        if "AgentEnabled" in reached or (self.stop and self.stop[0] == "AgentEnabled"):
            status["injection"] = {"hash": self.hash, "containers": [self._plan(name) for name in self.containers]}
        return builders.application(self.name, self.namespace, kind=self.kind, conditions=conditions, **status)

    def _runtime(self, container: str) -> dict[str, Any]:
        evidence = [
            {"rule": rule, "saw": saw, "says": self.language, "weight": weight}
            for rule, saw, weight in _EVIDENCE.get(self.language, ())
        ]
        return {
            "container": container,
            "language": self.language,
            "version": VERSIONS.get(self.language, ""),
            "confidence": max((weight for _, _, weight in _EVIDENCE.get(self.language, ())), default=0),
            "evidence": evidence,
            "otherAgents": list(self.other_agents),
        }

    def _plan(self, container: str) -> dict[str, Any]:
        if self.stop and self.stop[0] == "AgentEnabled":
            _, reason, message = self.stop[1]
            return {"name": container, "method": "none", "reason": reason, "message": message}
        return {"name": container, "method": "agent", "agent": f"{self.language}-opentelemetry", "reason": "Enabled"}

    def live_pods(self) -> list[Pod]:
        if not self.is_labelled:
            return []
        injected = self.hash if self.stop is None else ""
        return [
            builders.pod(f"{self.name}-{number}", self.namespace, label=self.hash, injected=injected)
            for number in range(self.pods)
        ]


@dataclass
class World:
    """What a scenario consists of."""

    apps: Sequence[App] = ()
    namespaces: Sequence[str] = ()
    whole: Sequence[str] = ()
    """Namespaces that a Source names."""
    terminating: Sequence[str] = ()
    destinations: Sequence[Destination] = ()
    groups: Sequence[CollectorsGroup] = ()
    sources: Sequence[Source] = field(default=())
    unreadable: Sequence[tuple[Kind[Any], Unreadable]] = ()

    def fill(self, cluster: FakeCluster) -> None:
        names = dict.fromkeys([*SYSTEM, "default", *self.namespaces, *(app.namespace for app in self.apps)])
        namespaces: list[ClusterNamespace] = [
            builders.namespace(name, "Terminating" if name in self.terminating else "Active") for name in names
        ]
        cluster.fill(NAMESPACES, *namespaces)
        for kind, resource in WORKLOADS.items():
            system = [builders.workload("coredns", "kube-system")] if kind == "Deployment" else []
            cluster.fill(resource, *system, *(app.workload() for app in self.apps if app.kind == kind))
        wanted = [app for app in self.apps if app.wanted]
        cluster.fill(
            SOURCES,
            *(builders.source(namespace=name, kind="Namespace") for name in self.whole),
            *(app.source() for app in wanted if not app.by_namespace),
            *self.sources,
        )
        cluster.fill(APPLICATIONS, *(app.application() for app in wanted))
        cluster.fill(PODS, *(pod for app in wanted for pod in app.live_pods()))
        cluster.fill(DESTINATIONS, *self.destinations)
        cluster.fill(GROUPS, *self.groups)
        cluster.sync_all()
        for of, each in self.unreadable:
            cluster.stores[of].pass_over(each)


def misfit(name: str, why: str, namespace: str = "odigos-system") -> Unreadable:
    """An object that cannot be understood."""
    return Unreadable(Key(namespace, name), "900", f"uid-{name}", why=why)


def _condition(type_: str, status: str, reason: str, message: str, at: str) -> Condition:
    return builders.condition(type_, status, reason, message).model_copy(update={"last_transition_time": at})


def _destination(
    name: str,
    display: str,
    said: Sequence[tuple[str, Said]],
    *,
    type_: str = "otlp",
    data: dict[str, str],
    throughput: dict[str, Any] | None = None,
    last_error: str = "",
    **spec: Any,
) -> Destination:
    status: dict[str, Any] = {
        "conditions": [_condition(link, *words, at=ago(17)).wire() for link, words in said],
        "lastError": last_error,
    }
    if throughput is not None:
        status["throughput"] = throughput | {"readAt": ago(0.1)}
    return builders.destination(name, type_=type_, data=data, status=status, destinationName=display, **spec)


CONFIGURED: tuple[str, Said] = ("Configured", ("True", "Configured", "It is part of the gateway's configuration."))
ALL_SIGNALS = ("TRACES", "METRICS", "LOGS")

GATEWAY = builders.group(
    endpoint="odigos-gateway.odigos-system:4317",
    replicas=2,
    receiverSignals=list(ALL_SIGNALS),
    conditions=[
        _condition("ConfigValid", "True", "Rendered", "Configuration 3f1c is rendered.", ago(60)).wire(),
        _condition("Deployed", "True", "Applied", "Configuration 3f1c is applied.", ago(60)).wire(),
        _condition("Ready", "True", "Ready", "2 of 2 collectors are ready.", ago(59)).wire(),
    ],
)
NODE = builders.group("odigos-node", "node", replicas=3, receiverSignals=list(ALL_SIGNALS))


def jaeger() -> Destination:
    return _destination(
        "jaeger-8c1f2",
        "Jaeger",
        [CONFIGURED, ("Delivering", ("True", "Delivering", "jaeger.observability:4317 accepts what it is sent."))],
        data={"OTLP_GRPC_ENDPOINT": "jaeger.observability:4317"},
        throughput={"spans": 184_203, "metricPoints": 0, "logRecords": 0},
    )


def _vendor() -> Destination:
    return _destination(
        "vendor-eu-0aa31",
        "Vendor (EU)",
        [CONFIGURED, ("Delivering", ("True", "Delivering", "https://otlp.vendor.example accepts what it is sent."))],
        type_="otlphttp",
        data={"OTLP_HTTP_ENDPOINT": "https://otlp.vendor.example", "OTLP_HTTP_HEADERS": "x-tenant=eu"},
        signals=ALL_SIGNALS,
        secretRef={"name": "vendor-eu-0aa31-5b1de0c2"},
        throughput={"spans": 1_284_203, "metricPoints": 88_410, "logRecords": 421_007, "queuedBytes": 18_304},
    )


def empty() -> World:
    """A cluster without applications, just installed."""
    return World()


def first_run() -> World:
    """Applications, and nobody has chosen anything yet."""
    return World(apps=[App(a.namespace, a.name, pods=a.pods, kind=a.kind, wanted=False) for a in healthy().apps])


def healthy() -> World:
    """Fourteen applications, most of them instrumented."""
    return World(
        apps=[
            App("shop", "frontend", "nodejs", 3, by_namespace=True),
            App("shop", "cart", "python", by_namespace=True),
            App("shop", "pricing", "java", by_namespace=True),
            App("shop", "checkout", "java", 4, by_namespace=True, minutes=180),
            App(
                "shop",
                "load",
                "go",
                1,
                by_namespace=True,
                stop=(
                    "AgentEnabled",
                    (
                        "False",
                        "CompiledLanguage",
                        "Container app is compiled Go: agents cannot enter it; eBPF can, and is not there yet.",
                    ),
                ),
            ),
            App("billing", "invoices", "java", 2, minutes=600),
            App("billing", "ledger", "java", 3, minutes=600),
            App(
                "billing",
                "reports",
                "python",
                2,
                stop=("RolledOut", ("Unknown", "InProgress", "Of the newest template: 1 of 2 pods.")),
                minutes=5.1,
            ),
            App("billing", "ledger-db", "", 1, "StatefulSet", wanted=False),
            App("search", "api", "nodejs", 2, minutes=4000),
            App("search", "indexer", "python", 2, minutes=4000),
            App(
                "search",
                "suggest",
                "",
                1,
                stop=(
                    "RuntimeDetected",
                    ("Unknown", "DetectorRunning", "A detector looks at pod suggest-0 on node node-2."),
                ),
                minutes=1.3,
            ),
            App("monitoring", "grafana", "", 1, wanted=False),
            App("monitoring", "node-exporter", "", 3, "DaemonSet", wanted=False),
        ],
        whole=["shop"],
        namespaces=["staging"],
        destinations=[jaeger(), _vendor()],
        groups=[GATEWAY, NODE],
    )


def thousand() -> World:
    """A thousand applications in thirty namespaces."""
    languages = ("java", "python", "nodejs", "java", "go")
    apps = []
    for number in range(1000):
        namespace = f"team-{number % 30:02}"
        language = languages[number % 5]
        stop = None
        if language == "go":
            stop = ("AgentEnabled", ("False", "CompiledLanguage", "Container app is compiled Go."))
        elif number % 97 == 3:
            stop = (
                "RolledOut",
                ("False", "Failed", "Of the newest template: 1 of 2 pods, and they do not get ready."),
            )
        elif number % 41 == 5:
            stop = ("RolledOut", ("Unknown", "Queued", "10 workloads restart now, and no more than 10 may."))
        apps.append(App(namespace, f"service-{number:04}", language, 2, wanted=number % 7 != 0, stop=stop))
    return World(apps=apps, destinations=[jaeger(), _vendor()], groups=[GATEWAY, NODE])


def broken() -> World:
    """Everything that can be wrong at once."""

    def stuck(name: str, link: str, status: str, reason: str, message: str, language: str = "", **more: Any) -> App:
        return App("shop", name, language, stop=(link, (status, reason, message)), minutes=9, **more)

    return World(
        apps=[
            stuck(
                "cart",
                "RolledOut",
                "False",
                "Failed",
                "Of the newest template: 1 of 3 pods, and they do not get ready: CrashLoopBackOff in container app.",
                "python",
                pods=3,
            ),
            stuck(
                "checkout",
                "RolledOut",
                "False",
                "Conflict",
                "The label odigos.io/instrumented of the pod template belongs to somebody else: argocd-controller.",
                "java",
            ),
            stuck(
                "frontend",
                "PodsInjected",
                "False",
                "SomePodsInjected",
                "Pods with the agent: 1 of 3. Some started without it although they should have it: the webhook could "
                "not be reached then, or it refused them (see the log of odigos). Restart the workload.",
                "nodejs",
                pods=3,
            ),
            stuck(
                "legacy",
                "RuntimeDetected",
                "False",
                "NoKnownLanguage",
                "Container app: its processes show no language that odigos-cp knows.",
            ),
            stuck(
                "mailer",
                "RuntimeDetected",
                "False",
                "DetectorTimedOut",
                "The detector timed out. It is tried again in 40 s.",
            ),
            stuck(
                "pricing",
                "AgentEnabled",
                "False",
                "OtherAgentPresent",
                "Container app carries another vendor's agent already.",
                "java",
                other_agents=("dynatrace",),
            ),
            stuck(
                "recommender",
                "AgentEnabled",
                "False",
                "VersionNotSupported",
                "Python 2.7.18 is older than 3.9, the oldest that the agent supports.",
                "python",
            ),
            stuck(
                "search",
                "RolledOut",
                "False",
                "WaitingForRestart",
                "rollout.automatic is off, so nothing is restarted by itself.",
                "java",
            ),
            stuck(
                "wallet",
                "CollectorAssigned",
                "False",
                "NoCollectorReady",
                "The collectors are starting: odigos-gateway is not ready yet. Its conditions say why.",
                "java",
            ),
        ],
        namespaces=["leaving"],
        terminating=["leaving"],
        destinations=[
            _destination(
                "jaeger-8c1f2",
                "Jaeger",
                [
                    CONFIGURED,
                    (
                        "Delivering",
                        (
                            "False",
                            "NotAccepting",
                            "jaeger.observability:4317 does not take what it is sent; 4 batches wait: refused",
                        ),
                    ),
                ],
                data={"OTLP_GRPC_ENDPOINT": "jaeger.observability:4317"},
                throughput={"spans": 1200, "metricPoints": 0, "logRecords": 0, "queuedBytes": 5_400_321},
                last_error="rpc error: code = Unavailable desc = dial tcp 10.96.3.14:4317: connect: connection refused",
            ),
            _destination(
                "old-44ab1",
                "Old back end",
                [
                    (
                        "Configured",
                        (
                            "False",
                            "UnknownType",
                            "There is no destination type 'zipkinv1'. Use one of: debug, otlp, otlphttp.",
                        ),
                    )
                ],
                type_="zipkinv1",
                data={"URL": "http://zipkin:9411"},
            ),
            _destination(
                "half-1f0ce",
                "Half filled in",
                [("Configured", ("False", "MissingField", "Endpoint is missing. Fill it in."))],
                data={},
                signals=ALL_SIGNALS,
            ),
        ],
        groups=[
            builders.group(
                ready=False,
                conditions=[
                    _condition("ConfigValid", "True", "Rendered", "Configuration 9e01 is rendered.", ago(20)).wire(),
                    _condition("Deployed", "True", "Applied", "Configuration 9e01 is applied.", ago(20)).wire(),
                    _condition(
                        "Ready",
                        "False",
                        "PodsNotReady",
                        "None of 1 collectors is ready. Pod odigos-gateway-7c9: ImagePullBackOff.",
                        ago(19),
                    ).wire(),
                ],
            ),
            NODE,
        ],
        unreadable=[(DESTINATIONS, misfit("grafana", "spec.signals[0] must be 'TRACES', 'METRICS' or 'LOGS'"))],
    )


HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>\u202ekcab'


def hostile() -> World:
    """Text that wants to be markup, in every place that the cluster can write."""
    app = App(
        "shop",
        "cart",
        "java",
        stop=("RolledOut", ("False", "Failed", f"It says {HOSTILE} {'x' * 400}")),
        containers=("app", "side"),
        other_agents=(HOSTILE,),
    )
    sick = _destination(
        "evil-00000",
        HOSTILE,
        [CONFIGURED, ("Delivering", ("False", "NotAccepting", f"It answered {HOSTILE}"))],
        data={"OTLP_GRPC_ENDPOINT": HOSTILE, HOSTILE: HOSTILE},
        throughput={"spans": 1},
        last_error=f"last {HOSTILE}",
    )
    return World(
        apps=[app, App("shop", "a" * 63, pods=1), App("b" * 63, "x", wanted=False)],
        destinations=[sick],
        groups=[GATEWAY],
        unreadable=[(DESTINATIONS, misfit("m" * 63, f"spec.data.{HOSTILE} must be a valid string"))],
    )


SCENARIOS: dict[str, Callable[[], World]] = {
    "empty": empty,
    "first_run": first_run,
    "healthy": healthy,
    "thousand": thousand,
    "broken": broken,
    "hostile": hostile,
}
