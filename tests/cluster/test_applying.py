"""How a Plan is carried out, on a real API server: what is there already is not written, what drifted is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from odigos_cp.api.builtin import CONFIG_MAPS, DEPLOYMENTS, PODS
from odigos_cp.api.meta import Key, Kind
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain.plan import Apply, Create, Delete, Plan
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import Conflict, NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.web.waiting import Changes
from tests.cluster import background

pytestmark = pytest.mark.cluster

SECONDS = 10.0
NO_SUCH_CACHE: Kind[Any] = Kind("", "v1", "serviceaccounts", "ServiceAccount", CONFIG_MAPS.decode)


@dataclass(frozen=True)
class World:
    client: Client
    stores: Stores
    namespace: str

    async def cached(self, kind: Kind[Any], key: Key, version: str) -> None:
        store = self.stores[kind]
        assert await Changes(store).wait_until(lambda: store.has_seen(key, version), SECONDS)


@pytest_asyncio.fixture
async def world(client: Client, namespace: str) -> AsyncIterator[World]:
    stores = Stores(client)
    stores.add(CONFIG_MAPS, namespace=namespace)
    stores.add(DEPLOYMENTS, namespace=namespace)
    async with background.running(stores.run):
        yield World(client, stores, namespace)


def config_map(namespace: str, data: str = "1", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "thing", "namespace": namespace} | metadata, "data": {"a": data}}


def deployment(namespace: str, image: str = "a:1") -> dict[str, Any]:
    labels = {"app": "thing"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": image}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "thing", "namespace": namespace}, "spec": spec}


async def test_what_was_ensured_is_written_again_only_when_it_or_the_wish_changed(world: World) -> None:
    apply, key = Applier(world.client), Key(world.namespace, "thing")
    wanted = Apply(DEPLOYMENTS, deployment(world.namespace), "m")
    (made,) = await apply.ensure(wanted, world.stores)
    await world.cached(DEPLOYMENTS, key, made.resource_version)
    assert await apply.ensure(wanted, world.stores) == ()

    edited = await world.client.apply(DEPLOYMENTS, deployment(world.namespace, "user:1"), manager="user", force=True)
    await world.cached(DEPLOYMENTS, key, edited.resource_version)
    (mended,) = await apply.ensure(wanted, world.stores)
    assert mended.generation > edited.generation

    await world.cached(DEPLOYMENTS, key, mended.resource_version)
    newer = Apply(DEPLOYMENTS, deployment(world.namespace, "a:2"), "m")
    assert await apply.ensure(newer, world.stores) != ()


async def test_what_was_ensured_and_then_deleted_comes_back(world: World) -> None:
    apply, key = Applier(world.client), Key(world.namespace, "thing")
    wanted = Apply(CONFIG_MAPS, config_map(world.namespace), "m")
    (made,) = await apply.ensure(wanted, world.stores)
    await world.cached(CONFIG_MAPS, key, made.resource_version)
    assert await apply.ensure(wanted, world.stores) == ()
    await world.client.delete(CONFIG_MAPS, key)
    store = world.stores[CONFIG_MAPS]
    assert await Changes(store).wait_until(lambda: store.get(key) is None, SECONDS)
    (again,) = await apply.ensure(wanted, world.stores)
    assert again.uid != made.uid


async def test_a_restarted_process_ensures_once_and_the_object_stays_as_it_is(world: World) -> None:
    wanted = Apply(CONFIG_MAPS, config_map(world.namespace), "m")
    (made,) = await Applier(world.client).ensure(wanted, world.stores)
    (again,) = await Applier(world.client).ensure(wanted, world.stores)
    assert again.resource_version == made.resource_version


async def test_what_no_cache_holds_is_not_applied_each_time(world: World) -> None:
    apply = Applier(world.client)
    wanted = Apply(NO_SUCH_CACHE, {"metadata": {"name": "thing", "namespace": world.namespace}}, "m")
    assert len(await apply.ensure(wanted, world.stores)) == 1
    assert await apply.ensure(wanted, world.stores) == ()


async def test_what_was_done_before_is_success(world: World) -> None:
    apply, key = Applier(world.client), Key(world.namespace, "thing")
    create = Create(CONFIG_MAPS, config_map(world.namespace))
    first = await apply(Plan((create,)))
    second = await apply(Plan((create,), requeue_after=3))
    assert (len(first.written), second.written, second.requeue_after) == (1, (), 3)
    delete = Delete(CONFIG_MAPS, key, first.written[0].uid)
    await apply(Plan((delete, delete)))
    with pytest.raises(NotFound):
        await world.client.get(CONFIG_MAPS, key)


async def test_a_successor_of_the_same_name_is_neither_written_to_nor_deleted(world: World) -> None:
    apply, key = Applier(world.client), Key(world.namespace, "thing")
    made = await world.client.create(CONFIG_MAPS, config_map(world.namespace))
    stale = "00000000-0000-0000-0000-000000000000"
    outdated = Apply(CONFIG_MAPS, config_map(world.namespace, "2", uid=stale), "m")
    assert (await apply(Plan((outdated, Delete(CONFIG_MAPS, key, stale))))).written == ()
    assert (await world.client.get(CONFIG_MAPS, key)).metadata.resource_version == made.resource_version


async def test_what_must_not_win_says_who_did(world: World) -> None:
    await world.client.apply(CONFIG_MAPS, config_map(world.namespace, "theirs"), manager="argo")
    gentle = Apply(CONFIG_MAPS, config_map(world.namespace, "ours"), "m", force=False)
    with pytest.raises(Conflict, match="argo"):
        await Applier(world.client)(Plan((gentle,)))


async def test_the_first_write_that_fails_ends_the_plan(world: World) -> None:
    nowhere = Create(PODS, {"metadata": {"name": "x", "namespace": "there-is-no-such-namespace"}, "spec": {}})
    after = Create(CONFIG_MAPS, config_map(world.namespace))
    with pytest.raises(NotFound, match="there-is-no-such-namespace"):
        await Applier(world.client)(Plan((nowhere, after)))
    with pytest.raises(NotFound):
        await world.client.get(CONFIG_MAPS, Key(world.namespace, "thing"))
