"""A cache follows the API server through every fault, and never asks too often. Time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, ConfigMap
from odigos_cp.kube.client import WatchEvent
from odigos_cp.kube.errors import ApiError, Forbidden, Gone, NotFound, ServerError, TooManyRequests, Unreachable
from odigos_cp.kube.reflector import Reflector, ReflectorState
from odigos_cp.kube.store import Store
from tests.kube.scripted import (
    ScriptedClient,
    Step,
    added,
    bookmark,
    config_map,
    deleted,
    key,
    modified,
    overlong,
    page,
    scripted,
)

pytestmark = pytest.mark.looptime

GONE = Gone("too old", status=410)
AWAY = Unreachable("connection refused")


@asynccontextmanager
async def following(client: ScriptedClient, seconds: float) -> AsyncIterator[Store[ConfigMap]]:
    """The cache after so much time."""
    store = Store(CONFIG_MAPS)
    reflector = Reflector(client.client, store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reflector.run)
        await anyio.sleep(seconds)
        yield store
        tasks.cancel_scope.cancel()


def names(store: Store[ConfigMap]) -> set[str]:
    return {item.metadata.name for item in store.values()}


def bad_event(name: str, version: int) -> WatchEvent[ConfigMap]:
    return WatchEvent("MODIFIED", None, str(version), key(name))


async def test_pages_are_put_together_before_anyone_sees_them() -> None:
    client = scripted(page(config_map("a", 1), token="t"), page(config_map("b", 2)))
    async with following(client, 1) as store:
        assert (names(store), store.resource_version) == ({"a", "b"}, "10")
    assert client.versions("list") == ["", "t"]


async def test_started_is_said_when_the_cache_has_its_first_content() -> None:
    client = scripted(AWAY, AWAY, page(config_map("a", 1)))
    store = Store(CONFIG_MAPS)
    async with anyio.create_task_group() as tasks:
        await tasks.start(Reflector(client.client, store).run)
        assert store.get(key("a")) is not None
        tasks.cancel_scope.cancel()


async def test_events_change_the_cache_and_the_next_watch_goes_on_from_the_last() -> None:
    events = [added(config_map("b", 11)), modified(config_map("a", 12)), deleted("b", 13), bookmark(20)]
    client = scripted(page(config_map("a", 1)), watches=(events,))  # type: ignore[arg-type]
    async with following(client, 5) as store:
        assert (names(store), store.resource_version) == ({"a"}, "20")
    assert client.versions("watch") == ["10", "20"]


async def test_410_in_either_form_lists_again_h5() -> None:
    client = scripted(page(version=10), page(version=20), page(version=30), watches=([GONE], [bookmark(21), GONE]))
    async with following(client, 60):
        assert client.versions("watch") == ["10", "20", "30"]


async def test_410_in_the_middle_of_a_list_begins_it_anew() -> None:
    client = scripted(page(config_map("a", 1), token="t"), GONE, page(config_map("b", 2)))
    async with following(client, 5) as store:
        assert names(store) == {"b"}


async def test_a_server_that_answers_empty_watches_is_asked_less_than_once_a_second_h6() -> None:
    client = scripted(page(), watches=tuple([] for _ in range(1000)))
    async with following(client, 100):
        assert len(client.times("watch")) <= 100


async def test_every_reconnect_pauses_and_failures_pause_longer() -> None:
    client = scripted(page(), watches=tuple([ServerError("no", status=500)] for _ in range(4)))
    async with following(client, 60):
        times = client.times("watch")
    pauses = [b - a for a, b in pairwise(times)]
    assert pauses[0] >= 0.375
    assert pauses == sorted(pauses)


async def test_a_server_that_is_back_after_an_hour_is_found_within_15_seconds() -> None:
    client = scripted(page(), watches=tuple([AWAY] for _ in range(1000)))
    async with following(client, 3600):
        times = client.times("watch")
    assert max(b - a for a, b in pairwise(times)) < 15


async def test_an_event_resets_the_pauses() -> None:
    failures: list[list[ApiError]] = [[AWAY]] * 10
    client = scripted(page(), watches=(*failures, [bookmark(11)], [AWAY], [1e9]))  # type: ignore[arg-type]
    async with following(client, 200):
        times = client.times("watch")
    assert times[11] - times[10] < 1


async def test_a_server_that_asks_for_a_longer_pause_gets_it() -> None:
    client = scripted(page(), watches=([TooManyRequests("busy", status=429, retry_after=30)],))
    async with following(client, 60):
        first, second = client.times("watch")
    assert second - first >= 30


@pytest.mark.parametrize("refusal", [Forbidden("rbac", status=403), NotFound("no such kind", status=404)])
async def test_what_cannot_be_read_for_a_while_keeps_what_was_last_known(refusal: ApiError) -> None:
    client = scripted(page(config_map("a", 1)), *[refusal] * 5, page(config_map("b", 2)), watches=([GONE], [1e9]))
    async with following(client, 10) as store:
        assert names(store) == {"a"}
        await anyio.sleep(300)
        assert names(store) == {"b"}


async def test_a_version_of_another_history_leads_to_a_list_after_some_refusals() -> None:
    future = ServerError("Too large resource version", status=504, reason="Timeout")
    client = scripted(page(version=1000), page(version=7), watches=tuple([future] for _ in range(5)))
    async with following(client, 300) as store:
        assert store.resource_version == "7"


async def test_an_overlong_line_is_healed_by_a_list_but_not_by_many_h7() -> None:
    bombs: list[Step] = [overlong(), 1.0] * 100
    client = scripted(*[page(config_map("a", n), version=n) for n in range(1, 50)], watches=tuple([bombs] * 49))
    async with following(client, 90):
        assert 2 <= len(client.times("list")) <= 5


async def test_an_object_that_cannot_be_decoded_keeps_its_last_good_form() -> None:
    client = scripted(page(config_map("a", 1)), watches=([bad_event("a", 12), 1e9],))
    async with following(client, 1) as store:
        assert store.get(key("a")) == config_map("a", 1)
        assert store.has_seen(key("a"), "12")


async def test_events_that_come_swapped_lose_nothing() -> None:
    client = scripted(page(), watches=([added(config_map("b", 12)), added(config_map("a", 11)), 1e9],))
    async with following(client, 1) as store:
        assert (names(store), store.resource_version) == ({"a", "b"}, "12")


async def test_the_state_is_named() -> None:
    client = scripted(page(), watches=([30.0, AWAY],))
    store = Store(CONFIG_MAPS)
    reflector = Reflector(client.client, store)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reflector.run)
        await anyio.sleep(1)
        assert reflector.state is ReflectorState.WATCHING
        await anyio.sleep(29.1)
        assert (reflector.state, reflector.last_error) == (ReflectorState.BACKING_OFF, "connection refused")
        tasks.cancel_scope.cancel()
