"""The runtime against a real kube-apiserver: what only it can say about watches, ownership and leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import TaskStatus

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DEPLOYMENTS, LEASES, PODS, Meta, Struct
from odigos_cp.api.meta import INSTRUMENTED_LABEL, Key, Kind, find_condition
from odigos_cp.kube import writes
from odigos_cp.kube.client import OVERLONG, Client, Written
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import AlreadyExists, Conflict, NotFound
from odigos_cp.kube.leader import LeaderGate
from odigos_cp.kube.recorder import Limiter, event
from odigos_cp.kube.reflector import LISTS
from odigos_cp.kube.stores import Stores
from odigos_cp.kube.writes import Note

pytestmark = pytest.mark.cluster

SECONDS = 15.0


async def wait_until(holds: Callable[[], Any]) -> None:
    with anyio.fail_after(SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await anyio.sleep(0.02)


def config_map(namespace: str, name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "data": data}


@asynccontextmanager
async def cached(client: Client, namespace: str) -> AsyncIterator[Stores]:
    stores = Stores(client)
    stores.add(CONFIG_MAPS, namespace=namespace)
    async with anyio.create_task_group() as tasks:
        await tasks.start(stores.run)
        yield stores
        tasks.cancel_scope.cancel()


# Lists and watches


async def test_an_object_made_changed_and_deleted_is_followed(client: Client, namespace: str) -> None:
    async with cached(client, namespace) as stores:
        store, key = stores[CONFIG_MAPS], Key(namespace, "a")
        written = await client.create(CONFIG_MAPS, config_map(namespace, v="1"))
        await wait_until(lambda: store.has_seen(key, written.resource_version))
        assert store.get(key).data == {"v": "1"}  # type: ignore[union-attr]
        changed = await client.apply(CONFIG_MAPS, config_map(namespace, v="2"), manager="test")
        await wait_until(lambda: store.has_seen(key, changed.resource_version))
        assert store.get(key).data == {"v": "2"}  # type: ignore[union-attr]
        await client.delete(CONFIG_MAPS, key)
        await wait_until(lambda: store.get(key) is None)
        assert store.has_seen(key, changed.resource_version)


def pod(namespace: str, name: str, *values: str) -> dict[str, Any]:
    env = [{"name": f"A{n}", "value": value} for n, value in enumerate(values)]
    container = {"name": "app", "image": "cart:1", "env": env}
    spec = {"containers": [container], "schedulerName": "nobody", "automountServiceAccountToken": False}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


async def test_an_object_whose_events_are_too_long_is_followed_and_the_others_do_not_wait_h7(
    client: Client, namespace: str
) -> None:
    """A megabyte and a half of `<` is accepted, and leaves the API server as nine megabytes of JSON."""
    stores = Stores(client)
    store = stores.add(PODS, namespace=namespace)
    async with anyio.create_task_group() as tasks:
        await tasks.start(stores.run)
        too_long, listed = OVERLONG.value("pods"), LISTS.value("pods", "start")
        await client.create(PODS, pod(namespace, "bomb", "<" * 1_450_000))
        after = await client.create(PODS, pod(namespace, "after"))
        await wait_until(lambda: {"bomb", "after"} == {key.name for key in store})
        assert store.has_seen(after.key, after.resource_version)
        await client.delete(PODS, Key(namespace, "bomb"), grace_seconds=0)
        await wait_until(lambda: {key.name for key in store} == {"after"})
        assert OVERLONG.value("pods") > too_long
        assert LISTS.value("pods", "start") == listed
        tasks.cancel_scope.cancel()


async def test_a_look_at_one_object_finds_it_or_that_it_is_not_there(client: Client, namespace: str) -> None:
    async with cached(client, namespace) as stores:
        made = await client.create(CONFIG_MAPS, config_map(namespace))
        note = Note(CONFIG_MAPS, made.key, anyio.current_time())
        nowhere = Note(CONFIG_MAPS, Key(namespace, "nowhere"), anyio.current_time())
        for each in (note, nowhere):
            assert not stores.hold(each)
            stores.look(each.kind, each.key)
        await wait_until(lambda: stores.hold(note) and stores.hold(nowhere))
        assert stores[CONFIG_MAPS].get(made.key) is not None


async def test_what_was_deleted_is_noted_so_that_the_cache_can_tell(client: Client, namespace: str) -> None:
    async with cached(client, namespace) as stores:
        made = await client.create(CONFIG_MAPS, config_map(namespace))
        kept = await client.create(CONFIG_MAPS, config_map(namespace, "kept", v="1"))
        await client.apply(
            CONFIG_MAPS, {"metadata": {"namespace": namespace, "name": "kept", "finalizers": ["a/b"]}}, manager="test"
        )
        with writes.noted() as notes:
            for key in (made.key, kept.key):
                await client.delete(CONFIG_MAPS, key)
        assert [(bool(note.deleted_uid), bool(note.resource_version)) for note in notes] == [
            (True, False),
            (False, True),
        ]
        await wait_until(lambda: all(stores.hold(note) for note in notes))
        assert [key.name for key in stores[CONFIG_MAPS] if key in (made.key, kept.key)] == ["kept"]
        await client.apply(
            CONFIG_MAPS, {"metadata": {"namespace": namespace, "name": "kept", "finalizers": []}}, manager="test"
        )


async def test_a_list_of_several_pages_is_whole(client: Client, namespace: str) -> None:
    for n in range(7):
        await client.create(CONFIG_MAPS, config_map(namespace, f"many-{n}"))
    names, token = [], ""
    while True:
        page = await client.list_page(CONFIG_MAPS, namespace=namespace, limit=3, continue_token=token)
        names += [item.metadata.name for item in page.items if item.metadata.name.startswith("many")]
        token = page.continue_token
        if not token:
            break
    assert names == [f"many-{n}" for n in range(7)]


async def test_a_watch_ends_when_it_was_asked_to(client: Client, namespace: str) -> None:
    page = await client.list_page(CONFIG_MAPS, namespace=namespace)
    watching = client.watch(CONFIG_MAPS, resource_version=page.resource_version, namespace=namespace, timeout_seconds=1)
    with anyio.fail_after(SECONDS):
        async with watching as events:
            assert {e.type async for e in events} <= {"BOOKMARK", "ADDED"}


async def test_a_controller_reads_its_own_writes(client: Client, namespace: str) -> None:
    """It counts in its object, from its cache: a decision on a stale cache would count a number twice."""
    counted: list[int] = []
    async with cached(client, namespace) as stores:
        store = stores[CONFIG_MAPS]

        async def reconcile(key: Key) -> Result:
            held = store.get(key)
            if held is None or key.name != "counter" or int(held.data["n"]) >= 20:
                return Result()
            n = int(held.data["n"]) + 1
            counted.append(n)
            await client.apply(CONFIG_MAPS, config_map(namespace, "counter", n=str(n)), manager="test")
            return Result(requeue_after=0.0)

        controller = Controller("counter", reconcile, [Watch(CONFIG_MAPS)], stores)
        async with anyio.create_task_group() as tasks:
            await tasks.start(controller.run)
            await client.apply(CONFIG_MAPS, config_map(namespace, "counter", n="0"), manager="test")
            await wait_until(lambda: counted and counted[-1] == 20)
            tasks.cancel_scope.cancel()
    assert counted == list(range(1, 21))


# Writes


class Template(Struct, frozen=True):
    template: msgspec.Raw


class Undecoded(Struct, frozen=True):
    """A Deployment whose pod template is the API server's own bytes."""

    spec: Template
    metadata: Meta = Meta()


AS_IT_IS: Kind[Undecoded] = Kind(
    DEPLOYMENTS.group, DEPLOYMENTS.version, DEPLOYMENTS.plural, DEPLOYMENTS.kind, msgspec.json.Decoder(Undecoded).decode
)


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"app": "cart"}
    return {
        "metadata": {"namespace": namespace, "name": "cart"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"theirs": "kept"}},
                "spec": {"containers": [{"name": "app", "image": "cart:1", "env": [{"name": "A", "value": "$(B)"}]}]},
            },
        },
    }


def labelled(namespace: str, hash_: str | None, uid: str = "") -> dict[str, Any]:
    """Our one label on the template, or the wish to have none."""
    template = {"metadata": {"labels": {INSTRUMENTED_LABEL: hash_}}} if hash_ else {}
    metadata = {"namespace": namespace, "name": "cart"} | ({"uid": uid} if uid else {})
    return {"metadata": metadata, "spec": {"template": template}}


async def test_taking_the_label_back_leaves_the_template_byte_equal(client: Client, namespace: str) -> None:
    key = Key(namespace, "cart")
    await client.create(DEPLOYMENTS, deployment(namespace))
    before = bytes((await client.get(AS_IT_IS, key)).spec.template)
    await client.apply(DEPLOYMENTS, labelled(namespace, "abc"), manager="odigos-instrumentor", force=False)
    assert (await client.get(DEPLOYMENTS, key)).instrumented_hash == "abc"
    await client.apply(DEPLOYMENTS, labelled(namespace, None), manager="odigos-instrumentor", force=False)
    assert bytes((await client.get(AS_IT_IS, key)).spec.template) == before


async def test_the_same_apply_again_writes_nothing(client: Client, namespace: str) -> None:
    body = config_map(namespace, v="1")
    once = await client.apply(CONFIG_MAPS, body, manager="test")
    again = await client.apply(CONFIG_MAPS, body, manager="test")
    assert once.resource_version == again.resource_version


async def test_an_apply_for_another_uid_is_a_conflict(client: Client, namespace: str) -> None:
    await client.create(DEPLOYMENTS, deployment(namespace))
    foreign = labelled(namespace, "abc", uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(Conflict, match="uid"):
        await client.apply(DEPLOYMENTS, foreign, manager="odigos-instrumentor")


async def test_an_apply_for_a_uid_does_not_make_a_deleted_object_again(client: Client, namespace: str) -> None:
    foreign = labelled(namespace, "abc", uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(Conflict):
        await client.apply(DEPLOYMENTS, foreign, manager="odigos-instrumentor")
    with pytest.raises(NotFound):
        await client.get(DEPLOYMENTS, Key(namespace, "cart"))


async def test_a_field_of_another_manager_is_not_taken_without_force(client: Client, namespace: str) -> None:
    await client.apply(CONFIG_MAPS, config_map(namespace, v="theirs"), manager="them")
    with pytest.raises(Conflict, match="them"):
        await client.apply(CONFIG_MAPS, config_map(namespace, v="ours"), manager="us", force=False)


async def test_a_dry_run_changes_nothing(client: Client, namespace: str) -> None:
    await client.apply(CONFIG_MAPS, config_map(namespace, v="1"), manager="test", dry_run=True)
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, Key(namespace, "a"))


async def test_creating_what_exists_is_told_apart_from_a_conflict(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map(namespace))
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAPS, config_map(namespace))


async def test_only_the_object_of_the_uid_is_deleted(client: Client, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(namespace))
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, made.key, uid="another")
    await client.delete(CONFIG_MAPS, made.key, uid=made.uid)
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, made.key)


def _status(namespace: str, type_: str) -> dict[str, Any]:
    condition = {
        "type": type_,
        "status": "True",
        "reason": "Because",
        "message": "said by one owner",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    }
    return {"metadata": {"namespace": namespace, "name": "deployment-cart"}, "status": {"conditions": [condition]}}


@pytest.mark.usefixtures("custom_resources")
async def test_two_managers_of_one_status_keep_each_others_conditions(client: Client, namespace: str) -> None:
    spec = {"workload": {"namespace": namespace, "kind": "Deployment", "name": "cart"}, "enabled": True}
    body = {"metadata": {"namespace": namespace, "name": "deployment-cart"}, "spec": spec}
    await client.apply(APPLICATIONS, body, manager="odigos-instrumentor-discovery")
    owners = {"odigos-instrumentor-detection": "RuntimeDetected", "odigos-scheduler": "CollectorAssigned"}
    for manager, type_ in owners.items():
        await client.apply(APPLICATIONS, _status(namespace, type_), manager=manager, subresource="status")
    application = await client.get(APPLICATIONS, Key(namespace, "deployment-cart"))
    assert find_condition(application.status.conditions, "RuntimeDetected")
    assert find_condition(application.status.conditions, "CollectorAssigned")


async def test_an_event_is_written_about_an_object(client: Client, namespace: str) -> None:
    written: Written = await client.create(CONFIG_MAPS, config_map(namespace))
    about = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "a", "uid": written.uid}
    await event(client, about=about, type="Warning", reason="Tried", message="out", component="test", limiter=Limiter())
    found = await client.get_text(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    assert '"note":"out"' in found


async def test_a_question_without_a_kind_is_answered(client: Client) -> None:
    attributes = {"resource": "pods", "verb": "list"}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = await client.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review | {"spec": {"resourceAttributes": attributes}}
    )
    assert answer["status"]["allowed"] is True
    assert (await client.version()).startswith("v")


# The Lease


async def test_a_leader_that_stops_is_followed_at_once_and_a_dead_one_after_its_lease(
    client: Client, namespace: str
) -> None:
    led: list[str] = []

    def gate(identity: str) -> LeaderGate:
        return LeaderGate(client, namespace=namespace, name="l", identity=identity, lease_seconds=3, renew_seconds=0.5)

    async def lead_as(name: str, scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        async def lead(*, task_status: TaskStatus[None]) -> None:
            led.append(name)
            task_status.started()
            await anyio.sleep_forever()

        with scope:
            await gate(name).run_while_leading(lead, task_status=task_status)

    scopes = {name: anyio.CancelScope() for name in ("one", "two", "three")}
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(SECONDS):
            await tasks.start(lead_as, "one", scopes["one"])
            tasks.start_soon(_ignoring_status, lead_as, "two", scopes["two"])
            scopes["one"].cancel()
        await wait_until(lambda: led == ["one", "two"])
        dead = (await client.get(LEASES, Key(namespace, "l"))).metadata
        scopes["two"].cancel()
        body = {"holderIdentity": "dead", "leaseDurationSeconds": 3}
        await client.apply(
            LEASES, {"metadata": {"namespace": namespace, "name": dead.name}, "spec": body}, manager="them"
        )
        tasks.start_soon(_ignoring_status, lead_as, "three", scopes["three"])
        await wait_until(lambda: led == ["one", "two", "three"])
        tasks.cancel_scope.cancel()


async def _ignoring_status(run: Any, *arguments: Any) -> None:
    await run(*arguments, task_status=anyio.TASK_STATUS_IGNORED)
