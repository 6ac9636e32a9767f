"""How do we know that a run under a fault went well? By what a run without one leaves behind, and by its traces.

O1  the end state equals that of a reference run: `differences(reference, found)` of two `state(rig, ...)`
O2  each object was written as often as in the reference run, and once more at most for each fault: `surplus(...)`
O4  quiet: nothing is written once all is well: `wait_quiet(...)`
O5  no traceback, no task whose error nobody looked at, no reconcile that crashed: `complaints(log)`

What differs between any two runs (uids, versions, times, addresses, hashes of such) is masked, and nothing else.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.audit import AuditLog, Entry
from tests.faults.rig import Rig

LISTED: tuple[tuple[str, str], ...] = (
    ("/api/v1", "pods"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "services"),
    ("/api/v1", "serviceaccounts"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "daemonsets"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/odigos.io/v1alpha1", "sources"),
    ("/apis/odigos.io/v1alpha1", "destinations"),
    ("/apis/odigos.io/v1alpha1", "instrumentedapplications"),
    ("/apis/odigos.io/v1alpha1", "collectorsgroups"),
    ("/apis/odigos.io/v1alpha1", "odigosconfigurations"),
    ("/apis/odigos.io/v1alpha1", "instrumentationrules"),
    ("/apis/odigos.io/v1alpha1", "actions"),
)
MASKED_FIELDS = frozenset(
    {
        *("uid", "resourceVersion", "generation", "observedGeneration", "managedFields", "creationTimestamp"),
        *("deletionTimestamp", "lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime"),
        *("startTime", "startedAt", "finishedAt", "since", "queuedSince", "time", "renewTime", "acquireTime"),
        *("throughput", "lastError"),  # of autoscaler/traffic, which works by the clock
        *("clusterIP", "clusterIPs", "podIP", "podIPs", "hostIP", "hostIPs", "containerID", "nodePort"),
    }
)
MASKED_CONDITIONS = frozenset({"Delivering"})
MASKED_MESSAGES = frozenset({"NewReplicaSetAvailable"})
"""Reasons whose message names the ReplicaSet for which Kubernetes first said so, which may be the one before."""
BY_THE_CLOCK = frozenset({"odigos-autoscaler-traffic"})
"""Field managers of controllers that write when their time has come: no run has as many of it as another."""
MASKED_ANNOTATIONS = frozenset({"deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"})
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes random names of."""
IDENTITY = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a uid
    r"|\b[0-9a-f]{10,64}\b"  # a hash
    rf"|\b{SAFE}{{8,10}}\b(?=-{SAFE}{{5}}\b|\"|$|-$)"  # of a pod template
    rf"|(?<=-){SAFE}{{5}}$"  # a generated name's end
)
"""Each is masked by the number of its first appearance, so that two that were equal stay so."""
COMPLAINTS = ("Traceback (most recent call last)", "never retrieved", "was never awaited", "reconcile_crashed")

State = Mapping[str, Any]


def state(rig: Rig, *namespaces: str) -> State:
    """All objects of ours and of the user in these namespaces, masked."""
    mask = _Mask(namespaces)
    found: dict[str, Any] = {}
    for namespace in namespaces:
        past = _past_configurations(rig, namespace)
        for root, resource in LISTED:
            items = rig.call("GET", f"{root}/namespaces/{namespace}/{resource}")["items"]
            for item in sorted(items, key=lambda item: item["metadata"]["name"]):
                if not item["metadata"].get("deletionTimestamp") and not past(resource, item["metadata"]["name"]):
                    path = f"{resource} {mask(namespace)}/{IDENTITY.sub('*', item['metadata']['name'])}"
                    found[path if path not in found else f"{path} (one more)"] = mask(item)
    return found


def _past_configurations(rig: Rig, namespace: str) -> Callable[[str, str], bool]:
    """Configurations of collectors that hold no longer. Some are kept to go back to; which, is a matter of what was
    seen first: a gateway whose Source was known before its Destination had one that sends nothing anywhere."""
    groups = rig.call("GET", f"/apis/odigos.io/v1alpha1/namespaces/{namespace}/collectorsgroups")["items"]
    names = [group["metadata"]["name"] for group in groups]
    hold = {f"{group['metadata']['name']}-{group.get('status', {}).get('configHash')}" for group in groups}

    def is_past(resource: str, name: str) -> bool:
        return resource == "configmaps" and name.rpartition("-")[0] in names and name not in hold

    return is_past


def masked(value: Any, *namespaces: str) -> Any:
    """One value without what differs between any two runs."""
    return _Mask(namespaces)(value)


class _Mask:
    """Takes out of values what differs between any two runs."""

    def __init__(self, namespaces: Sequence[str]) -> None:
        self._namespaces = {name: f"NAMESPACE{number}" for number, name in enumerate(namespaces)}
        self._identities: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            masked = MASKED_FIELDS | MASKED_ANNOTATIONS
            if str(value.get("reason")) in MASKED_MESSAGES:
                masked |= {"message"}
            kept = {k: v for k, v in value.items() if k not in masked}
            return {self._text(k): self(v) for k, v in sorted(kept.items())}
        if isinstance(value, list):
            return [self(inner) for inner in value if not self._is_masked_condition(inner)]
        return self._text(value) if isinstance(value, str) else value

    def _is_masked_condition(self, value: Any) -> bool:
        return isinstance(value, dict) and value.get("type") in MASKED_CONDITIONS and "reason" in value

    def _text(self, text: str) -> str:
        for name, word in self._namespaces.items():
            text = text.replace(name, word)
        return IDENTITY.sub(lambda found: self._identity(found[0]), TIME.sub("TIME", text))

    def _identity(self, text: str) -> str:
        return self._identities.setdefault(text, f"IDENTITY{len(self._identities)}")


def differences(reference: State, found: State) -> list[str]:
    """O1. Each line names an object, a field and both values; empty is equality."""
    lines = []
    for path in sorted(reference.keys() | found.keys()):
        if path not in found:
            lines.append(f"{path}: missing")
        elif path not in reference:
            lines.append(f"{path}: should not be there")
        else:
            lines += [f"{path}: {line}" for line in _compared(reference[path], found[path])]
    return lines


def writes_by_object(writes: Iterable[Entry], namespaces: Sequence[str]) -> Counter[str]:
    """How often each object was written, by verb: what O2 compares."""
    return Counter(f"{entry.verb} {_object(entry, namespaces)}" for entry in writes)


def surplus(reference: Counter[str], found: Counter[str], faults: int) -> list[str]:
    """O2. Objects made or deleted more often than in the reference run plus once a fault, or never.

    How often a status is written depends on what happens to be seen together: twice as often is still no storm.
    """
    lines = [f"{what}: never" for what in sorted(reference) if what not in found]
    more = {what: found[what] - reference[what] for what in found if found[what] > reference[what]}
    hard = {what: count for what, count in more.items() if not what.startswith(("patch ", "update "))}
    if sum(hard.values()) > faults:
        lines += [f"{what}: {count} more than without a fault" for what, count in sorted(hard.items())]
    soft = {what: count for what, count in more.items() if what not in hard and count > reference[what] + 2 + faults}
    return lines + [f"{what}: {count} more than without a fault" for what, count in sorted(soft.items())]


def wait_quiet(audit: AuditLog, users: Sequence[str], seconds: float, within: float = 60.0) -> None:
    """O4. Returns once these users have written nothing for so long; fails, saying what they write, if never."""
    deadline = time.monotonic() + within
    since, quiet_from = audit.position, time.monotonic()
    latest: list[Entry] = []
    while time.monotonic() - quiet_from < seconds:
        position = audit.position
        if written := [entry for entry in audit.writes(since=since) if entry.user in users and matters(entry)]:
            latest, quiet_from = written, time.monotonic()
        since = position
        assert time.monotonic() < deadline, "not quiet: " + ", ".join(map(str, latest))
        time.sleep(0.1)


def complaints(log: Path) -> list[str]:
    """O5. The lines of a process's log that no fault excuses."""
    lines = log.read_text(errors="replace").splitlines()
    return [line[:2000] for line in lines if any(word in line for word in COMPLAINTS)]


def matters(entry: Entry) -> bool:
    """Leases and Events come by the clock, too."""
    return entry.resource not in ("leases", "events") and entry.manager not in BY_THE_CLOCK


def _object(entry: Entry, namespaces: Sequence[str]) -> str:
    resource, _, place = entry.object.partition(" ")
    namespace, _, name = place.rpartition("/")
    if namespace in namespaces:
        namespace = f"NAMESPACE{namespaces.index(namespace)}"
    return f"{resource} {namespace}/{IDENTITY.sub('*', name)}"


def _compared(one: Any, other: Any, path: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [line for key in keys for line in _compared(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(_ordered(one), _ordered(other), strict=True))
        return [line for n, (a, b) in pairs for line in _compared(a, b, f"{path}[{n}]")]
    return [] if one == other else [f"{path}: {_short(one)} became {_short(other)}"]


def _ordered(items: list[Any]) -> list[Any]:
    """Lists of objects with a type or a name are sets: their order is that of who wrote first."""
    if all(isinstance(item, dict) and ("type" in item or "name" in item) for item in items):
        return sorted(items, key=lambda item: str(item.get("type", item.get("name"))))
    return items


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 200 else text[:200] + "..."
