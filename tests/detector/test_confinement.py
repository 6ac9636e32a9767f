"""A child that has confined itself, asked by real system calls what it can still do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from odigos_cp.detector import confinement


def in_a_confined_child(act: Callable[[], object]) -> str:
    """`ok`, or the name of the error, of one act in a child that has confined itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            confinement.confine()
            act()
            os.write(writing, b"ok")
        except BaseException as error:
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda: Path("/tmp/written-by-a-confined-child").write_text("x"), id="open for writing"),
        pytest.param(lambda: os.open("/dev/null", os.O_RDWR), id="open for reading and writing"),
        pytest.param(lambda: os.open("/tmp", os.O_TMPFILE | os.O_WRONLY), id="make a file without a name"),
        pytest.param(lambda: os.mkdir("/tmp/made-by-a-confined-child"), id="make a directory"),
        pytest.param(lambda: os.unlink("/tmp/none"), id="remove a file"),
        pytest.param(lambda: os.rename("/tmp/none", "/tmp/none2"), id="rename a file"),
        pytest.param(lambda: os.chmod("/tmp", 0o777), id="change a mode"),
        pytest.param(lambda: socket.socket(), id="open a socket"),
        pytest.param(lambda: os.fork(), id="start a process"),
        pytest.param(lambda: os.execv("/bin/true", ["true"]), id="run a program"),
        pytest.param(lambda: subprocess.run(["/bin/true"]), id="run a program in a process"),
        pytest.param(lambda: os.kill(os.getppid(), 0), id="send a signal"),
        pytest.param(lambda: signal.pidfd_send_signal(0, 0), id="send a signal by descriptor"),
        pytest.param(lambda: os.setuid(0), id="become somebody else"),
    ],
)
def test_a_confined_child_cannot(act: Callable[[], object]) -> None:
    assert in_a_confined_child(act) == "PermissionError"


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda: Path("/proc/self/maps").read_bytes(), id="read a file"),
        pytest.param(lambda: os.readlink("/proc/self/exe"), id="read a link"),
        pytest.param(lambda: os.listdir("/proc/self/fd"), id="list a directory"),
        pytest.param(lambda: os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW), id="hold a directory"),
        pytest.param(lambda: signal.setitimer(signal.ITIMER_REAL, 60), id="set its own alarm"),
        pytest.param(lambda: bytearray(50 * 1024 * 1024), id="take memory"),
    ],
)
def test_a_confined_child_can_still(act: Callable[[], object]) -> None:
    assert in_a_confined_child(act) == "ok"


def test_a_machine_without_known_numbers_has_no_filter_and_no_failure() -> None:
    assert confinement.confine("riscv64") is False


@pytest.mark.parametrize("machine", sorted(confinement.MACHINES))
def test_the_filter_of_each_machine_is_whole(machine: str) -> None:
    raw = confinement.program(machine)
    assert len(raw) % 8 == 0
    assert len(raw) // 8 < 4096
    assert len(set(confinement.FORBIDDEN[machine])) == len(confinement.FORBIDDEN[machine])


def test_the_numbers_of_this_machine_are_the_kernels() -> None:
    """By the header that the C library's developers ship, where it is installed."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if sys.platform != "linux" or not header.exists():
        pytest.skip("the kernel's headers are not installed here")
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    names = {int(number): name.removeprefix("__NR_") for _, name, number in lines}
    harmless = {"read", "write", "open", "openat", "pread64", "close", "fstat", "mmap", "exit_group", "readlinkat"}
    assert not harmless & {names.get(number) for number in confinement.FORBIDDEN["x86_64"]}
    assert {"ptrace", "socket", "execve", "process_vm_writev", "open_by_handle_at", "mount", "kill"} <= {
        names.get(number) for number in confinement.FORBIDDEN["x86_64"]
    }
