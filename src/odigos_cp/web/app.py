"""The three apps of the process, put together: the UI with its API, the probes with the metrics, and the webhook.

The composition root builds them and gives each to `server.serve`:

    hub = Hub(info.boot)
    ui = build_ui_app(stores, client, info, hub=hub, bundle=Bundle.load(), allowed_hosts=...)   # before the stores run
    tasks.start(partial(serve, ui, address, port, name="ui", limits=UI_LIMITS, on_stop=hub.close))
    probes = build_probe_app({"caches": caches_check(stores), "webhook": certificates.check})
    webhook = build_webhook_app(stores)                                                         # before the stores run
    tasks.start(partial(serve, webhook, address, port, certificates.context, name="webhook", limits=WEBHOOK_LIMITS))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from odigos_cp.kube import metrics
from odigos_cp.kube.client import Client
from odigos_cp.kube.stores import Stores
from odigos_cp.web import problems, routes
from odigos_cp.web.events import Hub
from odigos_cp.web.routes import Info
from odigos_cp.web.security import Guard, Rules
from odigos_cp.web.static import Bundle

Check = Callable[[], str]
"""Why something is not ready, in words; empty when it is."""


def build_ui_app(
    stores: Stores,
    client: Client,
    info: Info,
    *,
    hub: Hub | None = None,
    bundle: Bundle | None = None,
    allowed_hosts: Collection[str] = (),
) -> Starlette:
    """The pages and the API behind the guard. Subscribes to the caches, so it is built before they start."""
    hub = hub or Hub(info.boot)
    pages = bundle if bundle is not None else Bundle.load()
    routes.watch(stores, hub)

    async def page(request: Request) -> Response:
        if request.url.path.startswith("/api/") or request.url.path == "/api":
            raise problems.Problem(
                404,
                "not_found",
                f"The API has nothing at {request.url.path[:200]}.",
                fix="See /api/meta for whether the API is there, and the UI for what it can do.",
            )
        return pages.answer(request)

    app = Starlette(
        routes=[
            *routes.Api(stores, client, hub, info).routes(),
            Route("/{path:path}", page, methods=["GET"]),
        ],
        middleware=[
            Middleware(Guard, rules=Rules(tuple(allowed_hosts))),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5),
        ],
        exception_handlers=problems.HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.hub = hub
    return app


def build_probe_app(checks: Mapping[str, Check]) -> Starlette:
    """`/healthz` says that the process answers, `/readyz` why it may not be used yet, `/metrics` what it did."""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        reasons = {name: check() for name, check in checks.items()}
        lines = [f"[-] {name}: {reason}" if reason else f"[+] {name}: ok" for name, reason in reasons.items()]
        ready = not any(reasons.values())
        return PlainTextResponse("\n".join([*lines, "ready" if ready else "not ready", ""]), 200 if ready else 503)

    async def show_metrics(request: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", show_metrics, methods=["GET"]),
        ]
    )


def build_webhook_app(stores: Stores) -> Starlette:
    """The admission webhook. Subscribes to the caches, so it is built before they start."""
    from odigos_cp.web import admission  # the pages run without the injection code

    return Starlette(routes=[Route("/mutate/pods", admission.Endpoint(stores).mutate, methods=["POST"])])


def caches_check(stores: Stores) -> Check:
    def check() -> str:
        synced, kinds = stores.synced()
        return "" if synced == kinds else f"still reading the cluster: {synced} of {kinds} kinds are known"

    return check
