"""How to wait for the caches to say something: until a condition holds, or a deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from odigos_cp.kube.store import Store


class Changes:
    """Rung by every change of the given caches; subscribes once, serves any number of waiters."""

    def __init__(self, *stores: Store[Any]) -> None:
        self._rung = anyio.Event()
        for store in stores:
            store.subscribe(self._ring)

    def _ring(self, change: object) -> None:
        rung, self._rung = self._rung, anyio.Event()
        rung.set()

    async def wait_until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether it came to hold in time."""
        with anyio.move_on_after(seconds):
            while not holds():
                await self._rung.wait()
        return holds()
