"""The process as a whole lives or is dead, never half: whatever dies in it, whoever waits for it or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

PROGRAM = """
import asyncio, gc, os, signal, sys, threading, time
import anyio
from odigos_cp import logs, process
from odigos_cp.process import Services

process.STOP_SECONDS = {stop}
logs.configure("json", "info")

async def for_ever(*, task_status=anyio.TASK_STATUS_IGNORED):
    task_status.started()
    await anyio.sleep_forever()

{body}

sys.exit(process.leave(process.main(main)))
"""


@dataclass
class Ended:
    code: int
    log: str


def ended(body: str, *, stop: float = 4.5) -> Ended:
    """A process of its own with this `main(watchdog)`."""
    program = PROGRAM.format(body=textwrap.dedent(body), stop=stop)
    environment = os.environ | {"PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=15, env=environment, check=False
    )
    return Ended(done.returncode, done.stderr)


def test_told_to_stop_it_ends_with_0_and_says_so() -> None:
    process = ended("""
        async def main(watchdog):
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
    """)
    assert process.code == 0
    assert '"stopping"' in process.log
    assert '"stopped"' in process.log


def test_a_second_signal_changes_nothing() -> None:
    process = ended("""
        async def main(watchdog):
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await anyio.sleep_forever()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)
                print("cleaned up", file=sys.stderr)
    """)
    assert process.code == 0
    assert "cleaned up" in process.log


def test_a_service_that_returns_when_it_is_cancelled_has_not_died() -> None:
    process = ended("""
        async def polite(*, task_status):
            task_status.started()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.2)

        async def main(watchdog):
            async with anyio.create_task_group() as tasks:
                await tasks.start(Services(watchdog)("polite", polite))
                os.kill(os.getpid(), signal.SIGTERM)
                await anyio.sleep_forever()
    """)
    assert process.code == 0
    assert "service_died" not in process.log


def test_what_variables_held_is_not_in_the_log() -> None:
    """A token is one of them."""
    process = ended("""
        async def main(watchdog):
            token = "geheim" + "nis"
            raise ValueError("broken")
    """)
    assert "broken" in process.log
    assert "geheimnis" not in process.log


FAILURES = {
    "an error": 'raise ValueError("broken")',
    "a group with a cancellation in it": 'raise BaseExceptionGroup("x", [asyncio.CancelledError(), OSError("broken")])',
    "an exit": 'raise SystemExit("broken")',
    "a cancellation that nobody asked for": 'raise asyncio.CancelledError("broken")',
    "a return": "return",
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_service_that_ends_ends_the_process_fault_31(failure: str) -> None:
    process = ended(f"""
        async def dies(*, task_status):
            task_status.started()
            await anyio.sleep(0.01)
            {failure}

        async def main(watchdog):
            service = Services(watchdog)
            async with anyio.create_task_group() as tasks:
                await tasks.start(service("good", for_ever))
                await tasks.start(service("bad", dies))
                await anyio.sleep_forever()
    """)
    assert process.code == 1
    assert "broken" in process.log or "ended by itself" in process.log or "cancelled itself" in process.log


def test_the_name_of_the_service_that_died_is_in_the_log() -> None:
    process = ended("""
        async def dies(*, task_status):
            raise ExceptionGroup("several", [ValueError("one"), ValueError("two")])

        async def main(watchdog):
            await Services(watchdog)("bad", dies)()
    """)
    assert '"service_died"' in process.log
    assert '"service": "bad"' in process.log
    assert "one; two" in process.log


def test_a_task_of_ours_that_nobody_waits_for_ends_the_process_when_it_fails() -> None:
    process = ended("""
        process.OURS = "<string>"

        async def lost():
            raise ValueError("nobody looked")

        async def main(watchdog):
            asyncio.get_running_loop().create_task(lost())
            while True:
                await anyio.sleep(0.01)
                gc.collect()
    """)
    assert process.code == 1
    assert '"loop_error"' in process.log
    assert "nobody looked" in process.log


def test_a_task_of_a_library_that_fails_is_an_error_in_the_log_and_no_more() -> None:
    process = ended("""
        async def lost():
            raise ValueError("nobody looked")

        async def main(watchdog):
            asyncio.get_running_loop().create_task(lost())
            await anyio.sleep(0.01)
            gc.collect()
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
    """)
    assert process.code == 0
    assert '"level": "error"' in process.log
    assert "nobody looked" in process.log


def test_what_python_only_mutters_is_an_error_in_the_log() -> None:
    process = ended("""
        class Cursed:
            def __del__(self):
                raise ValueError("in the end")

        def fails():
            raise ValueError("in a thread")

        async def main(watchdog):
            for_ever()
            Cursed()
            threading.Thread(target=fails).start()
            gc.collect()
            await anyio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
    """)
    assert process.code == 0
    for text in ("never awaited", "in the end", "in a thread"):
        assert [line for line in process.log.splitlines() if text in line and '"level": "error"' in line], text


@pytest.mark.parametrize("where", ["anyio.to_thread.run_sync(stuck, abandon_on_cancel=True)", "resolve()"])
def test_a_thread_that_hangs_does_not_hold_up_the_end_fault_29(where: str) -> None:
    """An exec plugin, and a name server that does not answer."""
    process = ended(f"""
        def stuck():
            time.sleep(60)

        async def resolve():
            await asyncio.get_running_loop().run_in_executor(None, stuck)

        async def main(watchdog):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                await {where}

        async def stop():
            await anyio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
    """)
    assert process.code == 0
    assert "watchdog" not in process.log


def test_a_task_that_does_not_end_is_ended_by_the_watchdog_fault_29() -> None:
    process = ended(
        """
        async def main(watchdog):
            os.kill(os.getpid(), signal.SIGTERM)
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()
        """,
        stop=0.3,
    )
    assert process.code == 3
    assert "the stop took too long" in process.log


def test_a_death_that_another_task_does_not_let_happen_is_ended_by_the_watchdog_fault_31() -> None:
    process = ended(
        """
        async def dies(*, task_status):
            raise ValueError("broken")

        async def clings(*, task_status):
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()

        async def main(watchdog):
            service = Services(watchdog)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service("clings", clings))
                tasks.start_soon(service("bad", dies))
        """,
        stop=0.3,
    )
    assert process.code == 3
    assert '"service_died"' in process.log


def test_a_stop_during_the_imports_is_heard() -> None:
    program = "import odigos_cp.cli as c, os, signal; c.signal.signal = watch = lambda *a: print(a[0].name)"
    program += "; import odigos_cp.app as a; a.main = lambda settings: 0; c.main(['run'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=True)
    assert done.stdout.split() == [signal.SIGTERM.name]
