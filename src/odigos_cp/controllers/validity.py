"""Is each custom resource one that odigos-cp understands, and if not, does it say so itself?

Owns the condition Valid of all custom resources: of those that the instrumentor works on (odigos-instrumentor-validity)
and of the autoscaler's (odigos-autoscaler-validity). The decision is domain/validity.py's. A key names the kind of its
object, too: `sources/cart`. The API server applies nothing to an object whose fields are of other types than its schema
says now; that one is logged and counted, and it is named in the UI as they all are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Key, Kind
from odigos_cp.api.rules import ACTIONS, RULES
from odigos_cp.api.source import SOURCES
from odigos_cp.controllers.applying import Applier
from odigos_cp.domain import validity
from odigos_cp.domain.validity import Observed
from odigos_cp.kube import clock, metrics
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.errors import Invalid, Terminal
from odigos_cp.kube.store import Change
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

UNTOLD = metrics.counter(
    "odigos_untold_total", "Times an object that cannot be understood could not be told so in its status.", "resource"
)

KINDS: Final[Mapping[str, tuple[Kind[Any], ...]]] = {
    "instrumentor": (SOURCES, RULES, CONFIGURATIONS, APPLICATIONS),
    "autoscaler": (DESTINATIONS, ACTIONS, GROUPS),
}


def observe(stores: Stores, kinds: Sequence[Kind[Any]], key: Key) -> Observed:
    plural, _, name = key.name.partition("/")
    kind = next(kind for kind in kinds if kind.plural == plural)
    store, where = stores[kind], Key(key.namespace, name)
    return Observed(kind, store.unreadable.get(where), store.get(where))


def build(stores: Stores, apply: Applier, settings: Settings) -> list[Controller]:
    return [_controller(task, kinds, stores, apply) for task, kinds in KINDS.items() if settings.runs(task)]


def _controller(task: str, kinds: Sequence[Kind[Any]], stores: Stores, apply: Applier) -> Controller:
    async def reconcile(key: Key) -> Result | None:
        observed = observe(stores, kinds, key)
        try:
            return await apply(validity.plan(observed, f"odigos-{task}-validity", clock.now()))
        except Invalid as error:
            UNTOLD.inc(str(observed.kind))
            raise Terminal(f"{key} cannot be understood, and not even its status be written: {error}") from None

    watches = [Watch(kind, _keys(kind, stores), unreadable=True) for kind in kinds]
    return Controller(f"{task}/validity", reconcile, watches, stores)


def _keys(kind: Kind[Any], stores: Stores) -> Callable[[Change[Any]], Iterable[Key]]:
    def if_it_says_so_or_should(change: Change[Any]) -> Iterable[Key]:
        is_unreadable = change.key in stores[kind].unreadable
        if is_unreadable or (change.after is not None and validity.is_told(change.after)):
            return (Key(change.key.namespace, f"{kind.plural}/{change.key.name}"),)
        return ()

    return if_it_says_so_or_should
