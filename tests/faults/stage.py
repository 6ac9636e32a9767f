"""Where a fault test plays: a rig, a story of its own on it, and the replicas and proxies that the test starts.

def test_fault_17_...(stage: Stage) -> None:
    proxy = stage.proxy("replica-a")
    rule = proxy.on(Aim("create", "pods", nth=1), faults.lose_the_reply)
    replica = stage.start("replica-a", proxy)
    stage.story.instrument()
    stage.assert_as_without_faults(reference, ["replica-a"], faults=rule.hits)
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests import replicas
from tests.faults import oracles
from tests.faults.audit import AuditLog, Entry, last_before_first
from tests.faults.node import Node
from tests.faults.oracles import State
from tests.faults.proxy import Proxy, proxying
from tests.faults.relay import Relay
from tests.faults.rig import MASTERS, Rig
from tests.faults.story import Story
from tests.replicas import Replica

QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class Reference:
    """What the story leaves behind without any fault, at its height and at its end."""

    instrumented: State
    back: State
    writes: Counter[str]
    kinds: frozenset[str]
    """Every kind of write that there is in it."""


@dataclass
class Stage:
    rig: Rig
    node: Node
    directory: Path
    story: Story
    audit: AuditLog
    since: int = 0
    """Where the audit log was when the story began."""
    users: list[str] = field(default_factory=list)
    started: list[Replica] = field(default_factory=list)
    given_up: list[Replica] = field(default_factory=list)
    """Those that are to end by themselves."""
    _open: ExitStack = field(default_factory=ExitStack)

    def proxy(self, user: str = "replica-a") -> Proxy:
        """A way to the API server for this user, whom the audit log knows as `stage.name(user)`."""
        return self._open.enter_context(proxying(self.rig.url, self.rig.tls(self.name(user))))

    def name(self, user: str) -> str:
        """The user as the audit log knows him: no two stories share one."""
        return f"{user}-{self.story.system}"

    def relay(self, proxy: Proxy) -> Relay:
        """A way to this proxy that can be frozen below HTTP: `start(..., server=f"http://127.0.0.1:{relay.port}")`."""
        relay = Relay(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])))
        self._open.callback(relay.close)
        return relay

    def start(
        self,
        user: str = "replica-a",
        proxy: Proxy | None = None,
        *flags: str,
        server: str = "",
        groups: tuple[str, ...] = MASTERS,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "odigos_cp.cli"),
    ) -> Replica:
        """A replica; without a proxy it goes straight to the API server. Started again it writes on in its log."""
        server = server or (proxy.url if proxy else "")
        config = self.rig.kubeconfig(self.name(user), groups=groups, server=server)
        log = self.directory / f"{user}.log"
        made = replicas.start(config, self.story.system, log, *flags, environment=environment, command=command)
        self.started.append(made)
        if user not in self.users:
            self.users.append(user)
        return made

    def writes(self, user: str = "") -> list[Entry]:
        """Accepted writes since the story began, of one user or of all replicas, without those by the clock.

        Without those, too, that the end of an earlier story on the same rig asks for.
        """
        names = [self.name(each) for each in ([user] if user else self.users)]
        found = [entry for entry in self.audit.writes(since=self.since) if entry.user in names]
        return [e for e in found if oracles.matters(e) and e.namespace in ("", *self.story.namespaces)]

    def lease_writes(self, user: str) -> list[Entry]:
        found = self.audit.writes(self.name(user), self.since)
        return [entry for entry in found if entry.resource == "leases"]

    def led(self) -> list[Entry]:
        """What the leaders among the replicas asked to be written, accepted or not, but for their Lease."""
        names = [self.name(user) for user in self.users]
        entries = [entry for entry in self.audit.entries(self.since) if entry.is_write and entry.user in names]
        return sorted((entry for entry in entries if entry.resource != "leases"), key=lambda entry: entry.ended)

    def assert_handed_over(self, old: str, new: str) -> None:
        """The new leader has written, and after that the old one nothing."""
        led = self.led()
        assert any(entry.user == self.name(new) for entry in led), f"{new} has written nothing"
        late = last_before_first(led, self.name(old), self.name(new))
        assert not late, f"{old} wrote on:\n" + "\n".join(map(str, late))

    def wait_quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """O4."""
        oracles.wait_quiet(self.audit, [self.name(user) for user in self.users], seconds)

    def state(self) -> State:
        return oracles.state(self.rig, *self.story.namespaces)

    def assert_state(self, reference: State) -> None:
        """O4, then O1."""
        self.wait_quiet()
        lines = oracles.differences(reference, self.state())
        assert not lines, "the end differs from that of a run without faults:\n" + "\n".join(lines)

    def assert_writes(self, reference: Counter[str], faults: int) -> None:
        """O2."""
        lines = oracles.surplus(reference, oracles.writes_by_object(self.writes(), self.story.namespaces), faults)
        assert not lines, "other writes than in a run without faults:\n" + "\n".join(lines)

    def assert_no_complaints(self) -> None:
        """O5."""
        for log in sorted({replica.log for replica in self.started}):
            lines = oracles.complaints(log)
            assert not lines, f"{log.name}:\n" + "\n".join(lines)

    def play(self) -> Reference:
        """The story from its beginning to its end, with what it leaves behind."""
        self.story.instrument()
        self.wait_quiet()
        instrumented = self.state()
        self.story.take_back_and_wait()
        self.wait_quiet()
        written = self.writes()
        kinds = frozenset(entry.kind_of_write for entry in written)
        counted = oracles.writes_by_object(written, self.story.namespaces)
        return Reference(instrumented, self.state(), counted, kinds)

    def assert_instruments_as(self, reference: Reference) -> None:
        """The first half of the story: O1, O4, O5."""
        self.story.instrument()
        self.assert_state(reference.instrumented)
        self.assert_no_complaints()

    def assert_plays_as(self, reference: Reference, faults: int) -> None:
        """The whole story under whatever the test has set up: O1 twice, O2, O4, O5."""
        self.story.instrument()
        self.assert_state(reference.instrumented)
        self.story.take_back_and_wait()
        self.assert_state(reference.back)
        self.assert_writes(reference.writes, faults)
        self.assert_no_complaints()

    def check(self) -> None:
        """While the story waits: a replica that has ended by itself will not go on."""
        for replica in (each for each in self.started if each not in self.given_up):
            code = replica.process.poll()
            assert code in (None, 0, -9, -15), f"{replica.log.name}: ended with {code}:\n{replica.tail()}"

    def close(self) -> None:
        for replica in self.started:
            replica.end()
        self._open.close()
        self.story.end()
