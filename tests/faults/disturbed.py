"""The control plane as it is, but for one disturbance that the environment asks for (`-m tests.faults.disturbed run`).

DISTURB=throw   DISTURB_TASK=<service, or module:coroutine function>  DISTURB_STEP=<k>
    At the k-th suspension of it, counted over all tasks that belong to it, an error is thrown into it.
DISTURB=block   DISTURB_FUNCTIONS=<module>:<name>,...  DISTURB_SECONDS=<s>  DISTURB_FOLDER=<path>
    The next call of a function while a file of its module's name is there blocks the loop for so long; the file goes.

A service is named as in app.py. `-m tests.faults.disturbed fork` makes a process by fork of each job, a line of stdin:
the imports, a second of each start, are done once. A job's file `fate` tells its process id and, in the end, its exit
code.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from odigos_cp import app, cli, process

INSIDE: ContextVar[bool] = ContextVar("inside", default=False)
DONE = "disturbed"
"""Said on stderr when it has happened."""


class Disturbed(Exception):
    """Thrown where nothing expects it."""


class Thrower:
    def __init__(self, task: str, step: int) -> None:
        self.task = task
        self._left = step

    def around(self, name: str, service: process.Service) -> process.Service:
        return self.watched(service) if name == self.task else service

    def watched(self, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Counts its suspensions, and marks what it starts."""

        @functools.wraps(function)
        async def run(*what: Any, **how: Any) -> Any:
            INSIDE.set(True)
            return await _Stepped(self, function(*what, **how))

        return run

    def make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
        """A task factory: the tasks that a service starts are its own."""
        if INSIDE.get():
            work = self._steps_of(work)
        return asyncio.Task(work, loop=loop, **how)

    async def _steps_of(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Stepped(self, work)

    def is_due(self) -> bool:
        """Once, at the step that was asked for."""
        self._left -= 1
        return self._left == 0


class _Stepped:
    """Drives a coroutine by hand, as a task does."""

    def __init__(self, thrower: Thrower, work: Coroutine[Any, Any, Any]) -> None:
        self._thrower = thrower
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work
        resume: Callable[[], Any] = functools.partial(work.send, None)
        while True:
            try:
                waited_for = resume()
            except StopIteration as end:
                return end.value
            if self._thrower.is_due():
                if hasattr(waited_for, "_asyncio_future_blocking"):
                    waited_for._asyncio_future_blocking = False  # nobody waits for it now
                _say()
                resume = functools.partial(work.throw, Disturbed(f"thrown into {self._thrower.task}"))
                continue
            try:
                resume = functools.partial(work.send, (yield waited_for))
            except BaseException as error:
                resume = functools.partial(work.throw, error)


def blocking(function: Callable[..., Any], seconds: float, file: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def blocked(*what: Any, **how: Any) -> Any:
        if file.exists():
            file.unlink()
            _say()
            time.sleep(seconds)
        return function(*what, **how)

    return blocked


def _say() -> None:
    os.write(2, f"{DONE}\n".encode())


def _throw(task: str, step: int) -> None:
    thrower = Thrower(task, step)
    plain = process._run

    async def run(*what: Any) -> None:
        asyncio.get_running_loop().set_task_factory(thrower.make_task)
        await plain(*what)

    process._run = run  # type: ignore[assignment]
    if ":" in task:
        owner, name = _found(task)
        setattr(owner, name, thrower.watched(getattr(owner, name)))
    else:
        app.run = functools.partial(app.run, around=thrower.around)


def _found(function: str) -> tuple[Any, str]:
    """`module:Class.name` as what has it, and its name."""
    module, _, path = function.partition(":")
    *owners, name = path.split(".")
    return functools.reduce(getattr, owners, importlib.import_module(module)), name


def main(environ: dict[str, str]) -> int:
    if environ["DISTURB"] == "throw":
        _throw(environ["DISTURB_TASK"], int(environ["DISTURB_STEP"]))
    else:
        for function in environ["DISTURB_FUNCTIONS"].split(","):
            owner, name = _found(function)
            file = Path(environ["DISTURB_FOLDER"]) / owner.__name__
            setattr(owner, name, blocking(getattr(owner, name), float(environ["DISTURB_SECONDS"]), file))
    return cli.main(sys.argv[1:])


# By fork


def serve() -> None:
    """Until stdin ends. A minder stands between us and each life, waits for its end, and says how it was."""
    importlib.import_module("kubernetes_asyncio.config")  # as reading a kubeconfig does
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of the minders nobody wants to know
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _mind(json.loads(line))
            os._exit(0)


def _mind(job: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        _live(job)
    fate = Path(job["fate"])
    _write(fate, {"pid": pid})
    _write(fate, {"pid": pid, "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def _live(job: dict[str, Any]) -> None:
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    os.environ.update(job["environment"])
    sys.argv[1:] = job["arguments"]
    code = 1
    try:
        code = main(dict(os.environ))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _write(file: Path, what: dict[str, int]) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(what))
    draft.replace(file)


if __name__ == "__main__":
    if sys.argv[1:] == ["fork"]:
        serve()
    else:
        sys.exit(main(dict(os.environ)))
