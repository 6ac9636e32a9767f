"""Faults 33, 34, 35 and hazard H1: several write to one object, writes conflict, and a write that nobody answers.

What is ours lands, what is not ours stays, and no write is waited for longer than its deadline.
"""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from aiohttp import web

from odigos_cp.api.builtin import CONFIG_MAPS
from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import Condition, Key, find_condition
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain.plan import Create, Delete, Plan, apply_status
from odigos_cp.kube import writes
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import ApiError, Conflict, NotFound, Unreachable
from odigos_cp.settings import Settings
from tests.faults import faults
from tests.faults.faults import OnceForEachKind, doubling, edited
from tests.faults.proxy import Aim, Exchange, Fault
from tests.faults.rig import Rig
from tests.faults.stage import Reference, Stage
from tests.faults.story import API
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

WRITES = Aim("write", "[!l]*")
STATUSES = Aim("write", subresource="status")
NOW = "2026-01-01T00:00:00Z"
EDITS_A_SECOND = 20


# 33


@pytest.mark.parametrize(
    ("aim", "times"), [pytest.param(WRITES, 1, id="once"), pytest.param(STATUSES, 3, id="statuses thrice")]
)
def test_fault_33_each_kind_of_write_is_answered_by_a_conflict_and_lands_in_the_end(
    stage: Stage, reference: Reference, aim: Aim, times: int
) -> None:
    proxy, conflicts = stage.proxy(), OnceForEachKind(faults.refuse(409, "Conflict"), times)
    proxy.on(aim, conflicts.fault)
    stage.start("replica-a", proxy)
    stage.assert_plays_as(reference, faults=0)
    aimed_at = reference.kinds if aim is WRITES else {kind for kind in reference.kinds if "/status" in kind}
    assert aimed_at <= conflicts.kinds


async def test_fault_33_a_delete_that_lost_a_race_is_no_success_and_one_of_what_was_replaced_is(stage: Stage) -> None:
    proxy, where = stage.proxy(), Key(stage.story.system, "thing")
    proxy.on(Aim("delete", "configmaps", nth=1), faults.refuse(409, "Conflict"))
    async with await Client.connect(str(stage.rig.kubeconfig("deleter", server=proxy.url))) as client:
        made = await client.create(CONFIG_MAPS, thing(where.namespace).body)
        with pytest.raises(Conflict):
            await Applier(client)(Plan((Delete(CONFIG_MAPS, where, made.uid),)))
        await Applier(client)(Plan((Delete(CONFIG_MAPS, where, "that-of-another"),)))
        assert (await client.get(CONFIG_MAPS, where)).metadata.uid == made.uid
        await Applier(client)(Plan((Delete(CONFIG_MAPS, where, made.uid),)))
        with pytest.raises(NotFound):
            await client.get(CONFIG_MAPS, where)


# 34


@dataclass
class Editor:
    """Somebody who writes to the same objects, many times a second, as long as it runs: a label and an annotation.

    An annotation of a Deployment is more than of any other kind: to Kubernetes that is a new generation of it.
    """

    rig: Rig
    paths: tuple[str, ...]
    last: dict[str, str] = field(default_factory=dict)
    """The number that each object should have: that of the last edit that was accepted."""

    edits: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(1 / EDITS_A_SECOND):
            self.edits += 1
            for path in self.paths:
                self.edit(path, str(self.edits))

    def edit(self, path: str, number: str | None) -> None:
        body = {"metadata": {"labels": {"editor": number}, "annotations": {"editor": number}}}
        try:
            self.rig.call("PATCH", path, body, "application/merge-patch+json")
        except urllib.error.HTTPError as error:
            error.close()
            self.last.pop(path, None)  # not there, now or yet
        else:
            self.last[path] = number or ""

    def found(self, path: str) -> str:
        metadata = self.rig.call("GET", path)["metadata"]
        label, annotation = (metadata.get(part, {}).get("editor", "") for part in ("labels", "annotations"))
        assert label == annotation
        return str(label)


@contextmanager
def editing(rig: Rig, *paths: str) -> Iterator[Editor]:
    editor = Editor(rig, paths)
    thread = threading.Thread(target=editor.run, name="editor")
    thread.start()
    try:
        yield editor
    finally:
        editor.over.set()
        thread.join()


def test_fault_34_an_editor_of_the_same_objects_loses_nothing_and_ours_lands(
    stage: Stage, reference: Reference
) -> None:
    story = stage.story
    paths = (
        f"/apis/{API}/namespaces/{story.shop}/instrumentedapplications/deployment-cart",
        f"/apis/{API}/namespaces/{story.system}/destinations/debug",
        f"/apis/apps/v1/namespaces/{story.shop}/deployments/cart",
    )
    stage.start()
    with editing(stage.rig, *paths) as editor:
        story.instrument()
        since = editor.edits
        eventually(lambda: editor.edits >= since + 5 * EDITS_A_SECOND, "five more seconds of edits")
    assert {path: editor.found(path) for path in paths} == editor.last
    for path in paths:
        editor.edit(path, None)
    stage.assert_state(reference.instrumented)
    story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_writes(reference.writes, faults=0)
    stage.assert_no_complaints()


# 35


def test_fault_35_those_who_share_a_status_lose_nothing_when_events_double_and_replies_are_lost(
    stage: Stage, reference: Reference
) -> None:
    proxy = stage.proxy()
    proxy.on(Aim("watch", "instrumentedapplications"), edited(doubling))
    lost = [
        proxy.on(Aim("patch", "instrumentedapplications", subresource="status", nth=n), faults.lose_the_reply)
        for n in (1, 2, 4)
    ]
    stage.start("replica-a", proxy)
    stage.assert_plays_as(reference, faults=0)
    assert [rule.hits for rule in lost] == [1, 1, 1]


async def test_fault_35_two_owners_of_conditions_of_one_status_never_lose_one(stage: Stage) -> None:
    """Each says its condition again and again; every third write of the two is done without an answer."""
    proxy, where = stage.proxy(), Key(stage.story.system, "debug")
    rule = proxy.on(Aim("patch", "destinations", subresource="status"), EachThird(faults.lose_the_reply).fault)
    stage.story.add_destination()
    async with await Client.connect(str(stage.rig.kubeconfig("owners", server=proxy.url))) as client:
        async with anyio.create_task_group() as owners:
            for name in ("First", "Second"):
                owners.start_soon(say_often, client, where, name)
        found = await client.get(DESTINATIONS, where)
    assert rule.hits >= 40
    for name in ("First", "Second"):
        condition = find_condition(found.status.conditions, name)
        assert condition is not None
        assert condition.message == "20"


class EachThird:
    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._count = 0

    async def fault(self, exchange: Exchange) -> web.StreamResponse:
        self._count += 1
        return await (self._fault(exchange) if self._count % 3 == 0 else exchange.forward())


async def say_often(client: Client, where: Key, name: str) -> None:
    apply = Applier(client)
    for n in range(1, 21):
        said = Condition(type=name, status="True", reason="Said", message=str(n), last_transition_time=NOW)
        while True:
            seen = await client.get(DESTINATIONS, where)
            try:
                await apply(Plan(told(seen, name, said)))
            except ApiError:
                continue
            break


def told(seen: Destination, name: str, said: Condition) -> tuple[Any, ...]:
    return apply_status(DESTINATIONS, seen, f"owner-{name.lower()}", {}, [said])


# 17, what is made under a name that is taken


def thing(namespace: str, **labels: str) -> Create:
    return Create(CONFIG_MAPS, {"metadata": {"name": "thing", "namespace": namespace, "labels": labels}})


async def test_fault_17_a_create_that_was_done_already_is_success(stage: Stage) -> None:
    proxy, plan = stage.proxy(), Plan((thing(stage.story.system, made="by-us"),))
    proxy.on(Aim("create", "configmaps", nth=1), faults.done_but_answered(504, "Timeout"))
    async with await Client.connect(str(stage.rig.kubeconfig("creator", server=proxy.url))) as client:
        with pytest.raises(ApiError):
            await Applier(client)(plan)
        await Applier(client)(plan)
    assert [seen.status for seen in proxy.requests(Aim("create"))] == [504, 409]


async def test_fault_17_a_create_under_the_name_of_somebody_elses_object_is_no_success(stage: Stage) -> None:
    async with await Client.connect(str(stage.rig.kubeconfig("creator"))) as client:
        await client.create(CONFIG_MAPS, thing(stage.story.system).body)
        with pytest.raises(Conflict, match=r"thing.*was not made by odigos-cp.*[Dd]elete it"):
            await Applier(client)(Plan((thing(stage.story.system, made="by-us"),)))


# H1


async def test_a_call_that_nobody_answers_ends_at_its_deadline_h1(stage: Stage) -> None:
    proxy, where = stage.proxy(), Key(stage.story.system, "thing")
    proxy.on(Aim(resource="configmaps"), faults.black_hole)
    config = str(stage.rig.kubeconfig("black-holed", server=proxy.url))
    async with await Client.connect(config, timeout=0.3) as client:
        for call in (
            client.get(CONFIG_MAPS, where),
            client.apply(CONFIG_MAPS, thing(where.namespace).body, manager="m"),
            client.delete(CONFIG_MAPS, where),
        ):
            with anyio.fail_after(3), writes.noted() as notes, pytest.raises(Unreachable, match="deadline"):
                await call
            assert all(note.ambiguous for note in notes)
    assert Settings().request_timeout == 15


def test_no_write_that_nobody_answers_is_missing_in_the_end_h1(stage: Stage, reference: Reference) -> None:
    proxy, once = stage.proxy(), OnceForEachKind(faults.black_hole)
    proxy.on(WRITES, once.fault)
    stage.start("replica-a", proxy, "--request-timeout=1")
    stage.assert_plays_as(reference, faults=0)
    assert reference.kinds <= once.kinds
