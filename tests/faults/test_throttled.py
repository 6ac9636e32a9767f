"""Fault 15: the API server sheds load, by a real priority level that rejects, and asks for pauses.

They are kept; a pause of an hour is cut to a minute (tests/kube/test_client.py), and nobody else is held up.
"""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest
import structlog

from odigos_cp.api.builtin import CONFIG_MAPS
from odigos_cp.api.meta import Key
from odigos_cp.kube.client import Client
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import MAX_RETRY_AFTER
from odigos_cp.kube.reflector import Reflector
from odigos_cp.kube.store import Store
from odigos_cp.kube.stores import Stores
from tests.faults import faults
from tests.faults.audit import Entry
from tests.faults.proxy import Aim
from tests.faults.stage import Reference, Stage
from tests.faults.story import API
from tests.waiting import becomes, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PODS = "/api/v1/namespaces/default/pods"
FLOW = "flowcontrol.apiserver.k8s.io/v1"


@contextmanager
def rejecting(stage: Stage, user: str, verb: str, resource: str) -> Iterator[None]:
    """A priority level without a queue, for these requests of this user, who is not of the masters' group.

    Kubernetes gives each level one seat. It is taken by a request whose body never comes.
    """
    level, flow = f"none-{stage.story.system}", f"a-{stage.story.system}"
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    rule = {"verbs": [verb], "apiGroups": ["*"], "resources": [resource], "namespaces": ["*"]}
    who = {"kind": "User", "user": {"name": stage.name(user)}}
    schema = {
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": {"name": level},
        "rules": [{"subjects": [who], "resourceRules": [rule]}],
    }
    stage.rig.apply(
        administrator(stage.name(user)),
        flow_object("PriorityLevelConfiguration", level, {"type": "Limited", "limited": limited}),
        flow_object("FlowSchema", flow, schema),
    )
    try:
        eventually(lambda: is_matched(stage, user, flow), "the priority level is at work")
        with seat_taken(stage, user):
            yield
    finally:
        stage.rig.call("DELETE", f"/apis/{FLOW}/flowschemas/{flow}")
        stage.rig.call("DELETE", f"/apis/{FLOW}/prioritylevelconfigurations/{level}")


def administrator(user: str) -> dict[str, Any]:
    rbac = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": rbac}],
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
    }


def flow_object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": FLOW, "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_fault_15_a_real_429_is_asked_again_no_sooner_than_it_wishes_and_holds_up_nobody_else(
    stage: Stage, reference: Reference
) -> None:
    story, since = stage.story, stage.audit.position
    story.add_destination()
    with rejecting(stage, "replica-a", "create", "pods"):
        stage.start(groups=())
        story.ask()
        eventually(lambda: len(shed(stage, since)) >= 4, "the detector is refused again and again")
        assert configured(stage)
    refusals = shed(stage, since)
    assert all((later.began - one.ended).total_seconds() >= 0.99 for one, later in pairwise(refusals))
    story.instrument()
    stage.assert_state(reference.instrumented)
    stage.assert_no_complaints()


def is_matched(stage: Stage, user: str, flow: str) -> bool:
    """Asked with a body that is no pod, so that nothing is made of it."""
    uid = stage.rig.call("GET", f"/apis/{FLOW}/flowschemas/{flow}")["metadata"]["uid"]
    with refusal(stage, user) as answer:
        return bool(answer.headers["X-Kubernetes-Pf-Flowschema-Uid"] == uid)


def is_shed(stage: Stage, user: str) -> bool:
    with refusal(stage, user) as answer:
        return answer.code == 429 and answer.headers["Retry-After"] == "1"


def refusal(stage: Stage, user: str) -> urllib.error.HTTPError:
    """Of a pod that is none."""
    request = urllib.request.Request(
        stage.rig.url + PODS, data=b"{}", headers={"Content-Type": "application/json", "User-Agent": "the-test"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5, context=stage.rig.tls(stage.name(user), ()))
    return caught.value


@contextmanager
def seat_taken(stage: Stage, user: str) -> Iterator[None]:
    host, port = stage.rig.url.removeprefix("https://").split(":")
    tls = stage.rig.tls(stage.name(user), ())
    with socket.create_connection((host, int(port))) as plain, tls.wrap_socket(plain, server_hostname=host) as seat:
        head = f"POST {PODS} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        seat.sendall(head.encode())
        eventually(lambda: is_shed(stage, user), "load is shed")
        yield


def shed(stage: Stage, since: int) -> list[Entry]:
    entries = stage.audit.entries(since)
    return [e for e in entries if e.code == 429 and e.resource == "pods" and e.user_agent.startswith("odigos")]


def configured(stage: Stage) -> bool:
    found = stage.story.get(f"/apis/{API}/namespaces/{stage.story.system}/destinations/debug")
    return any(c["type"] == "Configured" and c["status"] == "True" for c in found["status"]["conditions"])


@pytest.mark.parametrize(("asked", "kept"), [(30, 30), (3600, MAX_RETRY_AFTER)])
async def test_fault_15_a_key_waits_as_long_as_it_is_told_and_the_others_go_on(
    stage: Stage, asked: int, kept: float
) -> None:
    proxy, namespace = stage.proxy(), stage.story.system
    rule = proxy.on(Aim("patch", "configmaps", "shed"), faults.refuse(429, "TooManyRequests", Retry_After=str(asked)))
    async with await Client.connect(str(stage.rig.kubeconfig("shed", server=proxy.url))) as client:
        for name in ("shed", "other"):
            await client.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": namespace}})
        stores, done = Stores(client), []
        stores.add(CONFIG_MAPS, namespace=namespace)

        async def reconcile(key: Key) -> Result | None:
            metadata = {"name": key.name, "namespace": key.namespace, "labels": {"seen": "yes"}}
            await client.apply(CONFIG_MAPS, {"metadata": metadata}, manager="test")
            done.append(key.name)
            return None

        controller = Controller("shed", reconcile, [Watch(CONFIG_MAPS)], stores, concurrency=1)
        with structlog.testing.capture_logs() as logs:
            async with anyio.create_task_group() as tasks:
                await tasks.start(stores.run)
                await tasks.start(controller.run)
                await becomes(lambda: "other" in done, "the other key is reconciled")
                await becomes(lambda: rule.hits, "the key is shed")
                # An event of it does not bring it forward.
                stage.rig.apply(config_map(namespace, "shed", "1"), config_map(namespace, "other", "1"))
                await becomes(lambda: done.count("other") >= 2, "the other key is reconciled again")
                assert rule.hits == 1
                tasks.cancel_scope.cancel()
    (failed,) = [line for line in logs if line["event"] == "reconcile_failed"]
    assert failed["retry_in"] == kept


def config_map(namespace: str, name: str, value: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


async def test_fault_15_a_cache_lists_no_sooner_than_it_is_told(stage: Stage) -> None:
    proxy, namespace, lists = stage.proxy(), stage.story.system, Aim("list", "configmaps")
    proxy.on(Aim("list", "configmaps", nth=1), faults.refuse(429, "TooManyRequests", Retry_After="2"))
    async with await Client.connect(str(stage.rig.kubeconfig("shed", server=proxy.url))) as client:
        reflector = Reflector(client, Store(CONFIG_MAPS, namespace=namespace))
        async with anyio.create_task_group() as tasks:
            await tasks.start(reflector.run)
            tasks.cancel_scope.cancel()
    first, second = proxy.requests(lists)
    assert 2.0 <= second.at - first.at < 5.0
