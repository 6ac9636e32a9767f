"""What is each application written in, and who looks?

Owns status.runtimes, status.detection and the condition RuntimeDetected of InstrumentedApplications, and the detectors'
Pods (odigos-instrumentor-detection). The decision is domain/detection.py's. One worker: so the number of detectors that
it sees is the number that there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import PODS, Pod
from odigos_cp.api.meta import Key
from odigos_cp.controllers import configuration
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.instrumentor import observing
from odigos_cp.domain import detection, detector_pod
from odigos_cp.domain.detection import Crowd, Observed
from odigos_cp.kube import clock
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

DETECTORS = "detectors"


def observe(stores: Stores, key: Key, settings: Settings) -> Observed:
    at_work = [p for p in _detectors(stores, settings.namespace) if not detector_pod.has_ended(p)]
    return Observed(
        application=stores[APPLICATIONS].get(key),
        pods=observing.pods(stores, key),
        detectors=tuple(p for p in _detectors(stores, settings.namespace) if detector_pod.application_of(p) == key),
        crowd=Crowd(Counter(p.spec.node_name for p in at_work), len(at_work)),
        namespace=settings.namespace,
        image=settings.detector_image,
        ignored_containers=frozenset(configuration.spec(stores, settings.namespace).ignored_containers),
    )


def _detectors(stores: Stores, namespace: str) -> Iterable[Pod]:
    """Those in our own namespace that are not on their way out: elsewhere anybody may use our labels."""
    pods = stores[PODS].by(DETECTORS, True)
    return (p for p in pods if p.metadata.namespace == namespace and not p.metadata.deletion_timestamp)


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    observing.prepare(stores)
    stores[PODS].add_index(DETECTORS, lambda pod: (detector_pod.application_of(pod) is not None,))

    async def reconcile(key: Key) -> Result | None:
        return await apply(detection.plan(observe(stores, key, settings), clock.now()))

    def of_pod(change: Change[Pod]) -> Iterable[Key]:
        pod = change.after or change.before
        if pod is None:
            return ()
        about = detector_pod.application_of(pod) if pod.metadata.namespace == settings.namespace else None
        if about is not None:
            return (about,)
        return [key for key in observing.application_of(pod) if key in stores[APPLICATIONS]]

    watches: list[Watch[Any]] = [Watch(APPLICATIONS), Watch(PODS, of_pod)]
    return [Controller("instrumentor/detection", reconcile, watches, stores, concurrency=1)]
