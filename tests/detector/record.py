"""Records real containers as labelled snapshots: `python -m tests.detector.record ROOT [NAME..]`, as root.

ROOT is the file system that `root.sh` makes, with what `scenarios` names in it. Each scenario runs in namespaces of its
own (pids, mounts, network without a way out) and in ROOT, as a container does; when it stands, its processes are read
from /proc and written to tests/detector/snapshots/. The label is the scenario's, never what the detector said; the
detector also looks at the living processes, and where it says something else than the label, that is printed.

The lines of control groups are not the machine's: they are written in the styles of the drivers, with made-up ids.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from odigos_cp.detector import choosing, content, elf, examination, files, injectable, procfs, report
from odigos_cp.detector.examination import Subject
from odigos_cp.detector.snapshots import STRINGS
from tests.detector.scenarios import SCENARIOS, Scenario

FOLDER = Path(__file__).parent / "snapshots"
PATIENCE_SECONDS = 40.0
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
STYLES = {
    "cgroupfs": "/kubepods/burstable/pod{uid}/{id}",
    "guaranteed": "/kubepods/pod{uid}/{id}",
    "systemd": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{flat}.slice/cri-containerd-{id}.scope",
    "crio": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{flat}.slice/crio-{id}.scope",
    "crun": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{flat}.slice/crio-{id}.scope/container",
    "kind": "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{flat}.slice/cri-containerd-{id}.scope",
}
NOISE = re.compile(r"/usr/lib/locale/|/gconv/|^/dev/|^/memfd:doublemapper|\.jsa$|^/SYSV|^/anon_hugepage")
RELEVANT = r"lib(jvm|python|ruby|php|node|coreclr|mono|perl|c)[-.0-9a-z]*\.so|cpython|newrelic|oneagent|ld-"
MAPS, WORD = 80, 400
TEXTS = ("/etc/os-release", "/usr/lib/os-release", "{jvm}/release", "{exe}.deps.json")


def record(scenario: Scenario, root: Path, style: str) -> dict[str, Any]:
    """One container, from its start to its end."""
    for line in scenario.prepare:
        subprocess.run(["chroot", root, "sh", "-ec", line], check=True, timeout=120, capture_output=True)
    variables = [f"{name}={value}" for name, value in (ENVIRONMENT | dict(scenario.environment)).items()]
    user = ["setpriv", f"--reuid={scenario.uid}", f"--regid={scenario.uid}", "--clear-groups"] if scenario.uid else []
    inside = ["env", "-i", *variables, *user, *scenario.command]
    outside = (
        'ip link set lo up; root="$1"; shift; mount --rbind "$root" "$root"; cd "$root"; mkdir -p .old; '
        "pivot_root . .old; "
        'mount -t proc proc /proc; umount -l /.old; cd /; exec "$@"'
    )
    started = subprocess.Popen(
        ["unshare", "-m", "-n", "-p", "-f", "--kill-child", "/bin/dash", "-c", outside, "sh", str(root), *inside],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    entered = None
    try:
        processes = _wait_until_it_stands(started.pid, scenario, len(scenario.entering) > 0)
        if scenario.entering:
            first = min(processes, key=lambda process: process.pid)
            command = [
                "nsenter",
                "-t",
                str(first.pid),
                "-m",
                "-n",
                "-p",
                "-r",
                "env",
                "-i",
                *variables,
                *scenario.entering,
            ]
            entered = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            processes = _wait_until_it_stands(started.pid, scenario, False)
        raw = [seen for process in processes if (seen := _process(process))]
        _compare(scenario, processes)
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(timeout=20)
        if entered:
            entered.kill()
            entered.wait(timeout=20)
    return _snapshot(scenario, raw, style)


def _inside(starter: int) -> list[procfs.Process]:
    """The processes of the namespace that a starter's child made."""
    found = []
    ours = os.stat("/proc/self/ns/pid").st_ino
    try:
        theirs = os.stat(f"/proc/{starter}/ns/pid_for_children").st_ino
    except OSError:
        return []
    for process in procfs.processes("/proc"):
        try:
            space = os.stat(f"/proc/{process.pid}/ns/pid").st_ino
        except OSError:
            space = ours
        if space == theirs and theirs != ours:
            found.append(process)
        else:
            process.close()
    return found


def _wait_until_it_stands(starter: int, scenario: Scenario, before_entering: bool) -> list[procfs.Process]:
    until = time.monotonic() + PATIENCE_SECONDS
    wanted = scenario.processes - (1 if before_entering else 0)
    steady, before = 0, ""
    while time.monotonic() < until:
        found = _inside(starter)
        try:
            seen = [(process.pid, process.arguments(), process.status().state) for process in found]
            alive = [process for process, (_, _, state) in zip(found, seen, strict=True) if state != "Z"]
            listens = not scenario.listens or any(process.listening() for process in alive)
            names = b" ".join(words for _, words, _ in seen).decode("utf-8", "replace")
        except OSError:
            seen, listens, names = [], False, ""
        ready = len(found) >= wanted and listens and "pivot_root" not in names and "setpriv\0" not in names
        steady = steady + 1 if ready and names == before else 0
        before = names
        if steady >= scenario.steady:
            return found
        for process in found:
            process.close()
        time.sleep(0.25)  # other programs come to rest: only looking again tells
    raise TimeoutError(f"{scenario.name}: {PATIENCE_SECONDS:g} s are over; seen {before!r}")


def _process(process: procfs.Process) -> dict[str, Any] | None:
    """None: it has ended meanwhile."""
    try:
        return _living(process)
    except OSError:
        return None


def _living(process: procfs.Process) -> dict[str, Any]:
    here = Path(f"/proc/{process.pid}")
    status = process.status()
    try:
        exe = os.readlink(here / "exe")
    except OSError:
        exe = None
    try:
        environ = process.environ() or b""
    except OSError:
        environ = b""
    pairs = [entry.partition(b"=") for entry in environ.split(b"\0") if b"=" in entry]
    wiped = not environ or any(entry and b"=" not in entry for entry in environ.removesuffix(b"\0").split(b"\0"))
    zombie = status.state == "Z"
    raw: dict[str, Any] = {
        "pid": process.pid,
        "ppid": status.parent,
        "nspid": list(status.namespace_pids),
        "uid": status.uid,
        "state": status.state,
        "comm": (here / "comm").read_text(errors="replace").strip(),
        "exe": exe,
        "cmdline": [word.decode("utf-8", "replace")[:WORD] for word in process.arguments().split(b"\0") if word][:32],
        "environ": {} if wiped else {name.decode(): value.decode() for name, _, value in pairs},
        "at_secure": not zombie and process.secure(64),
        "maps": [] if zombie else _maps(here),
        "listen": [] if zombie else _ports(process),
        "elf": None,
        "root_files": {},
    }
    if exe is not None:
        with process.open_exe() as descriptor:
            raw["elf"] = _elf(descriptor)
        raw["root_files"] = dict(_texts(process, exe.removesuffix(procfs.DELETED), raw["maps"]))
    return raw


def _maps(here: Path) -> list[str]:
    found: dict[str, None] = {}
    for line in (here / "maps").read_text(errors="replace").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[5].startswith("/") and not NOISE.search(fields[5]):
            found[fields[5]] = None
    telling = [path for path in found if ".so" not in path or re.search(RELEVANT, path)]
    others = [path for path in found if path not in telling]
    return [*telling, *others][:MAPS]


def _ports(process: procfs.Process) -> list[int]:
    waiting = {}
    for table in ("net/tcp", "net/tcp6"):
        for line in Path(f"/proc/{process.pid}/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                waiting[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    ports = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            ports |= {waiting[name] for name in [os.readlink(link)] if name in waiting}
        except OSError:
            continue
    return sorted(ports)


def _elf(descriptor: int) -> dict[str, Any] | None:
    facts = elf.read(descriptor)
    if facts is None:
        return None
    strings: dict[str, str] = {}
    for marker, (name, *_) in STRINGS.items():
        first = next(files.occurrences(descriptor, marker, re.compile(rb"([0-9]+\.[0-9]+(?:\.[0-9]+)?)")), None)
        if first:
            strings[name] = first
    if "node_ver" in strings:
        strings["node_ver"] = "v" + strings["node_ver"]
    strings |= content.read(descriptor, facts)
    if facts.rust_paths:
        strings["rustc"] = "found"
    told: dict[str, Any] = {
        "bits": facts.bits,
        "interp": facts.interpreter,
        "sections": list(facts.sections),
        "needed": list(facts.needed),
        "comment": list(facts.comments),
        "dynsym_markers": dict(facts.exports),
        "symtab_markers": dict(facts.symbols),
        "strings": strings,
    }
    if facts.go_version:
        told["go_buildinfo"] = {"version": facts.go_version, "main": facts.go_module}
    return told


def _texts(process: procfs.Process, exe: str, maps: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    jvm = next((path for path in maps if path.endswith("/libjvm.so")), None)
    for pattern in TEXTS:
        if "{jvm}" in pattern and jvm is None:
            continue
        path = pattern.format(exe=exe, jvm=(jvm or "").rsplit("/", 3)[0])
        try:
            with process.open_file(path) as descriptor:
                text = files.read_up_to(descriptor).decode("utf-8", "replace")
        except OSError:
            continue
        kept = [line for line in text.splitlines() if not line.startswith("SOURCE")]
        yield path.rpartition("/")[2], {"path": path, "text": "\n".join(kept)[:4096]}


def _compare(scenario: Scenario, processes: list[procfs.Process]) -> None:
    """The detector's own look at the living processes, against the label."""
    began = time.monotonic()
    subjects = [Subject(process, process.status()) for process in processes if Path(f"/proc/{process.pid}").exists()]
    choice = choosing.choose(examination.examine(subjects, began + 20).facts)
    took = time.monotonic() - began
    main = choice.main
    said = (
        choice.verdict,
        main.version if main else None,
        report.libc(main) if main else None,
        injectable.is_injectable(choice.verdict, main) if main else None,
        list(report.agents_of(choice)),
    )
    wanted = (scenario.language, scenario.version, scenario.libc, scenario.injectable, list(scenario.agents))
    same = said == wanted or (said[0] == "unknown" == scenario.language)
    print(
        f"{'  ok  ' if same else '  NOT '} {scenario.name:32} {took * 1000:6.0f} ms  {said}",
        "" if same else wanted,
        flush=True,
    )
    if not same:
        print("        ", [astuple(item) for item in choice.evidence][:4])


def _snapshot(scenario: Scenario, raw: list[dict[str, Any]], style: str) -> dict[str, Any]:
    seed = hashlib.sha256(scenario.name.encode()).hexdigest()
    other = hashlib.sha256(seed.encode()).hexdigest()
    uid = f"{other[:8]}-{other[8:12]}-4{other[13:16]}-8{other[17:20]}-{other[20:32]}"
    path = STYLES[style].format(id=seed, uid=uid, flat=uid.replace("-", "_"))
    first = min(raw, key=lambda each: each["pid"])["pid"]
    renumbered = {each["pid"]: 20000 + each["pid"] - first for each in raw}
    mains = [renumbered[each["pid"]] for each in raw if each["state"] != "Z" and scenario.is_main(each)]
    for each in raw:
        each["pid"], each["ppid"] = renumbered[each["pid"]], renumbered.get(each["ppid"], 19000)
        each["nspid"] = [each["pid"], each["nspid"][-1]]
        each["cgroup"] = [f"9:name=systemd:{path}", f"8:pids:{path}", "7:blkio:/", f"0::{path}"]
    expected = {
        "language": scenario.language,
        "accept": list(scenario.accept),
        "runtime_version": scenario.version,
        "libc": scenario.libc,
        "injectable": scenario.injectable,
        "main_pids": mains,
        "other_agents": list(scenario.agents),
        "secure_execution": scenario.secure,
        "container_id": seed,
        "pod_uid": uid,
    }
    return {
        "id": scenario.name,
        "title": scenario.title,
        "container": {"name": "app", "cgroup_style": style},
        "expected": expected,
        "processes": raw,
    }


def main(words: list[str]) -> int:
    root, names = Path(words[0]).resolve(), words[1:]
    failed = []
    for at, scenario in enumerate(SCENARIOS):
        if names and scenario.name not in names:
            continue
        try:
            snapshot = record(scenario, root, list(STYLES)[at % len(STYLES)])
        except (OSError, subprocess.SubprocessError) as error:
            print(f"  --   {scenario.name}: {error}", flush=True)
            failed.append(scenario.name)
            continue
        if not snapshot["expected"]["main_pids"] and scenario.language != "unknown":
            print(f"  --   {scenario.name}: no process is the labelled one", flush=True)
            failed.append(scenario.name)
            continue
        (FOLDER / f"{scenario.name}.json").write_text(json.dumps(snapshot, indent=1, sort_keys=True) + "\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
