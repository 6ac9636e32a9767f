"""How does odigos-cp speak to the API server? One HTTP session, a deadline on every call, errors as types.

Reads that the server sheds (429, 503 with Retry-After) are asked again within their deadline; writes never are: the
controller that wanted them decides anew, and what aiohttp itself would send again it may not (`_once`). Each write is
noted where it is made (writes.py). Redirects are not followed.
A refused token or an unknown certificate makes the access be read again (access.py); a watch that is open goes on.
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import anyio
import anyio.lowlevel
import structlog
from yarl import URL

from odigos_cp.api.meta import Key, Kind, R
from odigos_cp.kube import access, clock, errors, fence, lines, metrics, wire, writes
from odigos_cp.kube.access import Access, Load
from odigos_cp.kube.connector import Connector
from odigos_cp.kube.wire import Page, WatchEvent, Written

__all__ = ["Access", "Client", "Page", "WatchEvent", "Written"]

log = structlog.get_logger(__name__)

REQUESTS = metrics.counter("odigos_kube_requests_total", "Calls to the API server.", "verb", "resource", "code")
SECONDS = metrics.histogram(
    "odigos_kube_request_seconds", "How long calls to the API server took, watches not counted.", "verb", "resource"
)
OVERLONG = metrics.counter("odigos_kube_overlong_lines_total", "Watch lines too long to keep.", "resource")

LIST_SECONDS: Final = 60.0
"""A page may be some megabytes, from a server that is busy."""
READ_SECONDS: Final = 70.0
"""Bookmarks come about each minute: a watch that is silent for longer is dead."""
ACCESS_SECONDS: Final = 60.0
"""A service account's token and CA are read again so often; the kubelet rotates them long before they end."""
REFRESH_SECONDS: Final = 10.0
"""A refused token makes the access be read again, but not more often than this."""
READ_RETRIES: Final = 2
TEXT: Final = "text"
"""What metrics call that which is no object."""
ERROR_BYTES: Final = 64 * 1024
LARGE_BYTES: Final = 512 * 1024
"""A body larger than this leaves in pieces, between which the loop goes on."""
PAGE_OBJECTS: Final = 500
PAGE_BYTES: Final = 64 * 1024 * 1024
"""A page of ordinary objects is a tenth of it."""
OBJECT_BYTES: Final = 16 * 1024 * 1024
"""etcd keeps objects of at most 1.5 MiB, and JSON makes at most six bytes of one."""


class _Unanswered(aiohttp.ClientConnectionError):
    """The connection ended after a write may have left."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends a PUT or DELETE again by itself when a connection that was kept turns out to be closed, for which
    it goes by the type of the error: a write that may have happened gets another one."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing has left
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _Unanswered(_why(error)) from error


class _Request(aiohttp.ClientRequest):
    """Asks the fence at the last moment: here the connection is there, and nothing has left yet."""

    async def write_bytes(
        self, writer: Any, conn: aiohttp.connector.Connection, content_length: int | None = None
    ) -> None:
        try:
            if self.method != "GET":
                fence.check(f"{self.method} {self.url.path}")
        except fence.NotLeading as refused:
            # This is a task of its own: who waits for the answer learns it from the connection.
            if conn.protocol is not None:
                conn.protocol.set_exception(refused)
            return
        await super().write_bytes(writer, conn, content_length)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """One that, whoever ends it, takes back what has not reached the server: a write that was given up on shall not
    arrive when a dead network comes back."""
    family, type_, protocol, *_ = address
    made = socket.socket(family, type_, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


class Client:
    """Make it with `await Client.connect()`, and close it: it is an async context manager."""

    def __init__(
        self, access: Access, load: Load | None = None, *, timeout: float = 15.0, user_agent: str = "odigos-cp"
    ) -> None:
        self._access = access
        self._load = load
        self._loaded_at = anyio.current_time()
        self._loading = anyio.Lock()
        self._timeout = timeout
        self._warned: set[str] = set()
        self._connector = Connector(limit=0, keepalive_timeout=30, ttl_dns_cache=30, socket_factory=_socket)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            request_class=_Request,
            middlewares=(_once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=True,
            read_bufsize=2**18,
        )

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        timeout: float = 15.0,
        user_agent: str = "odigos-cp",
        service_account: Path = access.SERVICE_ACCOUNT,
    ) -> Client:
        """Reads the access; makes no call yet. Without a kubeconfig: the pod's service account, else ~/.kube/config."""

        async def load() -> Access:
            return await access.load(kubeconfig, context, service_account)

        return cls(await load(), load, timeout=timeout, user_agent=user_agent)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):  # it is soon done, and whoever is cancelled leaves nothing open, too
            await self._connector.end()
            await self._session.close()

    # Reads

    async def list_page(
        self,
        kind: Kind[R],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_OBJECTS,
        continue_token: str = "",
        resource_version: str = "",
        one_object: bool = False,
    ) -> Page[R]:
        """One page, or all at once with limit 0. Without a resource version it is as fresh as the write before it.

        TooLarge is a page that could be asked for with a smaller limit; with `one_object`, which says that the
        selectors fit one object at most, it is the object.
        """
        params = _given(
            limit="" if one_object or not limit else str(limit),
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
        ) | _given(**{"continue": continue_token})
        body = await self._read(
            "list",
            kind,
            _path(kind, namespace),
            params,
            timeout=self._timeout if one_object else max(self._timeout, LIST_SECONDS),
            max_bytes=OBJECT_BYTES if one_object else PAGE_BYTES if limit else None,
        )
        try:
            return wire.page(kind, body)
        except ValueError as error:
            raise errors.ServerError(f"the answer is no list: {error}", status=200, action=f"list {kind}") from None

    async def get(self, kind: Kind[R], key: Key) -> R:
        return _decoded(kind, key, await self._read("get", kind, _object_path(kind, key)))

    async def version(self) -> str:
        """The cluster's version, as v1.36.2."""
        found = wire.decode_dict(await self._read("get", "version", "/version"))
        return str(found.get("gitVersion", "unknown"))

    async def get_text(self, path: str, *, params: Mapping[str, str] | None = None, limit_bytes: int = 65536) -> str:
        """The first bytes of something that is no object: a pod's log, what a proxied service says."""
        body = await self._read("get", TEXT, path, dict(params or {}), limit_bytes=limit_bytes)
        return body.decode(errors="replace")

    @asynccontextmanager
    async def watch(
        self,
        kind: Kind[R],
        *,
        resource_version: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: float = 300,
        read_timeout: float = READ_SECONDS,
    ) -> AsyncIterator[AsyncIterator[WatchEvent[R]]]:
        """Events after the version, until the server ends it. A dead stream raises; half a line is no event."""
        action = f"watch {kind}"
        params = _given(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=str(max(1, int(timeout_seconds))),
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        deadline = aiohttp.ClientTimeout(
            total=timeout_seconds + read_timeout, sock_connect=self._timeout, sock_read=read_timeout
        )
        path = _path(kind, namespace)
        async with (
            self._opened("watch", str(kind), "GET", path, params, deadline) as response,
            aclosing(self._events(kind, response, action)) as events,
        ):
            if response.content_type.startswith("text/"):
                raise errors.ServerError(
                    f"the answer is {response.content_type}, no watch: something else than the API server gave it",
                    status=200,
                    action=action,
                )
            yield events

    async def _events(
        self, kind: Kind[R], response: aiohttp.ClientResponse, action: str
    ) -> AsyncGenerator[WatchEvent[R], None]:
        splitter = lines.Splitter()
        try:
            async for chunk in response.content.iter_any():
                for line in splitter.feed(chunk):
                    if isinstance(line, lines.Overlong):
                        OVERLONG.inc(str(kind))
                        yield WatchEvent("OVERLONG", None, line.resource_version, Key(line.namespace, line.name))
                    else:
                        yield wire.event(kind, line)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise errors.Unreachable(f"the stream broke: {_why(error)}", action=action) from error

    # Writes

    async def apply(
        self,
        kind: Kind[Any],
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Written:
        """Server-side apply: `manager` owns exactly the fields of `body`, and gives up those it left out.

        With metadata.uid in the body only that very object is written: another, or none, of the name is Replaced.
        """
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        key = _key_in(kind, body)
        path = _object_path(kind, key, subresource)
        params = {"fieldManager": manager} | _given(force="true" if force else "", dryRun="All" if dry_run else "")
        try:
            with nullcontext() if dry_run else writes.ambiguous_unless_answered(kind, key):
                answer = await self._write("apply", kind, "PATCH", path, full, params, "application/apply-patch+yaml")
                written = wire.written(kind, answer)
        except (errors.Invalid, errors.Conflict) as error:
            # 422 on metadata.uid when another object has the name, 409 that names both uids when none has. Another 409
            # that blames no field is of writers who were faster again and again: the object is there, ours is not.
            replaced = (
                "metadata.uid" in error.fields
                if isinstance(error, errors.Invalid)
                else not error.fields and "uid mismatch" in error.message
            )
            if not (replaced and body.get("metadata", {}).get("uid")):
                raise
            raise errors.Replaced(
                f"the object was replaced or deleted meanwhile: {error.message}",
                status=409,
                reason="Conflict",
                action=error.action,
            ) from None
        if not dry_run:
            writes.note(kind, key, resource_version=written.resource_version)
        return written

    async def create(self, kind: Kind[Any], body: Mapping[str, Any]) -> Written:
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        namespace = str(body.get("metadata", {}).get("namespace", ""))
        if kind.namespaced and not namespace:
            raise ValueError(f"a {kind.kind} to be created needs metadata.namespace")
        with writes.ambiguous_unless_answered(kind, _key_in(kind, body)):
            written = wire.written(kind, await self._write("create", kind, "POST", _path(kind, namespace), full))
        writes.note(kind, written.key, resource_version=written.resource_version)
        return written

    async def replace(self, kind: Kind[R], key: Key, body: Mapping[str, Any]) -> R:
        """PUT; with metadata.resourceVersion in the body it fails with Conflict if someone was faster."""
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        with writes.ambiguous_unless_answered(kind, key):
            answer = await self._write("replace", kind, "PUT", _object_path(kind, key), full)
            written = wire.written(kind, answer)
        writes.note(kind, key, resource_version=written.resource_version)
        return _decoded(kind, key, answer)

    async def delete(
        self, kind: Kind[Any], key: Key, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """With `uid` only that very object: another one of the same name is a Conflict."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        with writes.ambiguous_unless_answered(kind, key):
            answer = await self._write("delete", kind, "DELETE", _object_path(kind, key), options)
            version, gone = wire.deleted(kind, answer)
        writes.note(kind, key, resource_version=version, deleted_uid=gone)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What has no kind here: access reviews, events."""
        return wire.decode_dict(await self._write("post", path.rsplit("/", 1)[-1], "POST", path, body))

    # Transport

    async def _read(
        self,
        verb: str,
        resource: Kind[Any] | str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
        limit_bytes: int | None = None,
        max_bytes: int | None = None,
    ) -> bytes:
        """Asked again when the server sheds load and says when to come back, as long as the deadline allows."""
        deadline = anyio.current_time() + (timeout or self._timeout)
        retries = READ_RETRIES
        while True:
            left = max(0.001, deadline - anyio.current_time())
            try:
                return await self._call(
                    verb, str(resource), "GET", path, params, left, limit_bytes=limit_bytes, max_bytes=max_bytes
                )
            except (errors.TooManyRequests, errors.ServerError) as error:
                pause = error.retry_after
                if not retries or not pause or anyio.current_time() + pause >= deadline:
                    raise
            retries -= 1
            await anyio.sleep(pause)

    async def _write(
        self,
        verb: str,
        resource: Kind[Any] | str,
        method: str,
        path: str,
        body: Mapping[str, Any],
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        async with fence.writing(f"{verb} {resource} ({method} {path})", self._timeout) as allowed:
            params = {**(params or {}), **allowed.params}
            return await self._call(
                verb, str(resource), method, path, params, allowed.seconds, wire.encode(body), content_type
            )

    async def _call(
        self,
        verb: str,
        resource: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        seconds: float,
        data: bytes | None = None,
        content_type: str = "",
        limit_bytes: int | None = None,
        max_bytes: int | None = None,
    ) -> bytes:
        """The first `limit_bytes` of the answer, or all of it: TooLarge if that is more than `max_bytes`."""
        started = anyio.current_time()
        deadline = aiohttp.ClientTimeout(total=seconds)
        action = f"{verb} {resource}"
        try:
            async with self._opened(verb, resource, method, path, params, deadline, data, content_type) as response:
                self._say_warnings(response)
                try:
                    if limit_bytes is not None:
                        return await _first_bytes(response, limit_bytes)
                    if max_bytes is None:
                        return await response.read()
                    body = await _first_bytes(response, max_bytes + 1)
                except (aiohttp.ClientError, OSError) as error:
                    raise errors.Unreachable(f"the answer broke off: {_why(error)}", action=action) from error
                if len(body) > max_bytes:
                    raise errors.TooLarge(f"the answer has more than {max_bytes} bytes", status=200, action=action)
                return body
        finally:
            SECONDS.observe(anyio.current_time() - started, verb, resource)

    @asynccontextmanager
    async def _opened(
        self,
        verb: str,
        resource: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        deadline: aiohttp.ClientTimeout,
        data: bytes | None = None,
        content_type: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 2xx. A refused token or certificate gets one more try with what is on disk now."""
        action = f"{verb} {resource} ({method} {path})"
        response = await self._sent(action, verb, resource, method, path, params, deadline, data, content_type)
        if response is None or response.status == 401:
            if response is not None:
                _drop(response)
            await self._refresh(older_than=REFRESH_SECONDS)
            response = await self._sent(
                action, verb, resource, method, path, params, deadline, data, content_type, final=True
            )
            assert response is not None
        try:
            if response.status >= 300:
                raise await _refusal(response, action)
            yield response
        finally:
            if response.content.at_eof():
                response.release()
            else:
                _drop(response)

    async def _sent(
        self,
        action: str,
        verb: str,
        resource: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        deadline: aiohttp.ClientTimeout,
        data: bytes | None,
        content_type: str,
        *,
        final: bool = False,
    ) -> aiohttp.ClientResponse | None:
        """The head of the answer; None when the server's certificate is not trusted and may have been rotated."""
        if self._access.expires:
            await self._refresh(older_than=ACCESS_SECONDS)
        known = self._access
        headers = _given(**{"Authorization": known.authorization, "Content-Type": content_type})
        asked = clock.asking()
        try:
            response = await self._session.request(
                method,
                URL(known.host + path, encoded=True).update_query(dict(params or {})),
                data=io.BytesIO(data) if data and len(data) > LARGE_BYTES else data,
                headers=headers,
                ssl=known.tls or True,
                server_hostname=known.server_hostname,
                proxy=known.proxy,
                timeout=deadline,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorCertificateError as error:
            REQUESTS.inc(verb, resource, "certificate")
            if final or self._load is None:
                raise errors.NotSent(
                    f"the certificate of {known.host} is not trusted: {error.certificate_error}. "
                    "Check the CA in the kubeconfig or service account",
                    action=action,
                ) from error
            return None
        except aiohttp.ClientConnectorError as error:
            REQUESTS.inc(verb, resource, "unreachable")
            raise errors.NotSent(f"no answer from {known.host}: {_why(error)}", action=action) from error
        except (aiohttp.ClientError, OSError) as error:
            REQUESTS.inc(verb, resource, "unreachable")
            raise errors.Unreachable(f"no answer from {known.host}: {_why(error)}", action=action) from error
        REQUESTS.inc(verb, resource, str(response.status))
        if resource != TEXT:  # what a pod says has the pod's time
            clock.hear(response.headers.get("Date", ""), asked)
        return response

    async def _refresh(self, older_than: float) -> None:
        """Reads the access again if it is older than this; one reads, the others wait for it."""
        if self._load is None or anyio.current_time() - self._loaded_at < older_than:
            return
        async with self._loading:
            if anyio.current_time() - self._loaded_at < older_than:
                return
            self._loaded_at = anyio.current_time()
            try:
                fresh = await self._load()
            except errors.ApiError as error:
                log.warning("access_not_read", why=str(error), hint="going on with the access as it was read before")
                return
            same = fresh.fingerprint == self._access.fingerprint
            if same and self._access.authorization and not fresh.authorization:
                log.warning("access_not_read", why="there is no token any more", hint="going on with the one before")
                return
            self._access = replace(fresh, tls=self._access.tls) if same else fresh

    def _say_warnings(self, response: aiohttp.ClientResponse) -> None:
        """The API server warns of fields it does not know and versions that end: each text once."""
        for text in response.headers.getall("Warning", ()):
            if text not in self._warned and len(self._warned) < 100:
                self._warned.add(text)
                log.warning("api_warning", text=text[:500], path=response.url.path)


def _drop(response: aiohttp.ClientResponse) -> None:
    """The rest of it is of no use, nor is its connection: without the goodbyes of TLS, for which a server that is gone
    would be waited for."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


async def _first_bytes(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


async def _refusal(response: aiohttp.ClientResponse, action: str) -> errors.ApiError:
    try:
        body = await _first_bytes(response, ERROR_BYTES)
    except (aiohttp.ClientError, OSError) as error:
        body = f"the answer broke off: {_why(error)}".encode()
    return errors.from_response(
        response.status, body, retry_after=response.headers.get("Retry-After", ""), action=action
    )


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the deadline passed"
    return str(error) or type(error).__name__


def _given(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _path(kind: Kind[Any], namespace: str) -> str:
    return kind.path(_segment(namespace) if namespace else "")


def _object_path(kind: Kind[Any], key: Key, subresource: str = "") -> str:
    if kind.namespaced and not key.namespace:
        raise ValueError(f"{kind.kind} {key.name!r} needs a namespace")
    return kind.path(_segment(key.namespace) if kind.namespaced else "", _segment(key.name), subresource)


def _segment(name: str) -> str:
    """One part of a path, whatever a name holds: names come from users."""
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of an object")
    return quote(name, safe="")


def _key_in(kind: Kind[Any], body: Mapping[str, Any]) -> Key:
    metadata = body.get("metadata", {})
    return Key(str(metadata.get("namespace", "")) if kind.namespaced else "", str(metadata.get("name", "")))


def _decoded(kind: Kind[R], key: Key, body: bytes) -> R:
    try:
        return kind.decode(body)
    except ValueError as error:
        raise errors.Invalid(
            f"{kind.kind} {key} is not what odigos-cp understands: {error}", reason="Undecodable"
        ) from None
