"""Faults 12 and 13, and 46 for a workload: what the control plane knows is behind what is.

12: API server B is cut off from the store. Whoever moves there with a list that may be old would travel in time, see a
past in which an object was about to be deleted, and delete it now. 13: the stream of one resource is held while all
others run: what was made is not seen, and must not be made again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.faults import oracles
from tests.faults.audit import AuditLog, Entry
from tests.faults.faults import Gate, moved_to
from tests.faults.node import Node
from tests.faults.proxy import Aim, Proxy
from tests.faults.rig import Rig, Second
from tests.faults.stage import Reference, Stage
from tests.faults.story import API, Story
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

HELD_SECONDS = 4.0
DELETES = ("delete", "deletecollection")


@pytest.fixture
def second(rig: Rig) -> Iterator[Second]:
    made = rig.second()
    yield made
    made.down()


@pytest.fixture
def busy_node(fake_node: Node) -> Iterator[Node]:
    """Its detectors never end."""
    fake_node.hold_detectors = True
    yield fake_node
    fake_node.hold_detectors = False


# 12: another server, in the past


def reads_move(proxy: Proxy, second: Second) -> None:
    for verb in ("list", "watch", "get"):
        proxy.on(Aim(verb, "[!l]*"), moved_to(second.url))


def deletes(stage: Stage, second: Second) -> list[Entry]:
    """Those that replicas asked for, at either server, whether they succeeded or not."""
    names = {stage.name(user) for user in stage.users}
    both = stage.audit.entries(stage.since) + AuditLog(second.audit_log).entries()
    return [entry for entry in both if entry.verb in DELETES and entry.user in names]


def remove_destination(story: Story) -> None:
    story.delete(f"/apis/{API}/namespaces/{story.system}/destinations/debug")


def uids(stage: Stage) -> dict[str, str]:
    """Of all that the control plane may delete."""
    found = {}
    for root, resource, namespace in (
        (f"/apis/{API}", "instrumentedapplications", stage.story.shop),
        (f"/apis/{API}", "collectorsgroups", stage.story.system),
        ("/api/v1", "configmaps", stage.story.system),
        ("/api/v1", "pods", stage.story.system),
    ):
        for item in stage.rig.call("GET", f"{root}/namespaces/{namespace}/{resource}")["items"]:
            found[f"{resource}/{item['metadata']['name']}"] = item["metadata"]["uid"]
    return found


def test_fault_12_a_replica_that_starts_on_a_server_in_the_past_deletes_nothing(
    stage: Stage, reference: Reference, second: Second
) -> None:
    """In that past nothing is wanted any more: the application, the groups and all that they own would go."""
    story = stage.story
    first = stage.start("replica-a")
    story.instrument()
    stage.wait_quiet()
    assert first.stop() == 0
    story.take_back()
    remove_destination(story)
    before, since = uids(stage), stage.audit.position
    _wait_until_it_knows(stage, second)
    second.relay.freeze()
    story.ask()
    story.add_destination()
    _start_in_the_past(stage, second)
    stage.assert_state(reference.instrumented)
    assert uids(stage) == before
    stage.since = since
    assert not deletes(stage, second)


def test_fault_12_a_detector_at_work_is_not_deleted_from_the_past(
    stage: Stage, second: Second, busy_node: Node
) -> None:
    story = stage.story
    first = stage.start("replica-a")
    story.ask()
    detector = story.until(lambda: _detectors(stage), "a detector is at work")
    stage.wait_quiet()
    assert first.stop() == 0
    story.take_back()
    since = stage.audit.position
    _wait_until_it_knows(stage, second)
    second.relay.freeze()
    story.ask()
    _start_in_the_past(stage, second)
    stage.wait_quiet()
    assert _detectors(stage) == detector
    stage.since = since
    assert not deletes(stage, second)


def test_fault_12_a_replica_that_is_moved_to_a_server_in_the_past_writes_nothing_until_that_is_over(
    stage: Stage, reference: Reference, second: Second
) -> None:
    story = stage.story
    proxy = stage.proxy()
    _wait_until_it_knows(stage, second)
    second.relay.freeze()
    stage.start("replica-a", proxy)
    story.instrument()
    stage.wait_quiet()
    since = stage.audit.position
    reads_move(proxy, second)
    moved = time.monotonic()
    proxy.reset()
    eventually(lambda: proxy.requests(Aim("watch"))[-1].at > moved, "it has moved")
    stage.wait_quiet(HELD_SECONDS)
    written = [e for e in stage.audit.entries(since) if e.user == stage.name("replica-a") and e.is_write]
    assert not [entry for entry in written if oracles.matters(entry)]
    second.relay.mend()
    story.take_back_and_wait()
    stage.assert_state(reference.back)
    stage.assert_no_complaints()


# 13 and 46: a stream that is held


@pytest.mark.parametrize("resource", ["pods", "deployments", "collectorsgroups", "instrumentedapplications"])
def test_fault_13_what_was_made_behind_a_held_stream_is_not_made_again(
    stage: Stage, reference: Reference, resource: str
) -> None:
    gate = held(stage, resource)
    story = stage.story
    gate.close()
    story.add_destination()
    story.ask()
    eventually(lambda: gate.held, f"an event of {resource} is held")
    _stays(lambda: len(_detectors(stage)) <= 1, "there is a second detector")
    gate.open()
    story.until(story.is_instrumented, "the application is instrumented")
    stage.assert_state(reference.instrumented)
    made = Counter(entry.object for entry in stage.writes() if entry.code == 201)
    assert set(made.values()) == {1}, "something was made twice"
    assert sum(entry.verb == "create" and entry.resource == "pods" for entry in stage.writes()) == 1, "one detector"
    stage.assert_no_complaints()


def test_fault_46_a_workload_deleted_and_made_again_in_a_gap_is_instrumented_anew(
    stage: Stage, reference: Reference
) -> None:
    gate = held(stage, "deployments")
    story = stage.story
    path = f"/apis/apps/v1/namespaces/{story.shop}/deployments/cart"
    story.instrument()
    stage.wait_quiet()
    gate.close()
    story.delete(path)
    story.until(lambda: not _left(story), "the workload is gone, and its pods")
    stage.rig.apply(story.deployment())
    eventually(lambda: gate.held, "its end is held, and so is what comes after")
    gate.open()
    uid = story.get(path)["metadata"]["uid"]
    story.until(lambda: story.is_instrumented() and _owner(story) == uid, "the new workload is instrumented")
    stage.assert_state(reference.instrumented)
    stage.assert_no_complaints()


def held(stage: Stage, resource: str) -> Gate:
    """A replica that leads, with this stream behind a gate that is open."""
    proxy = stage.proxy()
    gate = Gate(proxy)
    proxy.on(Aim("watch", resource), gate.fault)
    stage.start("replica-a", proxy).wait_leading()
    return gate


def _left(story: Story) -> list[str]:
    """Of the workload: what comes too early after it gets another name for its pods than in the reference run."""
    places = ("/apis/apps/v1", "deployments"), ("/apis/apps/v1", "replicasets"), ("/api/v1", "pods")
    listed = [story.get(f"{root}/namespaces/{story.shop}/{resource}")["items"] for root, resource in places]
    return [item["metadata"]["name"] for items in listed for item in items]


def _owner(story: Story) -> str:
    return str(story.application()["metadata"]["ownerReferences"][0]["uid"])


def _wait_until_it_knows(stage: Stage, second: Second) -> None:
    """B's caches are where A's are: when it is cut off, its past is now."""
    stage.story.until(lambda: _cached(stage, second.url) == _cached(stage, stage.rig.url), "B is up to date")


def _cached(stage: Stage, server: str) -> list[str]:
    """Each object in a server's caches, with its version."""
    found = []
    for root, resource in oracles.LISTED:
        items = stage.rig.call("GET", f"{root}/{resource}?resourceVersion=0", server=server)["items"]
        found += [f"{resource} {item['metadata']['uid']} {item['metadata']['resourceVersion']}" for item in items]
    return sorted(found)


def _detectors(stage: Stage) -> dict[str, str]:
    return {name: uid for name, uid in uids(stage).items() if name.startswith("pods/odigos-detector")}


def _start_in_the_past(stage: Stage, second: Second) -> None:
    """A replica that begins beside a server in the past leads only when that is over."""
    proxy = stage.proxy("replica-b")
    reads_move(proxy, second)
    replica = stage.start("replica-b", proxy)
    replica.wait("it has asked the server in the past", lambda: len(proxy.requests(Aim("list"))) >= 5)
    _stays(lambda: not replica.events("leading"), "a replica leads with caches of the past")
    second.relay.mend()
    replica.wait_leading(60)


def _stays(holds: Callable[[], bool], otherwise: str) -> None:
    """The time that passes is the fault: what is wrong would be done within it."""
    deadline = time.monotonic() + HELD_SECONDS
    while time.monotonic() < deadline:
        assert holds(), otherwise
        time.sleep(0.1)
