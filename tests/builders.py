"""Objects for tests: a sensible default of each kind, and one line a deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from odigos_cp.api import builtin
from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication, application_key
from odigos_cp.api.collectors import GATEWAY_GROUP, CollectorsGroup
from odigos_cp.api.configuration import CONFIGURATION_NAME, OdigosConfiguration
from odigos_cp.api.destination import Destination
from odigos_cp.api.meta import INJECTED_ANNOTATION, INSTRUMENTED_LABEL, SYSTEM_NAMESPACE, Condition
from odigos_cp.api.rules import InstrumentationRule
from odigos_cp.api.source import Source

NAMESPACE = "shop"
NAME = "cart"
HASH = "0123456789abcdef"
SINCE = "2026-11-24T12:00:00Z"


def meta(name: str, namespace: str = "", **deviations: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": SINCE,
    } | deviations


def condition(type_: str, status: str = "True", reason: str = "Because", message: str = "") -> Condition:
    return Condition.model_validate(
        {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}
    )


def namespace(name: str = NAMESPACE, phase: str = "Active") -> builtin.Namespace:
    return msgspec.convert({"metadata": meta(name), "status": {"phase": phase}}, builtin.Namespace)


def workload(
    name: str = NAME,
    namespace: str = NAMESPACE,
    *,
    replicas: int = 1,
    containers: Sequence[str] = ("app",),
    label: str = "",
    **metadata: Any,
) -> builtin.Workload:
    """A Deployment that is ready; `label` is the value of our one label on its template."""
    labels = {"app": name} | ({INSTRUMENTED_LABEL: label} if label else {})
    return msgspec.convert(
        {
            "metadata": meta(name, namespace, **metadata),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": c, "image": f"{c}:1"} for c in containers]},
                },
            },
            "status": {
                "replicas": replicas,
                "readyReplicas": replicas,
                "updatedReplicas": replicas,
                "availableReplicas": replicas,
            },
        },
        builtin.Workload,
    )


def pod(name: str = f"{NAME}-1", namespace: str = NAMESPACE, *, label: str = "", injected: str = "") -> builtin.Pod:
    """A running, ready Pod; `label` as its template has it, `injected` as the webhook annotates it."""
    return msgspec.convert(
        {
            "metadata": meta(
                name,
                namespace,
                labels={INSTRUMENTED_LABEL: label} if label else {},
                annotations={INJECTED_ANNOTATION: injected} if injected else {},
            ),
            "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        },
        builtin.Pod,
    )


def source(
    name: str = "",
    namespace: str = NAMESPACE,
    *,
    kind: str = "Deployment",
    of: str = NAME,
    disabled: bool = False,
    **spec: Any,
) -> Source:
    """The wish for one workload; `kind="Namespace"` is for the whole namespace."""
    of = namespace if kind == "Namespace" else of
    return Source.model_validate(
        {
            "metadata": meta(name or f"{kind.lower()}-{of}", namespace),
            "spec": {
                "workload": {"namespace": namespace, "kind": kind, "name": of},
                "disableInstrumentation": disabled,
            }
            | spec,
        }
    )


def application(
    name: str = NAME,
    namespace: str = NAMESPACE,
    *,
    kind: str = "Deployment",
    enabled: bool = True,
    conditions: Sequence[Condition] = (),
    **status: Any,
) -> InstrumentedApplication:
    """What is known of one workload; status fields by their wire names."""
    return InstrumentedApplication.model_validate(
        {
            "apiVersion": APPLICATIONS.api_version,
            "metadata": meta(application_key(namespace, kind, name).name, namespace),
            "spec": {"workload": {"namespace": namespace, "kind": kind, "name": name}, "enabled": enabled},
            "status": {"conditions": [c.wire() for c in conditions]} | status,
        }
    )


def destination(
    name: str = "jaeger-12345",
    *,
    type_: str = "otlp",
    data: Mapping[str, str] | None = None,
    signals: Sequence[str] = ("TRACES",),
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Destination:
    return Destination.model_validate(
        {
            "metadata": meta(name, SYSTEM_NAMESPACE),
            "spec": {
                "type": type_,
                "destinationName": "Jaeger",
                "data": dict(data if data is not None else {"OTLP_GRPC_ENDPOINT": "jaeger.observability:4317"}),
                "signals": list(signals),
            }
            | spec,
            "status": dict(status or {}),
        }
    )


def group(name: str = GATEWAY_GROUP, role: str = "gateway", *, ready: bool = True, **status: Any) -> CollectorsGroup:
    return CollectorsGroup.model_validate(
        {"metadata": meta(name, SYSTEM_NAMESPACE), "spec": {"role": role}, "status": {"ready": ready} | status}
    )


def rule(name: str, namespace: str = SYSTEM_NAMESPACE, **spec: Any) -> InstrumentationRule:
    return InstrumentationRule.model_validate({"metadata": meta(name, namespace), "spec": spec})


def configuration(**spec: Any) -> OdigosConfiguration:
    return OdigosConfiguration.model_validate({"metadata": meta(CONFIGURATION_NAME, SYSTEM_NAMESPACE), "spec": spec})


def webhook_configuration(ca_bundle: str = "") -> builtin.WebhookConfiguration:
    return msgspec.convert(
        {
            "metadata": meta("odigos-pod-injection"),
            "webhooks": [{"name": "pods.odigos.io", "clientConfig": {"caBundle": ca_bundle}}],
        },
        builtin.WebhookConfiguration,
    )


def config_map(name: str, data: Mapping[str, str], **metadata: Any) -> builtin.ConfigMap:
    return msgspec.convert(
        {"metadata": meta(name, SYSTEM_NAMESPACE, **metadata), "data": dict(data)}, builtin.ConfigMap
    )
