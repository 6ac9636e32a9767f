"""Fault 29: told to stop, in each state it can be in, it ends within 5 s with code 0.

The Lease is given back wherever nothing of this replica can still happen, and then the next one leads at once; else it
runs out by itself.
"""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from odigos_cp.app import CLUSTER_WIDE, LEASE
from tests.faults import faults
from tests.faults.proxy import Aim
from tests.faults.stage import Stage
from tests.replicas import Replica
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

SECONDS = 6
FLAG = f"--lease-seconds={SECONDS}"
STOP_SECONDS = 5.0
AT_ONCE_SECONDS = SECONDS / 2
"""Less than a Lease that runs out would take."""
MID_WRITE = Aim("patch", "[!l]*", nth=2)


def test_fault_29_while_it_reads_the_cluster(stage: Stage) -> None:
    proxy = stage.proxy()
    proxy.on(Aim("list"), faults.black_hole)
    replica = stage.start("replica-a", proxy)
    eventually(lambda: proxy.count(Aim("list")) >= len(CLUSTER_WIDE), "the lists have begun")
    assert replica.get("/healthz")[0] == 200
    stops_in_time(replica)
    assert holder(stage) is None


def test_fault_29_while_the_api_server_does_not_answer_at_all(stage: Stage) -> None:
    proxy = stage.proxy()
    proxy.on(Aim(), faults.black_hole)
    replica = stage.start("replica-a", proxy)
    eventually(lambda: proxy.seen, "the first call")
    stops_in_time(replica)


def test_fault_29_while_it_waits_for_the_lease(stage: Stage) -> None:
    leader = stage.start("replica-a")
    leader.wait_leading()
    held = holder(stage)
    waiting = stage.start("replica-b")
    eventually(lambda: waiting.events("waiting_for_leadership"), "the second waits")
    stops_in_time(waiting)
    assert held
    assert holder(stage) == held
    stops_in_time(leader)
    assert holder(stage) == ""


def test_fault_29_while_it_leads_and_a_page_is_open(stage: Stage) -> None:
    replica, follower = leading_and_waiting(stage)
    with socket.create_connection(("127.0.0.1", replica.ui), timeout=5) as page:
        page.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        assert b"200" in page.recv(64)
        stops_in_time(replica)
    leads_within(follower, AT_ONCE_SECONDS)
    stage.assert_no_complaints()


def test_fault_29_in_the_middle_of_a_write_that_is_answered_soon(stage: Stage) -> None:
    """It is waited for, and what it did is known: nothing is left open."""
    proxy = stage.proxy("replica-a")
    replica, follower = leading_and_waiting(stage, proxy.url)
    rule = proxy.on(MID_WRITE, faults.delay(0.5))
    write_something(stage)
    eventually(lambda: rule.hits, "the write that is held")
    stops_in_time(replica)
    assert proxy.requests(MID_WRITE)[1].status < 300
    assert replica.events("lease_released")
    leads_within(follower, AT_ONCE_SECONDS)
    stage.assert_no_complaints()


def test_fault_29_in_the_middle_of_a_write_that_is_never_answered(stage: Stage) -> None:
    """It may happen as long as its deadline has not passed, so the Lease is not given back: it runs out."""
    proxy = stage.proxy("replica-a")
    replica, follower = leading_and_waiting(stage, proxy.url)
    rule = proxy.on(MID_WRITE, faults.black_hole)
    write_something(stage)
    eventually(lambda: rule.hits, "the write that is held")
    held = holder(stage)
    stops_in_time(replica)
    assert held
    assert holder(stage) == held
    assert "may still happen" in replica.events("lease_not_released")[0]["why"]
    follower.wait_leading(20)
    last, first = stage.lease_writes("replica-a")[-1], stage.lease_writes("replica-b")[0]
    assert (first.ended - last.ended).total_seconds() > SECONDS - 1
    stage.assert_no_complaints()


def test_fault_29_while_it_leads_and_the_api_server_is_black_holed(stage: Stage) -> None:
    relay = stage.relay(stage.proxy("replica-a"))
    replica, follower = leading_and_waiting(stage, f"http://127.0.0.1:{relay.port}")
    relay.freeze()
    write_something(stage)
    stops_in_time(replica)
    assert replica.events("lease_not_released")
    follower.wait_leading(20)
    stage.assert_no_complaints()


def test_fault_29_while_its_watches_wait_to_be_tried_again(stage: Stage) -> None:
    proxy = stage.proxy("replica-a")
    proxy.on(Aim("watch"), faults.refuse(503, "ServiceUnavailable"))
    replica, follower = leading_and_waiting(stage, proxy.url)
    eventually(lambda: proxy.count(Aim("watch")) > len(CLUSTER_WIDE), "watches that were tried again")
    stops_in_time(replica)
    leads_within(follower, AT_ONCE_SECONDS)
    stage.assert_no_complaints()


def leading_and_waiting(stage: Stage, server: str = "") -> tuple[Replica, Replica]:
    replica = stage.start("replica-a", None, FLAG, server=server)
    replica.wait_leading()
    follower = stage.start("replica-b", None, FLAG)
    eventually(lambda: follower.events("waiting_for_leadership"), "the second waits")
    return replica, follower


def write_something(stage: Stage) -> None:
    stage.story.add_destination()
    stage.story.ask()


def stops_in_time(replica: Replica) -> None:
    began = time.monotonic()
    assert replica.stop() == 0, replica.tail()
    assert time.monotonic() - began < STOP_SECONDS, replica.tail()


def leads_within(replica: Replica, seconds: float) -> None:
    eventually(lambda: replica.events("leadership_won"), "the next one leads", seconds)


def holder(stage: Stage) -> Any:
    """None when there is no Lease, nothing when it was given back."""
    found = stage.story.get(f"/apis/coordination.k8s.io/v1/namespaces/{stage.story.system}/leases/{LEASE}")
    return found["spec"].get("holderIdentity", "") if found else None
