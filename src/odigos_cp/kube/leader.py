"""Which replica runs the controllers? The holder of one Lease; and it stops before anyone else may start.

Protocol. A replica takes the Lease when nobody holds it, or when it has not changed for its whole duration by this
replica's own monotonic clock: times written in a Lease are never compared with ours. The holder renews it each
`renew_seconds`, every call with a deadline below that. If no renewal that *began* within the last two thirds of the
duration succeeded, the holder gives up: the work is cancelled and `LostLeadership` ends the process, while the others
still wait for the last third.
Guarantee: no two replicas work at once, as long as clocks run at about the same speed and work that is cancelled ends
within a third of the duration. Caveat: the death of a holder costs the others one duration; SIGTERM does not, it gives
the Lease back after the work has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.builtin import LEASES, Lease
from odigos_cp.api.meta import Key
from odigos_cp.kube import clock, metrics
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import AlreadyExists, ApiError, Conflict, NotFound

log = structlog.get_logger(__name__)

LEADING = metrics.gauge("odigos_leader", "1 while this replica runs the controllers.")
RENEWALS = metrics.counter("odigos_leader_renewals_total", "Tries to renew the Lease.", "outcome")

MAX_LEASE_SECONDS: Final = 300.0
"""A Lease that claims to last longer is treated as lasting this long: anyone may write nonsense into it."""
RETRY_SECONDS: Final = 1.0
RELEASE_SECONDS: Final = 3.0


class LostLeadership(Exception):
    """The Lease could not be renewed in time, or another replica has it. The process must end."""


@dataclass(frozen=True)
class _Observed:
    """A state of the Lease, and when we first saw it by our own clock."""

    version: str
    at: float


class LeaderGate:
    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_seconds: float = 15,
        renew_seconds: float | None = None,
    ) -> None:
        renew = lease_seconds / 3 if renew_seconds is None else renew_seconds
        if not 1 <= lease_seconds <= MAX_LEASE_SECONDS:
            raise ValueError(f"a lease of {lease_seconds} s: it must last 1 to {MAX_LEASE_SECONDS:.0f} s")
        if not 0 < renew <= lease_seconds / 2:
            raise ValueError(f"renewing a lease of {lease_seconds} s each {renew} s: renew at least twice in its time")
        self.leading = False
        self.identity = identity
        self._client = client
        self._key = Key(namespace, name)
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew
        self._call_seconds = renew * 0.8
        self._held: Lease | None = None
        self._observed: _Observed | None = None
        self._renewed_at = 0.0
        self._lost: LostLeadership | None = None

    @property
    def _deadline(self) -> float:
        return self._renewed_at + self._lease_seconds * 2 / 3

    async def run_while_leading(
        self,
        lead: Callable[..., Awaitable[None]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Waits for the Lease, then runs `lead(task_status=...)` until it ends, is cancelled, or the Lease is lost."""
        await self._acquire()
        self._set_leading(True)
        log.info("leadership_won", lease=str(self._key), identity=self.identity)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew_for_ever, tasks.cancel_scope)
                await lead(task_status=task_status)
                tasks.cancel_scope.cancel()
        finally:
            self._set_leading(False)
            if self._lost is None:
                with anyio.move_on_after(RELEASE_SECONDS, shield=True):
                    await self._release()
        if self._lost is not None:
            raise self._lost

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        LEADING.set(float(leading))

    # Waiting

    async def _acquire(self) -> None:
        said = ""
        while True:
            began = anyio.current_time()
            wait = self._renew_seconds / 2
            try:
                with anyio.fail_after(self._call_seconds):
                    if await self._try_to_take(began):
                        return
            except (AlreadyExists, Conflict):
                wait = RETRY_SECONDS  # another replica was faster, or the holder is alive
            except (ApiError, TimeoutError) as error:
                log.warning("lease_not_reached", lease=str(self._key), why=str(error) or "the deadline passed")
            holder = (self._held.spec.holder_identity or "") if self._held else ""
            if holder != said:
                said = holder
                log.info("waiting_for_leadership", lease=str(self._key), holder=holder)
            await anyio.sleep(wait)

    async def _try_to_take(self, began: float) -> bool:
        try:
            self._held = await self._client.get(LEASES, self._key)
        except NotFound:
            written = await self._client.create(LEASES, self._body(None))
            self._held = await self._client.get(LEASES, self._key)
            if self._held.metadata.uid != written.uid or self._held.spec.holder_identity != self.identity:
                return False
        else:
            if not self._may_take(self._held):
                return False
            self._held = await self._client.replace(LEASES, self._key, self._body(self._held))
        self._renewed_at = began
        return anyio.current_time() < self._deadline

    def _may_take(self, lease: Lease) -> bool:
        """Nobody's, our own from a former life, or unchanged for its whole duration by our clock."""
        holder = lease.spec.holder_identity
        if not holder or holder == self.identity:
            return True
        now = anyio.current_time()
        version = lease.metadata.uid + lease.metadata.resource_version
        if self._observed is None or self._observed.version != version:
            self._observed = _Observed(version, now)
            return False
        claimed = lease.spec.lease_duration_seconds or 0
        duration = min(max(self._lease_seconds, float(claimed)), MAX_LEASE_SECONDS)
        return now - self._observed.at >= duration

    # Leading

    async def _renew_for_ever(self, work: anyio.CancelScope) -> None:
        """Ends by cancelling the work when the Lease is lost."""
        due = self._renewed_at + self._renew_seconds
        while True:
            await anyio.sleep(max(0.0, min(due, self._deadline) - anyio.current_time()))
            began = anyio.current_time()
            if began >= self._deadline:
                silence = self._lease_seconds * 2 / 3
                self._lose(work, f"no renewal succeeded for {silence:.1f} s: the API server was not reached")
                return
            try:
                with anyio.fail_after(min(self._call_seconds, self._deadline - began)):
                    kept = await self._renew()
            except (ApiError, TimeoutError) as error:
                RENEWALS.inc("failed")
                log.warning("lease_not_renewed", lease=str(self._key), why=str(error) or "the deadline passed")
                due = anyio.current_time() + min(RETRY_SECONDS, self._renew_seconds)
                continue
            if not kept:
                holder = self._held.spec.holder_identity if self._held else ""
                self._lose(work, f"the Lease is now held by {holder or 'nobody'}")
                return
            RENEWALS.inc("renewed")
            self._renewed_at = began
            due = began + self._renew_seconds

    async def _renew(self) -> bool:
        """False when another holds it. A Lease that someone edited or deleted is made ours again."""
        assert self._held is not None
        try:
            self._held = await self._client.replace(LEASES, self._key, self._body(self._held))
            return True
        except NotFound:
            await self._client.create(LEASES, self._body(None))
            self._held = await self._client.get(LEASES, self._key)
        except Conflict:
            self._held = await self._client.get(LEASES, self._key)
            if self._held.spec.holder_identity == self.identity:
                self._held = await self._client.replace(LEASES, self._key, self._body(self._held))
        return self._held.spec.holder_identity == self.identity

    def _lose(self, work: anyio.CancelScope, why: str) -> None:
        self._set_leading(False)
        self._lost = LostLeadership(f"{self.identity} no longer leads ({self._key}): {why}")
        log.error("leadership_lost", lease=str(self._key), why=why)
        work.cancel()

    async def _release(self) -> None:
        """Gives the Lease back, so that another replica need not wait."""
        if self._held is None:
            return
        body = self._body(self._held)
        body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._client.replace(LEASES, self._key, body)
            log.info("lease_released", lease=str(self._key))
        except ApiError as error:
            log.warning("lease_not_released", lease=str(self._key), why=str(error))

    def _body(self, held: Lease | None) -> dict[str, Any]:
        """The Lease as ours, now; with the version that was read, so that a faster writer wins."""
        now = micro_time(clock.now())
        ours = held is not None and held.spec.holder_identity == self.identity
        transitions = (held.spec.lease_transitions or 0) if held else 0
        return {
            "metadata": {"namespace": self._key.namespace, "name": self._key.name}
            | ({"resourceVersion": held.metadata.resource_version, "uid": held.metadata.uid} if held else {}),
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": max(1, round(self._lease_seconds)),
                "acquireTime": (held.spec.acquire_time if held and ours else None) or now,
                "renewTime": now,
                "leaseTransitions": transitions if ours or held is None else transitions + 1,
            },
        }


def micro_time(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
