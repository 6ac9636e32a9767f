"""Files that never answer: a real FUSE file system whose server says nothing, below a target's root.

Who touches it waits in the kernel until killed. One such target costs its two seconds, and the others nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from odigos_cp.detector import __main__ as detector
from odigos_cp.detector import examination, languages, procfs
from odigos_cp.detector.__main__ import main
from odigos_cp.detector.examination import Subject
from tests.detector.conftest import Ask
from tests.detector.proctree import CONTAINER, GROUP, LIBJVM, POD, ProcTree

RELEASE = 'JAVA_VERSION="17.0.21"\n'
OTHER = CONTAINER[::-1]
LAZILY = 2
HIDE_ARGUMENTS = """
import ctypes, os, sys
begins = int(open("/proc/self/stat").read().rpartition(")")[2].split()[45])
page = (begins + 4095) // 4096 * 4096
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
READ_WRITE, PRIVATE_FIXED = 3, 0x12
got = libc.mmap(page, 4096, READ_WRITE, PRIVATE_FIXED, os.open(sys.argv[1] + "/page", os.O_RDONLY), 0)
print("up" if got == page else "no", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="mounting a file system needs root and /dev/fuse"
)


@pytest.fixture
def stuck(proc: ProcTree) -> Iterator[Path]:
    """The directory of a Java in the root of process 100, on a file system without an answering server."""
    proc.process(pid=100, maps=[LIBJVM])
    place = proc.root / "root-of-100" / "usr/lib/jvm/java-17"
    place.mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"silent", str(place).encode(), b"fuse", 0, options) != 0:
        os.close(server)
        pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        os.close(server)
        libc.umount2(str(place).encode(), LAZILY)


def test_a_file_system_that_never_answers_costs_its_target_only(proc: ProcTree, stuck: Path, tmp_path: Path) -> None:
    proc.process(
        pid=200, group=GROUP.replace(CONTAINER, OTHER), maps=[LIBJVM], files={f"{LIBJVM[:20]}/release": RELEASE}
    )
    output = tmp_path / "log"
    output.touch()
    words = ["--target", f"app={CONTAINER}", "--target", f"other={OTHER}", "--pod-uid", POD, "--nonce", "ab12"]
    began = time.monotonic()
    assert main([*words, "--proc", str(proc.root), "--output", str(output)]) == 0
    took = time.monotonic() - began
    app, other = json.loads(output.read_bytes())["containers"]
    assert app["verdict"] == "unknown"
    assert app["error"] == "process 100 did not answer within 2 s"
    assert (other["verdict"], other["version"]) == ("java", "17.0.21")
    assert took < examination.SILENCE_SECONDS + 3


def test_a_container_full_of_hanging_processes_does_not_use_up_the_time_of_the_others(
    proc: ProcTree, silent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve of them, where there is time for three: the honest container comes before the second."""
    for number in range(12):
        proc.process(pid=100 + number, inside=1 + number, parent=99 + number, exe=silent / "page")
    proc.process(pid=200, group=GROUP.replace(CONTAINER, OTHER), maps=[LIBJVM])
    output = tmp_path / "log"
    output.touch()
    monkeypatch.setattr(detector, "TOTAL_SECONDS", 6.0)
    words = ["--target", f"bad={CONTAINER}", "--target", f"good={OTHER}", "--pod-uid", POD, "--nonce", "ab12"]
    began = time.monotonic()
    assert main([*words, "--proc", str(proc.root), "--output", str(output)]) == 0
    assert time.monotonic() - began < 6 + examination.SILENCE_SECONDS + 1
    bad, good = json.loads(output.read_bytes())["containers"]
    assert (good["verdict"], good["error"]) == ("java", None)
    assert bad["reason"] == "unreadable"
    assert "out of time" in bad["error"]


def test_a_program_that_lies_on_such_a_file_system_is_told(proc: ProcTree, stuck: Path, ask: Ask) -> None:
    exe = proc.root / "100" / "exe"
    exe.unlink()
    exe.symlink_to(stuck / "bin/java")
    answer = ask()
    assert (answer["verdict"], answer["reason"]) == ("unknown", "unreadable")


@pytest.mark.parametrize(("kind", "device"), [("/dev/zero", (1, 5)), ("/dev/full", (1, 7))])
def test_a_device_below_the_root_is_not_opened(proc: ProcTree, ask: Ask, kind: str, device: tuple[int, int]) -> None:
    proc.process(maps=[LIBJVM])
    place = proc.root / "root-of-100" / LIBJVM[1:20] / "release"
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(place, 0o20666, os.makedev(*device))
    assert (ask()["verdict"], ask()["version"]) == ("java", None), kind


def test_a_pipe_below_the_root_is_not_waited_for(proc: ProcTree, ask: Ask) -> None:
    proc.process(maps=[LIBJVM])
    place = proc.root / "root-of-100" / LIBJVM[1:20] / "release"
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    began = time.monotonic()
    assert ask()["version"] is None
    assert time.monotonic() - began < examination.SILENCE_SECONDS


def test_a_file_without_an_end_is_read_within_bounds(proc: ProcTree, ask: Ask) -> None:
    """A sparse terabyte: nothing is stored, and each read gives zeros."""
    proc.process(maps=[LIBJVM])
    place = proc.root / "root-of-100" / LIBJVM[1:20] / "release"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        file.write(RELEASE)
        file.truncate(2**40)
    began = time.monotonic()
    assert ask()["version"] == "17.0.21"
    assert time.monotonic() - began < examination.SILENCE_SECONDS


def test_an_executable_without_an_end_is_searched_within_bounds(proc: ProcTree, ask: Ask, tmp_path: Path) -> None:
    huge = tmp_path / "node"
    with huge.open("wb") as file:
        file.write(Path("/bin/true").read_bytes())
        file.truncate(2**40)
    proc.process(exe=huge)
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < examination.SILENCE_SECONDS + 2
    assert answer["version"] is None


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A file system whose file can be mapped, and whose content never comes."""
    place = tmp_path / "silent"
    place.mkdir()
    program = Path(__file__).with_name("silent_files.py")
    server = subprocess.Popen([sys.executable, str(program), str(place)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        if server.stdout.readline() != b"up\n":
            pytest.skip("no FUSE here")
        yield place
    finally:
        server.kill()
        server.communicate(timeout=10)
        ctypes.CDLL(None).umount2(str(place).encode(), LAZILY)


def test_an_executable_whose_content_never_comes_costs_its_process_only(proc: ProcTree, silent: Path, ask: Ask) -> None:
    """It can be opened and looked at: only reading never returns."""
    proc.process(pid=100, exe=silent / "page")
    proc.process(pid=101, parent=100, inside=7, maps=[LIBJVM], files={f"{LIBJVM[:20]}/release": RELEASE})
    began = time.monotonic()
    answer = ask()
    assert (answer["verdict"], answer["version"]) == ("java", "17.0.21")
    assert answer["error"] == "process 100 did not answer within 2 s"
    assert time.monotonic() - began < examination.SILENCE_SECONDS + 2


@pytest.mark.timeout(60)
def test_arguments_on_a_file_that_never_answers_are_not_waited_for(silent: Path) -> None:
    """A process that puts a page of such a file where its arguments stand: the kernel reads none of it for others."""
    command = [sys.executable, "-c", HIDE_ARGUMENTS, str(silent), "x" * 16384]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        held = procfs.Process(process.pid, os.open(f"/proc/{process.pid}", os.O_PATH | os.O_DIRECTORY))
        began = time.monotonic()
        (facts,) = examination.examine([Subject(held, held.status())], began + 20).facts
        held.close()
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert languages.judge(facts).language == "python"
    assert time.monotonic() - began < examination.SILENCE_SECONDS
