"""The shared caches: one a kind, ready when all are."""

from __future__ import annotations

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, PODS
from odigos_cp.kube.errors import Unreachable
from odigos_cp.kube.stores import Stores
from tests.kube.scripted import config_map, key, page, scripted

pytestmark = pytest.mark.looptime


async def test_started_is_said_when_every_cache_has_its_first_content() -> None:
    client = scripted(page(), Unreachable("away"), page(config_map("a", 1)))
    stores = Stores(client.client)
    stores.add(CONFIG_MAPS)
    stores.add(PODS)
    async with anyio.create_task_group() as tasks:
        assert stores.synced() == (0, 2)
        await tasks.start(stores.run)
        assert stores.synced() == (2, 2)
        tasks.cancel_scope.cancel()


async def test_a_kind_has_one_cache_whoever_asks() -> None:
    stores = Stores(scripted().client)
    assert stores.add(CONFIG_MAPS, namespace="ns") is stores.add(CONFIG_MAPS, namespace="ns")
    assert stores[CONFIG_MAPS].get(key("a")) is None


async def test_a_kind_is_not_cached_twice_with_different_scopes() -> None:
    stores = Stores(scripted().client)
    stores.add(CONFIG_MAPS, namespace="ns")
    with pytest.raises(ValueError, match="another scope"):
        stores.add(CONFIG_MAPS)
