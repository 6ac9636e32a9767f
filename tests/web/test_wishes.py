"""What a switch writes, and that it makes true what was asked, whatever Sources stand there already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from odigos_cp.api.meta import Key
from odigos_cp.api.source import Source
from odigos_cp.web import wishes
from odigos_cp.web.wishes import Switch, Target, Wishes, switch
from tests.builders import configuration, source

CART = Target("shop", "Deployment", "cart")
SHOP = Target("shop", "Namespace", "shop")
OWN = Key("shop", "deployment-cart")


def flip(target: Target, on: bool, *sources: Source, mode: str = "OPT_IN") -> Switch:
    return switch(target, on, Wishes(sources, configuration(instrumentationMode=mode)))


def disables(change: Switch) -> bool | None:
    return change.body["spec"]["disableInstrumentation"] if change.body else None


def test_what_is_so_already_is_not_written() -> None:
    assert flip(CART, True, source()) == Switch()
    assert flip(CART, False) == Switch()


def test_switching_on_writes_one_source_named_after_the_workload() -> None:
    change = flip(CART, True)
    assert change.body is not None
    assert change.body["metadata"] == {"name": "deployment-cart", "namespace": "shop"}
    assert change.body["spec"]["workload"] == {"namespace": "shop", "kind": "Deployment", "name": "cart"}
    assert disables(change) is False


def test_switching_off_deletes_the_source_whoever_named_it() -> None:
    assert flip(CART, False, source("made-by-hand")) == Switch((Key("shop", "made-by-hand"),))


def test_switching_off_in_an_instrumented_namespace_writes_a_disabling_source() -> None:
    assert disables(flip(CART, False, source(kind="Namespace"))) is True
    assert disables(flip(CART, False, source(kind="Namespace"), source())) is True


def test_switching_on_again_there_deletes_the_disabling_source() -> None:
    assert flip(CART, True, source(kind="Namespace"), source(disabled=True)) == Switch((OWN,))


def test_a_source_with_settings_of_its_own_is_kept_and_switched() -> None:
    change = flip(CART, False, source("mine", otelServiceName="basket"))
    assert (change.deletes, disables(change)) == ((), True)
    assert change.body is not None
    assert change.body["metadata"]["name"] == "mine"
    assert "otelServiceName" not in change.body["spec"], "the UI owns only what it sets"


def test_a_pattern_that_still_names_it_blocks_and_is_named() -> None:
    pattern = source("all-carts", of="ca.*", matchWorkloadNameAsRegex=True)
    assert flip(CART, False, pattern).blocked_by == "all-carts"


def test_a_broken_pattern_names_nothing_and_breaks_nothing() -> None:
    broken = source("broken", of="ca(", matchWorkloadNameAsRegex=True)
    assert disables(flip(CART, True, broken)) is False


def test_an_ignored_namespace_cannot_be_switched_on() -> None:
    assert flip(Target("kube-system", "Deployment", "coredns"), True).blocked_by


def test_a_source_of_another_namespace_means_nothing() -> None:
    stray = source().model_copy(update={"metadata": source(namespace="elsewhere").metadata})
    assert not Wishes([stray], configuration()).wants(CART)


def test_a_namespace_is_switched_by_one_source_of_its_name() -> None:
    change = flip(SHOP, True)
    assert change.body is not None
    assert change.body["metadata"] == {"name": "namespace-shop", "namespace": "shop"}
    assert flip(SHOP, False, source(kind="Namespace")) == Switch((Key("shop", "namespace-shop"),))


def test_where_everything_is_on_by_default_off_is_a_disabling_source() -> None:
    assert disables(flip(CART, False, mode="OPT_OUT")) is True
    assert flip(CART, True, source(disabled=True), mode="OPT_OUT") == Switch((OWN,))


_PRESENT: tuple[Source, ...] = (
    source(),
    source("by-hand"),
    source("off-by-hand", disabled=True),
    source("named", otelServiceName="basket"),
    source(kind="Namespace"),
    source("no-shop", kind="Namespace", disabled=True),
)


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("mode", ["OPT_IN", "OPT_OUT"])
@pytest.mark.parametrize("target", [CART, SHOP], ids=["workload", "namespace"])
def test_every_switch_makes_it_so_and_a_second_one_writes_nothing(target: Target, mode: str, on: bool) -> None:
    subsets: list[Sequence[Source]] = [
        chosen for size in range(len(_PRESENT) + 1) for chosen in itertools.combinations(_PRESENT, size)
    ]
    for present in subsets:
        before = Wishes(present, configuration(instrumentationMode=mode))
        after = before.after(switch(target, on, before))
        names = [s.metadata.name for s in present]
        assert after.wants(target) == on, names
        assert switch(target, on, after) == Switch(), names


def test_the_yaml_of_a_source_is_what_a_person_would_write() -> None:
    assert wishes.shown(source()) == {
        "apiVersion": "odigos.io/v1alpha1",
        "kind": "Source",
        "metadata": {"name": "deployment-cart", "namespace": "shop"},
        "spec": {"workload": {"namespace": "shop", "kind": "Deployment", "name": "cart"}},
    }
