"""Which collectors does each application send to?

Owns status.collector and the condition CollectorAssigned of InstrumentedApplications (odigos-scheduler). The decision
is domain/assignment.py's; a change of a group concerns every application.
"""

from __future__ import annotations

from collections.abc import Iterable

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.collectors import GROUPS, CollectorsGroup
from odigos_cp.api.meta import Key
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain import assignment
from odigos_cp.domain.assignment import Observed
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings


def observe(stores: Stores, key: Key) -> Observed | None:
    application = stores[APPLICATIONS].get(key)
    if application is None or application.metadata.deletion_timestamp:
        return None
    groups = (g for g in stores[GROUPS].values() if not g.metadata.deletion_timestamp)
    return Observed(application, {g.metadata.name: g for g in groups})


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key)
        return await apply(assignment.plan(observed, clock.now())) if observed else None

    def all_applications(change: Change[CollectorsGroup]) -> Iterable[Key]:
        return tuple(stores[APPLICATIONS].keys()) if _matters(change) else ()

    return [Controller("scheduler", reconcile, [Watch(APPLICATIONS), Watch(GROUPS, all_applications)], stores)]


def _matters(change: Change[CollectorsGroup]) -> bool:
    """Whether an assignment can depend on it: load and replicas change all the time, and thousands listen."""
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    return (before.status.ready, bool(before.status.receiver_signals), before.metadata.deletion_timestamp) != (
        after.status.ready,
        bool(after.status.receiver_signals),
        after.metadata.deletion_timestamp,
    )
