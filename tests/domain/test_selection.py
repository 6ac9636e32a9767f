"""Who has the last word on a workload, and what each Source is told that it means."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from odigos_cp.api.application import MarkedReason
from odigos_cp.api.configuration import ConfigurationSpec
from odigos_cp.api.source import Source, SourceReason
from odigos_cp.domain import selection
from odigos_cp.domain.plan import Apply
from odigos_cp.domain.selection import Arrangement, ObservedSource, Target, Wish
from tests.builders import meta, namespace, source

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CART = Target("shop", "Deployment", "cart")
OPT_OUT = ConfigurationSpec(instrumentation_mode="OPT_OUT")


def wish(*sources: Source, target: Target = CART, configuration: ConfigurationSpec | None = None) -> Wish:
    return selection.wish(target, Arrangement(sources), configuration or ConfigurationSpec())


def test_nobody_asked_and_nothing_is_wanted() -> None:
    assert wish().reason is MarkedReason.NO_SOURCE
    assert not wish().enabled


def test_a_workloads_own_source_carries_its_settings() -> None:
    own = source(otelServiceName="basket", containerOverrides=[{"containerName": "app", "otelDistroName": "x"}])
    asked = wish(own)
    assert (asked.enabled, asked.reason, asked.service_name) == (True, MarkedReason.WORKLOAD_SOURCE, "basket")
    assert asked.containers == own.spec.container_overrides


def test_a_source_for_the_namespace_asks_for_each_under_its_own_name() -> None:
    asked = wish(source(kind="Namespace", otelServiceName="all-alike"))
    assert (asked.reason, asked.service_name) == (MarkedReason.NAMESPACE_SOURCE, "cart")


def test_the_workloads_own_word_beats_the_namespaces() -> None:
    assert wish(source(kind="Namespace"), source(disabled=True)).reason is MarkedReason.DISABLED_BY_SOURCE
    assert wish(source(kind="Namespace", disabled=True), source()).enabled


def test_among_equals_on_beats_off_whatever_their_names() -> None:
    assert wish(source("a", disabled=True), source("b")).enabled
    assert wish(source("b", disabled=True), source("a")).enabled


def test_a_pattern_must_match_the_whole_name() -> None:
    assert wish(source(of="ca.*", matchWorkloadNameAsRegex=True)).enabled
    assert not wish(source(of="ca", matchWorkloadNameAsRegex=True)).enabled
    assert not wish(source(of="ca.*", matchWorkloadNameAsRegex=True, kind="StatefulSet")).enabled


def test_in_the_mode_opt_out_all_are_wanted_but_those_that_a_source_keeps_out() -> None:
    assert wish(configuration=OPT_OUT).reason is MarkedReason.OPT_OUT_MODE
    assert not wish(source(disabled=True), configuration=OPT_OUT).enabled
    assert not wish(source(kind="Namespace", disabled=True), configuration=OPT_OUT).enabled


@pytest.mark.parametrize("ignored", ["kube-system", "odigos-system", "mine"])
def test_ignored_namespaces_are_out_whatever_a_source_says(ignored: str) -> None:
    settings = ConfigurationSpec(instrumentation_mode="OPT_OUT", ignored_namespaces=("mine",))
    target = Target(ignored, "Deployment", "cart")
    asked = wish(source(namespace=ignored), target=target, configuration=settings)
    assert (asked.enabled, asked.reason) == (False, MarkedReason.NAMESPACE_IGNORED)


def test_a_source_in_another_namespace_than_its_workload_decides_nothing() -> None:
    stray = Source.model_validate(source().model_dump(by_alias=True) | {"metadata": meta("stray", "elsewhere")})
    assert not wish(stray).enabled


def test_a_source_that_is_being_deleted_decides_nothing() -> None:
    leaving = source().model_copy(update={"metadata": source().metadata.model_copy(update={"deletion_timestamp": "x"})})
    assert not wish(leaving).enabled


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    hostile = Arrangement([source(of="(a+)+b", matchWorkloadNameAsRegex=True)])
    began = time.perf_counter()
    assert hostile.deciding(Target("shop", "Deployment", "a" * 63)) is None
    assert time.perf_counter() - began < 1


def judged(subject: Source, *others: Source, names: tuple[str, ...] = ("cart", "pay"), **world: Any) -> tuple[str, str]:
    observed = ObservedSource(
        source=subject,
        sources=Arrangement([subject, *others]),
        configuration=world.get("configuration", ConfigurationSpec()),
        namespace=world.get("namespace", namespace()),
        workloads={"Deployment": names},
    )
    (write,) = selection.plan_source(observed, NOW).writes
    assert isinstance(write, Apply)
    (said,) = write.body["status"]["conditions"]
    assert said["status"] == ("True" if said["reason"] == SourceReason.MATCHED else "False")
    return said["reason"], said["message"]


@pytest.mark.parametrize(
    ("subject", "reason", "says"),
    [
        (source(), SourceReason.MATCHED, "1 of the 1 it names: cart"),
        (source(kind="Namespace"), SourceReason.MATCHED, "2 of the 2 it names: cart, pay"),
        (source(of="ghost"), SourceReason.WORKLOAD_NOT_FOUND, "ghost"),
        (source(of="c.*", matchWorkloadNameAsRegex=True), SourceReason.MATCHED, "cart"),
        (source(of="g.*", matchWorkloadNameAsRegex=True), SourceReason.NOTHING_MATCHES, "g.*"),
        (source(of="(", matchWorkloadNameAsRegex=True), SourceReason.INVALID_PATTERN, "RE2"),
        (source(of="a" * 254, matchWorkloadNameAsRegex=True), SourceReason.INVALID_PATTERN, "253"),
        (source(kind="CronJob"), SourceReason.KIND_NOT_SUPPORTED, "Deployment, StatefulSet, DaemonSet, Namespace"),
        (source(namespace="kube-system"), SourceReason.NAMESPACE_IGNORED, "kube-system"),
        (
            Source.model_validate(source().model_dump(by_alias=True) | {"metadata": meta("stray", "elsewhere")}),
            SourceReason.WRONG_NAMESPACE,
            "write it into 'shop'",
        ),
    ],
    ids=lambda value: getattr(value, "value", None),
)
def test_each_source_is_told_what_it_means(subject: Source, reason: SourceReason, says: str) -> None:
    told, message = judged(subject)
    assert (told, says in message) == (reason, True), message


def test_a_source_for_a_namespace_without_workloads_says_that_those_to_come_will_match() -> None:
    assert judged(source(kind="Namespace"), names=())[0] == SourceReason.NOTHING_MATCHES


def test_a_source_whose_namespace_is_gone_says_so() -> None:
    assert judged(source(), namespace=None)[0] == SourceReason.NAMESPACE_NOT_FOUND


def test_a_namespace_source_that_names_another_namespace_is_refused() -> None:
    wrong = source(kind="Namespace")
    spec = wrong.spec.model_copy(update={"workload": wrong.spec.workload.model_copy(update={"name": "other"})})
    assert judged(wrong.model_copy(update={"spec": spec}))[0] == SourceReason.WRONG_NAMESPACE


def test_a_source_that_others_override_names_who_decides() -> None:
    told, message = judged(source("quiet", disabled=True), source("loud"))
    assert told == SourceReason.OVERRIDDEN
    assert "loud for cart" in message


def test_a_source_is_not_told_twice() -> None:
    subject = source()
    observed = ObservedSource(
        subject, Arrangement([subject]), ConfigurationSpec(), namespace(), {"Deployment": ["cart"]}
    )
    (write,) = selection.plan_source(observed, NOW).writes
    assert isinstance(write, Apply)
    told = Source.model_validate(subject.model_dump(by_alias=True) | {"status": write.body["status"]})
    again = ObservedSource(told, Arrangement([told]), ConfigurationSpec(), namespace(), {"Deployment": ["cart"]})
    assert selection.plan_source(again, NOW).writes == ()
