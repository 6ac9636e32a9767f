"""`make bench-kube`: this project's Kubernetes runtime against client-go and controller-runtime, in one run.

One API server and one etcd, on loopback; the same pods for all; the sides take turns, and who is first changes with
each repetition. Only ratios within one run mean anything. Nothing of it is left running.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.builds import KUBERNETES_VERSION
from cluster.commands import ClusterError
from cluster.images import cache_directory
from cluster.steps import Steps
from tests.bench import report, sides
from tests.bench.measuring import Amounts, Bench, Numbers
from tests.bench.pods import Pods
from tests.bench.relay import Relay
from tests.bench.sides import Access, Cost, SideError
from tests.faults import rig

SIDES = (sides.OURS, *(peer.name for peer in sides.PEERS))
TOKEN = "a-token-of-this-benchmark"
API_SERVER_FLAGS = (
    "--max-requests-inflight=2000",
    "--max-mutating-requests-inflight=1000",
    "--disable-admission-plugins=ServiceAccount",
    "--audit-policy-file=",
    "--audit-log-path=",
)


@contextmanager
def standing(amounts: Amounts) -> Iterator[Bench]:
    """A cluster without pods, and what is needed to measure on it."""
    with tempfile.TemporaryDirectory(prefix="bench-kube-") as name:
        directory = Path(name)
        tokens = directory / "tokens.csv"
        tokens.write_text(f'{TOKEN},bench,bench,"system:masters"\n')
        with rig.standing(directory / "cluster", f"--token-auth-file={tokens}", *API_SERVER_FLAGS) as cluster:
            for namespace in ("bench", "shop-00"):
                cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            assert cluster.a.process is not None
            relay = Relay(_port(cluster.url))
            access = Access(f"https://127.0.0.1:{relay.port}", cluster.authority, TOKEN)
            pods = Pods(cluster, _port(cluster.etcd_url))
            try:
                yield Bench(pods, relay, access, Cost(cluster.a.process.pid), directory, amounts)
            finally:
                relay.close()


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def measure(bench: Bench, counts: Sequence[int], repetitions: int, names: Sequence[str], steps: Steps) -> Any:
    """The runs by number of pods and side, and what bare writers reached."""
    empty: dict[str, list[Numbers]] = {name: [] for name in names}
    with steps.step("no pods") as step:
        for order in _orders(names, repetitions):
            for name in order:
                step.say(name)
                empty[name].append(bench.empty(name))
    runs: dict[int, Any] = {}
    limits: dict[int, dict[str, list[float]]] = {}
    for count in sorted(counts):
        with steps.step(f"{count:,} pods made") as step:
            bench.pods.grow(count)
            step.note(f"{bench.pods.size():,} bytes of JSON each")
        found: dict[str, list[Numbers]] = {name: [] for name in names}
        limits[count] = {}
        for number, order in enumerate(_orders(names, repetitions), start=1):
            with steps.step(f"{count:,} pods, repetition {number} of {repetitions}") as step:
                for name in order:
                    found[name].append(bench.full(name, step.say))
                step.say("bare writers")
                for client, rate in sides.bare_writes(bench.access, bench.amounts.applies, bench.directory).items():
                    limits[count].setdefault(client, []).append(rate)
        runs[count] = _complete(found, empty, count)
    return runs, limits


def _orders(names: Sequence[str], repetitions: int) -> Iterator[Sequence[str]]:
    for number in range(repetitions):
        first = number % len(names)
        yield (*names[first:], *names[:first])


def _complete(found: dict[str, list[Numbers]], empty: dict[str, list[Numbers]], count: int) -> Any:
    full = report.with_a_pod(found, empty, count)
    return {name: [a | b for a, b in zip(full[name], empty[name], strict=True)] for name in found}


def machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "kubernetes": KUBERNETES_VERSION,
        "at": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "load_before": os.getloadavg()[0],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pods", default="1000,10000,20000", help="numbers of pods, with commas between")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--sides", default=";".join(SIDES), help="which, with semicolons between")
    parser.add_argument("--burst", type=int, default=Amounts.burst, help="events in a burst")
    parser.add_argument("--drips", type=int, default=Amounts.drips, help="events at 100 a second")
    parser.add_argument("--applies", type=int, default=Amounts.applies, help="reconciles with a write")
    parser.add_argument("--hold", type=float, default=Amounts.hold_seconds, help="seconds from sync to held memory")
    parser.add_argument("--json", type=Path, default=cache_directory() / "bench" / "kube.json", help="where to")
    chosen = parser.parse_args(arguments)
    names = [name.strip() for name in chosen.sides.split(";")]
    if unknown := set(names) - set(SIDES):
        parser.error(f"no such side: {', '.join(sorted(unknown))} (there are: {'; '.join(SIDES)})")
    if sides.OURS not in names:
        parser.error(f"{sides.OURS} is what the others are compared with")
    counts = [int(count) for count in chosen.pods.split(",")]
    steps, told = Steps(), machine()
    try:
        with steps.step("the program in Go") as step:
            sides.client_go(step.say)
        with standing(Amounts(chosen.burst, chosen.drips, chosen.applies, chosen.hold)) as bench:
            runs, limits = measure(bench, counts, chosen.repetitions, names, steps)
    except (ClusterError, SideError) as error:
        print(error, file=sys.stderr)
        return 1
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(report.document(runs, limits, sides.OURS, told), indent=1) + "\n")
    for count, by_side in runs.items():
        print("\n" + report.table(count, report.rows(by_side, sides.OURS), limits[count], sides.OURS))
    print(f"{steps.seconds / 60:.1f} minutes; all numbers: {chosen.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
