"""Each key once, never twice at a time, in order, and not too soon. Time is virtual."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from odigos_cp.kube.queue import Queue
from tests.kube.scripted import key

pytestmark = pytest.mark.looptime

A, B, C = key("a"), key("b"), key("c")


async def took(queue: Queue) -> float:
    """How long it takes until the next key comes, and is done."""
    began = anyio.current_time()
    queue.done(await queue.get())
    return anyio.current_time() - began


async def test_keys_come_once_and_in_the_order_in_which_they_went_in() -> None:
    queue = Queue()
    for each in (A, B, A, C, B):
        queue.add(each)
    assert [await queue.get() for _ in range(3)] == [A, B, C]
    assert queue.depth == 0


async def test_a_key_added_while_it_is_worked_on_comes_back_only_when_that_is_done() -> None:
    queue = Queue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == B
    queue.done(A)
    assert await queue.get() == A


async def test_a_delayed_key_comes_when_it_is_due() -> None:
    queue = Queue()
    queue.add(A, after=3600)
    assert await took(queue) == pytest.approx(3600, abs=0.01)


async def test_the_sooner_of_two_times_counts() -> None:
    queue = Queue()
    queue.add(A, after=10)
    queue.add(A, after=5)
    queue.add(A, after=20)
    assert await took(queue) == pytest.approx(5, abs=0.01)
    assert queue.waiting == 0


async def test_an_event_brings_a_delayed_key_forward_and_it_comes_once() -> None:
    queue = Queue()
    queue.add(A, after=10)
    queue.add(A)
    assert await took(queue) == 0
    with anyio.move_on_after(60) as scope:
        await queue.get()
    assert scope.cancelled_caught


async def test_pauses_after_failures_double_up_to_a_cap() -> None:
    queue = Queue(base=1, cap=60)
    pauses = [queue.retry(A) for _ in range(40)]
    assert all(0.75 * 2**n <= pause <= 1.25 * 2**n for n, pause in enumerate(pauses[:6]))
    assert max(pauses) <= 75


async def test_after_success_the_next_failure_is_the_first() -> None:
    queue = Queue(base=1)
    for _ in range(10):
        queue.retry(A)
    queue.forget(A)
    assert queue.retry(A) <= 1.25


async def test_events_that_came_while_the_key_failed_do_not_shorten_its_pause() -> None:
    queue = Queue(base=1)
    queue.add(A)
    await queue.get()
    queue.add(A)
    pause = queue.retry(A)
    queue.done(A)
    assert await took(queue) == pytest.approx(pause, abs=0.01)


async def test_an_event_after_the_failure_brings_the_key_forward() -> None:
    queue = Queue(base=1)
    queue.add(A)
    await queue.get()
    queue.retry(A)
    queue.done(A)
    queue.add(A)
    assert await took(queue) == 0


async def test_a_server_that_asks_for_a_longer_pause_gets_it() -> None:
    assert Queue(base=1).retry(A, at_least=30) == 30


async def test_no_event_brings_a_key_into_a_pause_that_the_server_asked_for() -> None:
    queue = Queue(base=1)
    queue.add(A)
    await queue.get()
    queue.retry(A, at_least=30)
    queue.done(A)
    queue.add(A, why="an event")
    assert await took(queue) == pytest.approx(30, abs=0.01)
    queue.add(A)
    assert await took(queue) == 0


async def test_a_worker_that_is_cancelled_just_when_it_is_called_does_not_lose_the_key() -> None:
    queue, loop = Queue(), asyncio.get_running_loop()
    first, second = loop.create_task(queue.get()), loop.create_task(queue.get())
    await anyio.wait_all_tasks_blocked()
    queue.add(A)
    first.cancel()
    assert await second == A


async def test_many_waiters_share_the_keys_between_them() -> None:
    queue, got = Queue(), []

    async def work() -> None:
        got.append(await queue.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        for n, each in enumerate((A, B, C)):
            queue.add(each, after=float(n))
    assert got == [A, B, C]


async def test_a_worker_that_is_cancelled_just_before_it_would_be_called_ends_quietly() -> None:
    """As when a process stops in the middle of its work: the cancelled one is passed over, and that is no error."""
    queue = Queue()
    waiting = asyncio.get_running_loop().create_task(queue.get())
    await anyio.wait_all_tasks_blocked()
    waiting.cancel()
    queue.add(A)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await queue.get() == A


async def test_a_hot_key_waits_its_turn_behind_ten_thousand_others() -> None:
    queue = Queue()
    keys = [key(str(n)) for n in range(10_000)]
    for each in (A, *keys):
        queue.add(each)
    taken = []
    for _ in range(len(keys) + 1):
        taken.append(await queue.get())
        queue.add(A)
        queue.done(taken[-1])
    assert taken == [A, *keys]
    assert await queue.get() == A


async def test_ten_thousand_failing_keys_come_back_and_none_is_lost_or_doubled() -> None:
    queue = Queue()
    keys = {key(str(n)) for n in range(10_000)}
    for each in keys:
        queue.add(each)
    for _ in keys:
        failing = await queue.get()
        queue.retry(failing)
        queue.done(failing)
    assert (queue.depth, queue.waiting) == (0, 10_000)
    again = [await queue.get() for _ in keys]
    assert set(again) == keys
    assert queue.depth == queue.waiting == 0
