"""When keys are reconciled, and what follows from each outcome. Time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, PODS, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.kube import writes
from odigos_cp.kube.client import Client, Page
from odigos_cp.kube.controller import RECONCILE_SECONDS, Controller, Result, Watch
from odigos_cp.kube.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotSent,
    ServerError,
    Terminal,
    TooManyRequests,
    Unreachable,
)
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from tests.kube.scripted import ScriptedClient, Step, config_map, deleted, key, misfit, modified, page, scripted

pytestmark = pytest.mark.looptime

A, B = key("a"), key("b")


class World:
    """One cache, one controller, and when it reconciled which key."""

    def __init__(self, act: Callable[[Key], Awaitable[Result | None]] | None = None, **options: object) -> None:
        self.stores = Stores(cast(Client, None))
        self.store = self.stores.add(CONFIG_MAPS)
        self.runs: list[tuple[float, Key]] = []
        self._act = act
        self.controller = Controller("test", self._reconcile, [Watch(CONFIG_MAPS)], self.stores, **options)  # type: ignore[arg-type]

    async def _reconcile(self, key: Key) -> Result | None:
        self.runs.append((anyio.current_time(), key))
        return await self._act(key) if self._act else None

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.runs]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.controller.run)
            yield self
            tasks.cancel_scope.cancel()


async def test_the_start_waits_for_the_caches_and_takes_every_key() -> None:
    world = World()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.controller.run)
        await anyio.sleep(10)
        assert world.runs == []
        world.store.replace([config_map("a", 1), config_map("b", 2)], "10")
        await anyio.sleep(1)
        assert [key for _, key in world.runs] == [A, B]
        tasks.cancel_scope.cancel()


async def test_a_change_or_deletion_reconciles_its_key() -> None:
    world = World()
    world.store.replace([], "10")
    async with world.running():
        world.store.put(config_map("a", 11))
        await anyio.sleep(1)
        world.store.remove(A, "12")
        await anyio.sleep(1)
    assert [key for _, key in world.runs] == [A, A]


async def test_a_reconcile_that_hangs_in_tasks_of_its_own_is_ended_and_tried_again() -> None:
    async def hang(key: Key) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)

    world = World(hang)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(RECONCILE_SECONDS + 1)
        assert world.controller.status.last_error.endswith("a: not done within 120 s")
        assert [key for _, key in world.runs] == [A, A]


async def test_changes_before_the_start_are_not_kept_beyond_what_the_cache_has() -> None:
    world = World()
    world.store.replace([config_map("a", 1)], "10")
    world.store.remove(A, "11")
    async with world.running():
        await anyio.sleep(1)
    assert world.runs == []


async def test_a_watch_may_lead_to_other_keys() -> None:
    world, seen = World(), []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    def owners(change: Change[ConfigMap]) -> list[Key]:
        return [A, B]

    controller = Controller("owners", reconcile, [Watch(CONFIG_MAPS, owners)], world.stores)
    world.store.replace([config_map("child", 1)], "10")
    async with anyio.create_task_group() as tasks:
        await tasks.start(controller.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert seen == [A, B]


async def test_a_kind_without_a_cache_is_said_when_the_controller_is_made() -> None:
    async def reconcile(key: Key) -> None: ...

    with pytest.raises(KeyError, match="no cache of pods"):
        Controller("test", reconcile, [Watch(PODS)], Stores(cast(Client, None)))


async def test_a_failing_key_is_retried_ever_more_slowly_and_the_others_go_on() -> None:
    async def act(key: Key) -> None:
        if key == A:
            raise Conflict("changed meanwhile", status=409)

    world = World(act)
    world.store.replace([config_map("a", 1), config_map("b", 2)], "10")
    async with world.running():
        await anyio.sleep(300)
    times = [at for at, key in world.runs if key == A]
    assert 5 < len(times) < 20
    assert [key for _, key in world.runs].count(B) == 1
    assert "changed meanwhile" in world.controller.status.last_error


async def test_a_bug_in_a_reconcile_is_retried_and_does_not_end_the_process() -> None:
    async def act(key: Key) -> None:
        if len(world.runs) == 1:
            raise ZeroDivisionError("oh")

    world = World(act)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(10)
    assert len(world.runs) == 2
    assert world.controller.status.last_success


async def test_a_bug_in_a_mapping_ends_the_process() -> None:
    world = World()

    def broken(change: Change[ConfigMap]) -> list[Key]:
        raise ZeroDivisionError("oh")

    world.store.replace([config_map("a", 1)], "10")
    controller = Controller("test", world._reconcile, [Watch(CONFIG_MAPS, broken)], world.stores)
    with pytest.raises(BaseExceptionGroup) as caught:
        await controller.run()
    assert caught.group_contains(ZeroDivisionError)


async def test_terminal_rests_until_the_object_changes() -> None:
    async def act(key: Key) -> None:
        raise Terminal("the destination has no type")

    world = World(act)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(3600)
        assert len(world.runs) == 1
        world.store.put(config_map("a", 11))
        await anyio.sleep(1)
    assert len(world.runs) == 2


async def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    async def act(key: Key) -> None:
        raise TooManyRequests("busy", status=429, retry_after=30)

    world = World(act)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(40)
    assert world.times == pytest.approx([0, 30], abs=0.1)


async def test_a_reconcile_that_wants_to_look_again_does_so_when_it_said() -> None:
    async def act(key: Key) -> Result:
        return Result(requeue_after=60)

    world = World(act)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(130)
    assert world.times == pytest.approx([0, 60, 120], abs=0.1)


async def test_a_reconcile_that_never_ends_is_ended_and_retried() -> None:
    async def act(key: Key) -> None:
        await anyio.sleep_forever()

    world = World(act)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(125)
    assert len(world.runs) == 2


# A controller reads its own writes


class Writing(World):
    """A controller whose first reconcile of A writes, and its cache that follows a scripted API server."""

    def __init__(self, act: Callable[[], Awaitable[None]], client: ScriptedClient) -> None:
        async def once(key: Key) -> None:
            if len(self.runs) == 1:
                await anyio.sleep(0.001)  # later than the first list
                await act()

        self.stores = Stores(client.client)
        self.store = self.stores.add(CONFIG_MAPS)
        self.runs = []
        self._act = once
        self.controller = Controller("test", self._reconcile, [Watch(CONFIG_MAPS)], self.stores)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.stores.run)
            await tasks.start(self.controller.run)
            yield self
            tasks.cancel_scope.cancel()


def following(*events: Step, looks: tuple[Page[ConfigMap] | ApiError, ...] = ()) -> ScriptedClient:
    """The API server holds A at version 1, then says these events, and then nothing more."""
    return scripted(page(config_map("a", 1)), watches=([*events, 1e9],), looks=looks)


SOMEONE_ELSES_CHANGE: list[Step] = [0.01, modified(config_map("a", 11))]


async def writes_15() -> None:
    writes.note(CONFIG_MAPS, A, resource_version="15")


async def test_a_key_is_put_off_until_the_cache_holds_its_last_write() -> None:
    world = Writing(writes_15, following(*SOMEONE_ELSES_CHANGE, 4.0, modified(config_map("a", 15))))
    async with world.running():
        await anyio.sleep(3)
        assert (len(world.runs), world.controller.status.waiting) == (1, 1)
        await anyio.sleep(3)
    assert (len(world.runs), world.controller.status.waiting) == (2, 0)


@pytest.mark.parametrize(
    "error", [Conflict("b", status=409), Terminal("b"), ZeroDivisionError("b"), TimeoutError(), Unreachable("b")]
)
async def test_what_was_written_before_a_failure_is_known_all_the_same(error: Exception) -> None:
    async def act() -> None:
        writes.note(CONFIG_MAPS, A, resource_version="15")
        raise error

    world = Writing(act, following(*SOMEONE_ELSES_CHANGE, 4.0, modified(config_map("a", 15))))
    async with world.running():
        await anyio.sleep(3)
        assert len(world.runs) == 1
        await anyio.sleep(10)
    assert len(world.runs) == 2


async def test_what_was_written_before_the_time_was_over_is_known_all_the_same() -> None:
    async def act() -> None:
        writes.note(CONFIG_MAPS, A, resource_version="15")
        await anyio.sleep_forever()

    world = Writing(act, following(200.0, looks=(Unreachable("away"),)))
    async with world.running():
        await anyio.sleep(190)
    assert (len(world.runs), world.controller.status.waiting) == (1, 1)


async def test_what_a_task_of_a_reconcile_wrote_is_known_too() -> None:
    async def act() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writes_15)

    world = Writing(act, following(*SOMEONE_ELSES_CHANGE, looks=(Unreachable("away"),)))
    async with world.running():
        await anyio.sleep(5)
    assert len(world.runs) == 1


async def test_a_write_that_does_not_come_is_asked_for_after_ten_seconds() -> None:
    world = Writing(writes_15, following(*SOMEONE_ELSES_CHANGE, looks=(page(config_map("a", 15), version=15),)))
    async with world.running():
        await anyio.sleep(20)
    assert world.times == pytest.approx([0, 11], abs=2)


async def test_no_decision_is_made_on_a_stale_cache_however_long_the_api_server_is_away() -> None:
    client = following(*SOMEONE_ELSES_CHANGE, looks=(Unreachable("away"),))
    world = Writing(writes_15, client)
    async with world.running():
        await anyio.sleep(3600)
        assert (len(world.runs), world.controller.status.waiting) == (1, 1)
        assert "ConfigMap ns/a" in world.controller.status.last_error
        assert len(client.times("look")) < 3600 / 5
        client.looks[0] = page(config_map("a", 15), version=15)
        await anyio.sleep(15)
    assert len(world.runs) == 2


async def test_a_write_that_may_have_happened_is_looked_for_at_once() -> None:
    async def act() -> None:
        with writes.ambiguous_unless_answered(CONFIG_MAPS, key("child")):
            raise Unreachable("the deadline passed")

    client = following(looks=(page(config_map("child", 12), version=12),))
    world = Writing(act, client)
    async with world.running():
        await anyio.sleep(3)
    assert client.versions("look") == ["child"]
    assert world.store.get(key("child")) == config_map("child", 12)
    assert [key for _, key in world.runs].count(A) == 2


async def test_a_newer_event_does_not_settle_a_write_that_may_have_happened() -> None:
    async def act() -> None:
        with writes.ambiguous_unless_answered(CONFIG_MAPS, A):
            raise ServerError("etcd timed out", status=504)

    events: list[Step] = [0.01, modified(config_map("a", 11)), 5.0, modified(config_map("a", 12))]
    world = Writing(act, following(*events, looks=(Unreachable("away"),)))
    async with world.running():
        await anyio.sleep(60)
    assert len(world.runs) == 1


@pytest.mark.parametrize("error", [Conflict("c", status=409), Invalid("i", status=422), NotSent("refused")])
async def test_a_write_that_surely_did_not_happen_holds_nothing_up(error: ApiError) -> None:
    async def act() -> None:
        with writes.ambiguous_unless_answered(CONFIG_MAPS, A):
            raise error

    client = following()
    world = Writing(act, client)
    async with world.running():
        await anyio.sleep(1)
    assert (len(world.runs), client.times("look")) == (2, [])


async def test_a_write_in_the_middle_of_which_the_reconcile_was_ended_may_have_happened() -> None:
    async def act() -> None:
        with writes.ambiguous_unless_answered(CONFIG_MAPS, A):
            await anyio.sleep_forever()

    client = following(looks=(page(config_map("a", 15), version=15),))
    world = Writing(act, client)
    async with world.running():
        await anyio.sleep(125)
    assert (len(client.times("look")), len(world.runs)) == (1, 2)


async def test_a_deletion_is_seen_when_no_object_has_the_uid_any_more() -> None:
    async def act() -> None:
        writes.note(CONFIG_MAPS, A, deleted_uid="uid-a")

    world = Writing(act, following(*SOMEONE_ELSES_CHANGE, 4.0, deleted("a", 12)))
    async with world.running():
        await anyio.sleep(3)
        assert len(world.runs) == 1
        await anyio.sleep(3)
    assert len(world.runs) == 2


async def test_a_write_outside_of_the_caches_scope_holds_nothing_up() -> None:
    async def act() -> None:
        writes.note(PODS, A, resource_version="15")

    world = Writing(act, following(*SOMEONE_ELSES_CHANGE))
    async with world.running():
        await anyio.sleep(1)
    assert len(world.runs) == 2


async def test_the_writes_of_keys_that_never_come_again_are_not_kept_for_ever() -> None:
    async def act(key: Key) -> None:
        version = "15" if int(key.name) < 5000 else "30"
        writes.note(CONFIG_MAPS, Key("ns", f"child-of-{key.name}"), resource_version=version)

    world = World(act)
    world.store.replace([config_map(str(n), 1) for n in range(5000)], "10")
    async with world.running():
        await anyio.sleep(1)
        assert len(world.controller._unseen) == 5000
        world.store.seen("20")
        for n in range(5000, 12_000):
            world.store.put(config_map(str(n), 21))
        await anyio.sleep(1)
    assert world.controller.status.waiting == 0
    assert len(world.controller._unseen) == 7000


# Many keys, few workers


async def test_never_two_reconciles_of_one_key_and_never_more_than_the_limit() -> None:
    active: list[Key] = []
    most = 0

    async def act(key: Key) -> None:
        nonlocal most
        assert key not in active
        active.append(key)
        most = max(most, len(active))
        await anyio.sleep(1)
        active.remove(key)

    world = World(act, concurrency=3)
    world.store.replace([config_map(str(n), 1) for n in range(9)], "10")
    async with world.running():
        for version in range(11, 40):
            world.store.put(config_map(str(version % 9), version))
            await anyio.sleep(0.1)
        await anyio.sleep(60)
    assert most == 3


async def test_a_resync_takes_every_key_again() -> None:
    world = World(resync=600)
    world.store.replace([config_map("a", 1)], "10")
    async with world.running():
        await anyio.sleep(3600)
    assert len(world.runs) in range(6, 8)


async def test_what_cannot_be_understood_concerns_those_who_ask_for_it_also_at_their_start_fault_54() -> None:
    world, asked, asking = World(), [], Stores(cast(Client, None))
    store = asking.add(CONFIG_MAPS)

    async def look(key: Key) -> None:
        asked.append((key, key in store.unreadable))

    controller = Controller("asks", look, [Watch(CONFIG_MAPS, unreadable=True)], asking)
    for each in (world.store, store):
        each.replace([config_map("b", 1)], "10", keep=[misfit("a", 2)])
    async with world.running(), anyio.create_task_group() as tasks:
        await tasks.start(controller.run)
        await anyio.sleep(1)
        for each in (world.store, store):
            each.pass_over(misfit("b", 11))
        await anyio.sleep(1)
        store.put(config_map("a", 12))
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert sorted(asked[:2]) == [(A, True), (B, False)]
    assert asked[2:] == [(B, True), (A, False)]
    assert [key for _, key in world.runs] == [B]
