"""The real UI on a real port, over a cluster of dictionaries: what the browser tests drive.

The app runs in a thread of its own, as in the process; a test reaches into the cluster by `do`, which runs its function
there. `python -m tests.browser.serving SCENARIO [PORT]` serves one scenario until Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from odigos_cp.web import server
from odigos_cp.web.app import build_ui_app
from odigos_cp.web.events import Hub
from odigos_cp.web.routes import Info
from odigos_cp.web.static import Bundle
from odigos_cp.web.views import TaskView
from tests.browser.scenarios import SCENARIOS, World
from tests.web.fake_cluster import FakeCluster

T = TypeVar("T")

TASKS = ("instrumentor/discovery", "instrumentor/detection", "instrumentor/injection", "autoscaler", "scheduler")
WAITS = "scheduler"


@dataclass
class Served:
    """A UI that listens at `url`. `stop` and `start` are the end and the return of the port-forward."""

    portal: BlockingPortal
    bundle: Bundle
    cluster: FakeCluster
    port: int = 0
    hub: Hub = field(default_factory=lambda: Hub("boot"))
    _stop: Callable[[], None] = field(default=lambda: None)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def do(self, function: Callable[[FakeCluster], T]) -> T:
        """Something with the cluster, in the thread that owns it."""
        return self.portal.call(function, self.cluster)

    def start(self) -> None:
        self.hub = Hub(f"boot-{id(object())}")
        info = Info(
            cluster_version="v1.36.2",
            boot=self.hub.boot,
            leading=lambda: True,
            tasks=lambda: [TaskView(name=name, running=True, waiting=int(name == WAITS)) for name in TASKS],
        )
        app = self.portal.call(
            partial(build_ui_app, self.cluster.stores, self.cluster.client, info, hub=self.hub, bundle=self.bundle)
        )
        running: list[tuple[anyio.CancelScope, anyio.Event]] = []

        async def run(*, task_status: TaskStatus[int]) -> None:
            stopped = anyio.Event()
            with anyio.CancelScope() as scope:
                running.append((scope, stopped))
                await server.serve(
                    app, "127.0.0.1", self.port, name="ui", on_stop=self.hub.close, task_status=task_status
                )
            stopped.set()

        async def end() -> None:
            scope, stopped = running[0]
            scope.cancel()
            await stopped.wait()

        _, self.port = self.portal.start_task(run)
        self._stop = partial(self.portal.call, end)

    def stop(self) -> None:
        self._stop()
        self._stop = lambda: None


@contextmanager
def serve(portal: BlockingPortal, bundle: Bundle, world: World, port: int = 0) -> Iterator[Served]:
    async def make() -> FakeCluster:
        return FakeCluster()

    served = Served(portal, bundle, portal.call(make), port)
    served.start()
    served.do(world.fill)
    try:
        yield served
    finally:
        served.stop()


def main() -> None:
    name, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    with start_blocking_portal() as portal, serve(portal, Bundle.load(), SCENARIOS[name](), port) as served:
        print(f"{name}: {served.url}", flush=True)
        portal.call(anyio.sleep_forever)


if __name__ == "__main__":
    main()
