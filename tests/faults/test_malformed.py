"""Fault 54: custom resources that do not fit: of a wrong form, huge, many, or of strange words.

Each is said to be so, and nobody else has less of it. Those of a wrong form can only be there from a time when their
definition was looser: they are named in the log and counted, and left as they are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.faults.oracles import eventually
from tests.faults.rig import CRDS, Rig
from tests.faults.stage import Reference, Stage
from tests.faults.story import API

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

MANY = 1000
TIGHT = yaml.safe_load((CRDS / "odigos.io_destinations.yaml").read_text())
WRONG: dict[str, Any] = {
    "no-spec": {},
    "spec-is-text": {"spec": "debug"},
    "spec-is-null": {"spec": None},
    "no-type": {"spec": {"signals": ["TRACES"]}},
    "type-is-a-number": {"spec": {"type": 7}},
    "signals-are-numbers": {"spec": {"type": "debug", "signals": [1, 2]}},
    "unknown-enum": {"spec": {"type": "debug", "signals": ["SMELLS"]}},
    "data-is-a-list": {"spec": {"type": "debug", "data": ["a"]}},
    "data-is-nested": {"spec": {"type": "debug", "data": {"a": {"b": {"c": []}}}}},
    "status-is-text": {"spec": {"type": "debug"}, "status": "fine"},
    "conditions-are-a-map": {"spec": {"type": "debug"}, "status": {"conditions": {"a": 1}}},
}
STRANGE = (
    "\u202eDEBUG",
    "\u0000nul",
    "a\nb\r\x1b[31m",
    "\U0001f680" * 100,
    "${file:/etc/passwd} $$ {{x}}",
    "<img src=x onerror=x>",
)


@contextmanager
def loose(rig: Rig) -> Iterator[None]:
    """The definition accepts everything, and then again what it should."""
    open_ = copy.deepcopy(TIGHT)
    for version in open_["spec"]["versions"]:
        version["schema"] = {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": anything(), "status": anything()},
            }
        }
    rig.apply(open_)
    try:
        yield
    finally:
        rig.apply(TIGHT)


def anything() -> dict[str, Any]:
    return {"x-kubernetes-preserve-unknown-fields": True}


def destination(stage: Stage, name: str, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": stage.story.system}
    return {"apiVersion": API, "kind": "Destination", "metadata": metadata} | body


def create(stage: Stage, name: str, **body: Any) -> None:
    stage.rig.call(
        "POST", f"/apis/{API}/namespaces/{stage.story.system}/destinations", destination(stage, name, **body)
    )


def delete_all(stage: Stage, but: str) -> None:
    path = f"/apis/{API}/namespaces/{stage.story.system}/destinations"
    stage.rig.call("DELETE", f"{path}?fieldSelector=metadata.name!={but}")


def told(stage: Stage) -> dict[str, tuple[str, str]]:
    """Status and reason of Configured, by destination."""
    items = stage.rig.call("GET", f"/apis/{API}/namespaces/{stage.story.system}/destinations")["items"]
    return {
        item["metadata"]["name"]: (c["status"], c["reason"])
        for item in items
        for c in item.get("status", {}).get("conditions", [])
        if c["type"] == "Configured"
    }


def test_fault_54_objects_of_a_wrong_form_are_named_and_nobody_else_is_affected(
    stage: Stage, reference: Reference
) -> None:
    with loose(stage.rig):
        eventually(lambda: is_accepted(stage), "the definition is loose")
    stage.story.add_destination()
    replica = stage.start()
    stage.story.instrument()
    named = {line["key"].partition("/")[2] for line in replica.events("object_undecodable")}
    assert named == set(WRONG)
    assert replica.metric('odigos_kube_undecodable_total{resource="destinations.odigos.io"}') >= len(WRONG)
    delete_all(stage, but="debug")
    stage.assert_state(reference.instrumented)
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_no_complaints()


def is_accepted(stage: Stage) -> bool:
    """All of them: the API server learns of a new schema some time later."""
    for name, body in WRONG.items():
        if stage.story.get(f"/apis/{API}/namespaces/{stage.story.system}/destinations/{name}"):
            continue
        try:
            create(stage, name, **body)
            if "status" in body:
                path = f"/apis/{API}/namespaces/{stage.story.system}/destinations/{name}/status"
                stage.rig.call("PATCH", path, {"status": body["status"]}, "application/merge-patch+json")
        except OSError:  # HTTPError is one: still the old schema
            return False
    return True


def test_fault_54_huge_many_and_strange_objects_each_have_one_condition(stage: Stage, reference: Reference) -> None:
    huge = {"type": "nobody-knows-it", "data": {"X": "x" * 1_400_000}}
    create(stage, "huge", spec=huge)
    for n in range(MANY):
        create(stage, f"off-{n}", spec={"type": "debug", "signals": ["TRACES"], "disabled": True})
    for n, text in enumerate(STRANGE):
        create(stage, f"strange-{n}", spec={"type": text[:200], "destinationName": text, "data": {text: text}})
    replica = stage.start()
    stage.story.instrument()
    stage.story.until(lambda: len(told(stage)) == MANY + len(STRANGE) + 2, "each has its condition")
    reasons = told(stage)
    assert reasons["debug"] == ("True", "Configured")
    assert reasons["huge"] == ("False", "UnknownType")
    assert {reasons[f"strange-{n}"] for n in range(len(STRANGE))} == {("False", "UnknownType")}
    assert {reasons[f"off-{n}"] for n in range(MANY)} == {("False", "Disabled")}
    status, body = replica.get("/api/destinations", replica.ui)
    assert status == 200
    assert len(json.loads(body)) >= 1
    delete_all(stage, but="debug")
    stage.assert_state(reference.instrumented)
    stage.assert_no_complaints()
