"""A node without a kubelet: it takes every pod that wants to run, and says that it runs, or how it ended.

It looks and writes as an administrator by plain HTTPS, not by the runtime that is tested. A detector's pod is answered
with a report that calls every container what `language` says.
"""

from __future__ import annotations

import json
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from odigos_cp.domain.detector_pod import COMPONENT, COMPONENT_LABEL
from tests.faults.rig import Rig

NAME = "node-a"
PERIOD_SECONDS = 0.1
NOW = "2026-01-01T00:00:00Z"
CONTAINER_ID = "containerd://" + "c0ffee00" * 8


class Node:
    """Made by `with node(rig) as node`. `hold_detectors` keeps detectors running for ever."""

    def __init__(self, rig: Rig, language: str) -> None:
        self.language = language
        self.hold_detectors = False
        self.detectors: set[str] = set()
        """The uid of every detector pod that was ever seen."""
        self.errors: list[str] = []
        self._rig = rig
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)

    def start(self) -> None:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}}
        self._rig.apply(body)
        ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}]}
        self._write(f"/api/v1/nodes/{NAME}/status", {"status": ready})
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._over.wait(PERIOD_SECONDS):
            try:
                for pod in self._rig.call("GET", "/api/v1/pods")["items"]:
                    self._look_after(pod)
            except urllib.error.HTTPError as error:
                # Deleted or changed meanwhile, or a server that fails as the test wants it to: the next look is soon.
                self.errors.append(f"{error.code} {error.url}")
            except OSError:
                continue

    def _look_after(self, pod: dict[str, Any]) -> None:
        metadata, status = pod["metadata"], pod.get("status", {})
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        is_detector = metadata.get("labels", {}).get(COMPONENT_LABEL) == COMPONENT
        if is_detector:
            self.detectors.add(metadata["uid"])
        if metadata.get("deletionTimestamp"):
            self._rig.call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
        elif not pod["spec"].get("nodeName"):
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}}
            self._rig.call("POST", f"{path}/binding", binding | {"target": {"kind": "Node", "name": NAME}})
        elif is_detector:
            if status.get("phase") == "Pending" and not self.hold_detectors:
                self._write(f"{path}/status", {"status": self._answered(pod)})
        elif status.get("phase") == "Pending":
            self._write(f"{path}/status", {"status": _running(pod)})

    def _answered(self, pod: dict[str, Any]) -> dict[str, Any]:
        message = json.dumps(report(pod["spec"]["containers"][0]["args"], self.language))
        ended = {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": NOW, "finishedAt": NOW}
        return {"phase": "Succeeded", "containerStatuses": [_container(pod, {"terminated": ended}, ready=False)]}

    def _write(self, path: str, body: dict[str, Any]) -> None:
        self._rig.call("PATCH", path, body, "application/merge-patch+json")


@contextmanager
def node(rig: Rig, language: str = "java") -> Iterator[Node]:
    made = Node(rig, language)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def report(arguments: list[str], language: str) -> dict[str, Any]:
    """What the detector would print when asked with these arguments."""
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    targets = [value.split("=", 1) for flag, value in pairs if flag == "--target"]
    evidence = [{"rule": "test", "saw": "", "says": language, "weight": 90}]
    verdict = {"verdict": language, "version": "17.0.1", "confidence": 90, "evidence": evidence, "envKnown": True}
    containers = [{"name": name, "id": id_[:12]} | verdict for name, id_ in targets]
    return {"schema": 1, "nonce": dict(pairs)["--nonce"], "containers": containers}


def _running(pod: dict[str, Any]) -> dict[str, Any]:
    states = [_container(pod, {"running": {"startedAt": NOW}}, ready=True, n=n) for n in range(_count(pod))]
    types = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    conditions = [{"type": type_, "status": "True", "lastTransitionTime": NOW} for type_ in types]
    return {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions, "containerStatuses": states}


def _count(pod: dict[str, Any]) -> int:
    return len(pod["spec"]["containers"])


def _container(pod: dict[str, Any], state: dict[str, Any], *, ready: bool, n: int = 0) -> dict[str, Any]:
    container = pod["spec"]["containers"][n]
    common = {"name": container["name"], "image": container["image"], "imageID": f"sha256:{container['image']}"}
    return common | {
        "containerID": CONTAINER_ID,
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    }
