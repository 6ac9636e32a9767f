"""What makes a part of one machine a machine of its own: namespaces, held by one process that does nothing else.

A node has its own network, host name and mounts: its own /var and /run, so that two nodes on one machine share neither
containers nor logs nor hostPath volumes, and nothing that kubelet or containerd mount is ever seen outside. When the
processes of a node end, the kernel takes all of it away: links, routes, firewall rules, mounts. Nothing has to be
cleaned up, however they ended. The control plane has only a network of its own.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cluster.commands import ClusterError, Feed, run
from cluster.processes import Processes

HOLD_SECONDS = 10.0
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet wants of the whole machine's kernel. It finds them as it wants them and leaves the machine's alone."""

NODE = """\
name=$1; var=$2; settings=$3; shift 3
mount --make-rshared /
mount --bind "$var" /var
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
for setting in $settings; do
    echo "${setting#*=}" > /run/setting
    mkdir -p "/run/kernel/${setting%/*}"
    mv /run/setting "/run/kernel/${setting%=*}"
    mount --bind "/run/kernel/${setting%=*}" "/proc/sys/${setting%=*}"
done
hostname "$name"
exec "$@"
"""


def hold_network(processes: Processes, name: str, pause: Path) -> int:
    """The process that holds a network namespace."""
    processes.ensure(name, ["unshare", "--net", str(pause)])
    return _held(processes, name, pause)


def hold_node(processes: Processes, name: str, pause: Path, host_name: str, var: Path) -> int:
    """The process that holds the namespaces of a node, which has a copy of `pause`: it no longer sees the machine's."""
    for directory in ("lib", "log", "tmp", "cache"):
        (var / directory).mkdir(parents=True, exist_ok=True)
    if not (var / "run").is_symlink():
        (var / "run").symlink_to("/run")
    place(pause, var / "lib" / pause.name)
    settings = " ".join(f"{key}={value}" for key, value in KERNEL_SETTINGS.items())
    unshare = ["unshare", "--net", "--mount", "--uts", "--propagation", "slave"]
    processes.ensure(
        name, [*unshare, "bash", "-euc", NODE, "node", host_name, str(var), settings, f"/var/lib/{pause.name}"]
    )
    return _held(processes, name, var / "lib" / pause.name)


def _held(processes: Processes, name: str, pause: Path) -> int:
    """Its pid, once it has made everything and become `pause`."""
    return processes.wait(f"the namespaces of {name}", HOLD_SECONDS, lambda: _runs(processes, name, pause), [name])


def _runs(processes: Processes, name: str, program: Path) -> int | None:
    pid = processes.pid(name)
    try:
        return pid if pid is not None and Path(f"/proc/{pid}/exe").samefile(program) else None
    except OSError:
        return None


def place(program: Path, target: Path) -> None:
    """The program under another name: the same file where that can be, else a copy."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(program, unfinished)
    except OSError:
        shutil.copy2(program, unfinished)
    unfinished.rename(target)


def enter(pid: int) -> list[str]:
    """The words before a command that make it run inside. Not `ip netns exec`: that remounts /sys, without cgroups."""
    return ["nsenter", f"--target={pid}", "--net", "--mount", "--uts"]


def inside(pid: int, *command: str, timeout: float = 60, stdin: str = "", feed: Feed | None = None) -> str:
    if not Path(f"/proc/{pid}").exists():
        raise ClusterError(f"the namespaces to run {command[0]} in are gone: process {pid} has ended")
    return run(*enter(pid), *command, timeout=timeout, stdin=stdin, feed=feed)
