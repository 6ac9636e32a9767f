"""How is a Plan carried out? Write by write, in its order; the first that fails ends it, and the key is tried again.

What was done before is success, not failure: a create of what exists (as ours: an object of somebody else's that has
the name is a Conflict that says so), a delete of what is gone, a status of an object
that was replaced meanwhile (its successor gets a decision of its own). A write that must not win over others
(`force=False`) raises Conflict with their names: the controller that planned it says so in a condition.

`ensure` is for objects that are compared with no model (a whole DaemonSet): it remembers what the API server made of
its last apply and writes again only when the body, or the object, is no longer that. The memory saves calls, nothing
else: without it the same apply changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import structlog

from odigos_cp.api.meta import Key, Kind, Resource
from odigos_cp.domain.plan import Apply, Create, Delete, Plan, Write
from odigos_cp.kube import metrics
from odigos_cp.kube.client import Written
from odigos_cp.kube.controller import Result
from odigos_cp.kube.errors import AlreadyExists, Conflict, NotFound, Replaced
from odigos_cp.kube.stores import Stores

log = structlog.get_logger(__name__)

WRITES = metrics.counter("odigos_writes_total", "Writes to the API server that were decided on.", "verb", "resource")

OTHER_UID = "precondition"
"""The word by which the API server's refusal of a delete says that another object has the name."""
UNCACHED_SECONDS = 600.0
"""An object that no cache holds is applied again after so long: nobody would see that it is gone."""


@dataclass(frozen=True)
class _Ensured:
    """What an apply made: as long as the object is still that, the same apply would change nothing."""

    body: str
    uid: str
    generation: int
    resource_version: str
    at: float


class Writing(Protocol):
    """What an Applier needs of a client."""

    async def apply(
        self, kind: Kind[Any], body: Mapping[str, Any], *, manager: str, force: bool = True, subresource: str = ""
    ) -> Written: ...

    async def create(self, kind: Kind[Any], body: Mapping[str, Any]) -> Written: ...

    async def delete(self, kind: Kind[Any], key: Key, *, uid: str | None = None) -> None: ...

    async def get(self, kind: Kind[Any], key: Key) -> Any: ...


class Applier:
    """One for the process: `await apply(plan)`, `await apply.ensure(wanted, stores)`."""

    def __init__(self, client: Writing) -> None:
        self._client = client
        self._ensured: dict[tuple[str, str, str, str], _Ensured] = {}

    async def __call__(self, plan: Plan) -> Result:
        written = []
        for write in plan.writes:
            made = await self._carry_out(write, plan.because)
            if made is not None:
                written.append(made)
        return Result(plan.requeue_after, tuple(written))

    async def ensure(self, wanted: Apply, stores: Stores) -> tuple[Written, ...]:
        """Applies `wanted` unless the object is, as far as its cache knows, still what the last apply made."""
        name = (str(wanted.kind), str(wanted.key), wanted.manager, wanted.subresource)
        body = hashlib.sha256(json.dumps(wanted.body, sort_keys=True).encode()).hexdigest()
        if self._is_there(wanted, body, self._ensured.get(name), stores):
            return ()
        made = await self._carry_out(wanted, "it is missing or differs")
        if made is None:
            self._ensured.pop(name, None)
            return ()
        self._ensured[name] = _Ensured(body, made.uid, made.generation, made.resource_version, anyio.current_time())
        return (made,)

    def _is_there(self, wanted: Apply, body: str, last: _Ensured | None, stores: Stores) -> bool:
        if last is None or last.body != body:
            return False
        if wanted.kind not in stores:
            return anyio.current_time() - last.at < UNCACHED_SECONDS
        found = stores[wanted.kind].get(wanted.key)
        if found is None or found.metadata.uid != last.uid:
            return False
        if last.generation:
            return bool(found.metadata.generation == last.generation)
        return bool(found.metadata.resource_version == last.resource_version)

    async def _carry_out(self, write: Write, because: str) -> Written | None:
        """What the write made; None when there was nothing left to do."""
        made: Written | None = None
        match write:
            case Apply():
                made = await self._apply(write)
            case Create():
                made = await self._create(write)
            case Delete():
                await self._delete(write)
        verb = type(write).__name__.lower()
        WRITES.inc(verb, str(write.kind))
        log.info("wrote", verb=verb, object=f"{write.kind.kind} {write.key}", because=because)
        return made

    async def _apply(self, write: Apply) -> Written | None:
        try:
            return await self._client.apply(
                write.kind, write.body, manager=write.manager, force=write.force, subresource=write.subresource
            )
        except Replaced as error:
            log.info("write_outdated", object=f"{write.kind.kind} {write.key}", why=str(error))
        except NotFound as error:
            if not write.body["metadata"].get("uid"):
                raise
            log.info("write_outdated", object=f"{write.kind.kind} {write.key}", why=str(error))
        return None

    async def _create(self, write: Create) -> Written | None:
        try:
            return await self._client.create(write.kind, write.body)
        except AlreadyExists as error:
            if not _is_that(await self._client.get(write.kind, write.key), write.body):
                raise Conflict(
                    f"{write.kind.kind} {write.key} is there, and was not made by odigos-cp, which needs the name. "
                    "Delete it, or give it another name",
                    status=error.status,
                    reason=error.reason,
                    action=error.action,
                ) from None
            return None

    async def _delete(self, write: Delete) -> None:
        try:
            await self._client.delete(write.kind, write.key, uid=write.uid)
        except (NotFound, Conflict) as error:
            if isinstance(error, Conflict) and OTHER_UID not in error.message:
                raise  # it is there: others were faster, and it is tried again
            log.debug("gone_already", object=f"{write.kind.kind} {write.key}")


def _is_that(found: Resource, body: Mapping[str, Any]) -> bool:
    """Whether the object carries all the labels and annotations that it would have been made with."""
    wanted, has = body["metadata"], found.metadata
    return all(wanted.get(name, {}).items() <= getattr(has, name, {}).items() for name in ("labels", "annotations"))
