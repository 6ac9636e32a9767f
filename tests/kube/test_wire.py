"""Envelopes are decoded from bytes; one bad object never stops the others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from odigos_cp.api import builtin
from odigos_cp.api.builtin import CONFIG_MAPS, PODS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import VALID, Key, Kind, Unreadable
from odigos_cp.api.source import SOURCES
from odigos_cp.kube import errors, wire
from tests.kube.scripted import key, line
from tests.kube.scripted import wire as config_map

WORKLOAD = {"namespace": "shop", "kind": "Deployment", "name": "cart"}


def listed(*items: Any) -> bytes:
    metadata = {"resourceVersion": "7", "continue": "t"}
    return json.dumps({"kind": "ConfigMapList", "metadata": metadata, "items": items}).encode()


def test_an_item_that_cannot_be_decoded_is_named_and_the_others_come_through() -> None:
    page = wire.page(CONFIG_MAPS, listed(config_map("a", 1), config_map("b", 2) | {"data": 7}, config_map("c", 3)))
    assert [item.metadata.name for item in page.items] == ["a", "c"]
    assert [(each.key, each.resource_version) for each in page.skipped] == [(key("b"), "2")]
    assert page.skipped[0].why == "Expected `object`, got `int` - at `$.data`"
    assert (page.continue_token, page.resource_version) == ("t", "7")


@pytest.mark.parametrize("bad", [7, None, [], {"metadata": 3}, {"metadata": {"name": None}}])
def test_an_item_that_is_no_object_at_all_is_skipped(bad: Any) -> None:
    assert wire.page(CONFIG_MAPS, listed(bad, config_map("a", 1))).items[0].metadata.name == "a"


def test_a_custom_resource_of_a_foreign_shape_is_skipped() -> None:
    page = wire.page(SOURCES, listed({"metadata": {"name": "bad", "namespace": "ns"}, "spec": {"workload": 1}}))
    assert (page.items, page.skipped) == ((), (Unreadable(key("bad"), why="spec.workload must be an object"),))


def source(spec: Any, **more: Any) -> bytes:
    metadata = {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "5", "generation": 3}
    return json.dumps({"metadata": metadata, "spec": spec} | more).encode()


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (None, "spec must be an object"),
        ({}, "spec.workload is missing"),
        ({"workload": {"namespace": "n", "kind": 1}}, "spec.workload.kind must be a valid string; "),
        ({"workload": WORKLOAD, "containerOverrides": [{"containerName": []}]}, "spec.containerOverrides[0].container"),
        ({"workload": WORKLOAD, "disableInstrumentation": "\u202emaybe\u0000"}, "spec.disableInstrumentation must be"),
    ],
)
def test_what_cannot_be_understood_says_which_field_and_what_is_wrong_fault_54(spec: Any, why: str) -> None:
    found = wire.decode(SOURCES, msgspec.Raw(source(spec)))
    assert isinstance(found, Unreadable)
    assert found.why.startswith(why)
    assert (found.uid, found.resource_version, found.generation) == ("u", "5", 3)


def test_the_reason_is_short_and_printable_whatever_the_object_holds_fault_54() -> None:
    overrides = [{"containerName": n} for n in range(5000)]
    data = {f"\u202e\n{'x' * 9000}{n}": n for n in range(5)}
    hostile: list[tuple[Kind[Any], Any]] = [
        (SOURCES, {"workload": WORKLOAD, "containerOverrides": overrides}),
        (DESTINATIONS, {"data": data}),
    ]
    for kind, spec in hostile:
        found = wire.decode(kind, msgspec.Raw(source(spec)))
        assert isinstance(found, Unreadable)
        assert len(found.why) < 450
        assert found.why.isprintable()
        assert "more" in found.why


def test_what_a_status_says_of_it_is_read_although_nothing_else_can_be() -> None:
    told = {"type": VALID, "status": "False", "reason": "Invalid", "message": "m", "lastTransitionTime": "t"}
    for before in ([], [7], [{"type": 7}], [{"type": "Matched"}], [{"type": VALID}]):
        found = wire.decode(SOURCES, msgspec.Raw(source(1, status={"conditions": [*before, told]})))
        assert isinstance(found, Unreadable)
        assert found.told is not None
        assert found.told.wire() == told
    for status in ("fine", {"conditions": {"a": 1}}, {"conditions": [{"type": VALID}]}):
        found = wire.decode(SOURCES, msgspec.Raw(source(1, status=status)))
        assert isinstance(found, Unreadable)
        assert found.told is None


def test_a_list_may_have_null_for_items() -> None:
    assert wire.page(CONFIG_MAPS, b'{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":null}').items == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"kind":"Status","metadata":{},"status":"Success"}',
        b'{"kind":"ConfigMapList","items":[]}',
        b'{"kind":"ConfigMap","metadata":{"resourceVersion":"7"}}',
        b"[]",
        b"<html>",
    ],
)
def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_one(answer: bytes) -> None:
    with pytest.raises(ValueError):
        wire.page(CONFIG_MAPS, answer)


def test_an_event_whose_object_cannot_be_decoded_keeps_key_and_version() -> None:
    event = wire.event(CONFIG_MAPS, line("MODIFIED", config_map("a", 5) | {"data": []}))
    assert (event.type, event.object, event.resource_version, event.key) == ("MODIFIED", None, "5", key("a"))
    assert event.unreadable is not None
    assert event.unreadable.key == key("a")


def test_a_bookmark_has_a_version_only() -> None:
    event = wire.event(CONFIG_MAPS, line("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
    assert event == wire.WatchEvent("BOOKMARK", None, "9", Key("", ""))


def test_an_error_in_the_stream_is_raised_as_the_same_error_by_status() -> None:
    with pytest.raises(errors.Gone):
        wire.event(CONFIG_MAPS, line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}))


@pytest.mark.parametrize("garbage", [b"{", b"[]", b'{"type":"NEW","object":{}}', b'{"type":"ADDED"}', b"\xff", b"7"])
def test_a_line_that_is_no_event_is_an_error_not_a_crash(garbage: bytes) -> None:
    with pytest.raises(errors.ServerError):
        wire.event(CONFIG_MAPS, garbage)


def test_an_error_event_with_garbage_inside_is_an_error_too() -> None:
    with pytest.raises(errors.ApiError):
        wire.event(CONFIG_MAPS, b'{"type":"ERROR","object":7}')


def test_a_deletion_at_once_is_answered_by_the_uid_and_a_later_one_by_the_version() -> None:
    at_once = b'{"kind":"Status","status":"Success","details":{"name":"a","uid":"u"}}'
    later = b'{"kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"9","deletionTimestamp":"now"}}'
    assert (wire.deleted(CONFIG_MAPS, at_once), wire.deleted(CONFIG_MAPS, later)) == (("", "u"), ("9", ""))


@pytest.mark.parametrize("garbage", [b"<html>", b"[]", b""])
def test_a_write_answered_by_garbage_is_the_servers_error(garbage: bytes) -> None:
    with pytest.raises(errors.ServerError):
        wire.written(CONFIG_MAPS, garbage)
    with pytest.raises(errors.ServerError):
        wire.deleted(CONFIG_MAPS, garbage)


def test_a_list_and_an_event_in_one_pass_say_the_same_as_object_by_object() -> None:
    one_by_one = replace(CONFIG_MAPS, view=None)
    body = listed(*(config_map(str(n), n, a="b") for n in range(20)))
    assert wire.page(CONFIG_MAPS, body) == wire.page(one_by_one, body)
    for type_ in ("ADDED", "MODIFIED", "DELETED"):
        text = line(type_, config_map("a", 5, a="b"))
        assert wire.event(CONFIG_MAPS, text) == wire.event(one_by_one, text)


def test_a_bookmark_of_a_kind_whose_empty_objects_do_not_fit_is_a_bookmark() -> None:
    """So the API server writes those of pods."""
    text = line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}, "spec": {"containers": None}})
    assert wire.event(PODS, text) == wire.WatchEvent("BOOKMARK", None, "9", Key("", ""))


def test_words_of_a_later_kubernetes_make_no_pod_unreadable() -> None:
    words = {"phase": "Hibernating", "conditions": [{"type": "Warm", "status": "Perhaps", "message": "soon"}]}
    page = wire.page(PODS, listed({"metadata": {"name": "a"}, "status": words}))
    (pod,) = page.items
    assert (pod.status.phase, pod.ready, pod.status.conditions[0].message) == ("Unknown", False, "soon")


def test_of_a_pods_labels_and_annotations_only_those_that_are_read_are_kept() -> None:
    labels = {"team": "storefront", "odigos.io/instrumented": "0123"}
    annotations = {"odigos.io/injected": "4567", "users/notes": "x" * 100_000}
    page = wire.page(PODS, listed({"metadata": {"name": "a", "labels": labels, "annotations": annotations}}))
    (pod,) = page.items
    assert pod.metadata.labels == {"odigos.io/instrumented": "0123"}
    assert pod.metadata.annotations == {"odigos.io/injected": "4567"}


def _replica(name: str, hash_: str = "h") -> dict[str, Any]:
    container = {"name": "app", "imageID": "sha256:1", "state": {"running": {}}, "lastState": {}}
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": {"pod-template-hash": hash_}},
        "spec": {"nodeName": "node-1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container]},
    }


def test_what_is_the_same_in_many_pods_is_held_once() -> None:
    one, other = wire.page(PODS, listed(_replica("a"), _replica("b"))).items
    assert one.metadata.labels is other.metadata.labels
    assert one.spec is other.spec
    assert one.status.conditions is other.status.conditions
    assert one.status.container_statuses[0].image_id is other.status.container_statuses[0].image_id
    assert (one.metadata.name, other.metadata.name) == ("a", "b")


def test_what_is_shared_is_bounded_and_a_pod_is_the_same_whether_or_not_it_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = wire.page(PODS, listed(_replica("a"))).items
    monkeypatch.setattr(builtin, "SHARED_PARTS", 3)
    for n in range(20):
        wire.page(PODS, listed(_replica("b", str(n))))
    assert len(builtin._shared) <= 3
    assert wire.page(PODS, listed(_replica("a"))).items == before


def test_an_error_in_the_stream_is_never_taken_for_an_object() -> None:
    with pytest.raises(errors.ServerError):
        wire.event(CONFIG_MAPS, line("ERROR", {"kind": "Status", "metadata": {}, "code": 500, "message": "etcd"}))
