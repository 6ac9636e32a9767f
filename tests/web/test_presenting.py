"""What a person reads: the state of an application is the first open link, with its own reason and message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from odigos_cp.api.application import ApplicationCondition, InstrumentedApplication
from odigos_cp.api.builtin import Namespace, Pod, Workload
from odigos_cp.api.configuration import OdigosConfiguration
from odigos_cp.api.meta import Condition, key_of
from odigos_cp.api.source import Source
from odigos_cp.web import advice, presenting, wishes
from odigos_cp.web.views import ApplicationsView, ApplicationView
from tests.builders import (
    HASH,
    application,
    condition,
    configuration,
    destination,
    group,
    namespace,
    pod,
    source,
    workload,
)

ALL_TRUE = tuple(condition(link, message=f"{link} is done") for link in ApplicationCondition)


def page(
    *workloads: Workload,
    applications: Sequence[InstrumentedApplication] = (),
    sources: Sequence[Source] = (),
    namespaces: Sequence[Namespace] = (),
    pods: Sequence[Pod] = (),
    settings: OdigosConfiguration | None = None,
    kind: str = "Deployment",
) -> ApplicationsView:
    world = presenting.World(
        workloads={kind: workloads},
        applications={key_of(a): a for a in applications},
        sources=sources,
        namespaces=namespaces,
        configuration=settings or configuration(),
        injected_pods=pods,
    )
    return presenting.applications(world, seq=7)


def row(*conditions: Condition, enabled: bool = True, label: str = "", **status: Any) -> ApplicationView:
    known = application(enabled=enabled, conditions=conditions, **status)
    return page(workload(label=label), applications=[known], sources=[source()] if enabled else []).items[0]


def replaced(link: str, status: str, reason: str, message: str = "told so") -> tuple[Condition, ...]:
    return tuple(condition(link, status, reason, message) if c.type == link else c for c in ALL_TRUE)


@pytest.mark.parametrize(
    ("link", "status", "reason", "state"),
    [
        ("RuntimeDetected", "Unknown", "DetectorRunning", "waiting"),
        ("RuntimeDetected", "False", "NoKnownLanguage", "notInstrumentable"),
        ("RuntimeDetected", "False", "DetectorTimedOut", "failed"),
        ("RuntimeDetected", "False", "InvalidReport", "failed"),
        ("CollectorAssigned", "False", "NoDestination", "waiting"),
        ("AgentEnabled", "False", "CompiledLanguage", "notInstrumentable"),
        ("AgentEnabled", "False", "WaitingForCollector", "waiting"),
        ("AgentEnabled", "False", "OtherAgentPresent", "notInstrumentable"),
        ("RolledOut", "False", "Queued", "waiting"),
        ("RolledOut", "False", "Conflict", "failed"),
        ("PodsInjected", "False", "NoPodInjected", "failed"),
        ("PodsInjected", "Unknown", "NoPods", "waiting"),
        ("PodsInjected", "True", "AllPodsInjected", "instrumented"),
        ("RuntimeDetected", "False", "AReasonOfTomorrow", "waiting"),
    ],
)
def test_the_first_open_link_decides_the_state(link: str, status: str, reason: str, state: str) -> None:
    found = row(*replaced(link, status, reason))
    assert (found.state, found.reason, found.message) == (state, reason, "told so")


def test_an_earlier_open_link_hides_a_later_one() -> None:
    both = [
        condition("Marked"),
        condition("RuntimeDetected", "Unknown", "DetectorRunning"),
        condition("AgentEnabled", "False", "OtherAgentPresent"),
    ]
    assert row(*both).reason == "DetectorRunning"


def test_a_link_that_nobody_spoke_of_is_waited_for_in_words() -> None:
    found = row(condition("Marked"))
    assert (found.state, found.message) == ("waiting", "What it is written in is not known yet.")


def test_partly_enabled_is_instrumented_and_says_which_part() -> None:
    found = row(*replaced("AgentEnabled", "True", "PartlyEnabled", "sidecar is left out"))
    assert (found.state, found.message) == ("instrumented", "sidecar is left out")


def test_what_is_no_longer_asked_for_is_stopping_until_its_label_is_gone() -> None:
    assert row(condition("Marked", "False", "NoSource"), enabled=False, label=HASH).state == "stopping"
    assert row(condition("Marked", "False", "NoSource"), enabled=False).state == "notSelected"


def test_a_take_back_that_failed_says_so() -> None:
    said = [condition("Marked", "False", "NoSource"), condition("RolledOut", "False", "Conflict", "Argo owns it")]
    found = row(*said, enabled=False, label=HASH)
    assert (found.state, found.message) == ("failed", "Argo owns it")


def test_a_wish_shows_at_once_before_any_controller_has_seen_it() -> None:
    found = page(workload(), sources=[source()]).items[0]
    assert (found.wanted, found.wanted_by, found.state) == (True, "deployment-cart", "waiting")


def test_a_namespaces_wish_holds_for_its_workloads_but_not_for_one_that_is_kept_out() -> None:
    view = page(
        workload(), workload("web"), sources=[source(kind="Namespace"), source(disabled=True)], namespaces=[namespace()]
    )
    assert [(r.name, r.wanted) for r in view.items] == [("cart", False), ("web", True)]
    assert view.namespaces[0].instrumented


def test_pods_are_counted_by_the_plan_they_carry() -> None:
    known = application(conditions=ALL_TRUE, injection={"hash": HASH})
    pods = [pod("a", label=HASH, injected=HASH), pod("b", label=HASH), pod("c", label="other", injected="other")]
    found = page(workload(replicas=2, label=HASH), applications=[known], pods=pods).items[0]
    assert (found.pods_injected, found.pods_ready, found.pods_wanted) == (1, 2, 2)


def test_ignored_namespaces_are_shown_without_rows() -> None:
    view = page(
        workload("coredns", "kube-system"),
        workload("vault", "secret"),
        namespaces=[namespace("kube-system"), namespace("secret")],
        settings=configuration(ignoredNamespaces=["secret"]),
    )
    assert view.items == []
    assert [(n.ignored, n.applications) for n in view.namespaces] == [(True, 1), (True, 1)]


def test_a_namespace_that_is_being_deleted_says_so() -> None:
    assert page(namespaces=[namespace(phase="Terminating")]).namespaces[0].terminating


def test_the_summary_is_one_true_sentence() -> None:
    assert page().summary == "There are no applications in this cluster yet."
    assert page(workload(), workload("web")).summary == "None of the 2 applications has been chosen yet."
    done = application(conditions=ALL_TRUE)
    stuck = application("web", conditions=replaced("RolledOut", "False", "Conflict"))
    both = page(workload(), workload("web"), applications=[done, stuck])
    assert both.summary == "1 of 2 chosen applications are instrumented; 1 failed (shop/web)."
    assert page(workload(), applications=[done]).summary == "cart is instrumented."


def test_the_summary_of_many_names_only_what_failed() -> None:
    names = [f"app-{n}" for n in range(6)]
    states = [replaced("RolledOut", "False", "Conflict")] * 3 + [replaced("RolledOut", "Unknown", "Queued")] * 3
    known = [application(name, conditions=state) for name, state in zip(names, states, strict=True)]
    summary = page(*map(workload, names), applications=known).summary
    assert summary == (
        "0 of 6 chosen applications are instrumented; 3 waiting; 3 failed (shop/app-0, shop/app-1 and 1 more)."
    )


def detail_of(known: InstrumentedApplication | None, *sources: Source, name: str = "cart") -> presenting.World:
    return presenting.World(
        workloads={},
        applications={key_of(known): known} if known else {},
        sources=sources,
        namespaces=(),
        configuration=configuration(),
    )


def test_the_detail_shows_every_link_and_each_container_with_its_evidence() -> None:
    evidence = [{"rule": "loaded-library", "saw": "libjvm.so", "says": "java", "weight": 100}]
    known = application(
        conditions=[condition("Marked")],
        runtimes=[{"container": "app", "language": "java", "version": "17", "evidence": evidence}],
        injection={"hash": HASH, "containers": [{"name": "side", "reason": "UnknownLanguage", "message": "?"}]},
    )
    view = presenting.detail("Deployment", workload(containers=["app", "side"]), detail_of(known, source()), 1)
    assert [c.type for c in view.chain] == list(ApplicationCondition)
    assert [(c.name, c.language, c.reason) for c in view.containers] == [
        ("app", "java", ""),
        ("side", "", "UnknownLanguage"),
    ]
    assert view.containers[0].evidence[0].saw == "libjvm.so"


def test_the_command_does_what_the_switch_would_do() -> None:
    on = presenting.detail("Deployment", workload(), detail_of(None), 1)
    assert on.kubectl.startswith("kubectl apply -f - <<'EOF'\napiVersion: odigos.io/v1alpha1\nkind: Source\n")
    off = presenting.detail("Deployment", workload(), detail_of(None, source()), 1)
    assert off.kubectl == "kubectl delete sources.odigos.io -n shop deployment-cart"


@pytest.mark.parametrize("name", ["1e3", "08", "0o17", "null", "yes", "n", "1", "a.b", "007", "12e03"])
def test_names_that_look_like_numbers_stay_names_in_every_yaml(name: str) -> None:
    text = presenting.to_yaml(wishes.source_body(wishes.Target("shop", "Deployment", name), disable=False))
    assert yaml.safe_load(text)["spec"]["workload"]["name"] == name
    assert f'"{name}"' in text or name == "a.b"


@pytest.mark.parametrize("reason", sorted(presenting.REFUSED | presenting.WENT_WRONG))
def test_whatever_is_refused_or_went_wrong_comes_with_what_to_do(reason: str) -> None:
    assert advice.on(reason, "False")


def test_what_is_satisfied_needs_no_advice() -> None:
    ok = presenting.condition(condition("PodsInjected", "True", "AllPodsInjected"))
    stuck = presenting.condition(condition("CollectorAssigned", "False", "NoDestination"))
    assert (ok.fix, stuck.fix[:17]) == ("", "Add a destination")
    assert row(*replaced("CollectorAssigned", "False", "NoDestination")).fix == stuck.fix
    assert row(*ALL_TRUE).fix == ""


def test_a_destination_is_shown_as_a_person_would_write_it() -> None:
    view = presenting.destination(destination(data={"URL": "x", "PASSWORD": "hunter2"}), ["PASSWORD"])
    assert yaml.safe_load(view.source_yaml)["spec"]["data"] == {"URL": "x"}
    assert view.kubectl == "kubectl delete destinations.odigos.io -n odigos-system jaeger-12345"


def test_a_destinations_first_refusal_is_its_state() -> None:
    said = [
        condition("Configured").wire(),
        condition("Delivering", "False", "NotAccepting", "holds 12 batches").wire(),
    ]
    view = presenting.destination(destination(status={"conditions": said, "lastError": "refused"}), ())
    assert (view.state, view.reason, view.message, view.last_error) == (
        "error",
        "NotAccepting",
        "holds 12 batches",
        "refused",
    )


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "pending"),
        ([condition("Configured")], "pending"),
        ([condition("Configured", "False", "UnknownType")], "error"),
        ([condition("Configured"), condition("Delivering", "Unknown", "NoDataYet")], "pending"),
        ([condition("Configured"), condition("Delivering")], "ok"),
    ],
)
def test_a_destination_is_well_only_when_it_delivers(said: list[Condition], state: str) -> None:
    view = presenting.destination(destination(status={"conditions": [c.wire() for c in said]}), ())
    assert view.state == state


def test_a_secret_that_stands_in_the_open_is_not_shown() -> None:
    view = presenting.destination(destination(data={"URL": "x", "PASSWORD": "hunter2"}), ["PASSWORD"])
    assert (view.data, view.secret_fields) == ({"URL": "x"}, ["PASSWORD"])
    assert "hunter2" not in view.model_dump_json()


def test_a_group_is_shown_with_its_conditions() -> None:
    view = presenting.group(group(endpoint="odigos-gateway:4317", receiverSignals=["TRACES"]))
    assert (view.ready, view.endpoint, view.receiver_signals) == (True, "odigos-gateway:4317", ["TRACES"])
