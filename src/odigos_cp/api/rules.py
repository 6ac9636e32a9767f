"""InstrumentationRule and Action: what users want changed in how telemetry is made, and on its way.

The shapes are final; the effect of some comes with later issues. Until then their condition `Applied` says
`NotImplementedYet`, so that nobody believes in a rule that does nothing.

| field | writer |
|---|---|
| spec | the user (`odigos-ui` for the UI) |
| condition Applied | InstrumentationRule: instrumentor/rules; Action: autoscaler/config |
| condition Valid, while it cannot be understood | instrumentor/validity; autoscaler/validity |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from odigos_cp.api.application import Signal
from odigos_cp.api.meta import ATOMIC, Condition, CustomResource, Model, custom, map_list
from odigos_cp.api.source import WorkloadReference


class RuleReason(StrEnum):
    """Reasons of the condition `Applied` of both kinds."""

    APPLIED = "Applied"
    PARTLY_APPLIED = "PartlyApplied"
    MATCHES_NOTHING = "MatchesNothing"
    INVALID = "Invalid"
    NOT_IMPLEMENTED_YET = "NotImplementedYet"
    DISABLED = "Disabled"


class Sampling(Model):
    ratio: float = Field(ge=0.0, le=1.0, description="Share of new traces that is kept.")


class InstrumentationLibrary(Model):
    name: str
    language: str = ""
    enabled: bool = True


class HeadersCollection(Model):
    header_keys: tuple[str, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})


class RuleSpec(Model):
    rule_name: str = ""
    disabled: bool = False
    workloads: tuple[WorkloadReference, ...] = Field(default=(), json_schema_extra=ATOMIC)
    sampling: Sampling | None = None
    instrumentation_libraries: tuple[InstrumentationLibrary, ...] = Field(
        default=(), json_schema_extra=map_list("name")
    )
    headers_collection: HeadersCollection | None = None
    env: dict[str, str] = {}


class RuleStatus(Model):
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_list("type"))


class InstrumentationRule(CustomResource):
    """How telemetry is made in the applications it names."""

    spec: RuleSpec
    status: RuleStatus = RuleStatus()


class AttributeValue(Model):
    attribute_name: str
    attribute_string_value: str


class AddClusterInfo(Model):
    cluster_attributes: tuple[AttributeValue, ...] = Field(default=(), json_schema_extra=map_list("attributeName"))
    overwrite_existing_values: bool = False


class DeleteAttribute(Model):
    attribute_names_to_delete: tuple[str, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})


class RenameAttribute(Model):
    renames: dict[str, str] = {}


class PiiMasking(Model):
    pii_categories: tuple[str, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})


class K8sAttributes(Model):
    collect_container_attributes: bool = False
    collect_workload_id: bool = False
    collect_cluster_id: bool = False


class ProbabilisticSampler(Model):
    sampling_percentage: str = "100"


class TailSampling(Model):
    keep_errors: bool = True
    minimum_latency_millis: int | None = None
    ratio: float | None = Field(default=None, ge=0.0, le=1.0)


class Filter(Model):
    conditions: tuple[str, ...] = Field(default=(), json_schema_extra=ATOMIC)
    mode: Literal["drop", "keep"] = "drop"


ACTION_BLOCKS = (
    "addClusterInfo",
    "deleteAttribute",
    "renameAttribute",
    "piiMasking",
    "k8sAttributes",
    "probabilisticSampler",
    "tailSampling",
    "filter",
)


class ActionSpec(Model):
    action_name: str = ""
    notes: str = ""
    disabled: bool = False
    signals: tuple[Signal, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})
    add_cluster_info: AddClusterInfo | None = None
    delete_attribute: DeleteAttribute | None = None
    rename_attribute: RenameAttribute | None = None
    pii_masking: PiiMasking | None = None
    k8s_attributes: K8sAttributes | None = Field(default=None, alias="k8sAttributes")
    probabilistic_sampler: ProbabilisticSampler | None = None
    tail_sampling: TailSampling | None = None
    filter: Filter | None = None


class Action(CustomResource):
    """What happens to telemetry on its way; exactly one block is set."""

    spec: ActionSpec = Field(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "[" + ", ".join(f"has(self.{b})" for b in ACTION_BLOCKS) + "].filter(x, x).size() == 1",
                    "message": "exactly one of " + ", ".join(ACTION_BLOCKS) + " must be set",
                }
            ]
        }
    )
    status: RuleStatus = RuleStatus()


RULES = custom(InstrumentationRule, "InstrumentationRule", "instrumentationrules")
ACTIONS = custom(Action, "Action", "actions")
