"""Which caches does the process share? One store a kind, each with its reflector; all are added before they run."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import TaskStatus

from odigos_cp.api.meta import Key, Kind, R
from odigos_cp.kube.client import Client
from odigos_cp.kube.reflector import Reflector
from odigos_cp.kube.store import Store
from odigos_cp.kube.writes import Note


class Stores:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._stores: dict[tuple[str, str], Store[Any]] = {}
        self._reflectors: dict[tuple[str, str], Reflector[Any]] = {}

    def add(
        self, kind: Kind[R], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Store[R]:
        """The cache of the kind; asking again gives the same one, and with another scope is an error."""
        scope = (namespace, label_selector, field_selector)
        store = self._stores.get(_id(kind))
        if store is None:
            store = Store(kind, namespace=namespace, label_selector=label_selector, field_selector=field_selector)
            self._stores[_id(kind)] = store
            self._reflectors[_id(kind)] = Reflector(self._client, store)
        elif scope != (store.namespace, store.label_selector, store.field_selector):
            raise ValueError(f"the cache of {kind} is there with another scope than {scope}")
        return store

    def __getitem__(self, kind: Kind[R]) -> Store[R]:
        try:
            return self._stores[_id(kind)]
        except KeyError:
            raise KeyError(f"no cache of {kind}: add it where the process is put together") from None

    def __contains__(self, kind: Kind[Any]) -> bool:
        return _id(kind) in self._stores

    def hold(self, note: Note) -> bool:
        """Whether the cache of its kind holds what was written; what no cache would hold is waited for in vain."""
        if note.kind not in self:
            return True
        store = self[note.kind]
        if not store.holds(note.key) or store.looked_since(note.key, note.ended):
            return True
        if note.resource_version:
            return store.has_seen(note.key, note.resource_version)
        held = store.get(note.key)
        return bool(note.deleted_uid) and (held is None or held.metadata.uid != note.deleted_uid)

    def look(self, kind: Kind[Any], key: Key) -> None:
        """Asks the API server for this one object anew, soon, and not too often: what the watch does not say."""
        self._reflectors[_id(kind)].look(key)

    def all(self) -> tuple[Store[Any], ...]:
        return tuple(self._stores.values())

    def synced(self) -> tuple[int, int]:
        """How many caches have their first content, of how many."""
        return sum(store.synced for store in self._stores.values()), len(self._stores)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """All reflectors until cancelled; `started` is said when every cache has its first content."""
        async with anyio.create_task_group() as tasks:
            for reflector in self._reflectors.values():
                tasks.start_soon(reflector.run)
            for store in self._stores.values():
                await store.wait_synced()
            task_status.started()


def _id(kind: Kind[Any]) -> tuple[str, str]:
    return kind.group, kind.plural
