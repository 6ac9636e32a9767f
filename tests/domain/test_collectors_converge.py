"""The autoscaler's and the scheduler's plans together: whatever people write, they end and then are quiet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, PODS, SERVICES
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS, NODE_GROUP
from odigos_cp.api.configuration import Collectors
from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Key
from odigos_cp.domain import configuring, objects
from tests import builders
from tests.domain.collectors_world import World


def otlp(name: str = "a", endpoint: str = "jaeger:4317", **spec: Any) -> Destination:
    return builders.destination(name, data={"OTLP_GRPC_ENDPOINT": endpoint}, **spec)


def settled(*destinations: Destination) -> World:
    world = World()
    for destination in destinations:
        world.put(DESTINATIONS, destination)
    world.settle()
    return world


def reasons(world: World, name: str) -> dict[str, str]:
    return {c.type: c.reason for c in world.get(GROUPS, name).status.conditions}


def hash_of(world: World, name: str = GATEWAY_GROUP) -> str:
    return str(world.get(GROUPS, name).status.config_hash)


def test_a_destination_brings_both_groups_and_what_runs_for_them() -> None:
    world = settled(otlp())
    assert reasons(world, GATEWAY_GROUP) == {"Deployed": "Applied", "Ready": "Ready", "ConfigValid": "Rendered"}
    assert reasons(world, NODE_GROUP) == {"Deployed": "Applied", "Ready": "Ready", "ConfigValid": "Rendered"}
    gateway = world.get(GROUPS, GATEWAY_GROUP).status
    assert (gateway.ready, gateway.endpoint, gateway.replicas, gateway.receiver_signals) == (
        True,
        "odigos-gateway.odigos-system.svc:4317",
        1,
        ("TRACES",),
    )
    assert world.get(DAEMON_SETS, NODE_GROUP)
    assert len(world.all(PODS)) == 3


def test_an_application_without_a_destination_has_collectors_and_is_told_what_is_missing() -> None:
    world = World()
    world.put(APPLICATIONS, builders.application())
    world.settle()
    assert reasons(world, GATEWAY_GROUP)["ConfigValid"] == "NoDestination"
    (application,) = world.all(APPLICATIONS)
    assert application.status.conditions[0].reason == "NoDestination"
    world.put(DESTINATIONS, otlp())
    world.settle()
    (application,) = world.all(APPLICATIONS)
    assert application.status.collector.group == GATEWAY_GROUP


def test_nothing_is_there_when_nobody_wants_anything() -> None:
    world = settled(otlp(disabled=True))
    assert not world.all(GROUPS)
    assert world.get(DESTINATIONS, "a").status.conditions[0].reason == "Disabled"


def test_without_its_last_destination_everything_goes_and_comes_again() -> None:
    world = settled(otlp())
    first = hash_of(world)
    world.remove(DESTINATIONS, Key(SYSTEM_NAMESPACE, "a"))
    world.settle()
    kinds = (GROUPS, CONFIG_MAPS, DEPLOYMENTS, DAEMON_SETS, SERVICES, PODS)
    assert {str(kind): len(world.all(kind)) for kind in kinds} == {str(kind): 0 for kind in kinds}
    world.put(DESTINATIONS, otlp())
    world.settle()
    assert hash_of(world) == first
    assert world.get(GROUPS, GATEWAY_GROUP).status.ready


def test_a_changed_destination_rolls_the_gateway_and_not_the_nodes() -> None:
    world = settled(otlp())
    node, gateway = hash_of(world, NODE_GROUP), hash_of(world)
    world.put(DESTINATIONS, otlp(endpoint="tempo:4317"))
    world.settle()
    assert hash_of(world, NODE_GROUP) == node
    assert hash_of(world) != gateway
    template = world.objects[str(DEPLOYMENTS), Key(SYSTEM_NAMESPACE, GATEWAY_GROUP)]["spec"]["template"]
    assert template["metadata"]["annotations"][objects.CONFIG_HASH_ANNOTATION] == hash_of(world)


def test_of_many_configurations_the_last_three_stay() -> None:
    world = settled(otlp())
    for number in range(6):
        world.put(DESTINATIONS, otlp(endpoint=f"tempo-{number}:4317"))
        world.settle()
    kept = [c for c in world.all(CONFIG_MAPS) if c.metadata.labels[objects.GROUP_LABEL] == GATEWAY_GROUP]
    assert len(kept) == configuring.KEPT
    assert hash_of(world) in {c.metadata.name.rpartition("-")[2] for c in kept}


def test_a_configuration_that_does_not_get_ready_leaves_the_good_one_running_and_its_text_there() -> None:
    world = settled(otlp())
    good = hash_of(world)
    world.well = lambda hash_: hash_ == good or hash_ == hash_of(world, NODE_GROUP)
    for number in range(6):
        world.put(DESTINATIONS, otlp(endpoint=f"tempo-{number}:4317"))
        world.settle()
    assert hash_of(world) != good
    assert world.get(GROUPS, GATEWAY_GROUP).status.ready
    assert world.get(CONFIG_MAPS, objects.config_map_name(GATEWAY_GROUP, good))


def test_other_sizes_reach_the_groups_and_their_pods() -> None:
    world = settled(otlp())
    world.sizes = Collectors.model_validate({"gateway": {"memoryLimitMiB": 1024}, "gatewayMinReplicas": 3})
    world.settle()
    assert world.get(GROUPS, GATEWAY_GROUP).status.replicas == 3
    pod = world.objects[str(DEPLOYMENTS), Key(SYSTEM_NAMESPACE, GATEWAY_GROUP)]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "1024Mi"
    assert {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}["GOMEMLIMIT"] == "819MiB"


def test_what_somebody_deletes_is_made_again() -> None:
    world = settled(otlp())
    for kind, name in ((SERVICES, GATEWAY_GROUP), (DEPLOYMENTS, GATEWAY_GROUP), (DAEMON_SETS, NODE_GROUP)):
        world.remove(kind, Key(SYSTEM_NAMESPACE, name))
        world.settle()
        assert world.get(kind, name), name
    for config_map in world.all(CONFIG_MAPS):
        world.remove(CONFIG_MAPS, Key(SYSTEM_NAMESPACE, config_map.metadata.name))
    world.settle()
    assert world.get(CONFIG_MAPS, objects.config_map_name(GATEWAY_GROUP, hash_of(world)))


NAMES = st.sampled_from(["a", "b", "c.d", "x" * 100])
DESTINATION = st.builds(
    lambda name, type_, endpoint, signals, disabled: builders.destination(
        name,
        type_=type_,
        data={"OTLP_GRPC_ENDPOINT": endpoint, "OTLP_HTTP_ENDPOINT": endpoint},
        signals=sorted(signals),
        disabled=disabled,
    ),
    NAMES,
    st.sampled_from(["otlp", "otlphttp", "debug", "pigeon"]),
    st.sampled_from(["", "a:1", "b:2", "${env:HOME}"]),
    st.sets(st.sampled_from(["TRACES", "METRICS", "LOGS"])),
    st.booleans(),
)
STEPS = st.lists(st.one_of(DESTINATION, NAMES, st.booleans()), min_size=1, max_size=6)


@settings(max_examples=60)
@given(STEPS, st.booleans())
def test_whatever_happens_it_ends_and_then_nothing_is_written(steps: Sequence[Any], settle_between: bool) -> None:
    """A Destination is written, a name is deleted, and a truth is whether the application is to be instrumented."""
    world = World()
    for step in steps:
        if isinstance(step, Destination):
            world.put(DESTINATIONS, step)
        elif isinstance(step, str):
            world.remove(DESTINATIONS, Key(SYSTEM_NAMESPACE, step))
        else:
            world.put(APPLICATIONS, builders.application(enabled=step))
        world.settle() if settle_between else world.round()
    world.settle()
    assert [world.round() for _ in range(3)] == [0, 0, 0]
    for destination in world.all(DESTINATIONS):
        assert destination.status.conditions, f"{destination.metadata.name} is told nothing"
    wanted = any(not d.spec.disabled for d in world.all(DESTINATIONS)) or any(
        a.spec.enabled for a in world.all(APPLICATIONS)
    )
    assert len(world.all(GROUPS)) == (2 if wanted else 0)
    for group in world.all(GROUPS):
        assert {c.type for c in group.status.conditions} == {"ConfigValid", "Deployed", "Ready"}
        assert group.status.ready
