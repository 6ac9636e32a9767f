"""Events about users' objects are few, and never in the way. Time is virtual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio
import pytest

from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import Forbidden
from odigos_cp.kube.recorder import Limiter, event

pytestmark = pytest.mark.looptime

ABOUT = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "cart", "uid": "u"}


class Recording:
    def __init__(self, error: Exception | None = None, delay: float = 0) -> None:
        self.posts: list[tuple[str, Mapping[str, Any]]] = []
        self.limiter = Limiter()
        self._error = error
        self._delay = delay

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.posts.append((path, body))
        await anyio.sleep(self._delay)
        if self._error:
            raise self._error
        return {}

    async def record(self, message: str, about: Mapping[str, Any] = ABOUT) -> None:
        client = cast(Client, self)
        await event(
            client,
            about=about,
            type="Warning",
            reason="RolledBack",
            message=message,
            component="rollout",
            limiter=self.limiter,
        )


@pytest.mark.parametrize("fault", [{"error": Forbidden("rbac", status=403)}, {"delay": 1e9}])
async def test_an_event_that_cannot_be_written_is_nobodys_problem(fault: dict[str, Any]) -> None:
    await Recording(**fault).record("crashed")


async def test_the_same_event_is_not_repeated_for_ten_minutes() -> None:
    recording = Recording()
    for _ in range(100):
        await recording.record("crashed")
        await anyio.sleep(11)
    assert len(recording.posts) == 2


async def test_all_events_together_are_limited() -> None:
    recording = Recording()
    for n in range(1000):
        await recording.record(f"crashed {n}")
    assert len(recording.posts) == 25


async def test_texts_are_cut_to_what_the_api_server_accepts() -> None:
    recording = Recording()
    await recording.record("x" * 5000)
    path, body = recording.posts[0]
    assert path == "/apis/events.k8s.io/v1/namespaces/shop/events"
    assert len(body["note"]) == 1024


async def test_an_event_about_a_cluster_scoped_object_goes_to_the_default_namespace() -> None:
    recording = Recording()
    await recording.record("gone", {"kind": "Namespace", "name": "shop"})
    assert recording.posts[0][0].endswith("/namespaces/default/events")
