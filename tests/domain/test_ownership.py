"""Whose pod is it, and how far is the newest template?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from odigos_cp.api.builtin import Pod, Workload
from odigos_cp.api.meta import Key
from odigos_cp.domain import ownership
from odigos_cp.domain.ownership import Progress
from tests.builders import meta


def pod(owner_kind: str, owner_name: str, template: str = "", *, controller: bool = True) -> Pod:
    owner = {"kind": owner_kind, "name": owner_name, "uid": "u", "controller": controller}
    labels = {"pod-template-hash": template} if template else {}
    return msgspec.convert({"metadata": meta("p", "shop", ownerReferences=[owner], labels=labels)}, Pod)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (pod("ReplicaSet", "cart-6d4f", "6d4f"), "deployment-cart"),
        (pod("ReplicaSet", "cart-6d4f-77", "77"), "deployment-cart-6d4f"),
        (pod("StatefulSet", "db"), "statefulset-db"),
        (pod("DaemonSet", "log"), "daemonset-log"),
        (pod("ReplicaSet", "made-by-hand"), None),
        (pod("ReplicaSet", "cart-6d4f", "other"), None),
        (pod("StatefulSet", "db", controller=False), None),
        (pod("Job", "nightly"), None),
        (Pod(), None),
    ],
)
def test_a_pod_belongs_to_the_workload_that_made_it(of: Pod, expected: str | None) -> None:
    assert ownership.application_of(of) == (Key("shop", expected) if expected else None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deployment-cart", ("Deployment", "cart")),
        ("statefulset-deployment-x", ("StatefulSet", "deployment-x")),
        ("daemonset-a-b", ("DaemonSet", "a-b")),
        ("cart", None),
        ("deployment-", None),
        ("cronjob-x", None),
    ],
)
def test_an_applications_name_says_which_workload_it_is_about(name: str, expected: tuple[str, str] | None) -> None:
    assert ownership.workload_of(Key("shop", name)) == expected


def workload(status: dict[str, Any], *, generation: int = 2, **spec: Any) -> Workload:
    return msgspec.convert(
        {
            "metadata": meta("cart", "shop", generation=generation),
            "spec": {"replicas": 2} | spec,
            "status": {"observedGeneration": 2} | status,
        },
        Workload,
    )


DONE = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
HALF = {"replicas": 3, "updatedReplicas": 1, "availableReplicas": 2, "readyReplicas": 2}
STUCK = {"conditions": [{"type": "Progressing", "status": "False", "message": "exceeded its progress deadline"}]}
DAEMON_DONE = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}


@pytest.mark.parametrize(
    ("kind", "of", "expected"),
    [
        ("Deployment", workload(DONE), Progress.DONE),
        ("Deployment", workload(DONE, generation=3), Progress.UNSEEN),
        ("Deployment", workload(HALF, generation=3), Progress.ROLLING),
        ("Deployment", workload(HALF), Progress.ROLLING),
        ("Deployment", workload(DONE | {"replicas": 3}), Progress.ROLLING),
        ("Deployment", workload(DONE | {"availableReplicas": 1}), Progress.ROLLING),
        ("Deployment", workload(HALF | STUCK), Progress.STUCK),
        ("Deployment", workload(HALF | STUCK, generation=3), Progress.UNSEEN),
        ("Deployment", workload(HALF, generation=3, paused=True), Progress.PAUSED),
        ("Deployment", workload(HALF, paused=True), Progress.PAUSED),
        ("Deployment", workload({}, replicas=0), Progress.DONE),
        ("StatefulSet", workload(DONE | {"availableReplicas": 0}), Progress.DONE),
        ("StatefulSet", workload(HALF, updateStrategy={"type": "OnDelete"}), Progress.ON_DELETE),
        ("StatefulSet", workload(HALF, updateStrategy={"type": "RollingUpdate"}), Progress.ROLLING),
        ("DaemonSet", workload(DAEMON_DONE), Progress.DONE),
        ("DaemonSet", workload(DAEMON_DONE | {"updatedNumberScheduled": 1}), Progress.ROLLING),
        ("DaemonSet", workload({}), Progress.DONE),
    ],
)
def test_how_far_the_newest_template_is(kind: str, of: Workload, expected: Progress) -> None:
    assert ownership.rolled(kind, of).progress is expected
