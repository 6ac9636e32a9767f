"""The collectors on a real cluster: made, configured, rolled and removed, with real pods that carry real data."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import pytest_asyncio
import yaml

from cluster import images, walk
from cluster.kubectl import Kubectl
from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, PODS, SERVICES
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS, NODE_GROUP
from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Kind
from odigos_cp.api.rules import ACTIONS
from odigos_cp.domain import pipeline
from odigos_cp.domain.objects import CONFIG_HASH_ANNOTATION, config_map_name
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import Invalid
from tests.cluster import collectors
from tests.cluster.collectors import Place, Running
from tests.collector import otlp

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.usefixtures("custom_resources")]

DEMO_STORE = Path(walk.ROOT) / "demo" / "manifests" / "store" / "store.yaml"
OURS: tuple[Kind[Any], ...] = (GROUPS, CONFIG_MAPS, SERVICES, DEPLOYMENTS, DAEMON_SETS)


@pytest.fixture(scope="session")
def images_on_nodes(request: pytest.FixtureRequest, kubectl: Kubectl) -> None:
    """The collector and the demo's destination, built and brought to the nodes."""
    built = images.ensure([s for s in images.all_images() if s.name in ("collector", "demo-store")], print)
    if os.environ.get("ODIGOS_TEST_KUBECONFIG"):
        walk.look_for_images(kubectl, built)
    else:
        request.getfixturevalue("local_cluster").import_images([image.archive for image in built])


@pytest_asyncio.fixture
async def place(
    client: Client, namespace: str, kubeconfig: Path, tmp_path: Path, images_on_nodes: None, custom_resources: None
) -> AsyncIterator[Place]:
    token = await collectors.put_rights(client, namespace)
    ours = collectors.kubeconfig_of(token, kubeconfig, tmp_path / "ours")
    async with await Client.connect(str(ours), timeout=collectors.SECONDS) as limited:
        yield Place(client, limited, namespace)
    await collectors.take_rights(client, namespace)


async def wait_ready(running: Running) -> None:
    for name in (GATEWAY_GROUP, NODE_GROUP):
        await running.until(f"{name} is ready", lambda name=name: (g := running.group(name)) and g.status.ready)  # type: ignore[misc]


def hash_of(running: Running, name: str = GATEWAY_GROUP) -> str:
    group = running.group(name)
    return group.status.config_hash if group else ""


async def deploy_store(place: Place) -> None:
    """The demo's destination, in the test's own namespace."""
    kinds: dict[str, Kind[Any]] = {"Deployment": DEPLOYMENTS, "Service": SERVICES}
    for body in yaml.safe_load_all(await anyio.Path(DEMO_STORE).read_text()):
        if kind := kinds.get(body["kind"]):
            body["metadata"]["namespace"] = place.namespace
            await place.admin.apply(kind, body, manager="test")


async def ask_store(place: Place, path: str, **params: str) -> dict[str, Any]:
    proxied = SERVICES.path(place.namespace, "store:8080", "proxy") + path
    return dict(msgspec.json.decode(await place.admin.get_text(proxied, params=params, limit_bytes=2**22)))


async def received(place: Place) -> dict[str, Any]:
    """What the demo's destination has of the service cart."""
    return dict((await ask_store(place, "/api/summary"))["services"].get("cart", {}))


async def traces(place: Place) -> set[str]:
    return {trace["traceId"] for trace in (await ask_store(place, "/api/traces", limit="1000"))["traces"]}


async def send(running: Running, signal: str = "traces", numbers: range = range(10)) -> None:
    """To the collector of a node, as an application would."""
    pod = running.pods(NODE_GROUP)[0]
    path = PODS.path(running.place.namespace, f"{pod.metadata.name}:4318", "proxy") + otlp.PATHS[signal]
    await running.place.admin.post(path, otlp.request(signal, numbers))


# The whole way


async def test_a_destination_brings_collectors_to_every_node_and_data_through_them_though_another_is_down(
    place: Place,
) -> None:
    await deploy_store(place)
    store = {"OTLP_HTTP_ENDPOINT": f"http://store.{place.namespace}:4318"}
    async with place.running() as running:
        await place.destination("store", type="otlphttp", data=store, signals=["TRACES", "METRICS", "LOGS"])
        await place.destination("down", type="otlphttp", data={"OTLP_HTTP_ENDPOINT": "http://no-such-host:4318"})
        await place.application()
        await wait_ready(running)
        wanted = running.get(DAEMON_SETS, NODE_GROUP).status.desired_number_scheduled
        await running.until("a collector on every node", lambda: len(running.pods(NODE_GROUP)) == wanted)
        await running.until(
            "the application is assigned",
            lambda: running.reason(APPLICATIONS, "deployment-cart", "CollectorAssigned") == "Assigned",
        )
        for signal in otlp.PATHS:
            await send(running, signal)
        with anyio.fail_after(collectors.SECONDS):
            while (await received(place)).get("spans", 0) < 10:  # noqa: ASYNC110 - in another process
                await anyio.sleep(0.2)
        await running.until(
            "it is delivered", lambda: running.reason(DESTINATIONS, "store", "Delivering") == "Delivering"
        )
        await running.until(
            "and counted", lambda: (t := running.get(DESTINATIONS, "store").status.throughput) and t.spans == 10
        )
        seen = await received(place)
        assert (seen["spans"], seen["metricPoints"], seen["logRecords"]) == (10, 10, 10)
        await running.until(
            "the one that is down is told so",
            lambda: running.reason(DESTINATIONS, "down", "Delivering") == "NotAccepting",
        )
        await running.until("with its answer", lambda: running.get(DESTINATIONS, "down").status.last_error)
        assert "no-such-host" in running.get(DESTINATIONS, "down").status.last_error


async def test_a_changed_destination_rolls_the_gateway_under_load_and_nothing_is_lost(place: Place) -> None:
    await deploy_store(place)
    store = {"OTLP_HTTP_ENDPOINT": f"http://store.{place.namespace}:4318"}
    async with place.running() as running:
        await place.destination("store", type="otlphttp", data=store)
        await wait_ready(running)
        before, node_before = hash_of(running), hash_of(running, NODE_GROUP)
        sent: list[int] = []
        gaps: list[str] = []

        async def load(over: anyio.Event) -> None:
            """A steady rate, so that the old pod has something until it ends."""
            for number in range(0, 990, 10):
                if over.is_set():
                    break
                await send(running, numbers=range(number, number + 10))
                sent.append(number + 10)
                await anyio.sleep(0.25)

        def rolled() -> bool:
            ready = running.pods(GATEWAY_GROUP)
            if not ready:
                gaps.append("no gateway pod is ready")
            hashes = [p.metadata.annotations[CONFIG_HASH_ANNOTATION] for p in ready]
            gone = len(running.pods(GATEWAY_GROUP, ready=False)) == 1
            return hash_of(running) != before and hashes == [hash_of(running)] and gone

        async with anyio.create_task_group() as tasks:
            over = anyio.Event()
            tasks.start_soon(load, over)
            await running.until("it flows", lambda: sent)
            await place.destination("store", type="otlphttp", data=store | {"OTLP_HTTP_COMPRESSION": "none"})
            await running.until("only the new pod is left", rolled)
            over.set()
        assert not gaps
        assert hash_of(running, NODE_GROUP) == node_before
        assert config_map_name(GATEWAY_GROUP, before) in await place.names(CONFIG_MAPS)
        with anyio.fail_after(collectors.SECONDS):
            while len(await traces(place)) < sent[-1]:  # noqa: ASYNC110 - in another process
                await anyio.sleep(0.2)


async def test_a_configuration_that_the_collector_refuses_never_takes_over_and_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours, made by hand: no Destination that can be written leads there."""
    render = pipeline.render_gateway

    def broken(*arguments: Any) -> pipeline.Rendered:
        rendered = render(*arguments)
        text = rendered.text.replace("exporters:\n", "exporters:\n  carrier_pigeon: {}\n", 1)
        return pipeline.Rendered(rendered.config, text, "badbadbad0", rendered.signals)

    async with place.running() as running:
        await place.destination()
        await wait_ready(running)
        (good,) = running.pods(GATEWAY_GROUP)
        monkeypatch.setattr(pipeline, "render_gateway", broken)
        await place.destination(data={"VERBOSITY": "detailed"})
        await running.until(
            "the group says what the collector said",
            lambda: "carrier_pigeon" in running.condition(GROUPS, GATEWAY_GROUP, "Ready").message,  # type: ignore[union-attr]
        )
        said = running.condition(GROUPS, GATEWAY_GROUP, "Ready")
        assert said
        assert said.status == "True"
        assert "validate: ended with code 1" in said.message
        assert [p.metadata.name for p in running.pods(GATEWAY_GROUP)] == [good.metadata.name]
        monkeypatch.setattr(pipeline, "render_gateway", render)
        await place.destination(data={"VERBOSITY": "normal"})
        await running.until(
            "the next good one takes over",
            lambda: (
                [p.metadata.annotations[CONFIG_HASH_ANNOTATION] for p in running.pods(GATEWAY_GROUP)]
                == [hash_of(running)]
            ),
        )


async def test_without_the_last_destination_everything_goes_except_for_an_application_that_wants_it(
    place: Place,
) -> None:
    async with place.running() as running:
        await place.destination()
        await place.application()
        await wait_ready(running)
        await place.delete(DESTINATIONS, "debug")
        await running.until(
            "the gateway says that nobody wants anything",
            lambda: running.reason(GROUPS, GATEWAY_GROUP, "ConfigValid") == "NoDestination",
        )
        await place.application(enabled=False)
        for kind in OURS:
            await running.until(f"no {kind} is left", lambda kind=kind: not _of_groups(running, kind))  # type: ignore[misc]
        await running.until("no pod is left", lambda: not running.pods(GATEWAY_GROUP, ready=False))
        assert running.reason(APPLICATIONS, "deployment-cart", "CollectorAssigned") == "NotWanted"


def _of_groups(running: Running, kind: Kind[Any]) -> list[str]:
    return [o.metadata.name for o in running.stores[kind].values() if o.metadata.name.startswith("odigos-")]


# What is said, and who says it


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"type": "carrier-pigeon"}, "UnknownType"),
        ({"type": "otlp"}, "MissingField"),
        ({"type": "otlp", "data": {"OTLP_GRPC_ENDPOINT": "a b"}}, "InvalidField"),
        ({"type": "otlp", "data": {"OTLP_GRPC_ENDPOINT": "a"}, "signals": []}, "NoSignals"),
        ({"type": "otlp", "data": {"OTLP_GRPC_ENDPOINT": "a"}, "sourceSelector": {}}, "InvalidField"),
        ({"disabled": True}, "Disabled"),
    ],
)
async def test_bad_input_is_told_and_the_others_go_on(place: Place, spec: dict[str, Any], reason: str) -> None:
    async with place.running() as running:
        await place.destination("good")
        await place.destination("bad", **spec)
        await running.until("it is told", lambda: running.reason(DESTINATIONS, "bad", "Configured") == reason)
        await running.until("the other too", lambda: running.reason(DESTINATIONS, "good", "Configured") == "Configured")
        await running.until("a configuration is there", lambda: hash_of(running))


async def test_a_signal_that_does_not_exist_is_refused_where_it_is_written(place: Place) -> None:
    with pytest.raises(Invalid, match="PROFILES"):
        await place.destination(signals=["PROFILES"])


async def test_an_action_is_told_that_it_does_nothing_yet(place: Place) -> None:
    async with place.running() as running:
        await place.write(ACTIONS, "mask", {"piiMasking": {"piiCategories": ["CREDIT_CARD"]}})
        await running.until("it is told", lambda: running.reason(ACTIONS, "mask", "Applied") == "NotImplementedYet")


async def test_sizes_that_the_api_server_refuses_are_told_and_mended(place: Place) -> None:
    async with place.running() as running:
        await place.destination()
        sizes = {"memoryRequestMiB": 4096, "memoryLimitMiB": 512}
        await place.write(CONFIGURATIONS, CONFIGURATION_NAME, {"collectors": {"gateway": sizes}})
        await running.until(
            "the refusal is told", lambda: running.reason(GROUPS, GATEWAY_GROUP, "Deployed") == "ApplyFailed"
        )
        said = running.condition(GROUPS, GATEWAY_GROUP, "Deployed")
        assert said
        assert "must be less than or equal to memory limit" in said.message
        await place.write(CONFIGURATIONS, CONFIGURATION_NAME, {"collectors": {}})
        await running.until("it is mended", lambda: running.reason(GROUPS, GATEWAY_GROUP, "Deployed") == "Applied")


def owned(raw: dict[str, Any]) -> dict[str, set[str]]:
    """Fields of spec and status, and conditions, by the manager that owns them."""
    found: dict[str, set[str]] = {}
    for entry in raw["metadata"]["managedFields"]:
        fields = entry["fieldsV1"]
        names = {f"status.{n[2:]}" for n in fields.get("f:status", {}) if n != "f:conditions"}
        names |= {n.split('"')[3] for n in fields.get("f:status", {}).get("f:conditions", {}) if n.startswith("k:")}
        names |= {"spec"} if "f:spec" in fields else set()
        found.setdefault(entry["manager"], set()).update(names)
    return found


async def test_each_field_has_the_manager_that_the_tables_in_api_name(place: Place) -> None:
    async with place.running() as running:
        await place.destination()
        await place.application()
        await wait_ready(running)
        await running.until("it is judged", lambda: running.reason(DESTINATIONS, "debug", "Delivering"))
        await running.until("it is assigned", lambda: running.get(APPLICATIONS, "deployment-cart").status.collector)
    groups, config, judge = (f"odigos-autoscaler-{name}" for name in ("groups", "config", "traffic"))
    assert owned(await place.raw(GROUPS, GATEWAY_GROUP)) == {
        groups: {"spec", "status.ready", "status.endpoint", "status.replicas", "Deployed", "Ready"},
        config: {"status.configHash", "status.receiverSignals", "ConfigValid"},
    }
    assert owned(await place.raw(DESTINATIONS, "debug")) == {
        "kubectl": {"spec"},
        config: {"Configured"},
        judge: {"status.throughput", "status.lastError", "Delivering"},
    }
    assert owned(await place.raw(APPLICATIONS, "deployment-cart")) == {
        "kubectl": {"spec"},
        "odigos-scheduler": {"status.collector", "CollectorAssigned"},
    }
    for kind in (DEPLOYMENTS, SERVICES):
        assert "spec" in owned(await place.raw(kind, GATEWAY_GROUP))[groups]


# Quiet, and restarts


async def test_when_all_is_well_nothing_is_written_whatever_wakes_the_controllers_and_by_no_restart(
    place: Place,
) -> None:
    async with place.running() as running:
        await place.destination()
        await place.application()
        await wait_ready(running)
        await running.until("it is judged", lambda: running.reason(DESTINATIONS, "debug", "Delivering"))
        await running.settled()
        for number in range(3):
            await _make_noise(place, running, number)
        before = await place.versions()
    async with place.running() as running:
        await running.until("everybody has looked", lambda: all(c.status.last_success for c in running.controllers))
        await running.settled()
    assert await place.versions() == before


NOISY: tuple[tuple[Kind[Any], str], ...] = ((DESTINATIONS, "debug"), (GROUPS, GATEWAY_GROUP), (SERVICES, GATEWAY_GROUP))


async def _make_noise(place: Place, running: Running, number: int) -> None:
    """Somebody annotates what the controllers watch; they wake, look, and touch nothing."""
    before = await place.versions()
    for kind, name in NOISY:
        body = {"metadata": {"name": name, "namespace": place.namespace, "annotations": {"noise": str(number)}}}
        written = await place.admin.apply(kind, body, manager="somebody")
        await running.seen(kind, written)
        await running.settled()
        before[f"{kind} {name}"] = written.resource_version
    assert await place.versions() == before


class Dying(Client):
    """A client that hangs for ever in its k-th write, before or after the API server has it."""

    dies_at = 0
    after = False
    writes = 0
    dead: anyio.Event

    async def _write(self, *arguments: Any, **more: Any) -> bytes:
        self.writes += 1
        if self.writes < self.dies_at:
            return await super()._write(*arguments, **more)
        if self.writes == self.dies_at and self.after:
            await super()._write(*arguments, **more)
        self.dead.set()
        await anyio.sleep_forever()
        raise AssertionError


async def test_lives_that_end_in_the_middle_of_a_write_lead_to_where_one_long_life_leads(
    place: Place, tmp_path: Path
) -> None:
    """The n-th life ends before its n-th write, and the next one after it; each goes on where the last one fell."""
    await place.destination()
    await place.application()
    deaths = 0
    for at in range(1, 40):
        died = [await _die_at(place, tmp_path / "ours", at, after) for after in (False, True)]
        deaths += sum(died)
        if not any(died):
            break
    assert deaths >= 8
    async with place.running() as running:
        await wait_ready(running)
        await running.until(
            "the application is assigned",
            lambda: running.reason(APPLICATIONS, "deployment-cart", "CollectorAssigned") == "Assigned",
        )
        for name in (GATEWAY_GROUP, NODE_GROUP):
            group = running.group(name)
            assert group
            assert {c.type: c.reason for c in group.status.conditions} == {
                "ConfigValid": "Rendered",
                "Deployed": "Applied",
                "Ready": "Ready",
            }
        assert {str(kind): len(_of_groups(running, kind)) for kind in OURS} == {
            "collectorsgroups.odigos.io": 2,
            "configmaps": 2,
            "services": 1,
            "deployments.apps": 1,
            "daemonsets.apps": 1,
        }


async def _die_at(place: Place, ours: Path, at: int, after: bool) -> bool:
    """Whether the life came to its n-th write; without one it ends when there is nothing to do."""
    async with await Dying.connect(str(ours), timeout=collectors.SECONDS) as dying:
        assert isinstance(dying, Dying)
        dying.dies_at, dying.after, dying.dead = at, after, anyio.Event()
        async with place.running(client=dying):
            with anyio.move_on_after(3):
                await dying.dead.wait()
        return dying.dead.is_set()
