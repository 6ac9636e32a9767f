"""One leader at a time, whatever happens to the API server, the Lease or the clock. Time is virtual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio
import msgspec
import pytest
from anyio.abc import TaskStatus

from odigos_cp.api.builtin import Lease
from odigos_cp.api.meta import Key, Kind
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.errors import AlreadyExists, Conflict, NotFound
from odigos_cp.kube.leader import LeaderGate, LostLeadership

pytestmark = pytest.mark.looptime

BLACK_HOLE = 1e9


class LeaseServer:
    """The one Lease, with optimistic locking. `delay` is per replica: how long its calls take."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.delay: dict[str, float] = {}

    def seen_by(self, replica: str) -> Client:
        return cast(Client, _Connection(self, replica))

    def write(self, body: Mapping[str, Any]) -> Lease:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version), "uid": "u"}
        self.lease = {"metadata": metadata, "spec": dict(body["spec"])}
        return self.read()

    def edit(self, **spec: Any) -> None:
        """What a person does with kubectl."""
        assert self.lease
        self.write({"metadata": self.lease["metadata"], "spec": self.lease["spec"] | spec})

    def read(self) -> Lease:
        if self.lease is None:
            raise NotFound("no lease", status=404)
        return msgspec.convert(self.lease, Lease)

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""


class _Connection:
    def __init__(self, server: LeaseServer, replica: str) -> None:
        self._server = server
        self._replica = replica

    async def get(self, kind: Kind[Lease], key: Key) -> Lease:
        await anyio.sleep(self._server.delay.get(self._replica, 0.01))
        return self._server.read()

    async def create(self, kind: Kind[Lease], body: Mapping[str, Any]) -> Written:
        await anyio.sleep(self._server.delay.get(self._replica, 0.01))
        if self._server.lease is not None:
            raise AlreadyExists("there", status=409)
        lease = self._server.write(body)
        return Written(kind, Key("ns", "l"), lease.metadata.resource_version, lease.metadata.uid, 0)

    async def replace(self, kind: Kind[Lease], key: Key, body: Mapping[str, Any]) -> Lease:
        await anyio.sleep(self._server.delay.get(self._replica, 0.01))
        if self._server.read().metadata.resource_version != body["metadata"]["resourceVersion"]:
            raise Conflict("changed", status=409)
        return self._server.write(body)


class Replica:
    """Leads when it may, and notes from when to when."""

    def __init__(self, server: LeaseServer, name: str) -> None:
        self.gate = LeaderGate(server.seen_by(name), namespace="ns", name="l", identity=name, lease_seconds=15)
        self.led: list[tuple[float, float]] = []
        self.lost = ""

    async def run(self, *, task_status: TaskStatus[anyio.CancelScope] = anyio.TASK_STATUS_IGNORED) -> None:
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            try:
                await self.gate.run_while_leading(self._lead)
            except LostLeadership as error:
                self.lost = str(error)

    async def _lead(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        began = anyio.current_time()
        try:
            await anyio.sleep_forever()
        finally:
            self.led.append((began, anyio.current_time()))


async def test_the_first_leads_and_the_second_waits() -> None:
    server = LeaseServer()
    one, two = Replica(server, "one"), Replica(server, "two")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(600)
        assert [one.gate.leading, two.gate.leading].count(True) == 1
        tasks.cancel_scope.cancel()


async def test_a_leader_that_is_stopped_gives_the_lease_back_after_its_work_has_ended() -> None:
    server = LeaseServer()
    one, two = Replica(server, "one"), Replica(server, "two")
    async with anyio.create_task_group() as tasks:
        scope = await tasks.start(one.run)
        await anyio.sleep(30)
        tasks.start_soon(two.run)
        await anyio.sleep(30)
        scope.cancel()
        await anyio.sleep(4)
        assert two.gate.leading
        tasks.cancel_scope.cancel()
    assert one.led[0][1] <= two.led[0][0]


async def test_a_leader_that_cannot_reach_the_server_has_stopped_before_another_may_start_h2() -> None:
    server = LeaseServer()
    one, two = Replica(server, "one"), Replica(server, "two")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(31)
        tasks.start_soon(two.run)
        await anyio.sleep(31)
        server.delay["one"] = BLACK_HOLE
        await anyio.sleep(60)
        assert two.gate.leading
        tasks.cancel_scope.cancel()
    assert "no renewal" in one.lost
    assert two.led[0][0] - one.led[0][1] >= 15 / 3 - 0.1


async def test_a_slow_server_does_not_cost_the_lease() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        server.delay["one"] = 3
        await anyio.sleep(600)
        assert (one.gate.leading, one.lost) == (True, "")
        tasks.cancel_scope.cancel()


async def test_a_dead_leader_is_followed_after_one_lease() -> None:
    server = LeaseServer()
    dead = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "leaseTransitions": 3}
    server.write({"metadata": {"name": "l"}, "spec": dead})
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(14)
        assert not one.gate.leading
        await anyio.sleep(6)
        assert one.gate.leading
        tasks.cancel_scope.cancel()
    assert server.lease
    assert server.lease["spec"]["leaseTransitions"] == 4


@pytest.mark.parametrize(
    "garbage",
    [
        {"renewTime": "2099-01-01T00:00:00.000000Z"},
        {"renewTime": "yesterday"},
        {"leaseDurationSeconds": None, "renewTime": None},
        {"leaseDurationSeconds": -7},
        {"leaseTransitions": None},
    ],
)
async def test_nonsense_in_the_lease_delays_nobody_beyond_the_duration(garbage: dict[str, Any]) -> None:
    server = LeaseServer()
    server.write({"metadata": {"name": "l"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15} | garbage})
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(20)
        assert one.gate.leading
        tasks.cancel_scope.cancel()


async def test_a_lease_that_claims_to_last_for_ever_is_taken_in_the_end() -> None:
    server = LeaseServer()
    server.write({"metadata": {"name": "l"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 10**9}})
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(310)
        assert one.gate.leading
        tasks.cancel_scope.cancel()


async def test_an_edit_of_the_lease_that_leaves_the_holder_is_written_over() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        server.edit(renewTime="2099-01-01T00:00:00.000000Z", leaseTransitions=None)
        await anyio.sleep(30)
        assert (one.gate.leading, server.holder) == (True, "one")
        tasks.cancel_scope.cancel()


async def test_a_deleted_lease_is_made_again() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        server.lease = None
        await anyio.sleep(30)
        assert (one.gate.leading, server.holder) == (True, "one")
        tasks.cancel_scope.cancel()


async def test_a_lease_given_to_another_by_hand_ends_the_work_at_the_next_renewal() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        server.edit(holderIdentity="two")
        await anyio.sleep(6)
        tasks.cancel_scope.cancel()
    assert "held by two" in one.lost
    assert server.holder == "two"


async def test_work_that_fails_ends_the_leader_and_gives_the_lease_back_h3() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")

    async def lead(**_: object) -> None:
        await anyio.sleep(20)
        raise ZeroDivisionError("oh")

    with pytest.raises(BaseExceptionGroup) as caught:
        await gate.run_while_leading(lead)
    assert caught.group_contains(ZeroDivisionError)
    assert (gate.leading, server.holder) == (False, "")


@pytest.mark.parametrize(("lease", "renew"), [(0, 1), (301, 5), (15, 8), (15, 0)])
async def test_times_that_cannot_work_are_refused(lease: float, renew: float) -> None:
    with pytest.raises(ValueError, match="lease"):
        LeaderGate(cast(Client, None), namespace="", name="", identity="", lease_seconds=lease, renew_seconds=renew)
