"""A blocked loop is seen, said and, in a leader, ended: with a clock of the test's own, or with a real thread."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from odigos_cp.kube import watchdog
from odigos_cp.kube.watchdog import EXIT_CODE, LAG, PIPE_BYTES, Watchdog


@dataclass
class World:
    """The time, and what the watchdog did in it."""

    now: float = 100.0
    lines: list[bytes] = field(default_factory=list)
    exits: list[tuple[float, int]] = field(default_factory=list)
    deadline: float | None = None

    def dog(self) -> Watchdog:
        made = Watchdog(
            clock=lambda: self.now,
            exit_=lambda code: self.exits.append((self.now, code)),
            write=self.lines.append,
        )
        made.guard(lambda: self.deadline, 2.5)
        made._beat = self.now
        return made

    def look_each_tick(self, dog: Watchdog, seconds: float, *, beating: bool = False) -> None:
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            if beating:
                dog._beat = self.now
            dog.look()
            if self.exits:
                return

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.said]


@pytest.fixture
def world() -> World:
    return World()


def test_a_loop_that_turns_is_not_spoken_of(world: World) -> None:
    world.look_each_tick(world.dog(), 60, beating=True)
    assert (world.lines, world.exits) == ([], [])


def test_a_blocked_loop_is_said_once_an_episode_with_the_stack_of_its_thread(world: World) -> None:
    dog = world.dog()
    world.look_each_tick(dog, 20)
    assert world.events == ["loop_blocked"]
    assert "test_a_blocked_loop_is_said_once" in world.said[0]["stack"]
    dog._beat = world.now
    world.look_each_tick(dog, 20)
    assert world.events == ["loop_blocked"] * 2
    assert world.exits == []


def test_a_leader_whose_loop_is_blocked_is_ended_at_its_deadline_fault_32(world: World) -> None:
    world.deadline = 110
    world.look_each_tick(world.dog(), 60)
    assert world.exits == [(110, EXIT_CODE)]
    assert world.events == ["loop_blocked", "ended_by_watchdog"]
    assert "time of this leader is over" in world.said[-1]["why"]


def test_a_leader_whose_loop_turns_has_a_grace_to_end_its_work(world: World) -> None:
    world.deadline = 110
    world.look_each_tick(world.dog(), 60, beating=True)
    assert world.exits == [(112.5, EXIT_CODE)]


def test_a_leader_that_renews_in_time_lives(world: World) -> None:
    dog = world.dog()
    for _ in range(20):
        world.deadline = world.now + 10
        world.look_each_tick(dog, 5, beating=True)
    assert world.exits == []


def test_a_process_that_was_stopped_is_ended_as_it_goes_on_when_it_led_fault_38(world: World) -> None:
    dog = world.dog()
    world.deadline = 110
    dog.look()
    world.now += 30
    dog.look()
    assert world.exits == [(130, EXIT_CODE)]


def test_a_process_that_was_stopped_and_did_not_lead_is_spoken_of_without_a_stack(world: World) -> None:
    dog = world.dog()
    dog.look()
    world.now += 30
    dog.look()
    assert world.events == ["process_stood_still"]
    assert "stack" not in world.said[0]
    assert world.exits == []


def test_a_stop_that_takes_too_long_is_ended_and_the_first_word_counts(world: World) -> None:
    dog = world.dog()
    dog.stop_within(4)
    world.look_each_tick(dog, 2, beating=True)
    dog.stop_within(4)
    world.look_each_tick(dog, 60, beating=True)
    assert world.exits == [(104, EXIT_CODE)]
    assert "stop took too long" in world.said[-1]["why"]


def test_a_line_is_one_that_a_pipe_takes_whole_with_the_inner_end_of_the_stack(world: World) -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            world.look_each_tick(dog, 3)

    dog = world.dog()
    deep(200)
    assert len(world.lines[0]) <= PIPE_BYTES
    assert "world.look_each_tick(dog, 3)" in world.said[0]["stack"]


def test_nobody_who_reads_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    try:
        monkeypatch.setattr(watchdog, "STDERR", writer)
        size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
        assert os.write(writer, b"x" * size) == size
        watchdog._to_stderr(b"lost\n")
    finally:
        os.close(reader)
        os.close(writer)


def test_nobody_at_all_who_reads_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    monkeypatch.setattr(watchdog, "STDERR", writer)
    watchdog._to_stderr(b"lost\n")


def test_a_real_thread_sees_a_real_loop_that_is_blocked() -> None:
    seen = threading.Event()
    lines: list[bytes] = []

    def write(line: bytes) -> None:
        lines.append(line)
        seen.set()

    with Watchdog(interval=0.005, blocked_seconds=0.02, write=write) as dog:
        anyio.run(_blocked_until, dog, seen)
    said = json.loads(lines[0])
    assert said["event"] == "loop_blocked"
    assert "_blocked_until" in said["stack"]


def test_a_real_thread_ends_a_leader_whose_loop_is_blocked() -> None:
    codes: list[int] = []
    ended = threading.Event()

    def exit_(code: int) -> None:
        codes.append(code)
        ended.set()

    with Watchdog(interval=0.005, blocked_seconds=0.02, exit_=exit_, write=lambda line: None) as dog:
        dog.guard(lambda: None if ended.is_set() else 0.0, 60)
        anyio.run(_blocked_until, dog, ended)
    assert codes == [EXIT_CODE]


async def _blocked_until(dog: Watchdog, event: threading.Event) -> None:
    async with anyio.create_task_group() as tasks:
        await tasks.start(dog.beat)
        assert event.wait(5)
        tasks.cancel_scope.cancel()


def test_a_thread_that_died_ends_the_service() -> None:
    with Watchdog(interval=0.001) as dog:
        pass
    with pytest.raises(RuntimeError, match="thread has died"):
        anyio.run(dog.beat)


def test_the_lag_of_the_loop_is_a_metric() -> None:
    before = LAG.count()

    async def beat(dog: Watchdog) -> None:
        with anyio.move_on_after(0.1):
            await dog.beat()

    with Watchdog(interval=0.001) as dog:
        anyio.run(beat, dog)
    assert LAG.count() > before
