"""The demo's destination within the test: what it received, item by item, and with which headers."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import Any

from demo.store.http_server import Receiver, Server
from demo.store.memory import Memory


class _Remembering(Memory):
    """Counts every item by its signal and name: what came twice is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Counter[str]] = {"traces": Counter(), "metrics": Counter(), "logs": Counter()}

    def add(self, signal: str, request: dict[str, Any]) -> None:
        super().add(signal, request)
        for group in request.get(_OUTER[signal][0], ()):
            for scope in group.get(_OUTER[signal][1], ()):
                for item in scope.get(_OUTER[signal][2], ()):
                    self.items[signal][item.get("name") or item["body"]["stringValue"].rstrip("x")] += 1


_OUTER = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}


class Store:
    """Listens on loopback while it is open; on a given port, so that it can come up where something waits for it."""

    def __init__(self, port: int = 0) -> None:
        self._memory = _Remembering()
        self.headers: list[dict[str, str]] = []
        headers = self.headers

        class Listening(Receiver):
            def do_POST(self) -> None:
                headers.append({k.lower(): v for k, v in self.headers.items()})
                super().do_POST()

        self._server = Server(("127.0.0.1", port), Listening, self._memory)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Store:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def received(self, signal: str = "traces") -> int:
        """How many different items."""
        return len(self._memory.items[signal])

    def twice(self, signal: str = "traces") -> int:
        """How many items came more than once."""
        return sum(1 for count in self._memory.items[signal].values() if count > 1)

    def names(self, signal: str = "traces") -> set[str]:
        return set(self._memory.items[signal])

    def service(self, name: str = "cart") -> dict[str, Any]:
        return dict(self._memory.summary()["services"][name])
