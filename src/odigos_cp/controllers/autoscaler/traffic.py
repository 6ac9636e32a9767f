"""Does each destination accept what it is sent?

Owns status.throughput, status.lastError and the condition Delivering of Destinations (odigos-autoscaler-traffic). Every
ten seconds, while there are destinations, it reads the metrics of the gateway's pods, and the log of one when a back
end accepts nothing. The judgement is domain/traffic.py's. What cannot be read now is read in the next round.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.builtin import PODS, Pod
from odigos_cp.api.collectors import GATEWAY_GROUP, GROUPS
from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import Key
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.autoscaler import observing
from odigos_cp.domain import traffic
from odigos_cp.domain.objects import CONFIG_HASH_ANNOTATION
from odigos_cp.domain.pipeline import METRICS_PORT
from odigos_cp.domain.traffic import History, Observed, Reading
from odigos_cp.kube import clock, metrics
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import ApiError
from odigos_cp.kube.stores import Stores
from odigos_cp.settings import Settings

log = structlog.get_logger(__name__)

ROUND_SECONDS = 10.0
SCRAPE_SECONDS = 3.0
SCRAPE_BYTES = 4 * 1024 * 1024
LOG_BYTES = 256 * 1024
LOG_EVERY = 30.0

SCRAPES = metrics.counter("odigos_traffic_scrapes_total", "Readings of a gateway pod's metrics.", "outcome")

Scrape = Callable[[str], Awaitable[str]]
Service = Callable[..., Coroutine[Any, Any, None]]


@dataclass
class Rounds:
    """The service's memory: how the counters stood, and which errors were read when."""

    history: History = field(default_factory=History)
    errors: dict[str, str] = field(default_factory=dict)
    errors_read: float = -LOG_EVERY


def build(
    stores: Stores, apply: Applier, client: Client, settings: Settings, *, scrape: Scrape | None = None
) -> Service:
    observing.prepare(stores)

    async def run(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        rounds = Rounds()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_SECONDS)) as session:
            read = scrape or _over(session)
            task_status.started()
            while True:
                try:
                    await one_round(stores, apply, client, settings.namespace, read, rounds)
                except (ApiError, TimeoutError) as error:
                    log.warning("traffic_round_failed", why=str(error), retry_in=ROUND_SECONDS)
                await anyio.sleep(ROUND_SECONDS)

    return run


async def one_round(
    stores: Stores, apply: Applier, client: Client, namespace: str, scrape: Scrape, rounds: Rounds
) -> None:
    destinations = tuple(d for d in stores[DESTINATIONS].values() if not d.metadata.deletion_timestamp)
    if not destinations:
        rounds.history = History()
        return
    pods = _readable(stores, namespace)
    now = clock.now()
    if pods:
        rounds.history = traffic.advance(rounds.history, await _read_all(pods, scrape), now)
        await _read_errors(client, destinations, pods, rounds)
    group = stores[GROUPS].get(Key(namespace, GATEWAY_GROUP))
    observed = Observed(
        destinations=destinations,
        gateway_ready=bool(pods) and group is not None and group.status.ready,
        history=rounds.history,
        errors=rounds.errors,
    )
    await apply(traffic.plan(observed, now))


def _readable(stores: Stores, namespace: str) -> tuple[Pod, ...]:
    """The ready gateway pods; in the middle of a rollout those that already run the new configuration."""
    ready = [p for p in observing.pods(stores, GATEWAY_GROUP, namespace) if p.ready and p.status.pod_ip]
    group = stores[GROUPS].get(Key(namespace, GATEWAY_GROUP))
    current = group.status.config_hash if group else ""
    newest = [p for p in ready if p.metadata.annotations.get(CONFIG_HASH_ANNOTATION) == current]
    return tuple(sorted(newest or ready, key=lambda p: p.metadata.name))


async def _read_all(pods: Iterable[Pod], scrape: Scrape) -> Mapping[str, Reading]:
    readings: dict[str, Reading] = {}

    async def one(pod: Pod) -> None:
        host = f"[{pod.status.pod_ip}]" if ":" in pod.status.pod_ip else pod.status.pod_ip
        try:
            with anyio.fail_after(SCRAPE_SECONDS):
                readings[pod.metadata.uid] = traffic.read(await scrape(f"http://{host}:{METRICS_PORT}/metrics"))
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
            SCRAPES.inc("failed")
            log.info("metrics_unreadable", pod=pod.metadata.name, why=str(error) or type(error).__name__)
        else:
            SCRAPES.inc("read")

    async with anyio.create_task_group() as tasks:
        for pod in pods:
            tasks.start_soon(one, pod)
    return readings


async def _read_errors(
    client: Client, destinations: Iterable[Destination], pods: tuple[Pod, ...], rounds: Rounds
) -> None:
    """What the stuck back ends last answered, from the pods' logs; not more often than their messages change."""
    stuck = traffic.stuck(destinations, rounds.history, clock.now())
    rounds.errors = {component: error for component, error in rounds.errors.items() if component in stuck}
    unknown = any(component not in rounds.errors for component in stuck)
    if not stuck or not (unknown or anyio.current_time() - rounds.errors_read >= LOG_EVERY):
        return
    rounds.errors_read = anyio.current_time()
    params = {"container": "collector", "tailLines": "60", "sinceSeconds": "120"}
    for pod in pods:
        path = PODS.path(pod.metadata.namespace, pod.metadata.name, "log")
        try:
            text = await client.get_text(path, params=params, limit_bytes=LOG_BYTES)
        except ApiError as error:
            log.info("log_unreadable", pod=pod.metadata.name, why=str(error))
            continue
        for component in stuck:
            if error_text := traffic.last_error(text, component):
                rounds.errors[component] = error_text


def _over(session: aiohttp.ClientSession) -> Scrape:
    async def scrape(url: str) -> str:
        async with session.get(url, allow_redirects=False) as response:
            response.raise_for_status()
            body = await response.content.read(SCRAPE_BYTES)
            while not response.content.at_eof() and len(body) < SCRAPE_BYTES:
                body += await response.content.read(SCRAPE_BYTES - len(body))
            return body.decode(errors="replace")

    return scrape
