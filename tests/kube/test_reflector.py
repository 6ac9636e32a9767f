"""A cache follows the API server through every fault, and never asks too often. Time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import anyio
import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.kube.client import Page, WatchEvent
from odigos_cp.kube.errors import (
    ApiError,
    Forbidden,
    Gone,
    NotFound,
    ServerError,
    TooLarge,
    TooManyRequests,
    Unreachable,
)
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
    misfit,
    misfitting,
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


@asynccontextmanager
async def reflecting(client: ScriptedClient) -> AsyncIterator[Reflector[ConfigMap]]:
    """A reflector whose cache has its first content."""
    reflector = Reflector(client.client, Store(CONFIG_MAPS))
    async with anyio.create_task_group() as tasks:
        await tasks.start(reflector.run)
        yield reflector
        tasks.cancel_scope.cancel()


def names(store: Store[ConfigMap]) -> set[str]:
    return {item.metadata.name for item in store.values()}


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


async def test_an_overlong_line_is_healed_by_a_look_at_its_object_and_the_watch_goes_on_h7() -> None:
    events: list[Step] = [overlong("big", 12), 1.0, added(config_map("b", 13)), 1e9]
    client = scripted(page(config_map("big", 1)), watches=(events,), looks=(page(config_map("big", 12), version=12),))
    async with following(client, 5) as store:
        assert store.get(key("big")) == config_map("big", 12)
        assert names(store) == {"big", "b"}
    assert (len(client.times("list")), len(client.times("watch"))) == (1, 1)


async def test_an_object_that_is_too_long_again_and_again_is_looked_at_ever_more_seldom_h7() -> None:
    bombs: list[Step] = [overlong("big", 12), 0.1] * 6000
    client = scripted(page(), watches=(bombs,), looks=(page(config_map("big", 12)),))
    async with following(client, 590):
        times = client.times("look")
    assert times[1] - times[0] >= 1
    assert 8 <= len(times) <= 20


async def test_an_object_too_large_to_be_fetched_is_asked_for_once_a_minute_at_most_h7() -> None:
    bombs: list[Step] = [overlong("big", 12), 0.1] * 6000
    too_large = TooLarge("more than 16 MiB", status=200)
    client = scripted(page(config_map("big", 1)), watches=(bombs,), looks=(too_large,))
    async with following(client, 590) as store:
        assert store.get(key("big")) == config_map("big", 1)
        assert len(client.times("look")) <= 20
        assert "too large" in store.unreadable[key("big")].why


async def test_an_overlong_deletion_takes_the_object_out() -> None:
    events: list[Step] = [overlong("big", 12), 1e9]
    client = scripted(page(config_map("big", 1)), watches=(events,), looks=(page(version=12),))
    async with following(client, 5) as store:
        assert names(store) == set()


async def test_an_overlong_line_without_a_name_is_healed_by_a_list_but_not_by_many_h7() -> None:
    bombs: list[Step] = [overlong(), 1.0] * 100
    client = scripted(*[page(config_map("a", n), version=n) for n in range(1, 50)], watches=tuple([bombs] * 49))
    async with following(client, 90):
        assert 2 <= len(client.times("list")) <= 5


async def test_a_look_that_fails_is_tried_again_until_it_succeeds() -> None:
    events: list[Step] = [overlong("big", 12), 1e9]
    client = scripted(page(), watches=(events,), looks=(AWAY, AWAY, AWAY, page(config_map("big", 12))))
    async with following(client, 20) as store:
        assert names(store) == {"big"}


async def test_a_look_does_not_move_where_the_watch_stands() -> None:
    """Else the events of others, between where the watch stands and the look's version, would be lost."""
    events: list[Step] = [overlong("big", 12), 5.0, AWAY]
    client = scripted(page(), watches=(events, [added(config_map("b", 13)), 1e9]), looks=(page(version=99),))
    async with following(client, 20) as store:
        assert names(store) == {"b"}
    assert client.versions("watch") == ["10", "10"]


async def test_an_event_older_than_a_look_is_no_news() -> None:
    events: list[Step] = [overlong("a", 12), 1.0, modified(config_map("a", 13)), 1e9]
    client = scripted(page(config_map("a", 1)), watches=(events,), looks=(page(config_map("a", 20), version=20),))
    async with following(client, 5) as store:
        assert store.get(key("a")) == config_map("a", 20)


async def test_lists_and_looks_take_turns_so_that_no_older_answer_takes_back_a_newer_one() -> None:
    client = scripted(page(), page(config_map("a", 15), version=15), watches=([1e9],))
    client.looks.append(page(config_map("a", 20), version=20))
    client.list_seconds = 3.0
    async with reflecting(client) as reflector:
        await anyio.sleep(40)
        reflector.relist("test")
        await anyio.sleep(1)
        reflector.look(key("a"))
        await anyio.sleep(10)
        assert reflector.store.get(key("a")) == config_map("a", 20)


async def test_many_objects_to_look_at_are_listed_at_once() -> None:
    client = scripted(page(), page(), looks=(AWAY,))
    async with reflecting(client) as reflector:
        for n in range(1000):
            reflector.look(key(str(n)))
        await anyio.sleep(20)
        assert len(client.times("list")) == 2


async def test_a_list_that_was_asked_for_comes_at_once_and_then_each_half_minute_at_most() -> None:
    client = scripted(*[page(version=n) for n in range(10, 100)])
    async with reflecting(client) as reflector:
        for _ in range(600):
            reflector.relist("test")
            await anyio.sleep(0.1)
        times = client.times("list")
    assert times[1] - times[0] < 0.2
    assert len(times) == 3


async def test_an_object_that_cannot_be_decoded_keeps_its_last_good_form() -> None:
    client = scripted(page(config_map("a", 1)), watches=([misfitting(misfit("a", 12)), 1e9],))
    async with following(client, 1) as store:
        assert store.get(key("a")) == config_map("a", 1)
        assert store.has_seen(key("a"), "12")
        assert store.unreadable == {key("a"): misfit("a", 12)}


async def test_a_look_at_what_cannot_be_understood_says_so_of_the_object_that_was_asked_for() -> None:
    nameless = page(version=12, skipped=(replace(misfit("", 12), key=Key("", "")),))
    client = scripted(page(config_map("big", 1)), watches=([overlong("big", 12), 1e9],), looks=(nameless,))
    async with following(client, 5) as store:
        assert store.get(key("big")) == config_map("big", 1)
        assert store.unreadable == {key("big"): misfit("big", 12)}


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


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (NotFound("no such kind", status=404), ReflectorState.NOT_SERVED),
        (Forbidden("rbac", status=403), ReflectorState.DENIED),
        (ServerError("no", status=500), ReflectorState.BACKING_OFF),
    ],
)
async def test_the_state_says_why_a_kind_cannot_be_read(refusal: ApiError, state: ReflectorState) -> None:
    client = scripted(page(), *[refusal] * 1000, watches=([1.0, GONE],))
    async with reflecting(client) as reflector:
        await anyio.sleep(300)
        assert (reflector.state, reflector.last_error != "") == (state, True)


async def test_a_kind_that_is_served_again_is_back_within_seconds() -> None:
    gone = NotFound("no such kind", status=404)
    client = scripted(page(config_map("a", 1)), *[gone] * 1000, watches=([1.0, GONE],))
    async with reflecting(client) as reflector:
        await anyio.sleep(3600)
        assert reflector.store.get(key("a")) is not None
        client.lists.clear()
        client.lists.append(page(config_map("b", 2)))
        await anyio.sleep(11)
        assert names(reflector.store) == {"b"}


async def test_a_server_that_compacts_in_the_middle_of_each_list_is_asked_for_all_at_once() -> None:
    halves: list[Page[ConfigMap] | ApiError] = [page(config_map("a", 1), token="t"), GONE]
    client = scripted(*halves, *halves, page(config_map("a", 1), config_map("b", 2)))
    async with following(client, 30) as store:
        assert names(store) == {"a", "b"}
    assert client.limits == [500, 500, 500, 500, 0]


async def test_pages_that_are_too_large_are_asked_for_smaller() -> None:
    big = TooLarge("more than 64 MiB", status=200)
    client = scripted(big, page(config_map("a", 1), token="t"), big, page(config_map("b", 2)))
    async with following(client, 5) as store:
        assert names(store) == {"a", "b"}
    assert client.limits == [500, 50, 50, 5]


async def test_of_pages_with_different_versions_the_oldest_is_watched_from() -> None:
    client = scripted(page(version=12, token="t"), page(version=9, token="u"), page(version=15))
    async with following(client, 1):
        assert client.versions("watch") == ["9"]


async def test_an_error_in_the_stream_that_is_no_410_goes_on_from_where_it_was_after_the_pause_it_asks_for() -> None:
    shed = TooManyRequests("busy", status=429, retry_after=20)
    client = scripted(page(), watches=([bookmark(20), 1.0, shed], [1e9]))
    async with following(client, 60):
        first, second = client.times("watch")
    assert (second - first >= 21, client.versions("watch")) == (True, ["10", "20"])


async def test_a_bookmark_without_a_version_changes_nothing() -> None:
    client = scripted(page(), watches=([WatchEvent("BOOKMARK", None, "", key("")), AWAY], [1e9]))
    async with following(client, 20) as store:
        assert (store.resource_version, client.versions("watch")) == ("10", ["10", "10"])


async def test_a_list_of_many_pages_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [page(config_map(str(n), 1), token="t") for n in range(20)]
    client = scripted(*pages, page())
    client.list_seconds = 1.0
    async with following(client, 30):
        assert capsys.readouterr().out.count("listing ") == 4


async def test_while_a_server_is_away_it_is_asked_at_one_pace_whatever_there_is_to_look_at() -> None:
    client = scripted(page(), watches=([1.0, AWAY], *[[AWAY]] * 20, [1e9]), looks=(page(),))  # type: ignore[arg-type]
    store = Store(CONFIG_MAPS)
    reflector = Reflector(client.client, store)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reflector.run)
        await anyio.sleep(2)
        for n in range(50):
            reflector.look(key(str(n)))
        await anyio.sleep(60)
        assert client.times("look") == []
        await anyio.sleep(3600)
        assert len(client.times("look")) == 50
        tasks.cancel_scope.cancel()
