"""A world of dictionaries in which the collectors' plans are carried out: a small API server, and a small Kubernetes.

Server-side apply as far as it matters here: a manager's fields are what its last apply had, conditions are a list by
type, and what changes nothing counts as no write. Kubernetes makes pods ready, and collects what has lost its owner.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, PODS, SERVICES
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS, NODE_GROUP
from odigos_cp.api.configuration import Collectors
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import SYSTEM_NAMESPACE, CustomResource, Key, Kind, key_of
from odigos_cp.domain import assignment, conditions, configuring, groups, objects
from odigos_cp.domain.objects import GROUP_LABEL, Collector
from odigos_cp.domain.plan import Apply, Create, Delete, Plan, Write

COLLECTOR = Collector("collector:1", "/otelcol")
Object = dict[str, Any]


@dataclass
class World:
    now: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    sizes: Collectors = field(default_factory=Collectors)
    objects: dict[tuple[str, Key], Object] = field(default_factory=dict)
    applied: dict[tuple[str, Key, str, str], Object] = field(default_factory=dict)
    kinds: dict[str, Kind[Any]] = field(default_factory=dict)
    made: int = 0
    well: Callable[[str], bool] = lambda hash_: True
    """Whether a collector with the configuration of this hash gets ready."""

    # The API server

    def put(self, kind: Kind[Any], resource: CustomResource) -> None:
        """What a user writes."""
        body = resource.model_dump(by_alias=True, exclude_none=True, mode="json")
        there = self.objects.get((str(kind), key_of(resource)))
        if there:
            body = there | {"spec": body["spec"]}
            body["metadata"] = there["metadata"] | {"generation": there["metadata"]["generation"] + 1}
        else:
            body["metadata"] |= {"uid": self._uid(), "generation": 1}
        self._set(kind, key_of(resource), body)

    def remove(self, kind: Kind[Any], key: Key) -> None:
        self.objects.pop((str(kind), key), None)
        for name in [n for n in self.applied if n[:2] == (str(kind), key)]:
            del self.applied[name]

    def all(self, kind: Kind[Any]) -> list[Any]:
        return [kind.decode(json.dumps(o).encode()) for (k, _), o in sorted(self.objects.items()) if k == str(kind)]

    def get(self, kind: Kind[Any], name: str, namespace: str = SYSTEM_NAMESPACE) -> Any:
        found = self.objects.get((str(kind), Key(namespace, name)))
        return kind.decode(json.dumps(found).encode()) if found else None

    def carry_out(self, plan: Plan | Iterable[Write]) -> int:
        """How many of its writes changed something."""
        writes = plan.writes if isinstance(plan, Plan) else plan
        return sum(self._carry_out(w) for w in writes)

    def _carry_out(self, write: Write) -> bool:
        name = (str(write.kind), write.key)
        if isinstance(write, Delete):
            if self.objects.get(name, {}).get("metadata", {}).get("uid") == write.uid:
                self.remove(write.kind, write.key)
                return True
            return False
        if isinstance(write, Create):
            if name in self.objects:
                return False
            self._make(write.kind, write.key, write.body)
            return True
        return self._apply(write)

    def _apply(self, write: Apply) -> bool:
        name = (str(write.kind), write.key)
        if (
            write.subresource
            and self.objects.get(name, {}).get("metadata", {}).get("uid") != (write.body["metadata"]["uid"])
        ):
            return False
        body = json.loads(json.dumps(write.body))
        slot = (*name, write.manager, write.subresource)
        before = self.applied.get(slot)
        self.applied[slot] = body
        if name not in self.objects:
            self._make(write.kind, write.key, body)
            return True
        if before == body:
            return False
        there = self.objects[name]
        if write.subresource:
            there["status"] = _merged(there.get("status", {}), before, body)
        else:
            there |= {k: v for k, v in body.items() if k not in ("metadata", "status")}
            there["metadata"]["labels"] = body["metadata"].get("labels", {})
            there["metadata"]["generation"] += 1
        return True

    def _make(self, kind: Kind[Any], key: Key, body: Mapping[str, Any]) -> None:
        made = copy.deepcopy(dict(body))
        stamp = {"uid": self._uid(), "generation": 1, "creationTimestamp": conditions.rfc3339(self.now)}
        self._set(kind, key, made | {"metadata": made["metadata"] | stamp})

    def _set(self, kind: Kind[Any], key: Key, body: Object) -> None:
        self.kinds[str(kind)] = kind
        self.objects[str(kind), key] = body

    def _uid(self) -> str:
        self.made += 1
        return f"uid-{self.made}"

    # Kubernetes

    def kubernetes(self) -> None:
        """One look of the garbage collector and of the controllers of Deployments and DaemonSets."""
        uids = {o["metadata"]["uid"] for o in self.objects.values()}
        for (plural, key), found in list(self.objects.items()):
            owners = found["metadata"].get("ownerReferences", [])
            if owners and not {o["uid"] for o in owners} & uids:
                self.remove(self.kinds[plural], key)
        for kind, count in ((DEPLOYMENTS, None), (DAEMON_SETS, 2)):
            for workload in self.all(kind):
                self._roll(kind, self.objects[str(kind), key_of(workload)], count)

    def _roll(self, kind: Kind[Any], workload: Object, count: int | None) -> None:
        """Old pods go only when the new one is well."""
        name, template = workload["metadata"]["name"], workload["spec"]["template"]
        hash_ = template["metadata"]["annotations"][objects.CONFIG_HASH_ANNOTATION]
        wanted = workload["spec"].get("replicas", count)
        pods = [p for p in self.all(PODS) if p.metadata.labels.get(GROUP_LABEL) == name]
        if self.well(hash_):
            for pod in pods:
                self.remove(PODS, key_of(pod))
            for number in range(wanted):
                self._pod(name, hash_, number, workload["metadata"]["uid"])
            ready = wanted
        else:
            ready = len([p for p in pods if p.ready])
        workload["status"] = {
            "observedGeneration": workload["metadata"]["generation"],
            "availableReplicas": ready,
            "numberReady": ready,
            "desiredNumberScheduled": wanted,
        }

    def _pod(self, group: str, hash_: str, number: int, owner: str) -> None:
        name = f"{group}-{hash_}-{number}"
        metadata = {
            "name": name,
            "namespace": SYSTEM_NAMESPACE,
            "uid": f"pod-{name}",
            "labels": {GROUP_LABEL: group},
            "annotations": {objects.CONFIG_HASH_ANNOTATION: hash_},
            "ownerReferences": [{"uid": owner}],
        }
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self._set(PODS, Key(SYSTEM_NAMESPACE, name), {"metadata": metadata, "status": status})

    # The controllers, as they observe

    def configure(self) -> Plan:
        found = {g.metadata.name: g for g in self.all(GROUPS)}
        running = {
            objects.config_map_name(p.metadata.labels[GROUP_LABEL], p.metadata.annotations[hash_])
            for p in self.all(PODS)
            if (hash_ := objects.CONFIG_HASH_ANNOTATION) in p.metadata.annotations
        }
        observed = configuring.Observed(
            destinations=tuple(self.all(DESTINATIONS)),
            groups=found,
            config_maps=tuple(self.all(CONFIG_MAPS)),
            running=frozenset(running),
        )
        return configuring.plan(observed, self.now)

    def observed(self, name: str) -> groups.Observed:
        group = self.get(GROUPS, name)
        hash_ = group.status.config_hash if group else ""
        return groups.Observed(
            key=Key(SYSTEM_NAMESPACE, name),
            wanted=any(not d.spec.disabled for d in self.all(DESTINATIONS))
            or any(a.spec.enabled for a in self.all(APPLICATIONS)),
            collector=COLLECTOR,
            sizes=self.sizes,
            group=group,
            config=self.get(CONFIG_MAPS, objects.config_map_name(name, hash_)),
            workload=self.get(DAEMON_SETS if name == NODE_GROUP else DEPLOYMENTS, name),
            gateway_service=self.get(SERVICES, GATEWAY_GROUP) is not None,
            pods=tuple(p for p in self.all(PODS) if p.metadata.labels.get(GROUP_LABEL) == name),
        )

    def keep_groups(self) -> int:
        writes = 0
        for name in groups.NAMES:
            writes += self.carry_out(groups.behind(self.observed(name)))
            writes += self.carry_out(groups.plan(self.observed(name), self.now))
        return writes

    def assign(self) -> int:
        found = {g.metadata.name: g for g in self.all(GROUPS)}
        plans = [assignment.plan(assignment.Observed(a, found), self.now) for a in self.all(APPLICATIONS)]
        return sum(self.carry_out(plan) for plan in plans)

    def round(self) -> int:
        """Everybody looks once; how many writes changed something."""
        self.now += timedelta(seconds=1)
        writes = self.keep_groups() + self.carry_out(self.configure()) + self.assign()
        self.kubernetes()
        return writes

    def settle(self, most: int = 12) -> int:
        """Rounds until nobody writes."""
        for rounds in range(most):
            if not self.round():
                return rounds
        raise AssertionError(f"still writing after {most} rounds")


def _merged(status: Object, before: Object | None, body: Object) -> Object:
    """The status with the manager's fields of before gone, and those of now set."""
    old, new = (before or {}).get("status", {}), body["status"]
    merged: Object = {k: v for k, v in status.items() if k not in old or k == "conditions"} | new
    told = {c["type"] for c in (*old.get("conditions", ()), *new.get("conditions", ()))}
    kept = [c for c in status.get("conditions", ()) if c["type"] not in told]
    return merged | {"conditions": [*kept, *new.get("conditions", ())]}
