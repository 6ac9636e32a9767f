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
from odigos_cp.kube import fence
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, ServerError
from odigos_cp.kube.fence import NotLeading
from odigos_cp.kube.leader import LeaderGate, LostLeadership

pytestmark = pytest.mark.looptime

BLACK_HOLE = 1e9


class LeaseServer:
    """The one Lease, with optimistic locking. `delay` is per replica: how long its calls take."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.delay: dict[str, float] = {}
        self.lost_replies = 0
        """So many of the next writes happen and are answered with 504."""

    def seen_by(self, replica: str) -> Client:
        return cast(Client, _Connection(self, replica))

    def write(self, body: Mapping[str, Any]) -> Lease:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version), "uid": "u"}
        self.lease = {"metadata": metadata, "spec": dict(body["spec"])}
        return self.read()

    def write_and_answer(self, body: Mapping[str, Any]) -> Lease:
        lease = self.write(body)
        if self.lost_replies:
            self.lost_replies -= 1
            raise ServerError("gave up waiting", status=504)
        return lease

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
        lease = self._server.write_and_answer(body)
        return Written(kind, Key("ns", "l"), lease.metadata.resource_version, lease.metadata.uid, 0)

    async def replace(self, kind: Kind[Lease], key: Key, body: Mapping[str, Any]) -> Lease:
        await anyio.sleep(self._server.delay.get(self._replica, 0.01))
        if self._server.lease is None:
            raise Conflict("Precondition failed: UID in object meta: ", status=409)  # what a real one says
        if self._server.read().metadata.resource_version != body["metadata"]["resourceVersion"]:
            raise Conflict("changed", status=409)
        return self._server.write_and_answer(body)


class Replica:
    """Leads when it may, and notes from when to when."""

    def __init__(self, server: LeaseServer, name: str, lease_seconds: float = 15) -> None:
        self.gate = LeaderGate(
            server.seen_by(name), namespace="ns", name="l", identity=name, lease_seconds=lease_seconds
        )
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


@pytest.mark.parametrize("before", [None, {"holderIdentity": "", "leaseDurationSeconds": 1}])
async def test_a_server_that_was_always_slow_is_led_all_the_same_fault_18(before: dict[str, Any] | None) -> None:
    server = LeaseServer()
    if before:
        server.write({"metadata": {"name": "l"}, "spec": before})
    server.delay["one"] = 3
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        assert one.gate.leading
        await anyio.sleep(600)
        assert (one.gate.leading, one.lost) == (True, "")
        tasks.cancel_scope.cancel()


async def test_an_edit_that_a_slow_server_tells_of_late_does_not_cost_the_lease_faults_18_and_40() -> None:
    server = LeaseServer()
    server.delay["one"] = 1.5
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(30)
        server.edit(leaseDurationSeconds=3)
        await anyio.sleep(30)
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


def overlap(one: Replica, two: Replica) -> float:
    """So many seconds both worked."""
    spans = [(a, b) for a in one.led for b in two.led]
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in spans)


@pytest.mark.parametrize("at", [60.0 + tenth / 10 for tenth in range(0, 80, 7)])
@pytest.mark.parametrize("tamper", ["deleted", "emptied", "wiped", "duration 0"])
async def test_a_lease_that_was_tampered_with_is_not_taken_while_its_holder_works_fault_40(
    tamper: str, at: float
) -> None:
    server = LeaseServer()
    one, two = Replica(server, "one", lease_seconds=60), Replica(server, "two")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        tasks.start_soon(two.run)
        await anyio.sleep(at)
        assert server.lease
        if tamper == "deleted":
            server.lease = None
        elif tamper == "wiped":
            server.write({"metadata": server.lease["metadata"], "spec": {}})
        elif tamper == "emptied":
            server.edit(holderIdentity="")
        else:
            server.edit(leaseDurationSeconds=0)
        await anyio.sleep(200)
        assert (one.gate.leading, two.gate.leading, server.holder) == (True, False, "one")
        tasks.cancel_scope.cancel()


async def test_a_lease_that_stays_away_is_made_again_after_its_last_duration() -> None:
    server = LeaseServer()
    server.write({"metadata": {"name": "l"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 60}})
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        server.lease = None
        await anyio.sleep(55)
        assert not one.gate.leading
        await anyio.sleep(15)
        assert one.gate.leading
        tasks.cancel_scope.cancel()


async def test_a_former_life_of_the_same_pod_is_waited_for_like_any_other() -> None:
    server = LeaseServer()
    server.write({"metadata": {"name": "l"}, "spec": {"holderIdentity": "pod_1", "leaseDurationSeconds": 15}})
    again = Replica(server, "pod_2")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again.run)
        await anyio.sleep(14)
        assert not again.gate.leading
        await anyio.sleep(6)
        assert again.gate.leading
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_write_of_the_lease_that_happened_without_an_answer_is_recognised_fault_17(lost: int) -> None:
    server = LeaseServer()
    server.lost_replies = lost
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(12)
        assert one.gate.leading
        server.lost_replies = lost
        await anyio.sleep(60)
        assert (one.gate.leading, server.holder) == (True, "one")
        tasks.cancel_scope.cancel()


async def test_a_deleted_lease_whose_making_was_not_answered_is_recognised_faults_17_and_40() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(12)
        server.lease, server.lost_replies = None, 1
        await anyio.sleep(60)
        assert (one.gate.leading, server.holder) == (True, "one")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mine", [5.0, 60.0])
async def test_versions_with_other_durations_do_not_work_at_once_fault_41(mine: float) -> None:
    server = LeaseServer()
    one, two = Replica(server, "one", lease_seconds=20), Replica(server, "two", lease_seconds=mine)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(7)
        tasks.start_soon(two.run)
        await anyio.sleep(61)
        server.delay["one"] = BLACK_HOLE
        await anyio.sleep(200)
        assert two.gate.leading
        tasks.cancel_scope.cancel()
    assert overlap(one, two) == 0
    assert two.led[0][0] - one.led[0][1] >= 20 / 3 - 0.1


async def test_more_transitions_than_the_field_can_hold_stop_nobody() -> None:
    server = LeaseServer()
    spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 2**31 - 1}
    server.write({"metadata": {"name": "l"}, "spec": spec})
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(5)
        assert one.gate.leading
        tasks.cancel_scope.cancel()
    assert server.lease
    assert server.lease["spec"]["leaseTransitions"] == 2**31 - 1


async def test_a_stop_in_the_middle_of_taking_the_lease_leaves_it_free() -> None:
    server = LeaseServer()
    server.delay["one"] = 1.0
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        scope = await tasks.start(one.run)
        server.lost_replies = 1  # the create, whose delay ends at 2 s, happens; then it is read again
        await anyio.sleep(2.5)
        server.delay["one"] = 0.1
        scope.cancel()
    assert server.holder == ""
    assert one.led == []


class Writer:
    """Work that writes each 100 ms, and takes `seconds` for each write."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.refused: list[float] = []

    async def lead(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        while True:
            try:
                async with fence.writing("write", 15):
                    self.begun.append(anyio.current_time())
                    await anyio.sleep(self.seconds)
                    self.ended.append(anyio.current_time())
            except NotLeading:
                self.refused.append(anyio.current_time())
            await anyio.sleep(0.1)


async def test_a_stop_lets_the_write_under_way_end_and_gives_the_lease_back_after_it() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")
    writer = Writer(0.8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.run_while_leading, writer.lead)
        await anyio.sleep(1.5)
        stopped = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert len(writer.begun) == len(writer.ended)
    assert stopped < writer.ended[-1] < stopped + 1
    assert server.holder == ""


async def test_a_stop_does_not_wait_for_a_write_that_hangs_and_then_keeps_the_lease_until_it_runs_out() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.run_while_leading, Writer(BLACK_HOLE).lead)
        await anyio.sleep(4)
        stopped = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - stopped < 2
    assert server.holder == "one"


async def test_a_server_that_is_gone_does_not_hold_up_a_stop() -> None:
    server = LeaseServer()
    one = Replica(server, "one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(30)
        server.delay["one"] = BLACK_HOLE
        stopped = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - stopped < 3.5


async def test_work_that_does_not_end_when_it_is_cancelled_writes_nothing_after_the_deadline() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")
    writer = Writer(0.01)

    async def lead(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        with anyio.move_on_after(60, shield=True):
            await writer.lead()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until_lost, gate, lead)
        await anyio.sleep(5.1)
        server.delay["one"] = BLACK_HOLE
        began = anyio.current_time()
        await anyio.sleep(20)
        assert gate.deadline is not None
        assert max(writer.begun) < began + 10 < max(writer.refused)
        await anyio.sleep(40)
        assert gate.deadline is None


async def _until_lost(gate: LeaderGate, lead: Any) -> None:
    with pytest.raises(LostLeadership):
        await gate.run_while_leading(lead)


async def test_a_lease_that_another_has_ends_the_writes_at_once() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")
    after: list[str] = []

    async def lead(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            try:
                fence.check("a last word")
            except ApiError as error:
                after.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until_lost, gate, lead)
        await anyio.sleep(2)
        server.edit(holderIdentity="two")
    assert after == ["NotLeading"]


async def test_only_the_work_is_within_the_fence() -> None:
    server = LeaseServer()
    gate = LeaderGate(server.seen_by("one"), namespace="ns", name="l", identity="one")
    inside: list[float] = []

    async def lead(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with fence.writing("w", 1000) as allowed:
            inside.append(allowed.seconds)

    await gate.run_while_leading(lead)
    async with fence.writing("w", 1000) as allowed:
        outside = allowed.seconds
    assert 9 < inside[0] <= 10
    assert outside == 1000


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
