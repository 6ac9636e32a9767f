"""The oracles themselves: what differs is found and named, what always differs is not, and equal things stay equal."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import oracles
from tests.faults.audit import Entry
from tests.faults.oracles import BY_THE_CLOCK, differences, masked, surplus, writes_by_object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UID = "0b1e2c3d-0000-4000-8000-00000000000{}"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def entry(verb: str = "patch", resource: str = "pods", name: str = "a", **more: Any) -> Entry:
    known: dict[str, Any] = {
        "user": "replica-a",
        "group": "",
        "subresource": "",
        "namespace": "ns",
        "code": 200,
        "manager": "",
    }
    given: dict[str, Any] = known | {"began": NOW, "ended": NOW, "user_agent": ""} | more
    return Entry(verb=verb, resource=resource, name=name, **given)


# O1


def test_a_field_that_differs_is_named_with_both_values() -> None:
    assert differences({"pods ns/a": {"spec": {"x": 1}}}, {"pods ns/a": {"spec": {"x": 2}}}) == [
        "pods ns/a: .spec.x: 1 became 2"
    ]


def test_a_field_that_is_missing_and_one_too_many_are_differences() -> None:
    assert differences({"p": {"x": 1}}, {"p": {"y": 1}}) == ["p: .x: 1 became null", "p: .y: null became 1"]


def test_an_object_that_is_missing_and_one_too_many_are_differences() -> None:
    assert differences({"a": {}}, {"b": {}}) == ["a: missing", "b: should not be there"]


def test_for_which_replica_set_a_deployment_first_progressed_is_no_difference_and_that_it_did_not_is_one() -> None:
    said = [masked({"reason": reason, "message": m}) for reason in ("NewReplicaSetAvailable", "Else") for m in "ab"]
    assert said[0] == said[1]
    assert said[2] != said[3]


def test_who_wrote_a_condition_first_is_no_difference() -> None:
    one, other = {"type": "A", "status": "True"}, {"type": "B", "status": "True"}
    assert differences({"a": {"conditions": [one, other]}}, {"a": {"conditions": [other, one]}}) == []


def test_the_order_of_anything_else_is_a_difference() -> None:
    assert differences({"a": {"args": ["x", "y"]}}, {"a": {"args": ["y", "x"]}})


@given(values, values)
def test_two_states_differ_exactly_when_their_values_do(one: Any, other: Any) -> None:
    assert differences({"a": one}, {"a": one}) == []
    assert bool(differences({"a": [[one]]}, {"a": [[other]]})) == (without_empty(one) != without_empty(other))


def without_empty(value: Any) -> Any:
    """A field that is null and one that is not there are the same to the API server."""
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v is not None}
    return [without_empty(inner) for inner in value] if isinstance(value, list) else value


# Masks


def test_identities_are_masked_and_those_that_were_equal_stay_so() -> None:
    made, refers, other = UID.format(1), f"owned by {UID.format(1)}", UID.format(2)
    found = masked({"a": made, "b": refers, "c": other})
    assert found == {"a": "IDENTITY0", "b": "owned by IDENTITY0", "c": "IDENTITY1"}


def test_another_reference_is_a_difference_even_though_its_uid_is_masked() -> None:
    right = masked({"a": UID.format(1), "owner": UID.format(1)})
    wrong = masked({"a": UID.format(1), "owner": UID.format(2)})
    assert differences({"x": right}, {"x": wrong}) == ['x: .owner: "IDENTITY0" became "IDENTITY1"']


@pytest.mark.parametrize("text", ["cart", "odigos-config", "Deployment/cart", "node-a", "java", "1 of 1 pods", "debug"])
def test_words_are_not_masked(text: str) -> None:
    assert masked({"a": text}) == {"a": text}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("2026-01-01T00:00:00Z", "2027-11-24T19:51:31.123456+00:00"),
        ("odigos-gateway-0123456789abcdef", "odigos-gateway-fedcba9876543210"),
        ("cart-6b7f9c8d5b-x2x4z", "cart-7c5d8f9b6c-bbbbb"),
    ],
)
def test_times_hashes_and_generated_names_are_masked(text: str, other: str) -> None:
    assert masked({"a": text}) == masked({"a": other})


def test_namespaces_are_masked_by_their_place() -> None:
    assert masked({"a": "system-1/x in shop-1"}, "system-1", "shop-1") == {"a": "NAMESPACE0/x in NAMESPACE1"}


def test_the_condition_that_goes_by_the_clock_is_masked_and_no_other() -> None:
    ours = {"type": "Configured", "status": "True", "reason": "Configured"}
    found = masked({"conditions": [{"type": "Delivering", "status": "False", "reason": "NoDataYet"}, ours]})
    assert found == {"conditions": [ours]}


# O2


def test_as_many_writes_as_in_the_reference_run_are_no_surplus() -> None:
    counted = Counter({"create pods ns/a": 1, "patch pods ns/a": 3})
    assert surplus(counted, counted, faults=0) == []


def test_a_second_create_is_a_surplus_unless_a_fault_explains_it() -> None:
    reference, found = Counter({"create pods ns/a": 1}), Counter({"create pods ns/a": 2})
    assert surplus(reference, found, faults=0) == ["create pods ns/a: 1 more than without a fault"]
    assert surplus(reference, found, faults=1) == []


def test_faults_explain_so_many_surplus_creates_in_all() -> None:
    reference = Counter({"create pods ns/a": 1, "delete pods ns/a": 1})
    assert len(surplus(reference, reference + reference, faults=1)) == 2


def test_a_write_that_never_came_is_named() -> None:
    assert surplus(Counter({"patch pods ns/a": 2}), Counter(), faults=9) == ["patch pods ns/a: never"]


def test_a_storm_of_patches_is_a_surplus() -> None:
    assert surplus(Counter({"patch a": 1}), Counter({"patch a": 4}), faults=0) == []
    assert surplus(Counter({"patch a": 1}), Counter({"patch a": 5}), faults=0)


def test_objects_with_random_names_are_counted_together() -> None:
    written = [entry("create", name="cart-6b7f9c8d5b-x2x4z"), entry("create", name="cart-7c5d8f9b6c-bbbbb")]
    assert writes_by_object(written, ["ns"]) == Counter({"create pods NAMESPACE0/cart-*-*": 2})


@pytest.mark.parametrize("kind", ["leases", "events"])
def test_what_comes_by_the_clock_does_not_matter(kind: str) -> None:
    assert not oracles.matters(entry(resource=kind))
    assert all(not oracles.matters(entry(manager=manager)) for manager in BY_THE_CLOCK)
    assert oracles.matters(entry())


# O5


def test_complaints_are_the_lines_that_no_fault_excuses(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"event":"fine"}\nTask exception was never retrieved\n\xff{"event":"reconcile_crashed"}\n')
    assert len(oracles.complaints(log)) == 2
