"""The composition root: builds the parts, starts them in order, ends them together.

Order of life: probes (the kubelet sees that we live) -> UI and webhook (they answer 503 until there is something to
say) -> caches -> certificates -> leader gate -> controllers. Any task's death ends the process with code 1, and
Kubernetes starts it again: status is the only memory, so nothing is lost. SIGTERM cancels all (process.py); the Lease
is given back after the controllers have stopped.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp import logs, process
from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import CONFIG_MAPS, NAMESPACES, PODS, SERVICES, WEBHOOKS, WORKLOADS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import Kind
from odigos_cp.api.rules import ACTIONS, RULES
from odigos_cp.api.source import SOURCES
from odigos_cp.controllers import scheduler, validity
from odigos_cp.controllers.applying import Applier
from odigos_cp.controllers.autoscaler import config, groups, traffic
from odigos_cp.controllers.instrumentor import detection, discovery, injection, rollout, rules, webhook
from odigos_cp.kube.client import Client
from odigos_cp.kube.controller import Controller
from odigos_cp.kube.leader import LeaderGate
from odigos_cp.kube.stores import Stores
from odigos_cp.kube.watchdog import Watchdog
from odigos_cp.process import Service, Services
from odigos_cp.release import VERSION
from odigos_cp.settings import Settings
from odigos_cp.web import app as web
from odigos_cp.web import server
from odigos_cp.web.certificates import Certificates
from odigos_cp.web.events import Hub
from odigos_cp.web.routes import Info
from odigos_cp.web.views import TaskView

log = structlog.get_logger(__name__)

LEASE = "odigos-controllers"
CLUSTER_WIDE: tuple[Kind[Any], ...] = (
    *WORKLOADS.values(),
    PODS,
    NAMESPACES,
    SOURCES,
    APPLICATIONS,
    RULES,
    ACTIONS,
    WEBHOOKS,
)
OWN_NAMESPACE: tuple[Kind[Any], ...] = (CONFIG_MAPS, SERVICES, DESTINATIONS, GROUPS, CONFIGURATIONS)
"""These are looked at in odigos-system only: a Destination elsewhere is nobody's."""


def main(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT (0), or until a task dies (1)."""
    logs.configure(settings.log_format, settings.log_level)
    return process.leave(process.main(partial(run, settings)))


@dataclass(frozen=True)
class Parts:
    """What the process consists of, by the task that wants it."""

    controllers: Sequence[Controller]
    services: Mapping[str, Service]
    """What else runs only while leading."""


def build(settings: Settings, stores: Stores, client: Client) -> Parts:
    """The controllers of the chosen tasks; they subscribe to the caches, so they are built before these start."""
    applier = Applier(client)
    controllers: list[Controller] = []
    services: dict[str, Service] = {}
    if settings.runs("instrumentor"):
        for module in (discovery, detection, injection, rollout, rules):
            controllers.extend(module.build(stores, applier, settings))
        if settings.webhook:
            controllers.extend(webhook.build(stores, applier, settings))
    if settings.runs("scheduler"):
        controllers.extend(scheduler.build(stores, applier, settings))
    if settings.runs("autoscaler"):
        for module in (groups, config):
            controllers.extend(module.build(stores, applier, settings))
        services["traffic"] = traffic.build(stores, applier, client, settings)
    controllers.extend(validity.build(stores, applier, settings))
    return Parts(controllers, services)


async def run(settings: Settings, watchdog: Watchdog, *, around: process.Around = process.as_it_is) -> None:
    """`around` is given each service with its name, and gives what is run instead."""
    service = Services(watchdog, around)
    log.info("starting", version=VERSION, controllers=settings.controllers, identity=settings.identity)
    async with (
        await Client.connect(
            settings.kubeconfig or None, settings.context or None, timeout=settings.request_timeout
        ) as client,
        anyio.create_task_group() as tasks,
    ):
        stores = Stores(client)
        for kind in CLUSTER_WIDE:
            stores.add(kind)
        for kind in OWN_NAMESPACE:
            stores.add(kind, namespace=settings.namespace)
        parts = build(settings, stores, client)
        gate = LeaderGate(
            client,
            namespace=settings.namespace,
            name=LEASE,
            identity=settings.identity,
            lease_seconds=settings.lease_seconds,
        )
        watchdog.guard(lambda: gate.deadline, gate.grace_seconds)
        checks: dict[str, web.Check] = {"caches": web.caches_check(stores)}
        certificates = _webhook(settings, client, stores)
        if certificates:
            checks["webhook"] = certificates.check
        probes = partial(
            server.serve,
            web.build_probe_app(checks),
            settings.probe_address,
            settings.probe_port,
            name="probe",
            limits=server.PROBE_LIMITS,
        )
        await tasks.start(service("probes", probes))
        if settings.runs("ui"):
            ui = _ui(settings, client, stores, gate, parts, await client.version())
            await tasks.start(service("ui", ui))
        if certificates:
            admission = partial(
                server.serve,
                web.build_webhook_app(stores),
                settings.webhook_address,
                settings.webhook_port,
                certificates.context,
                name="webhook",
                limits=server.WEBHOOK_LIMITS,
            )
            await tasks.start(service("webhook", admission))
        await tasks.start(service("caches", stores.run))
        if certificates:
            await tasks.start(service("certificates", certificates.run))
        log.info("ready", kinds=len(CLUSTER_WIDE) + len(OWN_NAMESPACE))
        await _lead(settings, gate, parts, service)


def _webhook(settings: Settings, client: Client, stores: Stores) -> Certificates | None:
    """The webhook runs in a cluster only: the API server calls it through its Service."""
    if not (settings.webhook and settings.runs("instrumentor")):
        return None
    if not settings.pod_name:
        log.warning("webhook_off", why="this process is no pod of the cluster (POD_NAME is not set)")
        return None
    return Certificates(
        client, stores, pod_name=settings.pod_name, pod_uid=settings.pod_uid, namespace=settings.namespace
    )


def _ui(
    settings: Settings, client: Client, stores: Stores, gate: LeaderGate, parts: Parts, cluster_version: str
) -> Service:
    def task_views() -> list[TaskView]:
        return [
            TaskView(
                name=c.status.name,
                running=c.status.running,
                queue_depth=c.status.queue_depth,
                last_success=c.status.last_success,
                last_error=c.status.last_error,
                waiting=c.status.waiting,
            )
            for c in parts.controllers
        ]

    boot = uuid.uuid4().hex[:12]
    hub = Hub(boot)
    info = Info(
        cluster_version=cluster_version,
        namespace=settings.namespace,
        boot=boot,
        leading=lambda: gate.leading,
        tasks=task_views,
    )
    hosts = tuple(host.strip() for host in settings.ui_allowed_hosts.split(",") if host.strip())
    ui = web.build_ui_app(stores, client, info, hub=hub, allowed_hosts=hosts)
    return partial(
        server.serve,
        ui,
        settings.ui_address,
        settings.ui_port,
        name="ui",
        limits=server.UI_LIMITS,
        on_stop=hub.close,
    )


async def _lead(settings: Settings, gate: LeaderGate, parts: Parts, service: Services) -> None:
    async def work(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as leading:
            for controller in parts.controllers:
                await leading.start(service(f"controller {controller.name}", controller.run))
            for name, other in parts.services.items():
                await leading.start(service(name, other))
            log.info("leading", controllers=[c.status.name for c in parts.controllers])
            task_status.started()
            await anyio.sleep_forever()

    if not (parts.controllers or parts.services):
        await anyio.sleep_forever()
    await service("leader", partial(gate.run_while_leading, work) if settings.leader_elect else work)()
