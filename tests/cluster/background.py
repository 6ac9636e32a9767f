"""Services of the control plane in the background of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio

Service = Callable[..., Coroutine[Any, Any, None]]


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """The services, started in their order, until the block is left.

    They get a task of their own, because a fixture is entered in one task and left in another, which no task group
    outlives. What ends a service ends the block with its error.
    """
    ready, over = anyio.Event(), anyio.Event()

    async def run() -> None:
        try:
            async with anyio.create_task_group() as tasks:
                for service in services:
                    await tasks.start(service)
                ready.set()
                await over.wait()
                tasks.cancel_scope.cancel()
        finally:
            ready.set()

    task = asyncio.create_task(run())  # noqa: TID251 - see above
    await ready.wait()
    try:
        yield
    finally:
        over.set()
        await task
