"""How right, how fast and how large is the detector? `python -m tests.detector.bench` prints a table.

Right: the labelled snapshots, by language. Fast and large: living processes of this machine (those of its runtimes that
are installed), read from /proc as a target's are, each by a detector of its own. Exit code 1 if a language is wrong, or
the processor's time for the median target is over the goal.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from odigos_cp.detector import snapshots

GOAL_MS = 50.0
FOLDER = Path(__file__).parent / "snapshots"
WAIT_PYTHON = "import ssl, sys; print('up', flush=True); sys.stdin.read()"
WAIT_NODE = "require('http'); console.log('up'); process.stdin.resume()"
WAIT_JAVA = (
    'class Up { public static void main(String[] a) throws Exception { System.out.println("up"); System.in.read(); } }'
)
WAIT_GO = 'package main\n\nimport ("fmt"; "os"; "io")\n\nfunc main() { fmt.Println("up"); io.ReadAll(os.Stdin) }\n'
LOOK = """
import os, resource, sys, time
from odigos_cp.detector import choosing, examination, procfs
from odigos_cp.detector.examination import Subject
pid = int(sys.argv[1])
began = time.monotonic()
held = procfs.Process(pid, os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY))
choice = choosing.choose(examination.examine([Subject(held, held.status())], began + 20).facts)
wall = time.monotonic() - began
mine, child = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
spent = child.ru_utime + child.ru_stime
peak = max(mine.ru_maxrss, child.ru_maxrss)
print(choice.verdict, choice.main and choice.main.version, wall * 1000, spent * 1000, peak)
"""


def main() -> int:
    wrong = _accuracy()
    spent = list(_speed())
    _size()
    return 1 if wrong or (spent and statistics.median(spent) > GOAL_MS) else 0


def _accuracy() -> int:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    wrong, wrong_versions, unknown = [], [], 0
    began = time.process_time()
    for path in sorted(FOLDER.glob("*.json")):
        recorded = json.loads(path.read_text())
        expected, said = recorded["expected"], snapshots.judge(recorded)
        language = expected["language"]
        total[language] += 1
        if said["language"] in (language, *expected.get("accept", ())):
            right[language] += 1
        elif said["language"] == "unknown":
            unknown += 1
        else:
            wrong.append(f"{path.stem}: {said['language']}, not {language}")
        if said["version"] and said["version"] == expected.get("runtime_version"):
            versions[language] += 1
        elif said["version"]:
            wrong_versions.append(f"{path.stem}: {said['version']}, not {expected.get('runtime_version')}")
    each = (time.process_time() - began) * 1000 / max(total.total(), 1)
    print(f"{'language':16} {'containers':>10} {'right':>6} {'version told':>13}")
    for language in sorted(total):
        print(f"{language:16} {total[language]:>10} {right[language]:>6} {versions[language]:>13}")
    print(f"{'all':16} {total.total():>10} {right.total():>6} {versions.total():>13}")
    print(
        f"wrong {len(wrong)}, unknown {unknown}, wrong versions {len(wrong_versions)}; {each:.1f} ms for a recorded one"
    )
    for line in (*wrong, *wrong_versions):
        print("  " + line)
    return len(wrong) + len(wrong_versions)


def _speed() -> Iterator[float]:
    print(f"\n{'living process':16} {'says':24} {'wall ms':>8} {'cpu ms':>8} {'peak MiB':>9}")
    source = str(Path(snapshots.__file__).parents[2])
    with ExitStack() as ending:
        for name, pid in _living(ending):
            command = [sys.executable, "-S", "-c", LOOK, str(pid)]
            done = subprocess.run(
                command, env={"PYTHONPATH": source}, capture_output=True, text=True, timeout=60, check=True
            )
            language, version, wall, spent, peak = done.stdout.split()
            times = f"{float(wall):>8.0f} {float(spent):>8.0f} {int(peak) / 1024:>9.1f}"
            print(f"{name:16} {language + ' ' + version:24} {times}")
            yield float(spent)


def _living(ending: ExitStack) -> Iterator[tuple[str, int]]:
    folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-detect-")))
    (folder / "Up.java").write_text(WAIT_JAVA)
    (folder / "main.go").write_text(WAIT_GO)
    commands = {
        "python": [sys.executable, "-c", WAIT_PYTHON],
        "node": ["node", "-e", WAIT_NODE],
        "java": ["java", "-Xmx64m", str(folder / "Up.java")],
        "shell": ["sh", "-c", "echo up; read x"],
    }
    if shutil.which("go"):
        building = ["go", "build", "-ldflags=-s -w", "-o", str(folder / "up"), str(folder / "main.go")]
        subprocess.run(building, check=True, timeout=300, env=os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
        commands["go"] = [str(folder / "up")]
    for name, command in commands.items():
        if shutil.which(command[0]) is None:
            continue
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ending.callback(process.communicate, timeout=20)
        assert process.stdout is not None
        process.stdout.readline()
        yield name, process.pid


def _size() -> None:
    cache = Path(os.environ.get("ODIGOS_CP_CACHE") or Path.home() / ".cache/odigos-cp")
    images = sorted((cache / "images").glob("detector-*.tar"), key=lambda path: path.stat().st_mtime)
    told = f"{images[-1].stat().st_size / 2**20:.1f} MiB" if images else "not built here (`make images`)"
    print(f"\nimage: {told}")


if __name__ == "__main__":
    sys.exit(main())
