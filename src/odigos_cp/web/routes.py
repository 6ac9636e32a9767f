"""The API under /api: reads are views of the caches, writes are one wish each, answered 202; controllers do the rest.

Reads carry an ETag made of the versions of what they show. A write decides from the caches, so it waits, bounded, until
they have its outcome: a second click decides on what the first one wrote. Every refusal is a Problem.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import anyio
import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from odigos_cp.api.application import APPLICATIONS
from odigos_cp.api.builtin import NAMESPACES, PODS, WORKLOADS, Workload
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS, OdigosConfiguration
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import INSTRUMENTED_LABEL, SYSTEM_NAMESPACE, Key, Kind, key_of
from odigos_cp.api.source import SOURCES
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import AlreadyExists, NotFound
from odigos_cp.kube.stores import Stores
from odigos_cp.release import VERSION
from odigos_cp.web import destinations, presenting, wishes
from odigos_cp.web.destinations import Wish
from odigos_cp.web.events import Hub, Topic
from odigos_cp.web.problems import Problem, not_synced
from odigos_cp.web.static import matches
from odigos_cp.web.views import (
    AcceptedView,
    CollectorsView,
    DestinationPreviewView,
    DestinationsView,
    DestinationTypesView,
    InstrumentRequest,
    MetaView,
    NewDestinationRequest,
    TaskView,
    View,
)
from odigos_cp.web.waiting import Changes

log = structlog.get_logger(__name__)

WRITE_SECONDS = 20.0
SEEN_SECONDS = 3.0
"""How long a write waits for the caches to show it; the wish itself is safe by then."""

READ_KINDS: tuple[Kind[Any], ...] = (
    *WORKLOADS.values(),
    APPLICATIONS,
    SOURCES,
    NAMESPACES,
    PODS,
    CONFIGURATIONS,
)
"""What the application pages are made of."""

UNREADABLE_SHOWN = 20
"""More than that nobody corrects by hand at once."""
MARKED_PODS = "odigos-marked"
"""Index of the pods whose template carries our label."""

V = TypeVar("V", bound=View)


class TaskStatus(Protocol):
    """What a controller says of itself (kube.controller.ControllerStatus)."""

    @property
    def name(self) -> str: ...
    @property
    def running(self) -> bool: ...
    @property
    def queue_depth(self) -> int: ...


@dataclass(frozen=True)
class Info:
    """What the composition root knows and the caches do not."""

    cluster_version: str = ""
    namespace: str = SYSTEM_NAMESPACE
    boot: str = "boot"
    """Changes when the process restarts."""
    leading: Callable[[], bool] = field(default=lambda: False)
    tasks: Callable[[], Sequence[TaskView]] = field(default=lambda: ())
    version: str = VERSION


class Api:
    """The handlers; their state is the caches, the client and the hub."""

    def __init__(self, stores: Stores, client: Client, hub: Hub, info: Info) -> None:
        self._stores = stores
        self._client = client
        self._hub = hub
        self._info = info
        self._changes = Changes(stores[SOURCES], stores[DESTINATIONS])
        self._writing = anyio.Lock()
        self._rendered: dict[str, tuple[int, bytes]] = {}

    def routes(self) -> list[BaseRoute]:
        application = "/api/sources/{namespace}/{kind}/{name}"
        return [
            Route("/api/meta", self.meta, methods=["GET"]),
            Route("/api/sources", self.sources, methods=["GET"]),
            Route(application, self.source, methods=["GET"]),
            Route(application, self.instrument, methods=["PUT"]),
            Route(f"{application}/plan", self.plan, methods=["GET"]),
            Route("/api/destination-types", self.destination_types, methods=["GET"]),
            Route("/api/destinations", self.destinations, methods=["GET"]),
            Route("/api/destinations", self.add_destination, methods=["POST"]),
            Route("/api/destinations/{name}", self.remove_destination, methods=["DELETE"]),
            Route("/api/collectors", self.collectors, methods=["GET"]),
            Route("/api/events", self.events, methods=["GET"]),
        ]

    # Reads

    async def meta(self, request: Request) -> Response:
        synced, kinds = self._stores.synced()
        found = [
            (store.kind, each, key in store) for store in self._stores.all() for key, each in store.unreadable.items()
        ]
        view = MetaView(
            version=self._info.version,
            cluster_version=self._info.cluster_version,
            namespace=self._info.namespace,
            boot=self._info.boot,
            leader=self._info.leading(),
            synced_kinds=synced,
            kinds=kinds,
            tasks=list(self._info.tasks()),
            unreadable=[presenting.unreadable(*each) for each in found[:UNREADABLE_SHOWN]],
            unreadable_count=len(found),
        )
        return _json(_encode(view), {"cache-control": "no-store"})

    async def sources(self, request: Request) -> Response:
        self._need(*READ_KINDS)
        wanted_namespace, text = request.query_params.get("ns", ""), request.query_params.get("q", "").lower()

        def render(seq: int) -> View:
            view = presenting.applications(self._world(), seq)
            if not (wanted_namespace or text):
                return view
            kept = [
                row
                for row in view.items
                if wanted_namespace in {"", row.namespace} and (not text or text in row.id.lower())
            ]
            return view.model_copy(update={"items": kept})

        return self._read(request, render, "sources")

    async def source(self, request: Request) -> Response:
        self._need(*READ_KINDS)
        target = _target(request)
        if target.kind == wishes.NAMESPACE:
            raise Problem(404, "not_found", "A namespace has no page of its own.", fix="See the list at /sources/.")
        workload = self._workload(target)
        return self._read(
            request, lambda seq: presenting.detail(target.kind, workload, self._world(), seq), "sources", "collectors"
        )

    async def plan(self, request: Request) -> Response:
        """What the switch would bring about, before anything is written."""
        self._need(*READ_KINDS)
        target = _target(request)
        word = request.query_params.get("instrument", "")
        if word not in {"true", "false"}:
            raise Problem(400, "query", "Say which way: instrument is true or false.", fix="Add ?instrument=true .")
        self._refuse_hopeless(target, word == "true")
        view = presenting.plan(target, word == "true", self._world())
        return _json(_encode(view), {"cache-control": "no-store"})

    async def destination_types(self, request: Request) -> Response:
        return _json(_encode(DestinationTypesView(items=destinations.types())), {"cache-control": "no-cache"})

    async def destinations(self, request: Request) -> Response:
        self._need(DESTINATIONS)

        def render(seq: int) -> View:
            found = sorted(self._stores[DESTINATIONS].values(), key=lambda d: d.metadata.name)
            return DestinationsView(
                seq=seq, items=[presenting.destination(d, destinations.secret_fields(d.spec.type)) for d in found]
            )

        return self._read(request, render, "destinations")

    async def collectors(self, request: Request) -> Response:
        self._need(GROUPS)

        def render(seq: int) -> View:
            found = sorted(self._stores[GROUPS].values(), key=lambda g: g.metadata.name)
            return CollectorsView(seq=seq, items=[presenting.group(g) for g in found])

        return self._read(request, render, "collectors")

    async def events(self, request: Request) -> Response:
        return self._hub.open(request)

    # Writes

    async def instrument(self, request: Request) -> Response:
        """PUT: the switch of one application, or of a whole namespace."""
        self._need(*READ_KINDS)
        target = _target(request)
        on = (await _body(request, InstrumentRequest)).instrument
        async with self._writing:
            self._refuse_hopeless(target, on)
            change = wishes.switch(target, on, self._wishes())
            if change.blocked_by:
                raise Problem(
                    409,
                    "blocked",
                    f"{target} stays as it is, because {change.blocked_by} decides otherwise.",
                    fix=f"Change or delete that Source: kubectl -n {target.namespace} get sources",
                )
            command = presenting.kubectl(change)
            with anyio.fail_after(WRITE_SECONDS):
                await self._write(change)
        log.info("switched", target=str(target), on=on)
        return _accepted(str(target), command)

    async def add_destination(self, request: Request) -> Response:
        """POST: a new Destination, with its secret fields in a Secret that nobody reads again; or what it would be."""
        self._need(DESTINATIONS)
        wanted = await _body(request, NewDestinationRequest)
        if request.query_params.get("dryRun") == "true":
            return _json(_encode(await self._preview(wanted)), {"cache-control": "no-store"})
        wish = await self._wish(wanted)
        async with self._writing:
            self._refuse_taken(wish)
            with anyio.fail_after(WRITE_SECONDS):
                if wish.secret is not None:
                    with contextlib.suppress(AlreadyExists):  # its name says its content: an earlier try made it
                        await self._client.create(destinations.SECRETS, wish.secret)
                written = await self._client.apply(DESTINATIONS, wish.body, manager=wishes.MANAGER)
            store = self._stores[DESTINATIONS]
            await self._changes.wait_until(lambda: store.has_seen(written.key, written.resource_version), SEEN_SECONDS)
        log.info("destination_added", destination=wish.key.name, type=wanted.type)
        return _accepted(wish.key.name, wish.kubectl)

    async def _wish(self, wanted: NewDestinationRequest) -> Wish:
        return await anyio.to_thread.run_sync(destinations.wish, wanted, self._info.namespace)

    async def _preview(self, wanted: NewDestinationRequest) -> DestinationPreviewView:
        """A form that is still being filled in asks: that something is wrong is an answer then, no error."""
        try:
            wish = await self._wish(wanted)
            self._refuse_taken(wish)
        except Problem as problem:
            return DestinationPreviewView(name="", kubectl="", secret_fields=[], problem=problem.view)
        secret = sorted(wish.secret["stringData"]) if wish.secret else []
        return DestinationPreviewView(name=wish.key.name, kubectl=wish.kubectl, secret_fields=secret)

    def _refuse_taken(self, wish: Wish) -> None:
        if self._stores[DESTINATIONS].get(wish.key) is not None:
            raise Problem(
                409,
                "exists",
                f"There is already a destination {wish.key.name} of this name.",
                field="display",
                fix="Give this one another name, or delete the one that is there.",
            )

    async def remove_destination(self, request: Request) -> Response:
        """DELETE: the Destination, and the Secret that was made for it."""
        self._need(DESTINATIONS)
        key = Key(self._info.namespace, request.path_params["name"])
        store = self._stores[DESTINATIONS]
        async with self._writing:
            found = store.get(key)
            if found is None:
                raise Problem(404, "not_found", f"There is no destination {key.name}.", fix="Reload the page.")
            with anyio.fail_after(WRITE_SECONDS):
                await self._delete(DESTINATIONS, key, found.metadata.uid)
                if secret := destinations.own_secret(found):
                    await self._delete(destinations.SECRETS, secret)
            await self._changes.wait_until(lambda: store.get(key) is None, SEEN_SECONDS)
        log.info("destination_removed", destination=key.name)
        return _accepted(key.name, presenting.delete_command(DESTINATIONS, key))

    async def _write(self, change: wishes.Switch) -> None:
        store = self._stores[SOURCES]
        for key in change.deletes:
            found = store.get(key)
            await self._delete(SOURCES, key, found.metadata.uid if found else None)
        written = None
        if change.body is not None:
            written = await self._client.apply(SOURCES, change.body, manager=wishes.MANAGER)

        def is_seen() -> bool:
            gone = all(store.get(key) is None for key in change.deletes)
            return gone and (written is None or store.has_seen(written.key, written.resource_version))

        await self._changes.wait_until(is_seen, SEEN_SECONDS)

    async def _delete(self, kind: Kind[Any], key: Key, uid: str | None = None) -> None:
        with contextlib.suppress(NotFound):  # gone is what was wanted
            await self._client.delete(kind, key, uid=uid)

    def _refuse_hopeless(self, target: wishes.Target, on: bool) -> None:
        """A wish that could never come true is refused here, where the person still looks."""
        namespace = self._stores[NAMESPACES].get(Key("", target.namespace))
        if namespace is None:
            raise Problem(404, "not_found", f"There is no namespace {target.namespace}.", fix="Reload the page.")
        if target.kind != wishes.NAMESPACE:
            self._workload(target)
        if on and namespace.status.phase == "Terminating":
            raise Problem(
                409,
                "terminating",
                f"The namespace {target.namespace} is being deleted.",
                fix="Nothing can be instrumented there any more.",
            )
        if on and self._wishes().is_ignored(target.namespace):
            raise Problem(
                409,
                "ignored",
                f"The namespace {target.namespace} is never instrumented.",
                fix="If it is in ignoredNamespaces of the OdigosConfiguration odigos-config, take it out there; "
                "odigos-system and the kube- namespaces stay out, because a fault there would break the cluster.",
            )

    # What the handlers share

    def _need(self, *kinds: Kind[Any]) -> None:
        missing = [str(kind) for kind in kinds if not self._stores[kind].synced]
        if missing:
            raise not_synced(", ".join(missing))

    def _read(self, request: Request, render: Callable[[int], View], *topics: Topic) -> Response:
        """The view of these topics, rendered once a version however many ask."""
        seq = self._hub.version(*topics)
        etag = f'"{self._info.boot}-{seq}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        url = request.url.path
        if request.url.query:
            return _json(_encode(render(seq)), headers)
        if self._rendered.get(url, (-1, b""))[0] != seq:
            if len(self._rendered) >= 64:
                self._rendered.clear()
            self._rendered[url] = (seq, _encode(render(seq)))
        return _json(self._rendered[url][1], headers)

    def _world(self) -> presenting.World:
        return presenting.World(
            workloads={kind: self._stores[resource].values() for kind, resource in WORKLOADS.items()},
            applications={key_of(a): a for a in self._stores[APPLICATIONS].values()},
            sources=self._stores[SOURCES].values(),
            namespaces=self._stores[NAMESPACES].values(),
            configuration=self._configuration(),
            injected_pods=self._stores[PODS].by(MARKED_PODS, True),
        )

    def _wishes(self) -> wishes.Wishes:
        return wishes.Wishes(self._stores[SOURCES].values(), self._configuration())

    def _configuration(self) -> OdigosConfiguration:
        found = self._stores[CONFIGURATIONS].get(Key(self._info.namespace, CONFIGURATION_NAME))
        return found or OdigosConfiguration()

    def _workload(self, target: wishes.Target) -> Workload:
        found = self._stores[WORKLOADS[target.kind]].get(Key(target.namespace, target.name))
        if found is None:
            raise Problem(404, "not_found", f"There is no {target}.", fix="It was probably deleted; see the list.")
        return found


def watch(stores: Stores, hub: Hub) -> None:
    """Makes the caches' changes the hub's topics, and sets up the indexes the API reads. Before the caches start."""
    stores[PODS].add_index(MARKED_PODS, lambda pod: (True,) if INSTRUMENTED_LABEL in pod.metadata.labels else ())
    for kind in READ_KINDS:
        if kind is not PODS:
            stores[kind].subscribe(hub.handler("sources"))
    stores[PODS].subscribe(hub.handler("sources", matters=_matters))
    stores[DESTINATIONS].subscribe(hub.handler("destinations"))
    stores[GROUPS].subscribe(hub.handler("collectors"))
    for store in stores.all():
        store.on_unreadable(hub.handler("meta"))


def _matters(change: Any) -> bool:
    """A cluster's pods change all the time; only those with our marks are on a page."""
    return presenting.carries_our_marks(change.before) or presenting.carries_our_marks(change.after)


def _target(request: Request) -> wishes.Target:
    namespace, kind, name = (request.path_params[part] for part in ("namespace", "kind", "name"))
    if kind == wishes.NAMESPACE and name != namespace:
        raise Problem(
            400, "target", "The namespace is named twice, differently.", fix=f"PUT /api/sources/{name}/Namespace/{name}"
        )
    if kind != wishes.NAMESPACE and kind not in WORKLOADS:
        known = ", ".join([*WORKLOADS, wishes.NAMESPACE])
        raise Problem(404, "kind", f"There is no kind {kind[:100]!r} here.", fix=f"One of {known}.")
    return wishes.Target(namespace, kind, name)


async def _body(request: Request, model: type[V]) -> V:
    """The request's body as a model; a problem names the first field that is wrong."""
    content = await request.body()
    try:
        json.loads(content, object_pairs_hook=_without_duplicates)
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field_name = ".".join(str(part) for part in first["loc"])
        raise Problem(
            400,
            "body",
            f"The body is not what this path takes: {field_name or 'it'}: {first['msg']}.",
            field=field_name,
            fix="Send JSON of the shape that the API's description names.",
        ) from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, "body", f"The body is not JSON: {error}.", fix="Send a JSON object.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of one body must not see two different things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _encode(view: View) -> bytes:
    return view.model_dump_json(by_alias=True).encode()


def _json(content: bytes, headers: dict[str, str], status: int = 200) -> Response:
    return Response(content, status, headers, media_type="application/json")


def _accepted(what: str, command: str) -> Response:
    view = AcceptedView(accepted=True, object=what, kubectl=command)
    return _json(_encode(view), {"cache-control": "no-store"}, 202)
