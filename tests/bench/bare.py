"""The least of a client in Python: 16 loops of server-side applies with aiohttp, their bodies made beforehand.

`python -m tests.bench.bare SERVER CA TOKEN COUNT`. With its twin in Go (client-go/writes.go) it finds what the API
server itself can take.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time

import aiohttp
import anyio

from tests.bench.runtime import NAMESPACE, WORKERS, config_map


async def run(server: str, ca: str, token: str, count: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml"}
    stamp = time.monotonic_ns()
    names = [f"bare-{number:05}" for number in range(int(count))]
    bodies = [
        (
            f"{server}/api/v1/namespaces/{NAMESPACE}/configmaps/{name}?fieldManager=bench&force=true",
            json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **config_map(name, stamp)}).encode(),
        )
        for name in names
    ]
    waiting = iter(bodies)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca))
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def loop() -> None:
            for url, body in waiting:
                async with session.patch(url, data=body) as response:
                    text = await response.read()
                    assert response.status < 300, text

        began = time.monotonic_ns()
        async with anyio.create_task_group() as tasks:
            for _ in range(WORKERS):
                tasks.start_soon(loop)
        ended = time.monotonic_ns()
    print(json.dumps({"said": "applied", "count": len(bodies), "first": began, "last": ended}))


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
