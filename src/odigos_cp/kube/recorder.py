"""How does a user see with `kubectl describe` what odigos-cp did? By Events about the object, few and never in the way.

An Event is a hint, not state: it may be dropped. The same one is not repeated for a while, all together are limited,
and a failure to write one is logged at debug, never raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import anyio
import structlog

from odigos_cp.kube import clock, metrics
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import ApiError
from odigos_cp.kube.leader import micro_time

log = structlog.get_logger(__name__)

RECORDED = metrics.counter("odigos_kube_recorded_events_total", "Events about users' objects.", "outcome")

REPEAT_SECONDS: Final = 600.0
BURST: Final = 25.0
PER_SECOND: Final = 0.5
MAX_REMEMBERED: Final = 1000
MAX_NOTE: Final = 1024
MAX_REASON: Final = 128
CALL_SECONDS: Final = 5.0


class Limiter:
    """A bucket of tokens for all events together, and a memory of what was said."""

    def __init__(self) -> None:
        self._tokens = BURST
        self._at = 0.0
        self._said: dict[tuple[str, ...], float] = {}

    def allows(self, what: tuple[str, ...], now: float) -> bool:
        said = self._said.pop(what, None)
        if said is not None and 0 <= now - said < REPEAT_SECONDS:
            self._said[what] = said
            return False
        self._tokens = min(BURST, self._tokens + max(0.0, now - self._at) * PER_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        self._said[what] = now
        if len(self._said) > MAX_REMEMBERED:
            del self._said[next(iter(self._said))]
        return True


_limiter = Limiter()


async def event(
    client: Client,
    *,
    about: Mapping[str, Any],
    type: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    component: str,
    limiter: Limiter = _limiter,
) -> None:
    """`about` is an object reference: apiVersion, kind, namespace, name, uid. Never raises but cancellation."""
    what = (str(about.get("uid") or about.get("name", "")), reason, message)
    if not limiter.allows(what, anyio.current_time()):
        RECORDED.inc("limited")
        return
    namespace = str(about.get("namespace") or "default")
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "odigos-", "namespace": namespace},
        "eventTime": micro_time(clock.now()),
        "reportingController": f"odigos.io/{component}",
        "reportingInstance": component[:MAX_REASON],
        "action": reason[:MAX_REASON],
        "reason": reason[:MAX_REASON],
        "regarding": dict(about),
        "note": message[:MAX_NOTE],
        "type": type,
    }
    try:
        with anyio.fail_after(CALL_SECONDS):
            await client.post(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        RECORDED.inc("written")
    except (ApiError, TimeoutError) as error:
        RECORDED.inc("failed")
        log.debug("event_not_recorded", reason=reason, about=dict(about), why=str(error))
