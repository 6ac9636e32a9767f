"""Does each workload's template carry the label that its plan asks for, and have its pods followed?

Owns status.rollout and the conditions RolledOut and PodsInjected of InstrumentedApplications, and the one label on the
pod templates of workloads (odigos-instrumentor-rollout). The decision is domain/rollout.py's. One worker, which counts
what it has just granted itself: so no more workloads restart at once than may.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.builtin import PODS, Pod
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.meta import Key, key_of
from odigos_cp.controllers import configuration
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import observing
from odigos_cp.domain import rollout
from odigos_cp.domain.rollout import Observed, Turn
from odigos_cp.kube import clock
from odigos_cp.kube.client import Written
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import Conflict
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

STATE = "rollout-state"


class Granted:
    """Applications that were told to roll, until the cache knows it too."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._versions: dict[Key, str] = {}

    def remember(self, key: Key, written: Iterable[Written]) -> None:
        for one in written:
            if one.kind is APPLICATIONS:
                self._versions[key] = one.resource_version

    def others(self, key: Key) -> set[Key]:
        seen = [k for k, version in self._versions.items() if self._stores[APPLICATIONS].has_seen(k, version)]
        for one in seen:
            del self._versions[one]
        return set(self._versions) - {key}


def observe(stores: Stores, key: Key, granted: Granted, namespace: str) -> Observed:
    applications = stores[APPLICATIONS]
    just_granted = granted.others(key)
    rolling = {key_of(a) for a in applications.by(STATE, "rolling")} | just_granted
    return Observed(
        key=key,
        application=applications.get(key),
        workload=observing.workload(stores, key),
        pods=observing.pods(stores, key),
        rolling=len(rolling - {key}),
        queue=tuple(
            Turn(a.status.rollout.queued_since, key_of(a))
            for a in applications.by(STATE, "queued")
            if a.status.rollout and key_of(a) != key and key_of(a) not in just_granted
        ),
        settings=configuration.spec(stores, namespace).rollout,
    )


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)
    stores[APPLICATIONS].add_index(STATE, _state)
    granted = Granted(stores)

    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, key, granted, settings.namespace)
        try:
            result = await apply(rollout.plan(observed, clock.now()))
        except Conflict as error:
            if not error.fields:
                raise  # nobody holds the label: others were faster, and it is tried again
            result = await apply(rollout.plan(rollout.after_conflict(observed, error.message), clock.now()))
        granted.remember(key, result.written)
        return result

    def waiting(change: Change[InstrumentedApplication]) -> Iterable[Key]:
        """The application itself; when one leaves the restarting ones, those that wait for its place too."""
        was = change.before is not None and "rolling" in _state(change.before)
        is_ = change.after is not None and "rolling" in _state(change.after)
        return (change.key, *(_queued(stores) if was and not is_ else ()))

    def all_waiting(change: Change[Any]) -> Iterable[Key]:
        return tuple(stores[APPLICATIONS].keys())

    watches: list[Watch[Any]] = [
        Watch(APPLICATIONS, waiting),
        Watch(PODS, _of_pod),
        Watch(CONFIGURATIONS, all_waiting),
        *observing.workload_watches(),
    ]
    return [Controller("instrumentor/rollout", reconcile, watches, stores, concurrency=1)]


def _state(application: InstrumentedApplication) -> Iterable[str]:
    return (application.status.rollout.state,) if application.status.rollout else ()


def _queued(stores: Stores) -> list[Key]:
    return [key_of(a) for a in stores[APPLICATIONS].by(STATE, "queued")]


def _of_pod(change: Change[Pod]) -> Iterable[Key]:
    pod = change.after or change.before
    return observing.application_of(pod) if pod else ()
