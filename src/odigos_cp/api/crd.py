"""From the models to the CRDs: structural schemas, printer columns, one file a kind in manifests/crds.

The API server accepts a structural subset of OpenAPI v3 only: no references, no `anyOf` with null, no titles. Defaults
are left out: the models give them on reading, so that server-side apply never owns a value that nobody wrote.
"""

from __future__ import annotations

from typing import Any

from odigos_cp.api.application import APPLICATIONS, InstrumentedApplication
from odigos_cp.api.collectors import GROUPS, CollectorsGroup
from odigos_cp.api.configuration import CONFIGURATIONS, OdigosConfiguration
from odigos_cp.api.destination import DESTINATIONS, Destination
from odigos_cp.api.meta import CustomResource, Kind
from odigos_cp.api.rules import ACTIONS, RULES, Action, InstrumentationRule
from odigos_cp.api.source import SOURCES, Source

Column = tuple[str, str, str]
"""Name, JSON path, description."""


def _condition(type_: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


TABLE: tuple[tuple[Kind[Any], type[CustomResource], tuple[str, ...], tuple[Column, ...]], ...] = (
    (
        SOURCES,
        Source,
        ("src",),
        (
            ("Workload-Kind", ".spec.workload.kind", "Kind of what is instrumented."),
            ("Workload", ".spec.workload.name", "Its name."),
            ("Disabled", ".spec.disableInstrumentation", "True: kept out."),
            ("Matched", _condition("Matched"), "Whether it names something that exists."),
            ("Reason", _condition("Matched", "reason"), "Why."),
        ),
    ),
    (
        DESTINATIONS,
        Destination,
        ("dest",),
        (
            ("Type", ".spec.type", "Kind of back end."),
            ("Name", ".spec.destinationName", "The name people see."),
            ("Configured", _condition("Configured"), "Whether the collectors send to it."),
            ("Delivering", _condition("Delivering"), "Whether it accepts what is sent."),
            ("Reason", _condition("Configured", "reason"), "Why it is (not) configured."),
        ),
    ),
    (
        RULES,
        InstrumentationRule,
        ("irule",),
        (
            ("Rule", ".spec.ruleName", "Its name."),
            ("Disabled", ".spec.disabled", "Whether it is switched off."),
            ("Applied", _condition("Applied"), "Whether it changes anything."),
            ("Reason", _condition("Applied", "reason"), "Why it does (not)."),
        ),
    ),
    (
        ACTIONS,
        Action,
        (),
        (("Action", ".spec.actionName", "Its name."), ("Disabled", ".spec.disabled", "Whether it is switched off.")),
    ),
    (
        CONFIGURATIONS,
        OdigosConfiguration,
        (),
        (("Mode", ".status.effective.instrumentationMode", "OPT_IN or OPT_OUT, and where that comes from."),),
    ),
    (
        APPLICATIONS,
        InstrumentedApplication,
        ("ia",),
        (
            ("Enabled", ".spec.enabled", "The effective wish."),
            ("Language", ".status.runtimes[*].language", "What its containers run."),
            ("Agent", _condition("AgentEnabled", "reason"), "The decision."),
            ("Collector", ".status.collector.group", "Where its data goes."),
            ("Rolled-Out", _condition("RolledOut", "reason"), "How far the restart is."),
            ("Injected", _condition("PodsInjected"), "Whether every pod carries the agent."),
        ),
    ),
    (
        GROUPS,
        CollectorsGroup,
        ("cg",),
        (
            ("Role", ".spec.role", "node, gateway or dedicated."),
            ("Ready", ".status.ready", "Whether it takes data."),
            ("Replicas", ".status.replicas", "Ready collectors."),
            ("Endpoint", ".status.endpoint", "Where data is sent."),
            ("Config", _condition("ConfigValid", "reason"), "State of its configuration."),
        ),
    ),
)


def render() -> dict[str, dict[str, Any]]:
    """Each CRD by its file name."""
    return {
        f"{kind.group}_{kind.plural}.yaml": _crd(kind, model, short, columns) for kind, model, short, columns in TABLE
    }


def _crd(
    kind: Kind[Any], model: type[CustomResource], short_names: tuple[str, ...], columns: tuple[Column, ...]
) -> dict[str, Any]:
    printed = [{"name": name, "type": "string", "jsonPath": path, "description": text} for name, path, text in columns]
    printed.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    names = {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower(), "listKind": f"{kind.kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}", "labels": {"app.kubernetes.io/part-of": "odigos-cp"}},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": names | {"categories": ["odigos"]} | ({"shortNames": list(short_names)} if short_names else {}),
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": printed,
                    "schema": {"openAPIV3Schema": schema_of(model)},
                }
            ],
        },
    }


def schema_of(model: type[CustomResource]) -> dict[str, Any]:
    """The structural schema of a custom resource."""
    source = model.model_json_schema(by_alias=True, mode="validation")
    definitions = source.get("$defs", {})
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **{name: _structural(part, definitions) for name, part in source["properties"].items() if name != "metadata"},
    }
    schema: dict[str, Any] = {
        "type": "object",
        "description": _one_line(source["description"]),
        "properties": properties,
    }
    if "required" in source:
        schema["required"] = source["required"]
    return schema


_DROPPED = frozenset(
    {"title", "default", "$defs", "additionalProperties", "properties", "items", "$ref", "anyOf", "const"}
)


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """One node without references, nulls, titles and defaults; what stands beside a reference is kept."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _structural(target | {k: v for k, v in node.items() if k != "$ref"}, definitions)
    if "anyOf" in node:
        (choice,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        return _structural(choice | {k: v for k, v in node.items() if k != "anyOf"}, definitions)
    result = {k: v for k, v in node.items() if k not in _DROPPED}
    if "description" in result:
        result["description"] = _one_line(result["description"])
    if "const" in node:
        result["enum"] = [node["const"]]
    if "properties" in node:
        result["properties"] = {name: _structural(part, definitions) for name, part in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = _structural(node["items"], definitions)
    return result


def _one_line(text: str) -> str:
    return " ".join(text.split())
