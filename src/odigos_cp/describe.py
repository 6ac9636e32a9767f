"""What is known and decided about one workload, and why: the text of `odigos-cp describe`.

It reads the InstrumentedApplication with the caller's own rights, so it works while the control plane is down.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import anyio

from odigos_cp.api.application import APPLICATIONS, ApplicationCondition, InstrumentedApplication, application_key
from odigos_cp.api.meta import find_condition
from odigos_cp.api.source import WORKLOAD_KINDS
from odigos_cp.kube import errors
from odigos_cp.kube.client import Client
from odigos_cp.settings import Settings

MARKS = {"True": "✓", "False": "✗", "Unknown": "…"}


def main(settings: Settings, workload: str, namespace: str) -> int:
    kind, slash, name = workload.partition("/")
    known = {k.lower(): k for k in WORKLOAD_KINDS}
    if not slash or not name or kind.lower() not in known:
        raise ValueError(f"{workload!r} is not kind/name; kinds: " + ", ".join(sorted(known)))
    return anyio.run(_describe, settings, known[kind.lower()], name, namespace)


async def _describe(settings: Settings, kind: str, name: str, namespace: str) -> int:
    async with await Client.connect(
        settings.kubeconfig or None, settings.context or None, timeout=settings.request_timeout
    ) as client:
        try:
            application = await client.get(APPLICATIONS, application_key(namespace, kind, name))
        except errors.NotFound:
            print(f"{kind} {namespace}/{name}: no Source asks for it, so odigos-cp has nothing to do with it.")
            return 1
        except errors.ApiError as error:
            print(f"odigos-cp: cannot read {kind} {namespace}/{name}: {error}", file=sys.stderr)
            return 1
    print("\n".join(lines(application)))
    return 0


def lines(application: InstrumentedApplication) -> Iterator[str]:
    """The chain of the walk, then each container with its evidence and verdict."""
    workload, status = application.spec.workload, application.status
    wish = "instrument" if application.spec.enabled else "leave alone"
    yield f"{workload.kind} {workload.namespace}/{workload.name}: {wish}, as service {application.spec.service_name!r}"
    for type_ in ApplicationCondition:
        condition = find_condition(status.conditions, type_)
        if condition is None:
            yield f"  … {type_}: not decided yet"
        else:
            since = f"since {condition.last_transition_time}"
            yield f"  {MARKS[condition.status]} {type_}: {condition.reason}, {since}"
            if condition.message:
                yield f"      {condition.message}"
    verdicts = {c.name: c for c in status.injection.containers} if status.injection else {}
    for runtime in status.runtimes:
        version = f" {runtime.version}" if runtime.version else ""
        yield f"  container {runtime.container}: {runtime.language}{version} ({runtime.confidence} %)"
        for evidence in runtime.evidence:
            yield f"      {evidence.rule} saw {evidence.saw!r}: {evidence.says} ({evidence.weight})"
        if verdict := verdicts.get(runtime.container):
            yield f"      agent: {verdict.agent or 'none'} ({verdict.reason}) {verdict.message}".rstrip()
    if status.collector:
        yield f"  sends to {status.collector.group}"
