"""What rules change where, who has the last word, and what a rule says of itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from odigos_cp.api.application import InstrumentedApplication
from odigos_cp.api.meta import SYSTEM_NAMESPACE, find_condition
from odigos_cp.api.rules import InstrumentationRule, RuleReason
from odigos_cp.domain import rules
from odigos_cp.domain.rules import Observed, Settings
from tests.builders import application, rule

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CART = application()
HALF: dict[str, Any] = {"sampling": {"ratio": 0.5}}
TENTH: dict[str, Any] = {"sampling": {"ratio": 0.1}}


def workload(name: str = "cart", namespace: str = "shop", kind: str = "Deployment") -> dict[str, str]:
    return {"namespace": namespace, "kind": kind, "name": name}


def settings(*given: InstrumentationRule, of: InstrumentedApplication = CART) -> Settings:
    return rules.settings(given, of, SYSTEM_NAMESPACE)


def said(given: InstrumentationRule, *applications: InstrumentedApplication) -> tuple[str, str, str]:
    (write,) = rules.plan(Observed(given, applications or (CART,), SYSTEM_NAMESPACE), NOW).writes
    body = given.model_dump(by_alias=True, mode="json") | {"status": write.body["status"]}  # type: ignore[union-attr]
    told = InstrumentationRule.model_validate(body)
    assert rules.plan(Observed(told, applications or (CART,), SYSTEM_NAMESPACE), NOW).writes == ()
    found = find_condition(told.status.conditions, "Applied")
    assert found is not None
    return found.status, found.reason, found.message


# --- what a rule concerns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "concerned"),
    [
        (rule("r", **HALF), True),
        (rule("r", namespace="shop", **HALF), True),
        (rule("r", namespace="other", **HALF), False),
        (rule("r", workloads=[workload()], **HALF), True),
        (rule("r", workloads=[workload("other"), workload()], **HALF), True),
        (rule("r", workloads=[workload("other")], **HALF), False),
        (rule("r", workloads=[workload(kind="StatefulSet")], **HALF), False),
        (rule("r", workloads=[workload("shop", kind="Namespace")], **HALF), True),
        (rule("r", workloads=[workload("other", kind="Namespace")], **HALF), False),
        (rule("r", namespace="other", workloads=[workload()], **HALF), False),
        (rule("r", disabled=True, **HALF), False),
        (rule("r", env={"LD_PRELOAD": "/x.so"}, **HALF), False),
    ],
)
def test_a_rule_acts_in_its_own_namespace_and_from_the_system_namespace_everywhere(
    given: InstrumentationRule, concerned: bool
) -> None:
    assert settings(given).ratio == (0.5 if concerned else None)


def test_the_narrower_rule_has_the_last_word_in_whatever_order_they_come() -> None:
    everywhere, here = rule("z", **HALF), rule("a", namespace="shop", **TENTH)
    named = rule("a", namespace="shop", workloads=[workload()], sampling={"ratio": 0.0})
    assert settings(everywhere, here).ratio == settings(here, everywhere).ratio == 0.1
    assert settings(named, here, everywhere).ratio == 0.0


def test_settings_of_several_rules_come_together_and_the_later_name_wins() -> None:
    one = rule("a", env={"OTEL_A": "1", "OTEL_B": "1"})
    two = rule("b", env={"OTEL_B": "2"}, **HALF)
    assert settings(two, one) == Settings(0.5, {"OTEL_A": "1", "OTEL_B": "2"})


# --- what a rule says of itself -------------------------------------------------------------------------------------


def test_a_rule_that_applies_names_the_applications() -> None:
    many = tuple(application(f"a{n}") for n in range(7))
    assert said(rule("r", **HALF)) == ("True", RuleReason.APPLIED, "It applies to shop/cart.")
    assert "shop/a0, shop/a1, shop/a2, shop/a3, shop/a4 and 2 more" in said(rule("r", **HALF), *many)[2]


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"disabled": True, **HALF}, RuleReason.DISABLED, "spec.disabled"),
        ({}, RuleReason.INVALID, "sets nothing"),
        ({"env": {"LD_PRELOAD": "x"}}, RuleReason.INVALID, "LD_PRELOAD"),
        ({"env": {"JAVA_TOOL_OPTIONS": "x"}}, RuleReason.INVALID, "OTEL_* only"),
        ({"env": {"OTEL_X\n": "x"}}, RuleReason.INVALID, "OTEL_X"),
        ({"env": {"OTEL_SERVICE_NAME": "x"}}, RuleReason.INVALID, "otelServiceName"),
        ({"env": {"OTEL_TRACES_SAMPLER": "x"}}, RuleReason.INVALID, "sampling.ratio"),
        ({"env": {"OTEL_X": "y" * 1025}}, RuleReason.INVALID, "1024"),
        ({"env": {"OTEL_X": "a\nb"}}, RuleReason.INVALID, "printable"),
        ({"env": {f"OTEL_{n}": "" for n in range(65)}}, RuleReason.INVALID, "65 settings"),
        ({"workloads": [workload("ghost")], **HALF}, RuleReason.MATCHES_NOTHING, "None of the workloads"),
        ({"headersCollection": {"headerKeys": ["x"]}}, RuleReason.NOT_IMPLEMENTED_YET, "headersCollection"),
        ({"instrumentationLibraries": [{"name": "x"}]}, RuleReason.NOT_IMPLEMENTED_YET, "instrumentationLibraries"),
    ],
    ids=str,
)
def test_a_rule_that_changes_nothing_says_why(spec: dict[str, Any], reason: RuleReason, says: str) -> None:
    status, told, message = said(rule("r", **spec))
    assert (status, told) == ("False", reason)
    assert says in message


def test_a_rule_of_another_namespace_is_told_where_to_go() -> None:
    _, reason, message = said(rule("r", namespace="other", workloads=[workload()], **HALF))
    assert reason == RuleReason.MATCHES_NOTHING
    assert "Move it to their namespace, or to odigos-system" in message


def test_a_rule_for_all_where_nobody_is_says_so() -> None:
    assert said(rule("r", namespace="other", **HALF))[2] == "No application in namespace other is to be instrumented."


def test_a_rule_of_which_a_part_is_not_in_this_release_says_so() -> None:
    status, reason, message = said(rule("r", headersCollection={"headerKeys": ["x"]}, **HALF))
    assert (status, reason) == ("True", RuleReason.PARTLY_APPLIED)
    assert "headersCollection" in message
