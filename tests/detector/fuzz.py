"""A coverage-guided fuzzer on the detector's parsers: `python -m tests.detector.fuzz SECONDS [TARGET..]`.

Each target runs in a process of its own for its share of the time, from the seeds below. The first input that raises is
kept (its path is printed, with how to run it again) and makes the exit code 1. `make fuzz` brings the fuzzer along.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = {
    "maps": [b"7f4f15e00000-7f4f15e26000 r-xp 00000000 fe:00 1234      /usr/lib/jvm/lib/server/libjvm.so (deleted)\n"],
    "environ": [b"PATH=/bin\0JAVA_TOOL_OPTIONS=-javaagent:/dd/dd-java-agent.jar\0OTEL_SERVICE_NAME=cart\0"],
    "arguments": [b"node\0--require\0dd-trace/init\0/usr/bin/npm-cli.js\0start\0"],
    "status": [b"Name:\tx\nState:\tS (x)\nPPid:\t1\nNSpid:\t7\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t1 2\n"],
    "control-groups": [b"8:pids:/kubepods/pod8cf090c6-ac9e-494c-3de5-67b020557592/" + b"6d1c" * 16 + b"\n0::/\n"],
    "sockets": [b"  sl  local_address\n   0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0  1000        0 4711 1 x\n"],
    "auxiliary-vector": [(23).to_bytes(8, "little") + (1).to_bytes(8, "little") + bytes(16)],
    "pipe": [b'{"pid":7,"elf":{"bits":64},"environment":{"known":true,"shown":{}},"loaded":["/x"]}\n'],
    "message": [
        b'{"schema":1,"nonce":"ab12","containers":[{"name":"app","id":"6d1cc3728ac9","verdict":"java","confidence":1}]}'
    ],
    "answer": [b"\x1b[31m\xff\n"],
    "snapshot": [b'{"id":"x","processes":[{"pid":7,"exe":"/x","maps":["/x/libjvm.so"],"elf":{"sections":[".text"]}}]}'],
}
LONGEST = 8192


def main(words: list[str]) -> int:
    from tests.detector.targets import TARGETS

    seconds = int(words[0])
    names = words[1:] or list(TARGETS)
    share = max(seconds // len(names), 1)
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            done = _run(name, share, Path(folder))
            summary = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("Done ")), "")
            print(f"{name:18} {'failed' if done.returncode else 'ok':7} {summary}", flush=True)
            if done.returncode:
                kept = next(Path(folder).glob("crash-*"), None) or next(Path(folder).glob("*-*"), None)
                data = kept.read_bytes() if kept else b""
                print(done.stderr[-3000:], f"\nthe input: {data!r}")
                failed.append(name)
    return 1 if failed else 0


def _run(name: str, seconds: int, folder: Path) -> subprocess.CompletedProcess[str]:
    seeds = folder / "seeds"
    seeds.mkdir()
    given = SEEDS.get(name) or [Path(sys.executable).resolve().read_bytes()[:LONGEST]]
    for at, seed in enumerate(given):
        (seeds / str(at)).write_bytes(seed)
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=5",
        f"-artifact_prefix={folder}/",
        "-verbosity=1",
    ]
    command = [sys.executable, "-m", "tests.detector.fuzz", "--one", name, str(seeds), *limits]
    inside = os.environ | {"TMPDIR": str(folder)}  # a fuzzer ends without cleaning up
    return subprocess.run(command, env=inside, capture_output=True, text=True, errors="replace", timeout=seconds + 120)


def _one(name: str, words: list[str]) -> None:
    atheris = importlib.import_module("atheris")  # not in the environment of `make venv`

    with atheris.instrument_imports(include=["odigos_cp.detector", "odigos_cp.api.report"]):
        from tests.detector.targets import TARGETS
    atheris.Setup([sys.argv[0], *words], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], sys.argv[3:])
    sys.exit(main(sys.argv[1:]))
