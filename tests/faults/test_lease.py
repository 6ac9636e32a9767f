"""Fault 40: an administrator edits, empties, deletes the Lease or writes nonsense into it, while one leads or waits."""

from __future__ import annotations

import urllib.error
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import anyio
import pytest

from odigos_cp.api.builtin import LEASES
from odigos_cp.api.meta import Key
from odigos_cp.app import LEASE
from odigos_cp.kube import clock
from odigos_cp.kube.client import Client
from odigos_cp.kube.leader import LeaderGate
from tests.faults.audit import AuditLog
from tests.faults.rig import Rig
from tests.faults.stage import Reference, Stage
from tests.replicas import Replica
from tests.waiting import becomes, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ROOT = "/apis/coordination.k8s.io/v1"
SECONDS = 3
FAR = "2099-01-01T00:00:00.000000Z"
MOST = 2**31 - 1


@dataclass(frozen=True)
class Hand:
    """An administrator's, on one Lease."""

    rig: Rig
    namespace: str
    name: str = LEASE

    @property
    def path(self) -> str:
        return f"{ROOT}/namespaces/{self.namespace}/leases/{self.name}"

    def spec(self) -> dict[str, Any]:
        try:
            return dict(self.rig.call("GET", self.path).get("spec", {}))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise

    def make(self, **spec: Any) -> None:
        body = {"metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec}
        self.rig.call("POST", self.path.rpartition("/")[0], body)

    def edit(self, **spec: Any) -> None:
        self.rig.call("PATCH", self.path, {"spec": spec}, "application/merge-patch+json")

    def wipe(self) -> None:
        self.rig.call("PATCH", self.path, {"spec": None}, "application/merge-patch+json")

    def decorate(self) -> None:
        metadata = {"annotations": {"x": "\u202e" + "y" * 100_000}, "labels": {"z": "z"}}
        self.rig.call("PATCH", self.path, {"metadata": metadata}, "application/merge-patch+json")

    def delete(self) -> None:
        self.rig.call("DELETE", self.path)


Tamper = Callable[[Hand], None]
TAMPERS: dict[str, Tamper] = {
    "time in 2099": lambda hand: hand.edit(renewTime=FAR, acquireTime=FAR),
    "time in year 1": lambda hand: hand.edit(renewTime="0001-01-01T00:00:00.000000Z"),
    "no time": lambda hand: hand.edit(renewTime=None, acquireTime=None),
    "shorter": lambda hand: hand.edit(leaseDurationSeconds=1),
    "no duration": lambda hand: hand.edit(leaseDurationSeconds=None),
    "transitions": lambda hand: hand.edit(leaseTransitions=MOST),
    "emptied": lambda hand: hand.edit(holderIdentity=""),
    "wiped": Hand.wipe,
    "decorated": Hand.decorate,
    "deleted": Hand.delete,
}
"""What leaves the holder, or takes him out."""
FOR_EVER: dict[str, Tamper] = {"for ever": lambda hand: hand.edit(leaseDurationSeconds=MOST)}
"""Who waits for a dead holder does so for 300 s then: proven in virtual time (tests/kube/test_leader.py)."""


def test_fault_40_what_is_written_into_the_lease_of_a_leader_is_written_over_and_nobody_else_leads(
    stage: Stage, reference: Reference
) -> None:
    leader, follower = _two(stage)
    hand = Hand(stage.rig, stage.story.system)
    holder = hand.spec()["holderIdentity"]
    stage.story.add_destination()
    stage.story.ask()
    for what, tamper in (TAMPERS | FOR_EVER).items():
        tampered_at = clock.now()
        tamper(hand)
        eventually(partial(_is_as_before, hand, holder, tampered_at), f"as before after {what}", 10)
        stage.check()
    stage.assert_instruments_as(reference)
    assert (leader.events("leadership_lost"), follower.events("leading")) == ([], [])


def test_fault_40_a_lease_given_to_another_by_hand_ends_the_leader_and_is_followed_when_it_has_run_out(
    stage: Stage, reference: Reference
) -> None:
    leader, follower = _two(stage)
    stage.given_up.append(leader)
    stage.story.add_destination()
    stage.story.ask()
    given_at = clock.now()
    Hand(stage.rig, stage.story.system).edit(holderIdentity="nobody\n\u202eat all" * 1000, renewTime=FAR)
    assert leader.wait_ended(10) == 1
    assert "no longer leads" in leader.events("stopped")[0]["reason"]
    stage.assert_instruments_as(reference)
    led_at = datetime.fromisoformat(follower.events("leading")[0]["timestamp"])
    assert SECONDS <= (led_at - given_at).total_seconds() < 20
    stage.assert_handed_over("replica-a", "replica-b")


@pytest.mark.parametrize("duration", [0, -1, 2**31])
def test_fault_40_a_duration_that_is_no_duration_is_refused_by_the_api_server_itself(
    stage: Stage, duration: int
) -> None:
    hand = Hand(stage.rig, stage.story.system)
    with pytest.raises(urllib.error.HTTPError) as refused:
        hand.make(holderIdentity="ghost", leaseDurationSeconds=duration)
    refused.value.close()
    assert refused.value.code in (400, 422)


async def test_fault_40_nonsense_in_the_lease_of_a_dead_holder_delays_who_waits_by_its_duration_and_no_longer(
    rig: Rig,
) -> None:
    """It waits anew from the moment of the edit, by its own clock, and then leads: all cases at once."""
    waits: dict[str, float] = {}
    async with await Client.connect(str(rig.kubeconfig())) as client, anyio.create_task_group() as tasks:
        for what in TAMPERS:
            tasks.start_soon(_wait_for_the_dead, rig, client, f"lease-{uuid.uuid4().hex[:6]}", what, waits)
    assert waits.keys() == TAMPERS.keys()
    early_or_late = {what: wait for what, wait in waits.items() if not SECONDS <= wait < SECONDS * 3}
    assert not early_or_late


async def _wait_for_the_dead(rig: Rig, client: Client, name: str, what: str, waits: dict[str, float]) -> None:
    hand, audit = Hand(rig, "default", name), AuditLog(rig.audit_log)
    since = audit.position
    await anyio.to_thread.run_sync(lambda: hand.make(holderIdentity="ghost", leaseDurationSeconds=SECONDS))
    gate = LeaderGate(client, namespace="default", name=name, identity="heir", lease_seconds=SECONDS)
    seen = anyio.Event()

    async def lead(**_: object) -> None:
        seen.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.run_while_leading, lead)
        await becomes(lambda: _was_read(audit, since, name), "the first look")
        began = anyio.current_time()
        await anyio.to_thread.run_sync(TAMPERS[what], hand)
        await seen.wait()
        waits[what] = anyio.current_time() - began
    given_back = await client.get(LEASES, Key("default", name))
    assert not given_back.spec.holder_identity
    await anyio.to_thread.run_sync(hand.delete)


def _two(stage: Stage) -> tuple[Replica, Replica]:
    """One that leads, and one that waits."""
    flag = f"--lease-seconds={SECONDS}"
    leader = stage.start("replica-a", None, flag)
    leader.wait_leading()
    follower = stage.start("replica-b", None, flag)
    follower.wait_ready()
    return leader, follower


def _was_read(audit: AuditLog, since: int, name: str) -> bool:
    return any((entry.verb, entry.name, entry.code) == ("get", name, 200) for entry in audit.entries(since))


def _is_as_before(hand: Hand, holder: str, since: datetime) -> bool:
    spec = hand.spec()
    if not spec.get("renewTime"):
        return False
    renewed = datetime.fromisoformat(spec["renewTime"])
    fresh = since <= renewed <= clock.now()
    return fresh and (spec["holderIdentity"], spec["leaseDurationSeconds"]) == (holder, SECONDS)
