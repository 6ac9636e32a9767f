"""How does the process begin and end, whatever happens in it? Told to stop it does so soon, and no error goes unseen.

`main` runs the coroutine of the composition root. SIGTERM and SIGINT cancel it, from before the first task until the
end: a second signal changes nothing. The watchdog ends a stop that takes longer than `STOP_SECONDS`. A service that
fails, or that returns although nobody stopped it, ends all of them (`Services`). What nobody would wait for (a task
whose error was never asked for, a callback or thread that failed, a coroutine that was never awaited) is logged as an
error; when it is a task of ours, it ends the process, for the part that it did is missing now. Failures of single
connections, which strangers can cause, do not.

Exit codes: 0 told to stop, 1 a task died, 2 wrong input (cli.py), 3 by the watchdog.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TextIO

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskStatus

from odigos_cp.kube import metrics
from odigos_cp.kube.watchdog import Watchdog

log = structlog.get_logger(__name__)

UNSEEN = metrics.counter("odigos_unseen_errors_total", "Errors that nothing of the process waited for.", "where")

STOP_SECONDS: Final = 4.5
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
OURS: Final = str(Path(__file__).parent)

Service = Callable[..., Coroutine[Any, Any, None]]


Around = Callable[[str, Service], Service]
"""What every service is started through, with its name: a test disturbs a service here."""


def as_it_is(_name: str, service: Service) -> Service:
    return service


Body = Callable[[Watchdog], Awaitable[None]]


def main(body: Body) -> int:
    """Runs it until it is told to stop (0), or dies (1)."""
    warnings.showwarning = _warned
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_failed
    with Watchdog() as watchdog:
        try:
            anyio.run(_run, body, watchdog)
        except BaseException as error:  # also a SystemExit from anywhere, and groups with cancellations in them
            for reason in leaves(error):
                log.error("stopped", reason=str(reason) or type(reason).__name__, exc_info=reason)
            return 1
    log.info("stopped")
    return 0


def leave(code: int) -> int:
    """At the very end: threads that still wait for something (a name server, an exec plugin) are not waited for."""
    logging.shutdown()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(code)
    return code


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]


class EndedByItself(Exception):
    """A service, or all of it, ended although it was to run until it is cancelled."""


class Services:
    """Gives each service its name. Its death is told, a return is a death, and then the time for the end runs."""

    def __init__(self, watchdog: Watchdog, around: Around = as_it_is) -> None:
        self._watchdog = watchdog
        self._around = around

    def __call__(self, name: str, service: Service) -> Service:
        service = self._around(name, service)

        async def run(*, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED) -> None:
            try:
                await service(task_status=task_status)
                await anyio.lowlevel.checkpoint_if_cancelled()  # it may return when it is cancelled, too
                raise EndedByItself(f"the service {name} ended by itself")
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:
                log.error(
                    "service_died", service=name, why="; ".join(str(leaf) or repr(leaf) for leaf in leaves(error))
                )
                self._watchdog.stop_within(STOP_SECONDS)
                raise

        return run


async def _run(body: Body, watchdog: Watchdog) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Executor(thread_name_prefix="resolver"))
    lost: list[BaseException] = []
    told: list[str] = []
    with anyio.open_signal_receiver(*SIGNALS) as signals, anyio.CancelScope() as scope:
        loop.set_exception_handler(lambda _, context: _handle(context, lost, scope))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, signals, told, scope, watchdog)
            await tasks.start(Services(watchdog)("watchdog", watchdog.beat))
            try:
                await body(watchdog)
            finally:
                watchdog.stop_within(STOP_SECONDS)
            tasks.cancel_scope.cancel()
    if lost:
        raise BaseExceptionGroup("tasks that nobody waited for", lost)
    if not told:
        raise EndedByItself("the process ended though nobody told it to stop: a task cancelled itself")


async def _cancel_on_signal(
    signals: AsyncIterator[signal.Signals], told: list[str], scope: anyio.CancelScope, watchdog: Watchdog
) -> None:
    async for number in signals:
        told.append(signal.Signals(number).name)
        log.info("stopping", signal=told[-1])
        watchdog.stop_within(STOP_SECONDS)
        scope.cancel()


# What nobody waits for


class _Executor(concurrent.futures.ThreadPoolExecutor):
    """A thread that waits for a name server cannot be cancelled, and shall not hold up the end of the loop."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def _handle(context: dict[str, Any], lost: list[BaseException], scope: anyio.CancelScope) -> None:
    """asyncio's own reports."""
    UNSEEN.inc("loop")
    error = context.get("exception")
    about = {name: repr(what)[:300] for name, what in context.items() if name not in ("message", "exception")}
    log.error("loop_error", message=context.get("message", ""), **about, exc_info=error)
    task = context.get("future") or context.get("task")
    if isinstance(task, asyncio.Task) and _is_ours(task):
        lost.append(error or RuntimeError(str(context.get("message", ""))))
        scope.cancel()


def _is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(OURS)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Python's warnings: that of a coroutine that was never awaited is an error, for what it was to do was not done."""
    if issubclass(category, RuntimeWarning):
        UNSEEN.inc("warning")
        log.error("runtime_warning", text=str(message), where=f"{filename}:{lineno}")
    else:
        log.warning("python_warning", text=str(message), kind=category.__name__, where=f"{filename}:{lineno}")


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    UNSEEN.inc("unraisable")
    where = f"{unraisable.err_msg or 'ignored'}: {unraisable.object!r}"[:300]
    log.error("unraisable_error", where=where, exc_info=unraisable.exc_value)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    UNSEEN.inc("thread")
    log.error("thread_failed", thread=failed.thread.name if failed.thread else "", exc_info=failed.exc_value)
