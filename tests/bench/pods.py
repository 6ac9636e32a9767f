"""Pods as a cluster has them: 8-10 kB of JSON each, of several managers, as many as wanted, in seconds.

A few are made as a cluster makes them: created by one manager, annotated by a second, their status written by a third.
What the API server then keeps in etcd is copied there under other names, uids, addresses and container ids. Events are
made in the same way: a pod is put into etcd again with the time in an annotation. So the API server's part in an event
is only what it does for the watch, and the writer costs nearly nothing beside it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import time
import urllib.error
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from tests.faults.rig import Rig

STAMP: Final = "odigos.io/injected"
"""The annotation that says when an event was made, by the monotonic clock, in nanoseconds: one that the view keeps."""
APPLICATIONS: Final = ("cart", "catalog", "checkout", "currency", "email", "frontend", "payment", "shipping")
NAMESPACES: Final = 20
BATCH: Final = 100
WRITERS: Final = 4
SEEN_SECONDS: Final = 60.0

# Stand-ins of the first pods; what takes their place is as long, so that the stored bytes stay well-formed.
NAMESPACE_MARK: Final = "shop-00"
NAME_MARK: Final = "zzzzz"
STAMP_MARK: Final = "0" * 20
ADDRESS_MARK: Final = "10.255.255.255"
CONTAINER_MARKS: Final = ("e" * 64, "f" * 64)
SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz"
MASTER_AT: Final = "2026-11-24T08:00:00Z"


class Pods:
    """All pods of the cluster. Only here are any made or changed."""

    def __init__(self, rig: Rig, etcd_port: int) -> None:
        self._rig = rig
        self._etcd_port = etcd_port
        self._etcd = _Etcd(etcd_port)
        self._masters = [self._master(application) for application in APPLICATIONS]
        self.count = 0
        self._touched = 0

    def grow(self, count: int) -> None:
        """There are so many afterwards, and the API server knows of them."""
        new = (self._pair(index, 1) for index in range(self.count, count))
        revision = 0
        while batch := list(islice(new, BATCH)):
            revision = self._etcd.put_all(batch)
        self.count = count
        if revision:
            self._wait_seen(revision)

    def burst(self, events: int) -> None:
        """So many events, one pod after the other, as fast as may be; the API server has them all afterwards."""
        indexes = list(self._next(events))
        with ThreadPoolExecutor(WRITERS) as pool:
            revisions = pool.map(self._put_each, [indexes[n::WRITERS] for n in range(WRITERS)])
        self._wait_seen(max(revisions))

    def drip(self, events: int, a_second: float) -> None:
        """One event after the other, at this pace."""
        began = time.monotonic()
        for number, index in enumerate(self._next(events)):
            time.sleep(max(0.0, began + number / a_second - time.monotonic()))  # the pace is what is asked for
            self._etcd.put(*self._pair(index, time.monotonic_ns()))

    def size(self) -> int:
        """Of one pod, in bytes of JSON, as clients get it."""
        return len(json.dumps(self._rig.call("GET", "/api/v1/pods?limit=1")["items"][0], separators=(",", ":")))

    def _put_each(self, indexes: Sequence[int]) -> int:
        etcd = _Etcd(self._etcd_port)
        revision = 0
        for index in indexes:
            revision = etcd.put(*self._pair(index, time.monotonic_ns()))
        etcd.close()
        return revision

    def _next(self, events: int) -> Iterator[int]:
        """Pods in turn, so that no event overtakes another of the same pod."""
        for _ in range(events):
            yield self._touched % self.count
            self._touched += 1

    def _pair(self, index: int, stamp: int) -> tuple[str, bytes]:
        """The key and value in etcd of the pod of this number."""
        application = APPLICATIONS[index % len(APPLICATIONS)]
        namespace, suffix = f"shop-{index % NAMESPACES:02}", _suffix(index)
        uid, stored = self._masters[index % len(APPLICATIONS)]
        digest = hashlib.sha256(str(index).encode()).hexdigest()
        changes = {
            NAMESPACE_MARK: namespace,
            NAME_MARK: suffix,
            uid: str(uuid.UUID(digest[:32])),
            ADDRESS_MARK: f"10.{100 + index // 22500}.{100 + index // 150 % 150}.{100 + index % 150}",
            CONTAINER_MARKS[0]: digest,
            CONTAINER_MARKS[1]: digest[::-1],
            STAMP_MARK: f"{stamp:020}",
        }
        for mark, text in changes.items():
            stored = stored.replace(mark.encode(), text.encode())
        return f"/registry/pods/{namespace}/{_name(application, suffix)}", stored

    def _master(self, application: str) -> tuple[str, bytes]:
        """The uid of a pod that was made as a cluster makes them, and what etcd holds of it. It is gone again."""
        path = f"/api/v1/namespaces/{NAMESPACE_MARK}/pods"
        name = _name(application, NAME_MARK)
        made = self._rig.call("POST", f"{path}?fieldManager=kube-controller-manager", pod(application))
        patch = "application/merge-patch+json"
        self._rig.call("PATCH", f"{path}/{name}?fieldManager=network-operator", network(), patch)
        self._rig.call("PATCH", f"{path}/{name}/status?fieldManager=kubelet", status(application), patch)
        stored = self._etcd.get(f"/registry/pods/{NAMESPACE_MARK}/{name}")
        self._rig.call("DELETE", f"{path}/{name}?gracePeriodSeconds=0")
        return made["metadata"]["uid"], stored

    def _wait_seen(self, revision: int) -> None:
        """The API server itself waits for what it has to know, but not for long."""
        query = f"limit=1&resourceVersion={revision}&resourceVersionMatch=NotOlderThan"
        deadline = time.monotonic() + SEEN_SECONDS
        while True:
            try:
                self._rig.call("GET", f"/api/v1/pods?{query}")
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.GATEWAY_TIMEOUT or time.monotonic() > deadline:
                    raise
            else:
                return


class _Etcd:
    """etcd's HTTP gateway, over one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, key: str) -> bytes:
        return base64.b64decode(self._call("range", {"key": _base64(key.encode())})["kvs"][0]["value"])

    def put(self, key: str, value: bytes) -> int:
        """The revision that it became."""
        answer = self._call("put", {"key": _base64(key.encode()), "value": _base64(value)})
        return int(answer["header"]["revision"])

    def put_all(self, pairs: Iterable[tuple[str, bytes]]) -> int:
        puts = [{"requestPut": {"key": _base64(key.encode()), "value": _base64(value)}} for key, value in pairs]
        return int(self._call("txn", {"success": puts})["header"]["revision"])

    def close(self) -> None:
        self._connection.close()

    def _call(self, what: str, body: dict[str, Any]) -> Any:
        self._connection.request("POST", f"/v3/kv/{what}", json.dumps(body))
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"etcd answered {answer.status}: {text[:500]!r}"
        return json.loads(text)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _suffix(index: int) -> str:
    """Five letters, as Kubernetes gives them."""
    letters = ""
    for _ in NAME_MARK:
        index, letter = divmod(index, len(SUFFIX_LETTERS))
        letters = SUFFIX_LETTERS[letter] + letters
    return letters


def _name(application: str, suffix: str) -> str:
    return f"{application}-{_template_hash(application)}-{suffix}"


def _template_hash(application: str) -> str:
    return hashlib.sha256(application.encode()).hexdigest()[:10]


def pod(application: str) -> dict[str, Any]:
    """As a ReplicaSet of a Helm chart makes them, after admission."""
    labels = {
        "app.kubernetes.io/name": application,
        "app.kubernetes.io/instance": f"{application}-production",
        "app.kubernetes.io/part-of": "online-shop",
        "app.kubernetes.io/version": "2.14.3",
        "helm.sh/chart": f"{application}-2.14.3",
        "pod-template-hash": _template_hash(application),
        "team": "storefront",
    }
    annotations = {
        STAMP: STAMP_MARK,
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "kubectl.kubernetes.io/restartedAt": MASTER_AT,
        "checksum/config": hashlib.sha256(application.encode()).hexdigest(),
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{application}-{_template_hash(application)}",
        "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, application)),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": _name(application, NAME_MARK),
            "generateName": f"{application}-{_template_hash(application)}-",
            "namespace": NAMESPACE_MARK,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": {
            "nodeName": f"ip-10-0-{len(application)}-17.eu-central-1.compute.internal",
            "serviceAccountName": application,
            "priority": 0,
            "securityContext": {"runAsNonRoot": True},
            "containers": [_application_container(application), _sidecar()],
            "volumes": [
                {"name": "config", "configMap": {"name": f"{application}-config"}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "kube-api-access", "projected": {"sources": _token_sources(), "defaultMode": 420}},
            ],
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ],
        },
    }


def _application_container(application: str) -> dict[str, Any]:
    env: list[dict[str, Any]] = [
        {"name": f"{other.upper()}_SERVICE_ADDR", "value": f"{other}.shop.svc.cluster.local:8080"}
        for other in APPLICATIONS[:2]
    ]
    env += [
        {"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": {"name": f"{application}-db", "key": "password"}}},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 2}
    return {
        "name": application,
        "image": f"registry.example.com/online-shop/{application}:2.14.3",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": env,
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "livenessProbe": probe,
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
            _token_mount(),
        ],
    }


def _sidecar() -> dict[str, Any]:
    return {
        "name": "proxy",
        "image": "registry.example.com/mesh/proxy:1.29.1",
        "args": ["--config", "/etc/proxy/config.yaml", "--log-level", "warning", "--admin", "127.0.0.1:15000"],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, _token_mount()],
    }


def _locked() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _token_mount() -> dict[str, Any]:
    return {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}


def _token_sources() -> list[dict[str, Any]]:
    return [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def network() -> dict[str, Any]:
    """What a network plug-in notes on each pod."""
    text = json.dumps([{"name": "cbr0", "interface": "eth0", "ips": [ADDRESS_MARK], "default": True, "dns": {}}])
    return {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": text}}}


def status(application: str) -> dict[str, Any]:
    """As the kubelet says it of a pod that is well."""
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    images = (
        (application, f"registry.example.com/online-shop/{application}:2.14.3"),
        ("proxy", "registry.example.com/mesh/proxy:1.29.1"),
    )
    return {
        "status": {
            "phase": "Running",
            "hostIP": "10.0.17.4",
            "hostIPs": [{"ip": "10.0.17.4"}],
            "podIP": ADDRESS_MARK,
            "podIPs": [{"ip": ADDRESS_MARK}],
            "qosClass": "Burstable",
            "startTime": MASTER_AT,
            "conditions": [
                {"type": type_, "status": "True", "lastTransitionTime": MASTER_AT, "observedGeneration": 1}
                for type_ in conditions
            ],
            "containerStatuses": [
                {
                    "name": name,
                    "image": image,
                    "imageID": f"{image.split(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
                    "containerID": f"containerd://{mark}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": MASTER_AT}},
                }
                for (name, image), mark in zip(images, CONTAINER_MARKS, strict=True)
            ],
        }
    }
