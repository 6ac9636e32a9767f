"""What is the collectors' configuration? Destinations and sizes in, text out.

    application --OTLP--> node (its own) --OTLP gRPC--> gateway --> a pipeline of its own a destination and signal

Nothing on the way keeps data in memory only: each exporter has a queue on disk, from which it retries for ever, and
batches are made inside that queue; a `batch` processor would acknowledge what it may lose. A signal that nobody wants
ends in `nop`: applications need not know.

When a queue is full and nobody else takes the signal, the sender is told, and keeps its data in turn. With several
destinations that would send everything again and again to those that are well, and stop them in the end: so there a
full queue's own destination loses the newest (`_kept_apart`), and its condition Delivering says that it is not
delivered to.

Within the cluster the collectors talk in plaintext so far; their certificates come with a later issue.

The text is a function of its input to the last byte: its hash names the ConfigMap, and a new name rolls the pods.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from odigos_cp.api.application import SIGNALS, Signal
from odigos_cp.api.collectors import ResourceSizes
from odigos_cp.api.destination import Destination
from odigos_cp.domain import exporters, sizing
from odigos_cp.domain.exporters import QUEUE_STORAGE, Exporter, Fault, SecretVariable

GRPC_PORT, HTTP_PORT, HEALTH_PORT, METRICS_PORT = 4317, 4318, 13133, 8888
QUEUE_DIRECTORY = "/var/lib/odigos/queue"
LARGEST_TEXT = 900_000
"""Bytes of a configuration: a ConfigMap ends at a megabyte."""

HASH_DIGITS = 10

Block = dict[str, Any]


class TooLarge(Exception):
    """All destinations together are more than a ConfigMap holds; the text says so."""


@dataclass(frozen=True)
class Rendered:
    """`hash` covers the text and the variables: both must be there for the collector to do what is meant."""

    config: Block
    text: str
    hash: str
    signals: tuple[Signal, ...]
    exporters: Mapping[str, Exporter] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)
    variables: tuple[SecretVariable, ...] = ()


def render_gateway(destinations: Sequence[Destination], sizes: ResourceSizes) -> Rendered:
    """Disabled destinations are not there; a faulty one is left out and named in `faults`. Both by resource name."""
    enabled = sorted((d for d in destinations if not d.spec.disabled), key=lambda d: d.metadata.name)
    built = {d.metadata.name: exporters.build(d) for d in enabled}
    sound = {name: exporter for name, exporter in built.items() if isinstance(exporter, Exporter)}
    queues = sum(len(e.signals) for e in sound.values() if e.queued)
    config = _collector(sizes)
    config["receivers"] = {"otlp": {"protocols": {"grpc": _GATEWAY_GRPC, "http": {"endpoint": f"0.0.0.0:{HTTP_PORT}"}}}}
    for exporter in sound.values():
        kept = _kept_on_disk(sizing.gateway_queue_bytes(queues)) if exporter.queued else {}
        config["exporters"][exporter.component] = dict(exporter.block) | kept
        config["extensions"].update(exporter.extensions)
        if exporter.namespaces:
            config["processors"][f"filter/{_id(exporter)}"] = _only_from(exporter.namespaces)
    for signal in SIGNALS:
        _distribute(config, signal.lower(), [e for e in sound.values() if signal in e.signals])
    return _rendered(
        config,
        signals=tuple(s for s in SIGNALS if any(s in e.signals for e in sound.values())),
        exporters=sound,
        faults={name: outcome for name, outcome in built.items() if isinstance(outcome, Fault)},
        variables=tuple(sorted(v for e in sound.values() for v in e.variables)),
    )


def render_node(gateway: str, sizes: ResourceSizes) -> Rendered:
    """`gateway` is host:port of the gateway's headless Service: every gateway pod gets its share of every node."""
    config = _collector(sizes)
    listen = {"grpc": {"endpoint": f"0.0.0.0:{GRPC_PORT}"}, "http": {"endpoint": f"0.0.0.0:{HTTP_PORT}"}}
    config["receivers"] = {"otlp": {"protocols": listen}}
    config["exporters"]["otlp_grpc/gateway"] = {
        "endpoint": f"dns:///{gateway}",
        "tls": {"insecure": True},
        "balancer_name": "round_robin",
        # A quarter of gzip's cost, and the way is short.
        "compression": "snappy",
        "timeout": "10s",
    } | _kept_on_disk(sizing.NODE_QUEUE_BYTES, flush="200ms", longest_pause="10s")
    pipelines = config["service"]["pipelines"]
    for signal in SIGNALS:
        # The connector is where an application's way to a gateway of its own will branch off.
        name, connector = signal.lower(), f"forward/{signal.lower()}"
        config["connectors"][connector] = {}
        pipelines[f"{name}/in"] = _pipeline(["otlp"], ["memory_limiter"], [connector])
        pipelines[f"{name}/to-gateway"] = _pipeline([connector], [], ["otlp_grpc/gateway"])
    return _rendered(config, signals=SIGNALS)


def _distribute(config: Block, name: str, takers: Sequence[Exporter]) -> None:
    """One pipeline that takes a signal in, and one for each destination that takes it."""
    pipelines, several = config["service"]["pipelines"], len(takers) > 1
    connectors = []
    for exporter in takers:
        way = f"{name}/to-{_id(exporter)}"
        connectors.append(f"{'failover' if several else 'forward'}/{way.replace('/', '-')}")
        config["connectors"][connectors[-1]] = _kept_apart(name, way) if several else {}
        only = [f"filter/{_id(exporter)}"] if exporter.namespaces else []
        pipelines[way] = _pipeline([connectors[-1]], only, [exporter.component])
    pipelines[f"{name}/in"] = _pipeline(["otlp"], ["memory_limiter"], connectors or ["nop"])
    if several:
        pipelines[f"{name}/refused"] = _pipeline(connectors, [], [_REFUSES])
        pipelines[f"{name}/lost"] = _pipeline(connectors, [], ["nop"])
        config["exporters"][_REFUSES] = _REFUSING
    if several or not takers:
        config["exporters"]["nop"] = {}


def _kept_apart(name: str, way: str) -> Block:
    """What this way's queue does not take is dropped for a second, and then it is tried again.

    The first level always refuses. With the real way first, the connector would stop trying again when it comes back,
    and a refusal at that very moment would cut the destination off for good: nothing would start the trying anew.
    """
    return {
        "priority_levels": [[f"{name}/refused"], [way], [f"{name}/lost"]],
        "retry_interval": "1s",
        "sending_queue": {"enabled": False},
    }


_REFUSES = "otlp_http/_refuses"
"""No destination's id begins with an underscore."""

_REFUSING: Block = {
    "endpoint": "http://127.0.0.1:1",
    # Into a queue of one byte goes nothing: it says no at once, and calls nobody.
    "sending_queue": {"enabled": True, "sizer": "bytes", "queue_size": 1},
    "retry_on_failure": {"enabled": False},
}


def _only_from(namespaces: Sequence[str]) -> Block:
    """Drops what comes from elsewhere, and what does not say where it comes from. The names are checked."""
    elsewhere = " and ".join(f'attributes["k8s.namespace.name"] != "{namespace}"' for namespace in namespaces)
    return {"error_mode": "ignore"} | {name: {"resource": [elsewhere]} for name in ("traces", "metrics", "logs")}


def _id(exporter: Exporter) -> str:
    return exporter.component.partition("/")[2]


_GATEWAY_GRPC: Block = {
    "endpoint": f"0.0.0.0:{GRPC_PORT}",
    # A node's batch of long log records is larger than gRPC's default of 4 MiB.
    "max_recv_msg_size_mib": 64,
    # Nodes come back to the name service now and then, so that a new gateway pod gets its share.
    "keepalive": {"server_parameters": {"max_connection_age": "60s", "max_connection_age_grace": "10s"}},
}


def _collector(sizes: ResourceSizes) -> Block:
    """What every collector has."""
    memory = sizing.memory(sizes)
    storage = {
        "directory": QUEUE_DIRECTORY,
        "create_directory": True,
        "fsync": False,
        "compaction": {"on_start": True, "directory": QUEUE_DIRECTORY},
    }
    return {
        "extensions": {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}, QUEUE_STORAGE: storage},
        "processors": {
            "memory_limiter": {
                "check_interval": "500ms",
                "limit_mib": memory.limit_mib,
                "spike_limit_mib": memory.spike_mib,
            }
        },
        "exporters": {},
        "connectors": {},
        "service": {
            "pipelines": {},
            "telemetry": {
                "logs": {"encoding": "json", "level": "info"},
                "metrics": {
                    "level": "normal",
                    "readers": [{"pull": {"exporter": {"prometheus": {"host": "0.0.0.0", "port": METRICS_PORT}}}}],  # noqa: S104 - the control plane reads the pod's address
                },
            },
        },
    }


def _pipeline(receivers: Sequence[str], processors: Sequence[str], to: Sequence[str]) -> Block:
    ways = {"receivers": receivers, "processors": processors, "exporters": to}
    return {name: list(components) for name, components in ways.items() if components}


def _kept_on_disk(bytes_: int, *, flush: str = "500ms", longest_pause: str = "30s") -> Block:
    """A queue that outlives the process, and retries that never give up."""
    return {
        "retry_on_failure": {
            "enabled": True,
            "initial_interval": "500ms",
            "max_interval": longest_pause,
            "max_elapsed_time": "0s",
        },
        "sending_queue": {
            "enabled": True,
            "storage": QUEUE_STORAGE,
            "sizer": "bytes",
            "queue_size": bytes_,
            "num_consumers": 4,
            # In bytes: a gRPC server refuses more than 4 MiB for good, whatever the number of items.
            "batch": {"sizer": "bytes", "min_size": 1_000_000, "max_size": 3_500_000, "flush_timeout": flush},
        },
    }


def _rendered(config: Block, **parts: Any) -> Rendered:
    config["service"]["extensions"] = sorted(config["extensions"])
    text = yaml.dump(config, Dumper=_Quoting, sort_keys=True, default_flow_style=False, width=1_000_000)
    if len(text) > LARGEST_TEXT:
        raise TooLarge(f"the configuration of all destinations is {len(text):,} bytes; {LARGEST_TEXT:,} is the most")
    variables = [[v.name, v.secret, v.key] for v in parts.get("variables", ())]
    digest = hashlib.sha256(json.dumps([text, variables]).encode()).hexdigest()
    return Rendered(config=config, text=text, hash=digest[:HASH_DIGITS], **parts)


class _Quoting(yaml.SafeDumper):
    """Quotes every text that another reader could take for something else: this one speaks YAML 1.1, Go's 1.2."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else "|" if text.startswith("-----BEGIN") else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Quoting.add_representer(str, _text)
