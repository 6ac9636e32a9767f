"""A cluster of dictionaries: caches that fill as the API server's would, and a client whose writes end up in them.

It merges an apply into what is there, top-level field by field of `spec`, which is as much of server-side apply as the
UI's own writes need. It records every request, and fails on demand.
"""

from __future__ import annotations

import json
from typing import Any, cast

import anyio
import msgspec

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, NAMESPACES, PODS, WEBHOOKS, WORKLOADS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key, Kind, R, key_of
from odigos_cp.api.source import SOURCES
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import AlreadyExists, NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.kube.wire import Written

KINDS: tuple[Kind[Any], ...] = (
    *WORKLOADS.values(),
    APPLICATIONS,
    SOURCES,
    NAMESPACES,
    PODS,
    CONFIGURATIONS,
    DESTINATIONS,
    GROUPS,
    CONFIG_MAPS,
    WEBHOOKS,
)


class FakeCluster:
    def __init__(self) -> None:
        self.client = cast(Client, self)
        self.stores = Stores(self.client)
        for kind in KINDS:
            self.stores.add(kind)
        self.requests: list[tuple[str, Kind[Any], Key]] = []
        self.managers: set[str] = set()
        self.secrets: dict[Key, dict[str, Any]] = {}
        self._version = 100
        self._failures: list[tuple[Exception, Kind[Any] | None]] = []

    # What a test arranges

    def fill(self, kind: Kind[R], *objects: R) -> None:
        self.stores[kind].replace(objects, str(self._version))

    def put(self, kind: Kind[R], item: R) -> None:
        self.stores[kind].put(_at(item, self._next_version()))

    def drop(self, kind: Kind[Any], key: Key) -> None:
        self.stores[kind].remove(key, self._next_version())

    def sync_all(self) -> None:
        for kind in KINDS:
            if not self.stores[kind].synced:
                self.fill(kind)

    def unsync(self, kind: Kind[Any]) -> None:
        """As if the first list of this kind had not come yet."""
        self.stores[kind]._synced = anyio.Event()

    def fail_next(self, error: Exception, on: Kind[Any] | None = None) -> None:
        """The next write (to this kind) fails."""
        self._failures.append((error, on))

    # The part of the client that web/ uses

    async def apply(self, kind: Kind[Any], body: dict[str, Any], *, manager: str) -> Written:
        key = _key(body)
        self._record("apply", kind, key)
        self.managers.add(manager)
        found = self.stores[kind].get(key)
        if found is not None and hasattr(found, "spec"):
            body = body | {"spec": found.spec.wire() | body["spec"]}
        return self._stored(kind, key, body)

    async def create(self, kind: Kind[Any], body: dict[str, Any]) -> Written:
        key = _key(body)
        self._record("create", kind, key)
        if kind.plural == "secrets":
            if key in self.secrets:
                raise AlreadyExists("exists", status=409, reason="AlreadyExists")
            self.secrets[key] = body
            return Written(kind, key, "1", "uid", 1)
        if self.stores[kind].get(key) is not None:
            raise AlreadyExists("exists", status=409, reason="AlreadyExists")
        return self._stored(kind, key, body)

    async def delete(self, kind: Kind[Any], key: Key, *, uid: str | None = None) -> None:
        self._record("delete", kind, key)
        if kind.plural == "secrets":
            if self.secrets.pop(key, None) is None:
                raise NotFound("gone", status=404)
            return
        found = self.stores[kind].get(key)
        if found is None or (uid is not None and found.metadata.uid != uid):
            raise NotFound("gone", status=404)
        self.stores[kind].remove(key, self._next_version())

    def _record(self, verb: str, kind: Kind[Any], key: Key) -> None:
        self.requests.append((verb, kind, key))
        for failure in self._failures:
            if failure[1] in (None, kind):
                self._failures.remove(failure)
                raise failure[0]

    def _stored(self, kind: Kind[Any], key: Key, body: dict[str, Any]) -> Written:
        version = self._next_version()
        found = self.stores[kind].get(key)
        uid = found.metadata.uid if found is not None else f"uid-{version}"
        metadata = body["metadata"] | {"resourceVersion": version, "uid": uid, "generation": 1}
        item = kind.decode(json.dumps(body | {"metadata": metadata}).encode())
        assert key_of(item) == key
        self.stores[kind].put(item)
        return Written(kind, key, version, uid, 1)

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)


def _at(item: Any, version: str) -> Any:
    """The same object at a later version: a cache goes only forward."""
    if isinstance(item, msgspec.Struct):
        later = msgspec.structs.replace(item.metadata, resource_version=version)  # type: ignore[attr-defined]
        return msgspec.structs.replace(item, metadata=later)
    return item.model_copy(update={"metadata": item.metadata.model_copy(update={"resource_version": version})})


def _key(body: dict[str, Any]) -> Key:
    return Key(body["metadata"].get("namespace", ""), body["metadata"]["name"])
