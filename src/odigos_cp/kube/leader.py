"""Which replica runs the controllers? The holder of one Lease; and it stops before anyone else may start.

Protocol. A replica takes the Lease when it was given back or never held, or when it has not changed for its whole
duration by this replica's own monotonic clock: times written in a Lease are never compared with ours. A Lease that was
deleted, or whose holder was taken out by hand, is waited for in the same way, for its holder may not know of it yet.
The holder renews it each `renew_seconds`, every call with a deadline below that. If no renewal that *began* within the
last two thirds of the duration succeeded, the holder gives up: the work is cancelled and `LostLeadership` ends the
process, while the others still wait for the last third. The work runs within a fence (fence.py) that ends at the same
moment, so it writes nothing when the cancellation comes late; the watchdog (watchdog.py) ends the process when it does
not come at all.
A stop: no write begins any more -> those under way have `DRAIN_SECONDS` to end -> the work is cancelled -> the Lease is
given back, unless a write's outcome is not known: then it runs out, for that write may still happen.
An identity is of one life of a process. A restarted pod is another replica to its former life, whose last write may
still be on its way, and waits for it like all others: a kill costs one duration also when the same pod comes back.
Guarantee: no two replicas write at once, as long as clocks run at about the same speed. Caveats: the death of a holder
costs the others one duration; a replica that starts just after the Lease was deleted by hand cannot know that there was
one, and works beside the holder until that renews, one `renew_seconds` at most.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskStatus

from odigos_cp.api.builtin import LEASES, Lease
from odigos_cp.api.meta import Key
from odigos_cp.kube import clock, fence, metrics
from odigos_cp.kube.client import Client, Written
from odigos_cp.kube.errors import AlreadyExists, ApiError, Conflict, NotFound

log = structlog.get_logger(__name__)

LEADING = metrics.gauge("odigos_leader", "1 while this replica runs the controllers.")
RENEWALS = metrics.counter("odigos_leader_renewals_total", "Tries to renew the Lease.", "outcome")

MAX_LEASE_SECONDS: Final = 300.0
"""A Lease that claims to last longer is treated as lasting this long: anyone may write nonsense into it."""
RETRY_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 1.0
RELEASE_SECONDS: Final = 2.0
GIVEN_BACK_SECONDS: Final = 1
"""The duration in a Lease without a holder that was given back; client-go writes the same."""
MAX_TRANSITIONS: Final = 2**31 - 1


class LostLeadership(Exception):
    """The Lease could not be renewed in time, or another replica has it. The process must end."""


@dataclass(frozen=True)
class _Observed:
    """A state of the Lease, when we first saw it by our own clock, and for how long it must not change before it is
    free: as long as it claims, or claimed just before, for an edit may not shorten it."""

    version: str
    at: float
    claimed: float
    patience: float


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
        self._taking = False
        self._working = False
        self._renewed_at = 0.0
        self._lost: LostLeadership | None = None
        self._fence = fence.Fence()

    @property
    def _deadline(self) -> float:
        return self._renewed_at + self._lease_seconds * 2 / 3

    @property
    def deadline(self) -> float | None:
        """By when the work must have ended, were the Lease never renewed again; None while nothing works.

        The watchdog's thread reads it, by the same clock.
        """
        return self._deadline if self._working else None

    @property
    def grace_seconds(self) -> float:
        """So long after the deadline work that was cancelled may take to end: half of what the others still wait."""
        return self._lease_seconds / 6

    async def run_while_leading(
        self,
        lead: Callable[..., Awaitable[None]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Waits for the Lease, then runs `lead(task_status=...)` until it ends, is cancelled, or the Lease is lost."""
        await self._acquire()
        self._set_leading(True)
        self._working = True
        log.info("leadership_won", lease=str(self._key), identity=self.identity)
        try:
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope(shield=True) as work:
                    tasks.start_soon(self._renew_for_ever, work)
                    tasks.start_soon(self._end_when_cancelled, work)
                    with fence.within(self._fence):
                        await lead(task_status=task_status)
                tasks.cancel_scope.cancel()
        finally:
            self._working = False
            self._set_leading(False)
            self._fence.close()
            if self._lost is None:
                with anyio.CancelScope(shield=True):
                    await self._release()
        if self._lost is not None:
            raise self._lost

    async def _end_when_cancelled(self, work: anyio.CancelScope) -> None:
        """The work is shielded: a stop lets the writes under way end before it cancels the rest."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._fence.drain(DRAIN_SECONDS)
            work.cancel()

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        LEADING.set(float(leading))

    # Waiting

    async def _acquire(self) -> None:
        try:
            await self._wait_and_take()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._release_if_taken()
            raise

    async def _wait_and_take(self) -> None:
        said = ""
        while True:
            wait = self._renew_seconds / 2
            try:
                if await self._try_to_take():
                    return
            except (AlreadyExists, Conflict):
                wait = RETRY_SECONDS  # another replica was faster, or the holder is alive
            except (ApiError, TimeoutError) as error:
                log.warning("lease_not_reached", lease=str(self._key), why=str(error) or "the deadline passed")
            holder = _name(self._held)
            if holder != said:
                said = holder
                log.info("waiting_for_leadership", lease=str(self._key), holder=holder)
            await anyio.sleep(wait)

    async def _try_to_take(self) -> bool:
        try:
            self._held = await self._get()
        except NotFound:
            self._held = None
        self._taking = self._may_take(self._held)
        if not self._taking:
            return False
        began = anyio.current_time()
        if self._held is None:
            written = await self._create()
            self._held = await self._get()
            if self._held.metadata.uid != written.uid or self._held.spec.holder_identity != self.identity:
                return False
        else:
            self._held = await self._replace(self._body(self._held))
        self._renewed(began)
        return anyio.current_time() < self._deadline

    def _may_take(self, lease: Lease | None) -> bool:
        """Our own, though we were not told; given back; never held as far as we know; or unchanged for long enough."""
        holder = lease.spec.holder_identity if lease else None
        before = self._observed
        if holder == self.identity or (lease and _is_given_back(lease)) or (not holder and before is None):
            return True
        now = anyio.current_time()
        version = f"{lease.metadata.uid} {lease.metadata.resource_version}" if lease else "none"
        if before is None or before.version != version:
            said = float(lease.spec.lease_duration_seconds or 0) if lease else 0.0
            claimed = min(max(self._lease_seconds, said), MAX_LEASE_SECONDS)
            patience = max(claimed, before.claimed) if before else claimed
            self._observed = _Observed(version, now, claimed, patience)
            return False
        return now - before.at >= before.patience

    async def _release_if_taken(self) -> None:
        """A stop in the middle of taking the Lease: it may be ours, and nobody would renew it."""
        if not self._taking:
            return
        with anyio.move_on_after(RELEASE_SECONDS / 2):
            try:
                self._held = await self._get()
            except (ApiError, TimeoutError):
                return
            if self._held.spec.holder_identity == self.identity:
                await self._release()

    # Leading

    async def _renew_for_ever(self, work: anyio.CancelScope) -> None:
        """Ends by cancelling the work when the Lease is lost."""
        due = self._renewed_at + self._renew_seconds
        while True:
            await anyio.sleep(max(0.0, min(due, self._deadline) - anyio.current_time()))
            began = anyio.current_time()
            if began >= self._deadline:
                silence = self._lease_seconds * 2 / 3
                self._lose(
                    work, f"no renewal succeeded for {silence:.1f} s: the API server or this process stood still"
                )
                return
            try:
                with anyio.fail_after(self._deadline - began):
                    kept = await self._renew()
            except (ApiError, TimeoutError) as error:
                RENEWALS.inc("failed")
                log.warning("lease_not_renewed", lease=str(self._key), why=str(error) or "the deadline passed")
                due = anyio.current_time() + min(RETRY_SECONDS, self._renew_seconds)
                continue
            if not kept:
                self._lose(work, f"the Lease is now held by {_name(self._held) or 'nobody'}")
                return
            RENEWALS.inc("renewed")
            self._renewed(began)
            due = began + self._renew_seconds

    def _renewed(self, began: float) -> None:
        self._renewed_at = began
        self._fence.open_until(self._deadline)

    async def _renew(self) -> bool:
        """False when another holds it. A Lease that someone edited, emptied or deleted is made ours again."""
        assert self._held is not None
        try:
            self._held = await self._replace(self._body(self._held))
            return True
        except (NotFound, Conflict):  # a Lease that is gone is a Conflict too, for we say which one we mean
            self._held = await self._made_ours_again()
        return self._held.spec.holder_identity == self.identity

    async def _made_ours_again(self) -> Lease:
        try:
            found = await self._get()
        except NotFound:
            await self._create()
            return await self._get()
        if found.spec.holder_identity in (self.identity, "", None):
            return await self._replace(self._body(found))
        return found

    # Each call has a deadline of its own, so that a slow API server costs a few calls' time, and not the Lease

    async def _get(self) -> Lease:
        with anyio.fail_after(self._call_seconds):
            return await self._client.get(LEASES, self._key)

    async def _create(self) -> Written:
        with anyio.fail_after(self._call_seconds):
            return await self._client.create(LEASES, self._body(None))

    async def _replace(self, body: dict[str, Any]) -> Lease:
        with anyio.fail_after(self._call_seconds):
            return await self._client.replace(LEASES, self._key, body)

    def _lose(self, work: anyio.CancelScope, why: str) -> None:
        self._set_leading(False)
        self._fence.close()
        self._lost = LostLeadership(f"{self.identity} no longer leads ({self._key}): {why}")
        log.error("leadership_lost", lease=str(self._key), why=why)
        work.cancel()

    async def _release(self) -> None:
        """Gives the Lease back, so that another replica need not wait."""
        if self._held is None:
            return
        if unknown := self._fence.unknown_seconds:
            why = f"a write without an answer may still happen within {unknown:.1f} s: the Lease runs out by itself"
            log.warning("lease_not_released", lease=str(self._key), why=why)
            return
        why = "the deadline passed"
        with anyio.move_on_after(RELEASE_SECONDS):
            try:
                await self._give_back(self._held)
            except Conflict:  # by a renewal whose answer was not waited for
                why = await self._give_back_what_is_there()
            except ApiError as error:
                why = str(error)
            else:
                why = ""
        if why:
            log.warning("lease_not_released", lease=str(self._key), why=why)
        else:
            log.info("lease_released", lease=str(self._key))

    async def _give_back_what_is_there(self) -> str:
        """Why not, or nothing."""
        try:
            found = await self._client.get(LEASES, self._key)
            if found.spec.holder_identity == self.identity:
                await self._give_back(found)
        except ApiError as error:
            return str(error)
        return ""

    async def _give_back(self, held: Lease) -> None:
        body = self._body(held)
        body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": GIVEN_BACK_SECONDS}
        await self._client.replace(LEASES, self._key, body)

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
                "leaseDurationSeconds": math.ceil(self._lease_seconds),
                "acquireTime": (held.spec.acquire_time if held and ours else None) or now,
                "renewTime": now,
                "leaseTransitions": transitions if ours or held is None else min(transitions + 1, MAX_TRANSITIONS),
            },
        }


def _is_given_back(lease: Lease) -> bool:
    return not lease.spec.holder_identity and lease.spec.lease_duration_seconds == GIVEN_BACK_SECONDS


def _name(lease: Lease | None) -> str:
    """Who holds it, for a person: anyone may have written anything."""
    return (lease.spec.holder_identity or "")[:200] if lease else ""


def micro_time(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
