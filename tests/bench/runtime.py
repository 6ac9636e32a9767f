"""This project's side of the benchmark: what a controller on `odigos_cp.kube` does with the pods of a cluster.

`python -m tests.bench.runtime SERVER CA TOKEN` obeys the same words as the peer in Go (client-go/main.go has the list).
It imports what the runtime needs, and nothing else: its memory is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
import time
from typing import Any, Final

import anyio

from odigos_cp import logs
from odigos_cp.api.builtin import CONFIG_MAPS, PODS, Pod
from odigos_cp.api.meta import Key
from odigos_cp.kube.client import Access, Client
from odigos_cp.kube.controller import Controller, Result, Watch
from odigos_cp.kube.store import Change, Store
from odigos_cp.kube.stores import Stores

WORKERS: Final = 16
NAMESPACE: Final = "bench"
STAMP: Final = "odigos.io/injected"
SAID: Final = {"burst": "burst", "measure": "measured", "apply": "applied"}


def say(said: str, **more: Any) -> None:
    print(json.dumps({"said": said, **more}), flush=True)


class Book:
    """Counts what the harness waits for, and answers when it is all there."""

    def __init__(self, client: Client, store: Store[Pod]) -> None:
        self._client = client
        self._store = store
        self.open("", 0)

    def open(self, said: str, wanted: int) -> None:
        self._said, self._wanted, self._opened = said, wanted, time.monotonic_ns()
        self._count = self._first = 0
        self._delays: list[int] = []

    def event(self, change: Change[Pod]) -> None:
        """Each event of the watch."""
        if self._said == "burst" and change.after is not None and _stamp(change.after) > self._opened:
            self._add(time.monotonic_ns())

    async def reconcile(self, key: Key) -> Result | None:
        pod = self._store.get(key)
        said = self._said
        if pod is None or said not in ("working", "measured", "applied"):
            return None
        began = time.monotonic_ns()
        stamp = _stamp(pod)
        if said != "working" and stamp <= self._opened:
            return None
        if said == "measured":
            self._delays.append(began - stamp)
        if said != "applied":
            self._add(began)
            return None
        written = await self._client.apply(CONFIG_MAPS, config_map(key.name, stamp), manager="bench")
        self._add(began)
        return Result(written=(written,))

    def _add(self, at: int) -> None:
        self._first = self._first or at
        self._count += 1
        if self._count == self._wanted:
            last = time.monotonic_ns()
            say(self._said, count=self._count, first=self._first, last=last, delays=self._delays)


def _stamp(pod: Pod) -> int:
    return int(pod.metadata.annotations.get(STAMP, "0"))


def config_map(name: str, stamp: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "bench"}},
        "data": {"at": str(stamp), "pod": name},
    }


async def run(server: str, ca: str, token: str) -> None:
    access = Access(server, tls=ssl.create_default_context(cafile=ca), authorization=f"Bearer {token}")
    async with Client(access) as client, anyio.create_task_group() as tasks:
        stores = Stores(client)
        store = stores.add(PODS)
        book = Book(client, store)
        controller = Controller("bench", book.reconcile, [Watch(PODS)], stores, concurrency=WORKERS)
        store.subscribe(book.event)
        commands = await _input()
        say("ready")
        while line := await commands.readline():
            command = json.loads(line)
            match command["do"]:
                case "sync":
                    await tasks.start(stores.run)
                    say("synced", objects=len(store), at=time.monotonic_ns())
                case "work":
                    book.open("working", command["count"])
                    await tasks.start(controller.run)
                case "collect":
                    gc.collect()
                    say("collected")
                case word:
                    book.open(SAID[word], command["count"])
                    say("armed")
        tasks.cancel_scope.cancel()


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    logs.configure("json", "info")
    server, ca, token = sys.argv[1:]
    anyio.run(run, server, ca, token)
