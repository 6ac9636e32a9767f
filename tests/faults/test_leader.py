"""Faults 18 and 37 to 39: a leader that dies, stops, or cannot be heard any more, in the middle of its writes.

The audit log is the witness: once the next leader has begun to write, the former one writes nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime

import pytest
from aiohttp import web

from odigos_cp.kube import clock
from odigos_cp.settings import Settings
from tests.faults import faults
from tests.faults.proxy import Aim, Exchange, Fault
from tests.faults.stage import Reference, Stage
from tests.replicas import Replica

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

LEASE = 6
SHORT = f"--lease-seconds={LEASE}"
TAKEOVER_SECONDS = 20.0
IN_THE_MIDDLE = Aim("write", "[!l]*", nth=5)
"""The story has some fifteen writes until the application is instrumented."""
ENDED_BY_ITSELF = (1, 3)
"""The Lease is lost; or the watchdog was faster."""


def test_fault_37_a_leader_that_is_killed_is_followed_within_20_seconds(stage: Stage, reference: Reference) -> None:
    """With the Lease as it is in production."""
    assert Settings().lease_seconds == 15
    proxy = stage.proxy("replica-a")
    leader = started(stage, "replica-a", proxy.url)
    leader.wait_leading()
    follower = started(stage, "replica-b")
    follower.wait_ready()
    died = Moment(leader.end)
    proxy.on(IN_THE_MIDDLE, faults.kill_after(died))
    stage.assert_plays_as(reference, faults=1)
    assert (said(follower, "leading") - died.at).total_seconds() < TAKEOVER_SECONDS
    stage.assert_handed_over("replica-a", "replica-b")


@pytest.mark.parametrize("done", [False, True], ids=["held-on-its-way", "done-without-an-answer"])
def test_fault_38_a_leader_that_was_stopped_beyond_its_lease_writes_nothing_when_it_goes_on(
    stage: Stage, reference: Reference, done: bool
) -> None:
    """It is stopped in the middle of a write, and goes on in the middle of its follower's writes."""
    ways = {user: stage.proxy(user) for user in ("replica-a", "replica-b")}
    leader = started(stage, "replica-a", ways["replica-a"].url, SHORT)
    leader.wait_leading()
    follower = started(stage, "replica-b", ways["replica-b"].url, SHORT)
    follower.wait_ready()
    stage.given_up.append(leader)
    stopped = ways["replica-a"].on(IN_THE_MIDDLE, stopping(leader, done=done))
    awake = ways["replica-b"].on(Aim("write", "[!l]*", nth=3), waking(leader))
    stage.assert_plays_as(reference, faults=1)
    assert (stopped.hits, awake.hits) == (1, 1)
    assert leader.process.returncode in ENDED_BY_ITSELF, leader.tail()
    stage.assert_handed_over("replica-a", "replica-b")


def test_fault_39_h2_a_leader_that_is_black_holed_has_stopped_before_another_leads(
    stage: Stage, reference: Reference
) -> None:
    """Every connection of it stays open, and not a byte passes any more."""
    proxy = stage.proxy("replica-a")
    relay = stage.relay(proxy)
    leader = started(stage, "replica-a", f"http://127.0.0.1:{relay.port}", SHORT)
    leader.wait_leading()
    follower = started(stage, "replica-b", "", SHORT)
    follower.wait_ready()
    stage.given_up.append(leader)
    fell = Moment(relay.freeze)
    rule = proxy.on(IN_THE_MIDDLE, after(fell))
    stage.assert_instruments_as(reference)
    assert rule.hits == 1
    assert leader.wait_ended() in ENDED_BY_ITSELF
    assert said(leader, "leadership_lost") < said(follower, "leadership_won")
    assert (said(follower, "leading") - fell.at).total_seconds() < TAKEOVER_SECONDS
    stage.assert_handed_over("replica-a", "replica-b")


def test_fault_18_an_api_server_that_takes_a_fifth_of_the_lease_for_each_call_costs_time_only(
    stage: Stage, reference: Reference
) -> None:
    """3 s of 15 s, scaled."""
    proxy = stage.proxy("replica-a")
    proxy.on(Aim(), faults.delay(LEASE / 5))
    replica = started(stage, "replica-a", proxy.url, SHORT)
    replica.wait_leading(60)
    stage.story.seconds = 120
    stage.assert_instruments_as(reference)
    assert replica.stop() == 0


@pytest.mark.parametrize("done", [False, True], ids=["before-it-is-done", "before-it-is-answered"])
def test_fault_18_a_leader_whose_calls_take_longer_than_its_lease_gives_it_up_and_never_shares_it(
    stage: Stage, reference: Reference, done: bool
) -> None:
    """20 s of 15 s, scaled. The other replica has a good way."""
    proxy = stage.proxy("replica-a")
    leader = started(stage, "replica-a", proxy.url, SHORT, f"--request-timeout={LEASE}")
    leader.wait_leading()
    follower = started(stage, "replica-b", "", SHORT)
    follower.wait_ready()
    stage.given_up.append(leader)
    slow = faults.delay(LEASE * 4 / 3, after_commit=done)
    rule = proxy.on(IN_THE_MIDDLE, after(lambda: proxy.on(Aim(), slow)))
    stage.assert_instruments_as(reference)
    assert rule.hits == 1
    assert leader.wait_ended() in ENDED_BY_ITSELF
    assert said(leader, "leadership_lost") < said(follower, "leadership_won")
    stage.assert_handed_over("replica-a", "replica-b")


class Moment:
    """Does something, and knows when."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.at = clock.now()
        self._what = what

    def __call__(self) -> None:
        self.at = clock.now()
        self._what()


def started(stage: Stage, user: str, server: str = "", *flags: str) -> Replica:
    return stage.start(user, None, *flags, server=server)


def said(replica: Replica, event: str) -> datetime:
    """When its log said so first."""
    found = replica.events(event)
    assert found, f"no {event}:\n{replica.tail()}"
    return datetime.fromisoformat(found[0]["timestamp"])


def after(what: Callable[[], object]) -> Fault:
    """The request goes through; then this happens, before the client hears of it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.forward()
        await asyncio.to_thread(what)
        return answer

    return fault


def stopping(replica: Replica, *, done: bool) -> Fault:
    """The process is stopped in the middle of this write. Done, its answer lies ready for when it goes on."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        replica.send(signal.SIGSTOP)
        if done:
            return await exchange.forward()
        return await faults.black_hole(exchange)

    return fault


def waking(replica: Replica) -> Fault:
    """That process goes on, and has ended, before this request does."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        replica.send(signal.SIGCONT)
        await asyncio.to_thread(replica.wait_ended, 10)
        return await exchange.forward()

    return fault
