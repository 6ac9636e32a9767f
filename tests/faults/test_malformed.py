"""Fault 54: custom resources that do not fit: of a wrong form, huge, many, or of strange words.

Each is said to be so, and nobody else has less of it. Those of a wrong form can only be there from a time when their
definition was looser. They say it themselves, by a condition; but the API server applies nothing to an object whose
fields are of other types than its definition now says: these are named in the log, in /metrics and in the UI only.
"""

from __future__ import annotations

import copy
import json
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.faults.rig import CRDS, Rig
from tests.faults.stage import Reference, Stage
from tests.faults.story import API
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

MANY = 1000
TIGHT = {
    plural: yaml.safe_load((CRDS / f"odigos.io_{plural}.yaml").read_text()) for plural in ("destinations", "sources")
}
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
    "strange-key": {"spec": {"type": "debug", "data": {"\u202e\u0000\n<b>": 7}}},
    "strange-enum": {"spec": {"type": "debug", "signals": ["\u202eSMELLS\u0000"]}},
}
SAYING = {
    "no-spec": "spec is missing",
    "spec-is-null": "spec is missing",
    "no-type": "spec.type is missing",
    "unknown-enum": "spec.signals[0] must be 'TRACES', 'METRICS' or 'LOGS'",
    "strange-enum": "spec.signals[0] must be 'TRACES', 'METRICS' or 'LOGS'",
}
"""Those that the API server applies a condition to, and what is wrong with them."""
STRANGE = (
    "\u202eDEBUG",
    "\u0000nul",
    "a\nb\r\x1b[31m",
    "\U0001f680" * 100,
    "${file:/etc/passwd} $$ {{x}}",
    "<img src=x onerror=x>",
)


@contextmanager
def loose(rig: Rig, plural: str, *parts: str) -> Iterator[None]:
    """The definition accepts everything in these parts, and then again what it should."""
    open_ = copy.deepcopy(TIGHT[plural])
    for version in open_["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema["properties"] |= {part: {"x-kubernetes-preserve-unknown-fields": True} for part in parts}
        schema.pop("required")
    rig.apply(open_)
    try:
        yield
    finally:
        rig.apply(TIGHT[plural])
        eventually(lambda: is_refused(rig, plural), "the definition is tight again")


def is_refused(rig: Rig, plural: str) -> bool:
    kind = TIGHT[plural]["spec"]["names"]["kind"]
    body = {"apiVersion": API, "kind": kind, "metadata": {"name": "x", "namespace": "default"}, "spec": "text"}
    try:
        rig.call("POST", f"/apis/{API}/namespaces/default/{plural}?dryRun=All", body)
    except urllib.error.HTTPError as error:
        error.close()
        return True
    return False


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


def told(stage: Stage, type_: str = "Configured") -> dict[str, tuple[str, str]]:
    """Status and reason of a condition, by destination."""
    return {name: (c["status"], c["reason"]) for name, c in conditions(stage, type_).items()}


def conditions(stage: Stage, type_: str) -> dict[str, dict[str, Any]]:
    """The conditions of a type, by destination."""
    items = stage.rig.call("GET", f"/apis/{API}/namespaces/{stage.story.system}/destinations")["items"]
    found = {item["metadata"]["name"]: conditions_of(item) for item in items}
    return {name: said[type_] for name, said in found.items() if type_ in said}


def conditions_of(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By type, as far as there are conditions."""
    status = item.get("status", {})
    said = status.get("conditions", []) if isinstance(status, dict) else []
    return {condition["type"]: condition for condition in said} if isinstance(said, list) else {}


def unreadable(replica: Replica) -> dict[str, dict[str, Any]]:
    """What the UI names, by name."""
    status, body = replica.get("/api/meta", replica.ui)
    assert status == 200
    return {one["name"]: one for one in json.loads(body)["unreadable"]}


def edit(stage: Stage, path: str, spec: Any) -> None:
    stage.rig.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")


def destination_path(stage: Stage, name: str = "debug") -> str:
    return f"/apis/{API}/namespaces/{stage.story.system}/destinations/{name}"


def test_fault_54_objects_of_a_wrong_form_are_named_and_nobody_else_is_affected(
    stage: Stage, reference: Reference
) -> None:
    with loose(stage.rig, "destinations", "spec", "status"):
        eventually(lambda: is_accepted(stage), "the definition is loose")
    stage.story.add_destination()
    replica = stage.start()
    stage.story.instrument()
    named = {line["key"].partition("/")[2] for line in replica.events("object_undecodable")}
    assert named == set(WRONG)
    assert replica.metric('odigos_kube_undecodable_total{resource="destinations.odigos.io"}') >= len(WRONG)
    stage.story.until(lambda: len(conditions(stage, "Valid")) == len(SAYING), "each says so itself that can")
    said = conditions(stage, "Valid")
    for name, why in SAYING.items():
        assert (said[name]["status"], said[name]["reason"]) == ("False", "Invalid")
        assert said[name]["message"] == (
            f"odigos-cp cannot understand this Destination: {why}. Correct or delete it; "
            "until then odigos-cp does as if it were not there."
        )
    shown = unreadable(replica)
    assert {name: one["why"] for name, one in shown.items()}.items() >= SAYING.items()
    assert shown.keys() == WRONG.keys()
    assert all(one["why"].isprintable() for one in shown.values())
    untold = Counter(line["key"] for line in replica.events("reconcile_terminal"))
    where = f"{stage.story.system}/destinations"
    assert untold == {f"{where}/{name}": 1 for name in WRONG.keys() - SAYING.keys()}
    assert replica.metric("odigos_untold_total") == len(untold)
    stage.wait_quiet()
    for name in WRONG:
        correct(stage, name)
    stage.story.until(lambda: not unreadable(replica), "none is named any more")
    stage.story.until(lambda: not conditions(stage, "Valid"), "what was said is taken back")
    stage.story.until(lambda: told(stage).keys() == {"debug", *WRONG}, "and each has a condition as the others have")
    delete_all(stage, but="debug")
    stage.assert_state(reference.instrumented)
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_no_complaints()


def correct(stage: Stage, name: str) -> None:
    spec = {"type": "debug", "signals": ["TRACES"], "disabled": True}
    path = f"/apis/{API}/namespaces/{stage.story.system}/destinations/{name}"
    if "status" in WRONG[name]:  # a wrong status is passed on as it is, whoever writes the rest
        stage.rig.call("PATCH", f"{path}/status", {"status": None}, "application/merge-patch+json")
    found = stage.rig.call("GET", path)
    stage.rig.call("PUT", path, found | {"spec": spec})


def test_fault_54_what_was_understood_of_an_object_holds_while_it_cannot_be_understood(
    stage: Stage, reference: Reference
) -> None:
    replica = stage.start()
    stage.story.instrument()
    stage.wait_quiet()
    with loose(stage.rig, "destinations", "spec"):
        wrong = {"signals": ["SMELLS"]}
        eventually(lambda: is_edited(stage, destination_path(stage), wrong), "the definition is loose")
    stage.story.until(lambda: told(stage, "Valid") == {"debug": ("False", "Invalid")}, "it says so itself")
    assert conditions(stage, "Valid")["debug"]["message"].endswith("goes on with what it last understood of it.")
    assert unreadable(replica)["debug"]["known"]
    assert told(stage)["debug"] == ("True", "Configured")
    stage.wait_quiet()
    edit(stage, destination_path(stage), {"signals": ["TRACES"]})
    stage.story.until(lambda: not conditions(stage, "Valid"), "what was said is taken back")
    assert not unreadable(replica)
    stage.assert_state(reference.instrumented)
    stage.assert_no_complaints()


def test_fault_54_a_source_that_nothing_is_known_of_takes_no_agent_off_until_it_is_deleted(
    stage: Stage, reference: Reference
) -> None:
    path = f"/apis/{API}/namespaces/{stage.story.shop}/sources/cart"
    first = stage.start()
    stage.story.instrument()
    stage.wait_quiet()
    assert first.stop() == 0
    with loose(stage.rig, "sources", "spec"):
        wrong = {"containerOverrides": [{"containerName": "app", "runtimeInfo": {}}]}
        eventually(lambda: is_edited(stage, path, wrong), "the definition is loose")
    template = stage.story.template()
    replica = stage.start()
    stage.story.until(lambda: "Valid" in conditions_of(stage.rig.call("GET", path)), "it says so itself")
    stage.wait_quiet()
    assert not unreadable(replica)["cart"]["known"]
    assert stage.story.template() == template
    stage.story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_no_complaints()


def is_edited(stage: Stage, path: str, spec: Any) -> bool:
    try:
        edit(stage, path, spec)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    return True


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
