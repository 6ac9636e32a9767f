"""What does the cluster hold of one kind? A cache with one writer (its reflector), many readers, and who wants to know.

A list replaces the whole content at once, so no reader ever sees half of it. Handlers run in the event loop, one after
the other, and must not block; they get what was and what is, so that a queue can follow without looking back. A handler
that raises is a bug, and ends the process with the reflector that told it.
An event that is older than what is held is no news and is dropped: streams may double or reorder.

Whether a write has arrived is asked of the object itself (`has_seen`, `looked_since`): that an event of another object
was newer says nothing, for events of one object may be lost or late. Lists and bookmarks speak for all objects.

An object that cannot be understood is held as it last was, if it ever was understood, and named in `unreadable` until
it can be, or is gone: whoever is to tell people of it asks there, and is called by `on_unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, KeysView, Mapping
from typing import Any, Final, Generic, NamedTuple

import anyio

from odigos_cp.api.meta import Key, Kind, R, Resource, Unreadable, key_of
from odigos_cp.kube import metrics, versions

OBJECTS = metrics.gauge("odigos_kube_cache_objects", "Objects in the cache.", "resource")
UNREADABLE = metrics.gauge("odigos_kube_unreadable_objects", "Objects that cannot be understood.", "resource")
STALE = metrics.counter("odigos_kube_cache_stale_total", "Events older than what the cache held.", "resource")

TOLD_AT_ONCE: Final = 500
"""Changes of a list: about ten milliseconds of work with all controllers listening."""
MAX_PASSED: Final = 1000
"""Of so many deleted objects the version is remembered, so that a late event cannot bring them back."""
MAX_UNREADABLE: Final = 1000
"""Of so many objects it is remembered that they cannot be understood; those that came first."""


class Change(NamedTuple, Generic[R]):
    """`before` is None for a new object, `after` for one that is gone.

    An object deleted and made again in a gap of the watch is one change, with another uid after than before.
    """

    before: R | None
    after: R | None
    key: Key


class Store(Generic[R]):
    """`namespace` and the selectors tell what part of the kind is held; empty is all of it."""

    def __init__(
        self, kind: Kind[R], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        self.kind = kind
        self._resource = str(kind)
        self.namespace = namespace
        self.label_selector = label_selector
        self.field_selector = field_selector
        self.resource_version = ""
        """Where the watch stands: the newest version that a list, an event or a bookmark had."""
        self.listed_at = float("-inf")
        """When the newest complete list began: what was written before is in the cache."""
        self._complete = ""
        self._objects: dict[Key, R] = {}
        self._passed: dict[Key, str] = {}
        """The newest version of objects that are not held in it: they are gone, or could not be decoded."""
        self._looked: dict[Key, float] = {}
        self._unreadable: dict[Key, Unreadable] = {}
        self._indexes: dict[str, _Index[R]] = {}
        self._handlers: list[Callable[[Change[R]], None]] = []
        self._unreadable_handlers: list[Callable[[Key], None]] = []
        self._synced = anyio.Event()

    # Readers

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def get(self, key: Key) -> R | None:
        return self._objects.get(key)

    def values(self) -> tuple[R, ...]:
        return tuple(self._objects.values())

    def keys(self) -> KeysView[Key]:
        return self._objects.keys()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def __len__(self) -> int:
        return len(self._objects)

    def add_index(self, name: str, of: Callable[[R], Iterable[Hashable]]) -> None:
        """Makes objects findable by what `of` says of them; a name that is there already stays as it is."""
        if name in self._indexes:
            return
        index = self._indexes[name] = _Index(of)
        for item in self._objects.values():
            index.move(key_of(item), None, item)

    def by(self, name: str, value: Hashable) -> tuple[R, ...]:
        if name not in self._indexes:
            raise KeyError(f"the cache of {self.kind} has no index {name!r}; it has {sorted(self._indexes)}")
        return tuple(self._objects[key] for key in self._indexes[name].keys(value))

    def subscribe(self, handler: Callable[[Change[R]], None]) -> None:
        self._handlers.append(handler)

    @property
    def unreadable(self) -> Mapping[Key, Unreadable]:
        """The objects that cannot be understood as they are now; `get` may have what they were before."""
        return self._unreadable

    def on_unreadable(self, handler: Callable[[Key], None]) -> None:
        """Told of each object that becomes unreadable, that changes while it is, or that is no longer."""
        self._unreadable_handlers.append(handler)

    def holds(self, key: Key) -> bool:
        """Whether an object of this key would be in the cache, as far as its namespace tells."""
        return not self.namespace or key.namespace == self.namespace

    def has_seen(self, key: Key, resource_version: str) -> bool:
        """Whether the cache holds this version of the object or a later one, or learned that it is gone."""
        return versions.covers(self._newest(key), resource_version) or versions.covers(self._complete, resource_version)

    def looked_since(self, key: Key, moment: float) -> bool:
        """Whether a list, or a look at this object, began after the moment: it holds what was written before."""
        return max(self.listed_at, self._looked.get(key, float("-inf"))) >= moment

    # The writer: a reflector, or a test

    def replace(
        self, items: Iterable[R], resource_version: str, *, keep: Iterable[Unreadable] = (), began: float | None = None
    ) -> None:
        """The whole content, as of a list. What is held of `keep` stays: it exists, but could not be read."""
        for _ in self.replace_in_steps(items, resource_version, keep=keep, began=began):
            pass

    def replace_in_steps(
        self, items: Iterable[R], resource_version: str, *, keep: Iterable[Unreadable] = (), began: float | None = None
    ) -> Iterator[None]:
        """The same; each step tells some hundred changes, so that the loop may do something else in between.

        The content is replaced in the first step: readers see all of it, and handlers are told what was before.
        """
        before, after = self._objects, {key_of(item): item for item in items}
        kept = {each.key: each for each in keep}
        for key, each in kept.items():
            if key in before and _is_of(each, before[key]):
                after.setdefault(key, before[key])
        changes = []
        for key, was in before.items():
            found = after.get(key)
            if found is not None and _same(was, found):
                after[key] = was
            else:
                changes.append(Change(was, found, key))
        changes += [Change(None, item, key) for key, item in after.items() if key not in before]
        self._objects, self._passed, self._looked = after, {}, {}
        self.resource_version = self._complete = resource_version
        if began is not None:
            self.listed_at = began
        for change in changes:
            self._index(change)
        for key in [key for key in self._unreadable if key not in kept]:
            self._clear(key)
        for each in kept.values():
            self._mark(each)
        self._synced.set()
        OBJECTS.set(len(after), self._resource)
        for told, change in enumerate(changes, 1):
            self._tell(change)
            if not told % TOLD_AT_ONCE:
                yield

    def put(self, item: R) -> None:
        """An event: an object was added or changed."""
        self._move(item.metadata.resource_version)
        self._hold(item)

    def remove(self, key: Key, resource_version: str) -> None:
        """An event: an object is gone, as of this version."""
        self._move(resource_version)
        self._drop(key, resource_version)

    def pass_over(self, unreadable: Unreadable) -> None:
        """An event of an object that could not be decoded: what was last understood of it stays."""
        self._move(unreadable.resource_version)
        self._keep(unreadable)

    def not_fetched(self, key: Key, why: str) -> None:
        """An object that is there, and that cannot be had at all."""
        self._mark(Unreadable(key, why=why))

    def seen(self, resource_version: str) -> None:
        """A bookmark: the cache is current up to this version."""
        self._move(resource_version)
        if resource_version:
            self._complete = versions.later(self._complete, resource_version)

    def looked(
        self, key: Key, item: R | None, resource_version: str, *, began: float, unreadable: Unreadable | None = None
    ) -> None:
        """A list of this one object: as it is, or none. Where the watch stands does not move: it has its own pace."""
        if item is not None:
            self._hold(item)
        elif unreadable is not None:
            self._keep(unreadable)
        else:
            self._drop(key, resource_version)
        self._looked.pop(key, None)
        self._looked[key] = began
        _bound(self._looked)

    def _newest(self, key: Key) -> str:
        held = self._objects.get(key)
        passed = self._passed.get(key, "")
        return versions.later(passed, held.metadata.resource_version) if held is not None else passed

    def _move(self, resource_version: str) -> None:
        if resource_version:
            self.resource_version = versions.later(self.resource_version, resource_version)

    def _pass(self, key: Key, resource_version: str) -> None:
        self._passed.pop(key, None)
        self._passed[key] = resource_version
        _bound(self._passed)

    def _hold(self, item: R) -> None:
        key = key_of(item)
        if versions.is_older(item.metadata.resource_version, self._newest(key)):
            STALE.inc(self._resource)
            return
        self._clear(key)
        before = self._objects.get(key)
        if before is not None and _same(before, item):
            return
        self._passed.pop(key, None)
        self._objects[key] = item
        self._changed(Change(before, item, key))

    def _drop(self, key: Key, resource_version: str) -> None:
        if versions.is_older(resource_version, self._newest(key)):
            STALE.inc(self._resource)
            return
        self._clear(key)
        self._pass(key, resource_version)
        self._forget(key)

    def _keep(self, unreadable: Unreadable) -> None:
        key, held = unreadable.key, self._objects.get(unreadable.key)
        if versions.is_older(unreadable.resource_version, self._newest(key)):
            STALE.inc(self._resource)
            return
        self._pass(key, unreadable.resource_version)
        self._mark(unreadable)
        if held is not None and not _is_of(unreadable, held):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        before = self._objects.pop(key, None)
        if before is not None:
            self._changed(Change(before, None, key))

    def _mark(self, unreadable: Unreadable) -> None:
        key, known = unreadable.key, self._unreadable.get(unreadable.key)
        is_full = known is None and len(self._unreadable) >= MAX_UNREADABLE
        if unreadable == known or is_full or not key.name:
            return
        self._unreadable[key] = unreadable
        self._tell_unreadable(key)

    def _clear(self, key: Key) -> None:
        if self._unreadable.pop(key, None) is not None:
            self._tell_unreadable(key)

    def _tell_unreadable(self, key: Key) -> None:
        UNREADABLE.set(len(self._unreadable), self._resource)
        for handler in self._unreadable_handlers:
            handler(key)

    def _changed(self, change: Change[R]) -> None:
        OBJECTS.set(len(self._objects), self._resource)
        self._index(change)
        self._tell(change)

    def _index(self, change: Change[R]) -> None:
        for index in self._indexes.values():
            index.move(change.key, change.before, change.after)

    def _tell(self, change: Change[R]) -> None:
        for handler in self._handlers:
            handler(change)


_NOTHING: Final[frozenset[Hashable]] = frozenset()


class _Index(Generic[R]):
    """Keys by value; the keys of a value in the order in which they came."""

    def __init__(self, of: Callable[[R], Iterable[Hashable]]) -> None:
        self._of = of
        self._keys: dict[Hashable, dict[Key, None]] = {}

    def keys(self, value: Hashable) -> tuple[Key, ...]:
        return tuple(self._keys.get(value, ()))

    def move(self, key: Key, before: R | None, after: R | None) -> None:
        old = set(self._of(before)) if before is not None else _NOTHING
        new = set(self._of(after)) if after is not None else _NOTHING
        if old == new:
            return
        for value in old - new:
            entries = self._keys.get(value, {})
            entries.pop(key, None)
            if not entries:
                self._keys.pop(value, None)
        for value in new - old:
            self._keys.setdefault(value, {})[key] = None


def _bound(remembered: dict[Key, Any]) -> None:
    if len(remembered) > MAX_PASSED:
        del remembered[next(iter(remembered))]


def _is_of(unreadable: Unreadable, held: Resource) -> bool:
    """Whether what is held was understood of that very object, and not of one that had its name before."""
    return unreadable.uid in ("", held.metadata.uid)


def _same(one: R, other: R) -> bool:
    """Objects that came without a version, as in tests, are compared whole."""
    version = one.metadata.resource_version
    return version == other.metadata.resource_version if version else one == other
