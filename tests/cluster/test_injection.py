"""A real API server takes what injection makes: patched pods of every shape, plans, and the webhook's trust."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import pytest_asyncio
import yaml

from odigos_cp.api.application import APPLICATIONS, Injection
from odigos_cp.api.builtin import DEPLOYMENTS, NAMESPACES, PODS, WEBHOOKS, WORKLOADS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS
from odigos_cp.api.meta import Key, Kind, find_condition
from odigos_cp.api.rules import RULES
from odigos_cp.api.source import SOURCES
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import injection as controller
from odigos_cp.controllers.instrumentor import rules as rules_controller
from odigos_cp.domain import injection, trust
from odigos_cp.domain.injection import Observed
from odigos_cp.domain.patching import Patch
from odigos_cp.domain.plan import Apply
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import Forbidden
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings
from tests.builders import config_map, group, rule
from tests.domain.kubelet import applied
from tests.domain.test_injection_patch import plan
from tests.domain.test_injection_plan import IMAGES, observed, runtime, template

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECONDS = 20.0
CACHED: tuple[Kind[Any], ...] = (*WORKLOADS.values(), PODS, APPLICATIONS, SOURCES, RULES, GROUPS, CONFIGURATIONS)
MANIFESTS = Path(__file__).parents[2] / "manifests"
STRICT: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
STRICT_POD: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


async def created(client: Client, namespace: str, pod: Mapping[str, Any]) -> dict[str, Any]:
    """The Pod as the API server would store it; nothing is stored."""
    path = f"{PODS.path(namespace)}?dryRun=All&fieldManager=test"
    return await client.post(path, {"apiVersion": "v1", "kind": "Pod"} | dict(pod))


def pod(spec: Mapping[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    app = {"name": "app", "image": "shop/cart:1"} | container
    whole = {"automountServiceAccountToken": False, "containers": [app]} | dict(spec or {})
    return {"metadata": {"generateName": "cart-"}, "spec": whole}


async def injected(client: Client, namespace: str, seen: Mapping[str, Any], *languages: str) -> dict[str, Any]:
    """The Pod as it is stored with its plan. Once it has all its defaults, the webhook has nothing left to do."""
    before = await created(client, namespace, seen)
    decided = plan(*languages)
    for sent in (seen, {"metadata": seen["metadata"], "spec": before["spec"]}):  # the webhook sees all the defaults
        patched = injection.patch(sent, decided)
        assert patched.reason == ""
        after = await created(client, namespace, applied(sent, patched.operations))
        assert injection.patch(after, decided) == Patch()
        assert after["status"]["qosClass"] == before["status"]["qosClass"]
    return after


def literal(name: str, value: str = "") -> dict[str, Any]:
    return {"name": name, "value": value}


def reference(name: str, *, optional: bool = False) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k", "optional": optional}}}


SHAPES: dict[str, dict[str, Any]] = {
    "plain": pod(),
    "values": pod(env=[literal("JAVA_TOOL_OPTIONS", "-Xmx96m"), literal("OTEL_RESOURCE_ATTRIBUTES", "a=$(B)")]),
    "references": pod(env=[reference("JAVA_TOOL_OPTIONS"), reference("OTEL_RESOURCE_ATTRIBUTES", optional=True)]),
    "doubled": pod(env=[literal("JAVA_TOOL_OPTIONS", "-Da"), literal("JAVA_TOOL_OPTIONS", "$(JAVA_TOOL_OPTIONS) -Db")]),
    "our fields": pod(
        env=[{"name": "ODIGOS_NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}, literal("A")]
    ),
    "env from": pod(envFrom=[{"configMapRef": {"name": "settings", "optional": True}}]),
    "root": pod({"securityContext": {"runAsUser": 0, "runAsGroup": 0}}),
    "a user and a group": pod({"securityContext": {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}}),
    "guaranteed": pod(resources={"limits": {"cpu": "1", "memory": "128Mi"}}),
    "burstable": pod(resources={"requests": {"cpu": "10m"}, "limits": {"memory": "128Mi"}}),
    "limited storage": pod(resources={"limits": {"ephemeral-storage": "10Mi"}}),
    "devices": pod(resources={"limits": {"example.com/gpu": "2"}}),
    "read-only root": pod(securityContext={"readOnlyRootFilesystem": True, "runAsUser": 65532}),
    "privileged": pod(securityContext={"privileged": True}),
    "host network": pod({"hostNetwork": True}, ports=[{"containerPort": 80, "hostPort": 80}]),
    "shared processes": pod({"shareProcessNamespace": True, "hostIPC": True}),
    "own user namespace": pod({"hostUsers": False}),
    "init containers": pod({"initContainers": [{"name": "migrate", "image": "m:1"}]}),
    "a sidecar": pod({"initContainers": [{"name": "proxy", "image": "p:1", "restartPolicy": "Always"}]}),
    "volumes": pod(
        {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "info", "downwardAPI": {"items": []}}]},
        volumeMounts=[{"name": "data", "mountPath": "/data"}, {"name": "info", "mountPath": "/info"}],
    ),
    "linux by name": pod({"os": {"name": "linux"}, "nodeSelector": {"kubernetes.io/os": "linux"}}),
    "never restarted": pod({"restartPolicy": "Never", "activeDeadlineSeconds": 60}),
    "resources of the pod": pod({"resources": {"limits": {"cpu": "1", "memory": "128Mi"}}}),
}


@pytest_asyncio.fixture
async def strict(client: Client, namespace: str) -> AsyncIterator[str]:
    """A namespace that enforces the strictest pod security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await client.apply(NAMESPACES, {"metadata": {"name": namespace, "labels": labels}}, manager="test")
    yield namespace


# --- pods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_pod_that_is_taken_is_taken_with_its_plan_and_keeps_its_class(
    client: Client, namespace: str, shape: str
) -> None:
    after = await injected(client, namespace, SHAPES[shape])
    assert after["spec"]["initContainers"][0]["name"] == "odigos-cp-java"
    assert [m["mountPath"] for m in after["spec"]["containers"][0]["volumeMounts"]][-1] == "/odigos-cp/java"


async def test_several_languages_in_one_pod_are_taken(client: Client, namespace: str) -> None:
    containers = [{"name": name, "image": "x:1"} for name in ("app", "app-2", "app-3", "sidecar")]
    after = await injected(client, namespace, pod({"containers": containers}), "java", "python", "nodejs")
    assert len(after["spec"]["initContainers"]) == 3


@pytest.mark.parametrize("context", [{}, {"runAsUser": 1000}, {"runAsUser": 1000, "fsGroup": 2000, "runAsGroup": 3000}])
async def test_the_strictest_pod_security_takes_a_pod_with_its_plan(
    client: Client, strict: str, context: dict[str, Any]
) -> None:
    with pytest.raises(Forbidden, match="PodSecurity"):
        await created(client, strict, pod())
    await injected(client, strict, pod({"securityContext": STRICT_POD | context}, securityContext=STRICT))


async def test_a_namespace_with_limits_and_quotas_takes_a_pod_with_its_plan(client: Client, namespace: str) -> None:
    """A small init container would be below the least, and one without resources would not be counted."""
    size = {"cpu": "200m", "memory": "256Mi"}
    least = {"type": "Container", "min": size, "max": size, "maxLimitRequestRatio": {"cpu": "1", "memory": "1"}}
    whole = {f"{part}.{name}": value for part in ("requests", "limits") for name, value in size.items()}
    await client.post(
        f"/api/v1/namespaces/{namespace}/limitranges",
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "exact"}, "spec": {"limits": [least]}},
    )
    await client.post(
        f"/api/v1/namespaces/{namespace}/resourcequotas",
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "exact"}, "spec": {"hard": whole}},
    )
    await injected(client, namespace, pod(resources={"requests": size, "limits": size}))


async def test_what_the_api_server_takes_nobody_need_refuse(client: Client, namespace: str) -> None:
    """A windows pod is fine for Kubernetes, and nothing for us."""
    windows = await created(client, namespace, pod({"os": {"name": "windows"}}))
    assert "Windows" in injection.patch(windows, plan()).reason


# --- plans ----------------------------------------------------------------------------------------------------------


async def stored(client: Client, namespace: str, seen: Observed) -> Observed:
    """The world after the API server has taken the plan."""
    workload = seen.application.spec.workload.model_copy(update={"namespace": namespace})
    spec = seen.application.spec.model_copy(update={"workload": workload})
    name, body = seen.application.metadata.name, {"spec": spec.wire()}
    key = Key(namespace, name)
    await client.apply(APPLICATIONS, {"metadata": {"name": name, "namespace": namespace}} | body, manager="test")
    status = seen.application.status.model_dump(by_alias=True, mode="json", include={"runtimes", "collector"})
    metadata = {"name": name, "namespace": namespace}
    await client.apply(APPLICATIONS, {"metadata": metadata, "status": status}, manager="test-b", subresource="status")
    held = replace(seen, application=await client.get(APPLICATIONS, key))
    writes = injection.plan(held, NOW).writes
    for write in writes:
        assert isinstance(write, Apply)
        await client.apply(write.kind, write.body, manager=write.manager, subresource=write.subresource)
    return replace(seen, application=await client.get(APPLICATIONS, key))


@pytest.mark.usefixtures("custom_resources")
async def test_a_plan_is_stored_as_it_was_decided_also_when_it_grows_in_the_middle(
    client: Client, namespace: str
) -> None:
    """The API server merges lists by their keys: their order must come out as it went in, or every look would write."""
    runtimes = [runtime(env={"JAVA_TOOL_OPTIONS": "-Da=$(B)"}), runtime("python", "side"), runtime("go", "worker")]
    first = observed(*runtimes)
    more = (rule("r", sampling={"ratio": 0.25}, env={"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_A": "$"}),)
    fewer = group(receiverSignals=["METRICS"], configHash="b")
    worlds = {
        "at first": first,
        "rules put settings in the middle": replace(first, rules=more),
        "and take them away": replace(first, group=fewer),
        "containers in another order": replace(first, workload=template("worker", "side", "app")),
        "a container less": replace(first, workload=template("side")),
        "a container more": first,
    }
    for what, world in worlds.items():
        held = await stored(client, namespace, world)
        decided, wanted = held.application.status.injection, world.workload.spec.template.spec.containers
        assert decided is not None, what
        assert [c.name for c in decided.containers] == [c.name for c in wanted], what
        assert injection.plan(held, NOW).writes == (), what


@asynccontextmanager
async def running(client: Client, namespace: str) -> AsyncIterator[Stores]:
    """The controllers of injection and rules on caches of this namespace, which is also the system's."""
    stores = Stores(client)
    for kind in CACHED:
        stores.add(kind, namespace=namespace)
    settings, applier = Settings(namespace=namespace, agent_images=IMAGES), Applier(client)
    parts = [c for module in (controller, rules_controller) for c in module.build(stores, applier, settings)]
    async with anyio.create_task_group() as tasks:
        await tasks.start(stores.run)
        for part in parts:
            await tasks.start(part.run)
        yield stores
        tasks.cancel_scope.cancel()


async def until(holds: Any) -> None:
    with anyio.fail_after(SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await anyio.sleep(0.02)


@dataclass(frozen=True)
class Shop:
    """A workload without pods, and what others say of it."""

    client: Client
    namespace: str
    stores: Stores

    async def make(self, *containers: str) -> None:
        meta = {"name": "cart", "namespace": self.namespace}
        listed = [{"name": name, "image": "x:1"} for name in containers or ("app",)]
        pods = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": listed}}
        spec: dict[str, Any] = {"replicas": 0, "selector": {"matchLabels": {"app": "cart"}}, "template": pods}
        await self.client.apply(DEPLOYMENTS, {"metadata": meta, "spec": spec}, manager="test")
        wish = {"workload": {"kind": "Deployment"} | meta, "enabled": True}
        await self.spec(APPLICATIONS, "deployment-cart", **wish)
        await self.spec(GROUPS, "odigos-gateway", role="gateway")

    async def spec(self, kind: Kind[Any], name: str, **fields: Any) -> None:
        body = {"metadata": {"name": name, "namespace": self.namespace}, "spec": fields}
        await self.client.apply(kind, body, manager="test")

    async def status(self, kind: Kind[Any], name: str, **fields: Any) -> None:
        body = {"metadata": {"name": name, "namespace": self.namespace}, "status": fields}
        await self.client.apply(kind, body, manager="test", subresource="status")

    @property
    def decided(self) -> Injection:
        found = self.stores[APPLICATIONS].get(Key(self.namespace, "deployment-cart"))
        return (found.status.injection if found else None) or Injection()

    def variable(self, name: str) -> str:
        return next((e.value for c in self.decided.containers for e in c.env if e.name == name), "")

    def said(self, kind: Kind[Any], name: str, type_: str) -> str:
        found = self.stores[kind].get(Key(self.namespace, name))
        condition = find_condition(found.status.conditions, type_) if found else None
        return f"{condition.reason}: {condition.message}" if condition else ""

    async def wait_said(self, reason: str) -> None:
        await until(lambda: self.said(APPLICATIONS, "deployment-cart", "AgentEnabled").startswith(f"{reason}:"))


@pytest.mark.usefixtures("custom_resources")
async def test_a_rule_and_the_signals_of_the_collectors_reach_the_plan(client: Client, namespace: str) -> None:
    async with running(client, namespace) as stores:
        shop = Shop(client, namespace, stores)
        await shop.make()
        await shop.wait_said("WaitingForDetection")
        await shop.status(APPLICATIONS, "deployment-cart", runtimes=[runtime()], collector={"group": "odigos-gateway"})
        await shop.wait_said("WaitingForCollector")
        await shop.status(GROUPS, "odigos-gateway", ready=True, receiverSignals=["TRACES"], configHash="a")
        await shop.wait_said("Enabled")
        assert shop.variable("OTEL_TRACES_EXPORTER") == "otlp"
        assert shop.variable("OTEL_METRICS_EXPORTER") == "none"
        first = shop.decided.hash
        await shop.status(GROUPS, "odigos-gateway", ready=True, receiverSignals=["TRACES", "METRICS"], configHash="b")
        await until(lambda: shop.variable("OTEL_METRICS_EXPORTER") == "otlp")
        assert shop.decided.hash != first
        await shop.spec(RULES, "half", sampling={"ratio": 0.5})
        await until(lambda: shop.variable("OTEL_TRACES_SAMPLER_ARG") == "0.5")
        await until(lambda: f"It applies to {namespace}/cart." in shop.said(RULES, "half", "Applied"))
        await client.delete(RULES, Key(namespace, "half"))
        await until(lambda: not shop.variable("OTEL_TRACES_SAMPLER_ARG"))


@pytest.mark.usefixtures("custom_resources")
async def test_the_configuration_and_the_template_are_followed(client: Client, namespace: str) -> None:
    async with running(client, namespace) as stores:
        shop = Shop(client, namespace, stores)
        await shop.make()
        await shop.status(APPLICATIONS, "deployment-cart", runtimes=[runtime()], collector={"group": "odigos-gateway"})
        await shop.status(GROUPS, "odigos-gateway", ready=True, receiverSignals=["TRACES"], configHash="a")
        await shop.wait_said("Enabled")
        before = shop.decided
        await shop.make("app", "second")
        await until(
            lambda: "second: what it is written in" in shop.said(APPLICATIONS, "deployment-cart", "AgentEnabled")
        )
        assert shop.decided == before
        await shop.make("app")
        await until(lambda: "second" not in shop.said(APPLICATIONS, "deployment-cart", "AgentEnabled"))
        await shop.spec(CONFIGURATIONS, CONFIGURATION_NAME, ignoredContainers=["app"])
        await shop.wait_said("IgnoredContainer")
        assert shop.decided.hash == ""


# --- the webhook's trust --------------------------------------------------------------------------------------------


async def test_the_bundle_is_written_beside_what_others_set_and_survives_their_next_apply(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifests say everything but the bundle; the running process says the bundle and nothing else."""
    name = f"odigos-{namespace}"
    monkeypatch.setattr(trust, "CONFIGURATION", name)
    manifest = yaml.safe_load(await anyio.Path(MANIFESTS / "base/webhook.yaml").read_text())
    manifest["metadata"]["name"] = name
    manifest["webhooks"][0]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    key = Key("", name)
    published = config_map("odigos-webhook-ca-1", {"ca.crt": trust.bundle([b"\x01" * 300]).decode()})

    async def webhook() -> dict[str, Any]:
        found = msgspec.json.decode(await client.get_text(WEBHOOKS.path(name=name)))
        made: dict[str, Any] = found["webhooks"][0]
        return made

    await client.apply(WEBHOOKS, manifest, manager="user")
    try:
        before = await webhook()
        (write,) = trust.plan(trust.Observed(await client.get(WEBHOOKS, key), (published,))).writes
        assert isinstance(write, Apply)
        await client.apply(write.kind, write.body, manager=write.manager)
        after = await webhook()
        bundle = after["clientConfig"].pop("caBundle")
        assert base64.b64decode(bundle).decode() == published.data["ca.crt"]
        assert after == before
        await client.apply(WEBHOOKS, manifest, manager="user")
        assert (await webhook())["clientConfig"]["caBundle"] == bundle
        assert trust.plan(trust.Observed(await client.get(WEBHOOKS, key), (published,))).writes == ()
    finally:
        await client.delete(WEBHOOKS, key)


def test_the_manifest_has_the_very_webhook_that_is_looked_for() -> None:
    manifest = yaml.safe_load((MANIFESTS / "base/webhook.yaml").read_text())
    assert manifest["metadata"]["name"] == trust.CONFIGURATION
    assert [w["name"] for w in manifest["webhooks"]] == [trust.WEBHOOK]
