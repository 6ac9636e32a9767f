"""The client against a server that misbehaves: every call ends, every failure has its type."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from odigos_cp.api.builtin import CONFIG_MAPS, ConfigMap
from odigos_cp.api.meta import Key
from odigos_cp.kube import errors, writes
from odigos_cp.kube.client import Access, Client, WatchEvent
from odigos_cp.kube.writes import Note
from tests.kube.certificates import server_context
from tests.kube.scripted import Answer as Scripted
from tests.kube.scripted import ScriptedServer, key, line, listed, serving, status, streamed, wire


@asynccontextmanager
async def talking(*answers: Scripted, timeout: float = 5) -> AsyncIterator[tuple[Client, ScriptedServer]]:
    async with serving(*answers) as server, Client(Access(server.url), timeout=timeout) as client:
        yield client, server


async def events(client: Client, read_timeout: float = 5) -> list[WatchEvent[ConfigMap]]:
    watching = client.watch(CONFIG_MAPS, resource_version="1", timeout_seconds=5, read_timeout=read_timeout)
    async with watching as stream:
        return [event async for event in stream]


async def test_a_server_that_never_answers_is_given_up_at_the_deadline_h1() -> None:
    async with talking(streamed(60.0), timeout=0.1) as (client, _):
        with anyio.fail_after(2), pytest.raises(errors.Unreachable, match="deadline"):
            await client.get(CONFIG_MAPS, key("a"))


async def test_a_connection_that_is_refused_names_the_server() -> None:
    async with Client(Access("http://127.0.0.1:1")) as client:
        with pytest.raises(errors.Unreachable, match=r"get configmaps.*127\.0\.0\.1:1"):
            await client.get(CONFIG_MAPS, key("a"))


async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    async with talking(streamed(b'{"meta', None)) as (client, _):
        with pytest.raises(errors.Unreachable):
            await client.get(CONFIG_MAPS, key("a"))


async def test_a_silent_watch_is_noticed_within_its_read_deadline_h1() -> None:
    async with talking(streamed(line("ADDED", wire("a", 2)), 60.0)) as (client, _):
        with anyio.fail_after(2), pytest.raises(errors.Unreachable, match="deadline"):
            await events(client, read_timeout=0.1)


async def test_half_a_line_at_the_end_of_a_watch_is_no_event_h4() -> None:
    whole = line("ADDED", wire("b", 3))
    for cut in range(len(whole)):
        async with talking(streamed(line("ADDED", wire("a", 2)), whole[:cut])) as (client, _):
            assert [event.key for event in await events(client)] == [key("a")]


async def test_a_watch_that_is_cut_raises_after_its_whole_events_h4() -> None:
    async with (
        talking(streamed(line("ADDED", wire("a", 2)), b'{"type":', None)) as (client, _),
        client.watch(CONFIG_MAPS, resource_version="1") as stream,
    ):
        assert (await anext(stream)).key == key("a")
        with pytest.raises(errors.Unreachable):
            await anext(stream)


async def test_an_overlong_line_does_not_end_the_watch_h7() -> None:
    bomb = line("ADDED", wire("bomb", 2, x="<" * 9_000_000))
    async with talking(streamed(bomb, line("ADDED", wire("a", 3)))) as (client, _):
        assert [event.type for event in await events(client)] == ["OVERLONG", "ADDED"]


async def test_410_as_the_status_of_a_watch_is_gone() -> None:
    async with talking(status(410, "Expired")) as (client, _):
        with pytest.raises(errors.Gone):
            await events(client)


async def test_410_in_the_stream_of_a_watch_is_gone() -> None:
    async with talking(streamed(line("ERROR", {"code": 410, "reason": "Expired"}))) as (client, _):
        with pytest.raises(errors.Gone):
            await events(client)


async def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    async with talking(streamed()) as (client, server):
        await events(client)
    assert server.requests[0][2] == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "1",
        "timeoutSeconds": "5",
    }


async def test_a_read_that_is_shed_is_asked_again_after_the_pause() -> None:
    async with talking(status(429, Retry_After="1"), listed(wire("a", 1))) as (client, server):
        assert len((await client.list_page(CONFIG_MAPS)).items) == 1
        assert len(server.requests) == 2


async def test_a_pause_beyond_the_deadline_is_the_callers_matter() -> None:
    async with talking(status(503, Retry_After="3600")) as (client, _):
        with pytest.raises(errors.ServerError) as caught:
            await client.get(CONFIG_MAPS, key("a"))
        assert caught.value.retry_after == 60


async def test_a_write_is_never_sent_twice() -> None:
    async with talking(status(429, Retry_After="1"), status(500)) as (client, server):
        with pytest.raises(errors.TooManyRequests):
            await client.apply(CONFIG_MAPS, wire("a", 1), manager="m")
        assert len(server.requests) == 1


async def test_a_name_is_one_segment_of_the_path_whatever_it_holds() -> None:
    async with talking(status(404)) as (client, server):
        with pytest.raises(errors.NotFound):
            await client.get(CONFIG_MAPS, Key("ns", "a/../../secrets?x=%2e"))
        assert server.requests[0][1] == "/api/v1/namespaces/ns/configmaps/a%2F..%2F..%2Fsecrets%3Fx%3D%252e"


@pytest.mark.parametrize("bad", [Key("ns", ""), Key("ns", ".."), Key("", "a"), Key("..", "a")])
async def test_a_key_that_would_be_another_address_is_refused(bad: Key) -> None:
    async with talking() as (client, _):
        with pytest.raises(ValueError, match="name"):
            await client.delete(CONFIG_MAPS, bad)


async def test_text_is_cut_at_its_limit_however_much_there_is() -> None:
    async with talking(streamed(*[b"x" * 1000] * 100, 60.0)) as (client, _):
        with anyio.fail_after(2):
            assert await client.get_text("/api/v1/log", limit_bytes=2500) == "x" * 2500


async def test_a_list_that_is_no_list_is_the_servers_error() -> None:
    async with talking(web.Response(text="<html>")) as (client, _):
        with pytest.raises(errors.ServerError, match="no list"):
            await client.list_page(CONFIG_MAPS)


async def test_an_object_that_cannot_be_decoded_is_named() -> None:
    async with talking(web.json_response({"metadata": 3})) as (client, _):
        with pytest.raises(errors.Invalid, match="ConfigMap ns/a"):
            await client.get(CONFIG_MAPS, key("a"))


async def test_an_apply_names_its_kind_manager_and_force() -> None:
    async with talking(web.json_response(wire("a", 7))) as (client, server):
        written = await client.apply(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "ns"}}, manager="m")
    method, path, query, body, headers = server.requests[0]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/ns/configmaps/a")
    assert (query, body["kind"]) == ({"fieldManager": "m", "force": "true"}, "ConfigMap")
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert (written.key, written.resource_version) == (key("a"), "7")


async def test_a_delete_of_a_uid_says_so() -> None:
    async with talking(web.json_response({})) as (client, server):
        await client.delete(CONFIG_MAPS, key("a"), uid="u", grace_seconds=0)
    assert server.requests[0][3]["preconditions"] == {"uid": "u"}
    assert server.requests[0][3]["gracePeriodSeconds"] == 0


async def test_a_refused_token_is_read_again_and_the_call_repeated_once() -> None:
    async with serving(status(401), listed(), status(401), status(401)) as server:

        async def load() -> Access:
            return Access(server.url, authorization="Bearer new")

        async with Client(Access(server.url, authorization="Bearer old"), load) as client:
            client._loaded_at = float("-inf")
            await client.list_page(CONFIG_MAPS)
            with pytest.raises(errors.Unauthorized):
                await client.list_page(CONFIG_MAPS)
    assert [request[4]["Authorization"] for request in server.requests[:2]] == ["Bearer old", "Bearer new"]


async def test_a_server_with_a_rotated_ca_is_trusted_after_reading_the_ca_again_h8(tmp_path: Path) -> None:
    old, _ = server_context(tmp_path / "old")
    new, serves = server_context(tmp_path / "new")
    async with serving(listed(), ssl_context=serves) as server:

        async def load() -> Access:
            return Access(server.url, tls=new, fingerprint="new")

        async with Client(Access(server.url, tls=old, fingerprint="old"), load) as client:
            client._loaded_at = float("-inf")
            await client.list_page(CONFIG_MAPS)


async def test_a_server_with_a_foreign_certificate_is_refused(tmp_path: Path) -> None:
    trusts, _ = server_context(tmp_path / "ours")
    _, serves = server_context(tmp_path / "theirs")
    async with serving(ssl_context=serves) as server, Client(Access(server.url, tls=trusts)) as client:
        with pytest.raises(errors.Unreachable, match="not trusted"):
            await client.list_page(CONFIG_MAPS)


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    trusts, serves = server_context(tmp_path, name="10.9.9.9")
    async with serving(ssl_context=serves) as server, Client(Access(server.url, tls=trusts)) as client:
        with pytest.raises(errors.Unreachable, match="not trusted"):
            await client.list_page(CONFIG_MAPS)
    assert trusts.verify_mode is ssl.CERT_REQUIRED


async def test_a_redirect_is_not_followed() -> None:
    async with serving(listed()) as elsewhere:
        away = web.Response(status=302, headers={"Location": elsewhere.url})
        async with talking(away) as (client, _):
            with pytest.raises(errors.ApiError):
                await client.list_page(CONFIG_MAPS)
        assert elsewhere.requests == []


async def test_a_page_of_a_proxy_is_no_watch() -> None:
    async with talking(web.Response(text="<html>log in</html>\n", content_type="text/html")) as (client, _):
        with pytest.raises(errors.ServerError, match="text/html"):
            await events(client)


async def test_a_page_larger_than_the_limit_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odigos_cp.kube.client.PAGE_BYTES", 1000)
    async with talking(streamed(*[b"x" * 600] * 10, 60.0)) as (client, _):
        with anyio.fail_after(2), pytest.raises(errors.TooLarge, match="1000 bytes"):
            await client.list_page(CONFIG_MAPS)


async def test_a_look_at_one_object_asks_for_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(listed(wire("a", 1))) as (client, server):
        await client.list_page(CONFIG_MAPS, namespace="ns", field_selector="metadata.name=a", one_object=True)
    assert server.requests[0][2] == {"fieldSelector": "metadata.name=a"}


async def test_calls_one_after_the_other_share_a_connection_and_need_no_task_for_it() -> None:
    async with talking(listed(), listed(), listed()) as (client, _):
        await client.list_page(CONFIG_MAPS)
        made = set(client._connector._made)
        await client.list_page(CONFIG_MAPS)
        await client.list_page(CONFIG_MAPS)
        assert set(client._connector._made) == made
        assert len(made) == 1


# What a write leaves behind


BODY = {"metadata": {"name": "a", "namespace": "ns"}}
WRITES = {
    "apply": lambda client: client.apply(CONFIG_MAPS, BODY, manager="m"),
    "create": lambda client: client.create(CONFIG_MAPS, BODY),
    "replace": lambda client: client.replace(CONFIG_MAPS, key("a"), BODY),
    "delete": lambda client: client.delete(CONFIG_MAPS, key("a")),
}


async def noted(verb: str, *answers: Scripted, timeout: float = 5) -> tuple[Note, ...]:
    async with talking(*answers, timeout=timeout) as (client, _):
        with writes.noted() as notes, contextlib.suppress(errors.ApiError):
            await WRITES[verb](client)
    return tuple(notes)


@pytest.mark.parametrize("verb", WRITES)
async def test_a_write_is_noted_with_its_version(verb: str) -> None:
    (note,) = await noted(verb, web.json_response(wire("a", 7)))
    assert (note.key, note.resource_version, note.ambiguous) == (key("a"), "7", False)


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    "answer", [status(500), status(504), streamed(None), streamed(b'{"meta', None), web.Response(text="<html>")]
)
async def test_a_write_without_a_clear_answer_is_noted_as_one_that_may_have_happened_fault_17(
    verb: str, answer: Scripted
) -> None:
    (note,) = await noted(verb, answer)
    assert (note.key, note.ambiguous) == (key("a"), True)


async def test_a_write_that_is_given_up_on_may_have_happened_fault_17() -> None:
    (note,) = await noted("apply", streamed(60.0), timeout=0.1)
    assert note.ambiguous


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("verb", WRITES)
async def test_a_write_on_a_kept_connection_that_the_server_closes_is_not_sent_again(verb: str) -> None:
    async with talking(listed(), hang_up, listed()) as (client, server):
        await client.list_page(CONFIG_MAPS)
        with writes.noted() as notes, pytest.raises(errors.Unreachable):
            await WRITES[verb](client)
        assert len(server.requests) == 2
        assert [note.ambiguous for note in notes] == [True]


async def test_a_read_on_a_kept_connection_that_the_server_closes_is_sent_again() -> None:
    async with talking(listed(), hang_up, listed(wire("a", 1))) as (client, _):
        await client.list_page(CONFIG_MAPS)
        assert len((await client.list_page(CONFIG_MAPS)).items) == 1


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422, 429])
async def test_a_refusal_leaves_no_note(verb: str, code: int) -> None:
    assert await noted(verb, status(code), status(code)) == ()


async def test_a_write_that_found_no_server_leaves_no_note() -> None:
    async with Client(Access("http://127.0.0.1:1")) as client:
        with writes.noted() as notes, pytest.raises(errors.NotSent):
            await client.apply(CONFIG_MAPS, BODY, manager="m")
    assert notes == []


async def test_a_deletion_at_once_is_noted_with_what_is_gone_and_a_dry_run_not_at_all() -> None:
    (note,) = await noted("delete", web.json_response({"kind": "Status", "details": {"uid": "u"}}))
    assert (note.deleted_uid, note.ambiguous) == ("u", False)
    async with talking(web.json_response(wire("a", 7))) as (client, _):
        with writes.noted() as notes:
            await client.apply(CONFIG_MAPS, BODY, manager="m", dry_run=True)
    assert notes == []


async def test_a_kubeconfig_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.Unreachable, match=r"nowhere.*--kubeconfig"):
        await Client.connect(str(tmp_path / "nowhere"))


async def test_a_kubeconfig_with_a_token_is_used(tmp_path: Path) -> None:
    config = tmp_path / "config"
    async with serving(listed()) as server:
        config.write_text(
            f"{{current-context: c, clusters: [{{name: c, cluster: {{server: {server.url}}}}}],"
            " users: [{name: u, user: {token: secret}}], contexts: [{name: c, context: {cluster: c, user: u}}]}"
        )
        async with await Client.connect(str(config)) as client:
            await client.list_page(CONFIG_MAPS)
    assert server.requests[0][4]["Authorization"] == "Bearer secret"
