"""A cache never shows half a list, drops old news, and tells each change once."""

from __future__ import annotations

import pytest

from odigos_cp.api.builtin import CONFIG_MAPS, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.kube.store import Change, Store
from tests.kube.scripted import config_map, key, misfit


def filled(*items: ConfigMap, version: str = "10") -> tuple[Store[ConfigMap], list[Change[ConfigMap]]]:
    store = Store(CONFIG_MAPS)
    changes: list[Change[ConfigMap]] = []
    store.replace(items, version)
    store.subscribe(changes.append)
    return store, changes


def test_a_list_tells_what_was_added_changed_and_removed_and_nothing_else() -> None:
    store, changes = filled(config_map("same", 1), config_map("changed", 2), config_map("removed", 3))
    store.replace([config_map("same", 1), config_map("changed", 12), config_map("added", 13)], "20")
    assert {(c.key.name, c.before is None, c.after is None) for c in changes} == {
        ("changed", False, False),
        ("removed", False, True),
        ("added", True, False),
    }


def test_readers_in_a_handler_see_the_whole_new_list() -> None:
    store, _ = filled(config_map("a", 1))
    seen: list[set[str]] = []
    store.subscribe(lambda change: seen.append({item.metadata.name for item in store.values()}))
    store.replace([config_map("b", 11), config_map("c", 12)], "20")
    assert seen == [{"b", "c"}] * 3


def test_an_object_that_a_list_could_not_decode_stays_as_it_was() -> None:
    store, changes = filled(config_map("a", 1))
    store.replace([], "20", keep=[misfit("a", 12), misfit("never-seen", 13)])
    assert store.get(key("a")) == config_map("a", 1)
    assert changes == []
    assert set(store.unreadable) == {key("a"), key("never-seen")}


def test_an_event_older_than_what_is_held_is_dropped() -> None:
    store, changes = filled(config_map("a", 5))
    store.put(config_map("a", 4, old="yes"))
    assert (store.get(key("a")), changes) == (config_map("a", 5), [])


def test_a_doubled_event_is_told_once() -> None:
    store, changes = filled()
    store.put(config_map("a", 11))
    store.put(config_map("a", 11))
    assert len(changes) == 1


def test_a_late_event_does_not_bring_back_a_deleted_object() -> None:
    store, _ = filled(config_map("a", 5))
    store.remove(key("a"), "12")
    store.put(config_map("a", 11))
    assert store.get(key("a")) is None


def test_an_object_made_again_under_the_same_name_is_there() -> None:
    store, _ = filled(config_map("a", 5))
    store.remove(key("a"), "12")
    store.put(config_map("a", 13))
    assert store.get(key("a")) == config_map("a", 13)


def test_a_late_deletion_does_not_remove_the_new_object() -> None:
    store, _ = filled(config_map("a", 13))
    store.remove(key("a"), "12")
    assert store.get(key("a")) is not None


def test_removing_what_is_not_there_tells_nobody() -> None:
    store, changes = filled()
    store.remove(key("a"), "12")
    assert changes == []


@pytest.mark.parametrize(
    ("asked", "seen"), [("9", True), ("10", True), ("11", False), ("99999999999999999999", False), ("opaque", False)]
)
def test_has_seen_compares_versions_as_numbers(asked: str, seen: bool) -> None:
    store, _ = filled(version="10")
    assert store.has_seen(key("a"), asked) is seen


def test_a_bookmark_moves_what_was_seen_and_never_back() -> None:
    store, _ = filled(version="10")
    store.seen("30")
    store.seen("20")
    assert store.has_seen(key("a"), "30")


def test_a_deletion_counts_as_seen() -> None:
    store, _ = filled(config_map("a", 5))
    store.remove(key("a"), "12")
    assert store.has_seen(key("a"), "11")


def test_versions_that_are_no_numbers_are_seen_when_equal() -> None:
    store = Store(CONFIG_MAPS)
    store.replace([], "xyz")
    assert store.has_seen(key("a"), "xyz")
    assert not store.has_seen(key("a"), "abc")


def test_an_index_follows_changes_and_removals() -> None:
    store, _ = filled(config_map("a", 1, app="x"), config_map("b", 2, app="x"))
    store.add_index("app", lambda item: item.data.values())
    store.put(config_map("a", 11, app="y"))
    store.remove(key("b"), "12")
    assert [item.metadata.name for item in store.by("app", "y")] == ["a"]
    assert store.by("app", "x") == ()


def test_an_index_that_is_not_there_is_named_with_those_that_are() -> None:
    store, _ = filled()
    store.add_index("app", lambda item: ())
    with pytest.raises(KeyError, match=r"no index 'ap'.*'app'"):
        store.by("ap", "x")


def test_a_cache_of_one_namespace_does_not_hold_others() -> None:
    store = Store(CONFIG_MAPS, namespace="ns")
    assert store.holds(key("a"))
    assert not store.holds(key("a")._replace(namespace="other"))


async def test_waiting_for_the_first_list_ends_with_it() -> None:
    store = Store(CONFIG_MAPS)
    assert not store.synced
    store.replace([], "1")
    await store.wait_synced()


def test_the_event_of_another_object_does_not_make_a_write_seen() -> None:
    store, _ = filled(config_map("a", 1))
    store.put(config_map("b", 20))
    assert not store.has_seen(key("a"), "15")
    store.seen("21")
    assert store.has_seen(key("a"), "15")


def test_an_object_that_could_not_be_decoded_was_seen_all_the_same() -> None:
    store, changes = filled(config_map("a", 1))
    store.pass_over(misfit("a", 12))
    assert (store.has_seen(key("a"), "12"), store.get(key("a")), changes) == (True, config_map("a", 1), [])
    store.put(config_map("a", 13))
    assert store.get(key("a")) == config_map("a", 13)


def test_a_list_and_a_look_hold_what_was_written_before_they_began() -> None:
    store, _ = filled()
    assert not store.looked_since(key("a"), 0.0)
    store.looked(key("a"), None, "50", began=7.0)
    assert [store.looked_since(key("a"), at) for at in (6.0, 7.0, 8.0)] == [True, True, False]
    assert not store.looked_since(key("b"), 6.0)
    store.replace([], "60", began=9.0)
    assert store.looked_since(key("b"), 8.0)


def test_a_look_changes_the_object_and_nothing_else() -> None:
    store, changes = filled(config_map("a", 1))
    store.looked(key("a"), config_map("a", 40), "50", began=1.0)
    store.looked(key("b"), None, "51", began=1.0)
    assert (store.resource_version, len(changes)) == ("10", 1)
    store.put(config_map("a", 30))
    store.put(config_map("b", 30))
    assert (store.get(key("a")), store.get(key("b"))) == (config_map("a", 40), None)


def test_a_look_that_was_overtaken_by_an_event_takes_nothing_back() -> None:
    store, _ = filled(config_map("a", 1))
    store.put(config_map("a", 60))
    store.looked(key("a"), None, "50", began=1.0)
    assert store.get(key("a")) == config_map("a", 60)


def test_a_look_at_what_cannot_be_decoded_keeps_what_was_understood() -> None:
    store, _ = filled(config_map("a", 1))
    store.looked(key("a"), None, "50", began=1.0, unreadable=misfit("a", 12))
    assert store.get(key("a")) == config_map("a", 1)
    assert set(store.unreadable) == {key("a")}
    assert store.looked_since(key("a"), 1.0)


@pytest.mark.parametrize("how", ["event", "look", "list", "gone", "gone by a list"])
def test_what_can_be_understood_again_or_is_gone_is_unreadable_no_longer(how: str) -> None:
    store, _ = filled(config_map("a", 1))
    told: list[bool] = []
    store.on_unreadable(lambda key: told.append(key in store.unreadable))
    store.pass_over(misfit("a", 12))
    match how:
        case "event":
            store.put(config_map("a", 13))
        case "look":
            store.looked(key("a"), config_map("a", 13), "50", began=1.0)
        case "list":
            store.replace([config_map("a", 13)], "50")
        case "gone":
            store.remove(key("a"), "13")
        case _:
            store.replace([], "50")
    assert (dict(store.unreadable), told) == ({}, [True, False])


def test_it_is_told_when_what_is_wrong_with_an_object_changes_and_not_when_it_is_listed_again() -> None:
    store, _ = filled()
    told: list[Key] = []
    store.on_unreadable(told.append)
    for state in (misfit("a", 12), misfit("a", 13, why="data is no list")):
        store.pass_over(state)
        store.replace([], "20", keep=[state])
    assert told == [key("a")] * 2


def test_late_news_does_not_make_an_object_unreadable_again() -> None:
    store, _ = filled(config_map("a", 13))
    store.pass_over(misfit("a", 12))
    assert not store.unreadable


def test_what_was_understood_of_another_object_of_the_same_name_does_not_hold() -> None:
    for replaced in (True, False):
        store, changes = filled(config_map("a", 1))
        stranger = misfit("a", 12, uid="another")
        if replaced:
            store.replace([], "20", keep=[stranger])
        else:
            store.pass_over(stranger)
        assert (store.get(key("a")), len(changes)) == (None, 1)
        assert store.unreadable[key("a")] == stranger


def test_an_object_that_cannot_be_fetched_is_unreadable_and_has_no_uid() -> None:
    store, _ = filled(config_map("a", 1))
    store.not_fetched(key("a"), "it is too large")
    assert store.unreadable[key("a")].uid == ""
    assert not store.has_seen(key("a"), "12")


def test_the_memory_of_what_cannot_be_understood_is_bounded_and_nameless_objects_have_none() -> None:
    store, _ = filled()
    store.pass_over(misfit("", 11))
    for n in range(3000):
        store.pass_over(misfit(str(n), n + 12))
    assert set(store.unreadable) == {key(str(n)) for n in range(1000)}


def test_the_memory_of_what_is_gone_is_bounded() -> None:
    store, _ = filled()
    for n in range(5000):
        store.remove(key(str(n)), str(n + 11))
        store.looked(key(str(n)), None, str(n + 11), began=1.0)
    assert len(store._passed) <= 1000
    assert len(store._looked) <= 1000


def test_a_store_is_read_like_a_mapping() -> None:
    store, _ = filled(config_map("a", 1))
    assert (list(store), key("a") in store, key("b") in store, len(store)) == ([key("a")], True, False, 1)


def test_a_long_list_is_told_in_steps_each_change_once_while_readers_see_all_of_it() -> None:
    store, changes = filled(*(config_map(str(n), 1) for n in range(3000)))
    store.add_index("all", lambda item: ("x",))
    sizes = []
    for _ in store.replace_in_steps([config_map(str(n), 2) for n in range(1000, 5000)], "20"):
        assert (len(store), len(store.by("all", "x"))) == (4000, 4000)
        sizes.append(len(changes))
    assert sizes == list(range(500, 5001, 500))
    assert len({change.key for change in changes}) == len(changes) == 5000


def test_a_handler_that_raises_finds_the_cache_complete_and_its_error_is_not_swallowed() -> None:
    store, _ = filled(config_map("a", 1))
    store.add_index("app", lambda item: item.data.values())

    def broken(change: Change[ConfigMap]) -> None:
        raise ZeroDivisionError

    store.subscribe(broken)
    with pytest.raises(ZeroDivisionError):
        store.replace([config_map("b", 11, app="x"), config_map("c", 12, app="x")], "20")
    assert (len(store), len(store.by("app", "x")), store.resource_version) == (2, 2, "20")
