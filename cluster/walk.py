"""The walk of one wish, from two commands: what `make run` does after the environment and the UI bundle are there.

It builds and starts the cluster (or takes the one that KUBECONFIG names), builds and brings in the images, installs
odigos-cp, deploys the demo destination and the demo shop, writes ONE Source for the shop's namespace, waits until a
trace that crosses all three applications has arrived, and prints what happened. Each step is skipped when it is done
already. `--down` takes it all away: our own cluster, or what this made on another one (claims.py). The end-to-end tests
walk the same functions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cluster import builds, claims, door, images, packages
from cluster.buildah import BuildError
from cluster.claims import ClaimError
from cluster.commands import ClusterError
from cluster.kubectl import Kubectl, KubectlError
from cluster.local import LocalCluster
from cluster.namespaces import place
from cluster.steps import Steps

ROOT = Path(__file__).resolve().parent.parent
SYSTEM, SHOP, STORE = "odigos-system", "shop", "demo-destination"
CROSSED = ("frontend", "cart", "pricing")
STORE_API = f"/api/v1/namespaces/{STORE}/services/store:8080/proxy"
BUILD_ANNOTATION = "odigos.io/build"
OVERLAY = ROOT / "manifests/overlays/local"
IMAGES_A_NODE_LISTS = 50
EVIDENCE_WIDTH = 60

DESTINATION: dict[str, Any] = {
    "apiVersion": "odigos.io/v1alpha1",
    "kind": "Destination",
    "metadata": {"name": "demo-store", "namespace": SYSTEM},
    "spec": {
        "type": "otlphttp",
        "destinationName": "Demo store",
        "data": {"OTLP_HTTP_ENDPOINT": f"http://store.{STORE}:4318"},
        "signals": ["TRACES", "METRICS", "LOGS"],
    },
}
SOURCE: dict[str, Any] = {
    "apiVersion": "odigos.io/v1alpha1",
    "kind": "Source",
    "metadata": {"name": f"namespace-{SHOP}", "namespace": SHOP},
    "spec": {"workload": {"namespace": SHOP, "kind": "Namespace", "name": SHOP}},
}

T = TypeVar("T")


class WalkError(Exception):
    """A step did not reach its end; the text says what was seen and what to look at."""


FAILURES = (WalkError, KubectlError, ClusterError, ClaimError, BuildError, subprocess.SubprocessError, ValueError)


def until(what: str, seconds: float, look: Callable[[], T | None], describe: Callable[[], str] = lambda: "") -> T:
    """What `look` returns once it is not None; a WalkError with `describe()` when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except KubectlError as error:
            seen, last = None, str(error)
        else:
            last = ""
        if seen is not None:
            return seen
        if time.monotonic() > deadline:
            raise WalkError(f"{what}: not within {seconds:.0f} s. {last} {describe()}".strip())
        time.sleep(0.5)


def install(kubectl: Kubectl, built: Sequence[images.BuiltImage]) -> None:
    """odigos-cp, as a user would; what runs an older build under the same tag is restarted."""
    kubectl("apply", "-k", str(OVERLAY), timeout=120)
    restart_old(kubectl, SYSTEM, built)
    wait_rolled_out(kubectl, SYSTEM, "deployment/odigos", 180)


def restart_old(kubectl: Kubectl, namespace: str, built: Sequence[images.BuiltImage]) -> None:
    """The tag `local` says nothing of what is in an image; the id that a pod runs does, where the runtime tells it."""
    digests = {f"odigos-cp/{image.name}:local": image.digest for image in built}
    workloads = kubectl.json("get", "deployments,daemonsets", "-n", namespace)["items"]
    pods = kubectl.json("get", "pods", "-n", namespace)["items"] if workloads else []
    for workload in workloads:
        selector = workload["spec"]["selector"]["matchLabels"].items()
        mine = [p for p in pods if selector <= p["metadata"].get("labels", {}).items()]
        containers = [c for p in mine for c in p.get("status", {}).get("containerStatuses", [])]
        for container in containers:
            wanted = digests.get(container["image"].removeprefix("docker.io/"), "")
            if wanted and container["imageID"].startswith("sha256:") and container["imageID"] != wanted:
                mark_build(kubectl, namespace, f"{workload['kind'].lower()}/{workload['metadata']['name']}", wanted)
                break


def mark_build(kubectl: Kubectl, namespace: str, workload: str, digest: str) -> None:
    """A template annotation with the image's digest: a rolling restart."""
    annotation = {"spec": {"template": {"metadata": {"annotations": {BUILD_ANNOTATION: digest}}}}}
    kubectl("patch", workload, "-n", namespace, "--type=merge", "-p", json.dumps(annotation))


def deploy_store(kubectl: Kubectl) -> None:
    kubectl("apply", "-k", str(ROOT / "demo/manifests/store"))
    wait_rolled_out(kubectl, STORE, "deployment/store", 120)
    kubectl.apply(DESTINATION)


def deploy_shop(kubectl: Kubectl) -> None:
    kubectl("apply", "-k", str(ROOT / "demo/manifests/shop"))
    for workload in shop_workloads(kubectl):
        wait_rolled_out(kubectl, SHOP, f"deployment/{workload}", 180)


def shop_workloads(kubectl: Kubectl) -> list[str]:
    return [d["metadata"]["name"] for d in kubectl.json("get", "deployments", "-n", SHOP)["items"]]


def wait_rolled_out(kubectl: Kubectl, namespace: str, workload: str, seconds: float) -> None:
    try:
        kubectl("rollout", "status", workload, "-n", namespace, f"--timeout={seconds:.0f}s", timeout=seconds + 10)
    except KubectlError as error:
        pods = kubectl("get", "pods", "-n", namespace, "-o", "wide", check=False)
        events = kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp", check=False)
        last = last_words(kubectl, namespace)
        raise WalkError(f"{workload} in {namespace} is not ready: {error}\n{pods}\n{events[-3000:]}\n{last}") from error


def last_words(kubectl: Kubectl, namespace: str) -> str:
    """The ends of the logs of the containers that are not ready."""
    said = []
    for pod in kubectl.json("get", "pods", "-n", namespace)["items"]:
        for container in pod["status"].get("containerStatuses", []):
            if not container["ready"]:
                name = pod["metadata"]["name"]
                words = ["logs", name, "-c", container["name"], "-n", namespace, "--tail=15"]
                before = kubectl(*words, "--previous", check=False) if container["restartCount"] else ""
                said.append(f"{name}, {container['name']}:\n{before or kubectl(*words, check=False)}")
    return "\n".join(said)


def instrument(kubectl: Kubectl) -> None:
    """The whole wish: one Source."""
    kubectl.apply(SOURCE)


def wait_for_trace(kubectl: Kubectl, say: Callable[[str], None], seconds: float = 300) -> dict[str, Any]:
    """The first trace that crosses all three applications; meanwhile each change of a condition is told."""
    told: dict[tuple[str, str], str] = {}

    def look() -> dict[str, Any] | None:
        traces = kubectl.raw(f"{STORE_API}/api/traces?services={','.join(CROSSED)}")["traces"]
        if traces:
            return dict(traces[0])
        for application in applications(kubectl):
            name = application["spec"]["workload"]["name"]
            for condition in application.get("status", {}).get("conditions", []):
                word = f"{condition['status']} {condition['reason']}"
                if told.get((name, condition["type"])) != word:
                    told[name, condition["type"]] = word
                    say(f"{name:<10} {condition['type']:<17} {condition['status']:<7} {condition['reason']}")
        return None

    return until("a trace across " + ", ".join(CROSSED), seconds, look, lambda: why_not(kubectl))


def applications(kubectl: Kubectl, namespace: str = SHOP) -> list[dict[str, Any]]:
    return list(kubectl.json("get", "instrumentedapplications", "-n", namespace)["items"])


def why_not(kubectl: Kubectl) -> str:
    """Every condition of every application and destination that is not True, for the one who must mend it."""
    lines = []
    objects = kubectl.json("get", "instrumentedapplications,destinations,collectorsgroups,sources", "-A")["items"]
    for item in objects:
        for condition in item.get("status", {}).get("conditions", []):
            if condition["status"] != "True":
                who = f"{item['kind']} {item['metadata']['name']}"
                lines.append(
                    f"{who}: {condition['type']}={condition['status']} {condition['reason']}: {condition['message']}"
                )
    pods = kubectl("get", "pods", "-A", "-o", "wide", check=False)
    return "\n" + "\n".join(lines) + "\n" + pods


def table(kubectl: Kubectl) -> list[tuple[str, ...]]:
    """What happened: application, language and its evidence, agent, collector, spans received."""
    services = kubectl.raw(f"{STORE_API}/api/summary")["services"]
    rows: list[tuple[str, ...]] = [("APPLICATION", "LANGUAGE", "EVIDENCE", "AGENT", "COLLECTOR", "SPANS RECEIVED")]
    for application in applications(kubectl):
        status = application.get("status", {})
        verdicts = {c["name"]: c for c in status.get("injection", {}).get("containers", [])}
        for runtime in status.get("runtimes", []):
            strongest = max(runtime.get("evidence", []), key=lambda e: int(e["weight"]), default=None)
            seen = evidence(strongest["rule"], strongest["saw"]) if strongest else runtime.get("reason", "")
            verdict = verdicts.get(runtime["container"], {})
            name = application["spec"]["workload"]["name"]
            spans = services.get(application["spec"].get("serviceName", name), {}).get("spans", 0)
            rows.append(
                (
                    name,
                    f"{runtime['language']} {runtime.get('version', '')}".strip(),
                    seen,
                    verdict.get("agent") or f"none ({verdict.get('reason', 'not decided')})",
                    status.get("collector", {}).get("group", "-"),
                    str(spans),
                )
            )
    return rows


def evidence(rule: str, saw: str) -> str:
    """In one column: of a long path, its end tells more."""
    room = EVIDENCE_WIDTH - len(rule)
    return f"{rule}: {saw if len(saw) <= room else '…' + saw[1 - room :]}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


# --- the cluster it happens on --------------------------------------------------------------------------------------


def foreign(cluster: LocalCluster, environment: Mapping[str, str] = os.environ) -> str:
    """The KUBECONFIG of a cluster that is not ours; empty if there is none, or if it leads to our own."""
    given = environment.get("KUBECONFIG", "")
    return "" if given == str(cluster.kubeconfig) else given


def announce(name: str) -> None:
    """What a walk on a foreign cluster would do; of our own there is nothing to say."""
    kubeconfig = foreign(LocalCluster(name))
    if not kubeconfig:
        return
    print(f"KUBECONFIG is set: using the cluster of {kubeconfig} instead of building one. This will")
    print(f"  install odigos-cp into its namespace {SYSTEM}, with CRDs and a webhook for labelled pods only,")
    print(f"  deploy a demo into the namespaces {SHOP} and {STORE}, and instrument {SHOP}. Nothing else is touched,")
    print("  and nothing at all if one of these namespaces is there already. `make down` takes exactly that away.")


def kubectl_of(kubeconfig: str, say: Callable[[str], None]) -> Kubectl:
    """With the kubectl of this machine; without one, with the one that is built here."""
    binary = shutil.which("kubectl")
    if binary is None:
        own = images.cache_directory() / "bin" / "kubectl"
        place(builds.kubernetes(say), own)
        binary = str(own)
    return Kubectl(Path(kubeconfig), binary)


def look_for_images(kubectl: Kubectl, built: Sequence[images.BuiltImage]) -> str:
    """Whether the nodes of a foreign cluster have the images; if not, what to do about it."""
    unsure = False
    missing: dict[str, images.BuiltImage] = {}
    for node in kubectl.json("get", "nodes")["items"]:
        if any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", [])):
            continue
        listed = node["status"].get("images", [])
        there = {name.removeprefix("docker.io/") for image in listed for name in image.get("names") or []}
        absent = {i.name: i for i in built if i.reference.removeprefix("docker.io/") not in there}
        if absent and len(listed) >= IMAGES_A_NODE_LISTS:
            unsure = True  # it lists its largest only
        else:
            missing |= absent
    if missing:
        files = "\n".join(f"  {image.reference}: {image.archive}" for image in missing.values())
        raise WalkError(
            "the nodes of this cluster do not have these images yet; load the archives (for example `kind load "
            f"image-archive`, `k3s ctr images import`, or your registry with the same names), then run again:\n{files}"
        )
    return "the nodes list too few of their images to say; going on" if unsure else "all there"


# --- the whole walk -------------------------------------------------------------------------------------------------


def walk(name: str, *, hold: bool) -> None:
    steps = Steps()
    cluster = LocalCluster(name)
    elsewhere = foreign(cluster)
    packages.ensure(steps)
    with steps.step("the images") as step:
        built = images.ensure(images.all_images(say=step.say), step.say)
        step.note(f"{len(built)} images")
    if elsewhere:
        with steps.step(f"the cluster of {elsewhere}") as step:
            kubectl = kubectl_of(elsewhere, step.say)
            step.note(look_for_images(kubectl, built))
            claims.claim(kubectl, (SYSTEM, SHOP, STORE))
    else:
        cluster.up(steps)
        kubectl = Kubectl(cluster.kubeconfig, cluster.kubectl_path)
        with steps.step("bring the images to the nodes") as step:
            step.note(cluster.import_images([image.archive for image in built]))
    with steps.step("install odigos-cp: kubectl apply -k manifests/overlays/local"):
        install(kubectl, built)
    with steps.step("deploy the demo destination and write its Destination"):
        deploy_store(kubectl)
    with steps.step("deploy the demo shop: Java, Python and Node.js, and a load generator in Go"):
        deploy_shop(kubectl)
        for namespace in (SHOP, STORE):
            restart_old(kubectl, namespace, built)
    with steps.step("instrument the shop: one Source for its namespace"):
        instrument(kubectl)
    with steps.step("wait for a trace that crosses all three applications") as step:
        trace = wait_for_trace(kubectl, step.say)
        step.note(f"trace {trace['traceId']} with {trace['spans']} spans")
    print(f"\nWhat happened, in {steps.seconds:.0f} s:")
    print_table(table(kubectl))
    print(f"\n  export KUBECONFIG={kubectl.kubeconfig}")
    print(f"  kubectl: {kubectl.binary}")
    if hold:
        door.hold(kubectl, "odigos-ui", SYSTEM, lambda text: print(f"  {text}", flush=True))


def down(name: str) -> None:
    """Our own cluster, or, on a foreign one, what the walk made there."""
    cluster = LocalCluster(name)
    elsewhere = foreign(cluster)
    steps = Steps()
    if not elsewhere:
        with steps.step(f"remove the cluster {name}") as step:
            step.note(", ".join(cluster.down()) or "nothing was there")
        return
    print(f"KUBECONFIG is set: removing from the cluster of {elsewhere} what `make run` made there, and nothing else.")
    with steps.step(f"remove odigos-cp and its demo from the cluster of {elsewhere}") as step:
        kubectl = kubectl_of(elsewhere, step.say)
        gone = claims.release(kubectl, SYSTEM, (SHOP, STORE), OVERLAY, step.say)
        step.note(", ".join(gone) or "`make run` had made nothing there")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--name", default="run", help="name of the local cluster")
    parser.add_argument("--down", action="store_true", help="remove what a walk made")
    parser.add_argument("--announce", action="store_true", help="only say what a walk would do on a foreign cluster")
    parser.add_argument("--no-hold", action="store_true", help="do not hold the UI open at the end")
    given = parser.parse_args()
    try:
        if given.down:
            down(given.name)
        elif given.announce:
            announce(given.name)
        else:
            walk(given.name, hold=not given.no_hold)
    except KeyboardInterrupt:
        print()
    except FAILURES as error:
        print(f"\nmake {'down' if given.down else 'run'} stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
