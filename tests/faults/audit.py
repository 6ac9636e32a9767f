"""The second witness: what the API server itself says of who asked for what, when, and with which answer.

Each replica has a user of its own, so a request is its writer's. The log is written before a request is answered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.proxy import WRITES, kind_of_write

BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Entry:
    """One request that was answered. `began` and `ended` are the API server's own times."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    began: datetime
    ended: datetime
    manager: str
    user_agent: str
    body: Any = field(default=None, repr=False, compare=False)
    answer: Any = field(default=None, repr=False, compare=False)

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def changed(self) -> bool:
        """A write that was accepted. A server-side apply of what is there already is accepted and changes nothing."""
        return self.is_write and self.code < 300

    @property
    def object(self) -> str:
        """resource[/subresource] namespace/name"""
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{resource} {'/'.join(part for part in (self.namespace, self.name) if part)}"

    @property
    def kind_of_write(self) -> str:
        return kind_of_write(self.verb, self.resource, self.subresource, self.manager)

    def __str__(self) -> str:
        return f"{self.ended:%H:%M:%S.%f} {self.user} {self.verb} {self.object} {self.code}"


class AuditLog:
    """One API server's log; `since` of a position leaves out what was before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def position(self) -> int:
        """Where the last whole line ends: the next one may be half written."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - BLOCK_BYTES)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
                end = start
        return 0

    def entries(self, since: int = 0) -> list[Entry]:
        return list(self._read(since))

    def writes(self, by: str = "", since: int = 0) -> list[Entry]:
        """Accepted writes, in the order in which they were done; `by` is a user."""
        found = (entry for entry in self._read(since) if entry.changed and by in ("", entry.user))
        return sorted(found, key=lambda entry: entry.ended)

    def _read(self, since: int) -> Iterator[Entry]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(since)
            for line in file:
                # A server that was killed leaves half a line.
                if line.endswith(b"\n") and (entry := _entry(json.loads(line))) is not None:
                    yield entry


def _entry(event: dict[str, Any]) -> Entry | None:
    about = event.get("objectRef")
    if event["stage"] not in ("ResponseComplete", "Panic") or about is None:
        return None
    answer = event.get("responseObject")
    name = about.get("name", "") or ((answer or {}).get("metadata") or {}).get("name", "")
    return Entry(
        user=event["user"]["username"],
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=name,
        code=event.get("responseStatus", {}).get("code", 0),
        began=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        ended=datetime.fromisoformat(event["stageTimestamp"]),
        manager=_parameter(event["requestURI"], "fieldManager"),
        user_agent=event.get("userAgent", ""),
        body=event.get("requestObject"),
        answer=answer,
    )


def _parameter(uri: str, name: str) -> str:
    query = uri.partition("?")[2]
    return next((pair.partition("=")[2] for pair in query.split("&") if pair.startswith(f"{name}=")), "")


def last_before_first(writes: Sequence[Entry], first: str, second: str) -> list[Entry]:
    """The writes of `first` that were done after `second` had begun to write: there should be none."""
    begins = [entry.began for entry in writes if entry.user == second]
    if not begins:
        return []
    return [entry for entry in writes if entry.user == first and entry.ended > min(begins)]
