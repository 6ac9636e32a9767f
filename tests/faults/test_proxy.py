"""The fault proxy itself, before a tiny API server: it aims at what it should, and does what its faults say."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import faults
from tests.faults.faults import Gate, OnceForEachKind, cut_at_byte, doubling, dropping, edited, swapping
from tests.faults.proxy import WRITES, Aim, Edit, Exchange, Proxy, Request, parse, proxying
from tests.faults.relay import Loop
from tests.waiting import eventually

PODS = "/api/v1/namespaces/ns/pods"
WATCH = f"{PODS}?watch=true"
APPLY = f"{PODS}/a/status?fieldManager=odigos-x&force=true"
segment = st.text(st.characters(categories=["Ll", "Nd"], max_codepoint=127), min_size=1, max_size=8)


def event(type_: str, name: str) -> bytes:
    return b'{"type":"%s","object":{"metadata":{"name":"%s"}}}\n' % (type_.encode(), name.encode())


LINES = tuple(event("ADDED", name) for name in "abcd")


@dataclass
class Upstream:
    """What an API server is to a proxy: it keeps what it was asked, and answers in bytes."""

    url: str = ""
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    streams: int = 0
    """Watches that are open."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, await request.read()))
        if request.query.get("watch"):
            return await self._watch(request)
        return web.Response(status=201, body=b"\x00\xff\n{", headers={"X-Seen": "yes", "Content-Type": "a/b"})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.streams += 1
        try:
            for line in LINES:
                await response.write(line)
            if request.query.get("timeoutSeconds") != "0":
                await asyncio.Event().wait()
            return response
        finally:
            self.streams -= 1


@contextmanager
def serving(upstream: Upstream) -> Iterator[Upstream]:
    loop = Loop("upstream")

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", upstream.answer)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = loop.run(start())
    try:
        yield upstream
    finally:
        loop.run(runner.cleanup())
        loop.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving(Upstream()) as made:
        yield made


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    with proxying(upstream.url, ssl.create_default_context()) as made:
        yield made


def ask(proxy: Proxy, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body; (0, what came) for an answer that broke off."""
    request = urllib.request.Request(proxy.url + path, method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, getattr(error, "partial", b"")


def watched(proxy: Proxy) -> list[bytes]:
    """The lines of a watch that ends by itself."""
    return ask(proxy, f"{WATCH}&timeoutSeconds=0")[1].splitlines(keepends=True)


@contextmanager
def open_watch(proxy: Proxy) -> Iterator[Any]:
    with urllib.request.urlopen(proxy.url + WATCH, timeout=10) as answer:
        yield answer


@contextmanager
def client_that_goes(proxy: Proxy, path: str) -> Iterator[Callable[[], None]]:
    """Asks, waits for nothing; what is given hangs up."""
    host, port = proxy.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield connection.close


# Forwarding


def test_what_is_forwarded_is_forwarded_byte_by_byte(proxy: Proxy, upstream: Upstream) -> None:
    path = "/api/v1/namespaces/ns/pods/a%2Fb?x=%2C+y&z=%C3%A4"
    assert ask(proxy, path, "PATCH", b"\x00no json\xff") == (201, b"\x00\xff\n{")
    assert upstream.asked == [("PATCH", path, b"\x00no json\xff")]


def test_a_watch_without_a_fault_comes_byte_by_byte(proxy: Proxy) -> None:
    assert ask(proxy, f"{WATCH}&timeoutSeconds=0") == (200, b"".join(LINES))


def test_what_came_by_is_known_with_its_answer(proxy: Proxy) -> None:
    ask(proxy, APPLY, "PATCH", b"{}")
    (seen,) = proxy.requests(Aim("patch", "pods"))
    assert (str(seen.request), seen.status, seen.committed) == ("patch pods/status ns/a", 201, True)
    assert seen.request.kind_of_write == "patch pods/status odigos-x"


def test_an_api_server_that_is_away_is_a_connection_that_breaks(proxy: Proxy) -> None:
    proxy.upstream = "http://127.0.0.1:1"
    assert ask(proxy, PODS) == (0, b"")


# Aims


def test_a_fault_hits_the_nth_request_that_fits_and_no_other(proxy: Proxy) -> None:
    rule = proxy.on(Aim("get", "pods", "a", nth=2), faults.refuse(500))
    names = ["a", "b", "a", "a"]
    assert [ask(proxy, f"{PODS}/{name}")[0] for name in names] == [201, 201, 500, 201]
    assert (rule.fits, rule.hits) == (3, 1)


def test_an_aim_without_a_number_hits_until_its_rule_is_removed(proxy: Proxy) -> None:
    with proxy.on(Aim("list", "p*"), faults.refuse(503)) as rule:
        assert [ask(proxy, PODS)[0] for _ in range(2)] == [503, 503]
    assert ask(proxy, PODS)[0] == 201
    assert rule.hits == 2


def test_the_first_rule_that_fires_is_obeyed(proxy: Proxy) -> None:
    proxy.on(Aim("list", nth=2), faults.refuse(500))
    proxy.on(Aim("list"), faults.refuse(503))
    assert [ask(proxy, PODS)[0] for _ in range(3)] == [503, 500, 503]


def test_once_for_each_kind_of_write_is_once_for_each_field_manager(proxy: Proxy, upstream: Upstream) -> None:
    once = OnceForEachKind(faults.refuse(500))
    proxy.on(Aim("write"), once.fault)
    other = APPLY.replace("odigos-x", "odigos-y")
    assert [ask(proxy, path, "PATCH", b"{}")[0] for path in (APPLY, APPLY, other)] == [500, 201, 500]
    assert once.kinds == {"patch pods/status odigos-x", "patch pods/status odigos-y"}


# Faults of requests


def test_a_refused_request_is_never_heard_of(proxy: Proxy, upstream: Upstream) -> None:
    proxy.on(Aim(), faults.refuse(429, "TooManyRequests", Retry_After="7"))
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(proxy.url + PODS):
        pass
    with caught.value as answer:
        assert (answer.code, answer.headers["Retry-After"]) == (429, "7")
    assert upstream.asked == []


def test_a_lost_request_was_never_heard_of_and_a_lost_reply_was_done(proxy: Proxy, upstream: Upstream) -> None:
    proxy.on(Aim(nth=1), faults.lose_the_request)
    proxy.on(Aim(nth=1), faults.lose_the_reply)
    assert ask(proxy, f"{PODS}/a") == (0, b"")
    assert upstream.asked == []
    assert ask(proxy, f"{PODS}/b") == (0, b"")
    assert [path for _, path, _ in upstream.asked] == [f"{PODS}/b"]


def test_done_but_answered_is_done_once(proxy: Proxy, upstream: Upstream) -> None:
    proxy.on(Aim("create"), faults.done_but_answered(504))
    assert ask(proxy, PODS, "POST", b"{}")[0] == 504
    assert len(upstream.asked) == 1
    assert proxy.seen[0].committed


def test_a_kill_comes_before_the_request_is_passed_on_or_after_it_is_done(proxy: Proxy, upstream: Upstream) -> None:
    known: list[int] = []
    proxy.on(Aim(nth=1), faults.kill_before(lambda: known.append(len(upstream.asked))))
    proxy.on(Aim(nth=1), faults.kill_after(lambda: known.append(len(upstream.asked))))
    assert [ask(proxy, PODS), ask(proxy, PODS)] == [(0, b"")] * 2
    assert known == [0, 1]
    assert len(upstream.asked) == 1


def test_what_a_client_that_has_gone_had_asked_is_not_passed_on(proxy: Proxy, upstream: Upstream) -> None:
    gone: list[str] = []

    async def waits(exchange: Exchange) -> web.StreamResponse:
        try:
            return await faults.black_hole(exchange)
        except asyncio.CancelledError:
            gone.append(str(exchange.request))
            raise

    proxy.on(Aim(), waits)
    with client_that_goes(proxy, PODS) as hang_up:
        eventually(lambda: proxy.seen, "the request is there")
        hang_up()
    eventually(lambda: gone == ["list pods ns"], "the proxy has noticed")
    assert upstream.asked == []


def test_a_watch_whose_client_has_gone_is_not_followed(proxy: Proxy, upstream: Upstream) -> None:
    with open_watch(proxy) as answer:
        assert answer.readline() == LINES[0]
        assert upstream.streams == 1
    eventually(lambda: upstream.streams == 0, "the watch is closed")


def test_another_server_may_answer(proxy: Proxy, upstream: Upstream) -> None:
    with serving(Upstream()) as other:
        proxy.on(Aim("list"), faults.moved_to(other.url))
        ask(proxy, PODS)
        ask(proxy, f"{PODS}/a")
        assert (len(other.asked), len(upstream.asked)) == (1, 1)


# Faults of watches


@pytest.mark.parametrize("cleanly", [True, False])
@pytest.mark.parametrize("number", [0, 1, len(LINES[0]) - 1, len(LINES[0]), len(LINES[0]) + 1])
def test_a_watch_is_cut_at_exactly_this_byte(proxy: Proxy, number: int, cleanly: bool) -> None:
    proxy.on(Aim("watch"), cut_at_byte(number, cleanly=cleanly))
    status, got = ask(proxy, WATCH)
    whole = b"".join(LINES)[:number]
    assert got == whole if cleanly else whole.startswith(got)
    assert status == (200 if cleanly else 0)


def test_an_empty_watch_and_an_error_event_never_ask_the_api_server(proxy: Proxy, upstream: Upstream) -> None:
    proxy.on(Aim("watch", nth=1), faults.empty_watch)
    proxy.on(Aim("watch", nth=1), faults.error_event(410, "Expired"))
    assert ask(proxy, WATCH) == (200, b"")
    status, body = ask(proxy, WATCH)
    assert status == 200
    assert b'"type": "ERROR"' in body
    assert b'"code": 410' in body
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (doubling, "aabbccdd"),
        (swapping, "badc"),
        (dropping(lambda type_, name: name == "b"), "acd"),
        (dropping(lambda type_, name: type_ == "ADDED", times=2), "cd"),
    ],
)
def test_the_events_of_a_watch_are_doubled_swapped_or_dropped(proxy: Proxy, edit: Edit, names: str) -> None:
    proxy.on(Aim("watch"), edited(edit))
    assert watched(proxy) == [event("ADDED", name) for name in names]


def test_a_gate_holds_what_comes_and_gives_it_in_its_order(proxy: Proxy) -> None:
    gate = Gate(proxy)
    proxy.on(Aim("watch"), gate.fault)
    gate.close()
    with open_watch(proxy) as answer:
        eventually(lambda: gate.held, "an event is held")
        gate.open()
        assert [answer.readline() for _ in LINES] == list(LINES)


# What a request asks for


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", PODS, "list pods ns"),
        ("GET", WATCH, "watch pods ns"),
        ("GET", "/api/v1/pods?watch=false", "list pods"),
        ("GET", f"{PODS}/a/log", "get pods/log ns/a"),
        ("GET", "/api/v1/namespaces", "list namespaces"),
        ("GET", "/api/v1/namespaces/ns", "get namespaces ns"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/a", "update leases ns/a"),
        ("PATCH", "/apis/odigos.io/v1alpha1/namespaces/ns/sources/a/status", "patch sources/status ns/a"),
        ("DELETE", f"{PODS}/a", "delete pods ns/a"),
        ("DELETE", PODS, "deletecollection pods ns"),
        ("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a.b", "patch customresourcedefinitions a.b"),
        ("GET", "/version", "get"),
        ("GET", "/", "get"),
        ("GET", "/apis", "get"),
    ],
)
def test_a_path_is_read_as_the_api_server_reads_it(method: str, path: str, said: str) -> None:
    assert str(parse(method, path)) == said


def test_the_name_of_what_is_created_stands_in_its_body() -> None:
    assert parse("POST", PODS, b'{"metadata": {"name": "a"}}').name == "a"
    assert parse("POST", PODS, b"no json").name == ""


@given(segment, segment, segment, st.sampled_from(["", "status", "log"]), st.sampled_from(["/api/v1", "/apis/g.io/v1"]))
def test_every_part_of_a_path_is_found_again(ns: str, resource: str, name: str, subresource: str, root: str) -> None:
    path = "/".join(part for part in (root, "namespaces", ns, resource, name, subresource) if part)
    found = parse("PATCH", path)
    assert (found.verb, found.namespace, found.resource) == ("patch", ns, resource)
    assert (found.name, found.subresource) == (name, subresource)


@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), st.text(max_size=60), st.binary(max_size=60))
def test_no_request_is_too_strange_to_be_read(method: str, rest: str, body: bytes) -> None:
    found = parse(method, "/" + urllib.parse.quote(rest, safe="/?&=%"), body)
    assert found.verb in WRITES | {"get", "list", "watch"}


@given(segment, segment)
def test_an_aim_at_one_name_fits_no_other(one: str, other: str) -> None:
    aimed = Aim("write", name=one)
    request = Request("patch", "pods", "ns", other, "", "PATCH", "", "")
    assert aimed.fits(request) == (one == other)
