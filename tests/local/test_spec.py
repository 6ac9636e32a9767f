"""Names and addresses of clusters that stand side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.spec import INDEXES, ClusterSpec, spec_of


def everything_of(spec: ClusterSpec) -> list[str]:
    """Whatever two clusters must not share."""
    nodes = [value for n in spec.nodes for value in (n.address, n.pod_cidr, n.link, n.cgroup, str(n.var))]
    return [spec.cgroup, spec.host_link, spec.network, spec.pods_cidr, str(spec.state), *nodes]


def test_no_two_clusters_share_a_name_or_an_address() -> None:
    specs = [spec_of(name, {}) for name in INDEXES]
    specs += [spec_of(f"c{index}", {"ODIGOS_CLUSTER_INDEX": str(index)}) for index in range(3, 20)]
    everything = [value for spec in specs for value in everything_of(spec)]
    assert len(set(everything)) == len(everything)


def test_a_link_name_is_as_short_as_the_kernel_wants_it() -> None:
    spec = spec_of("abcdefghij", {"ODIGOS_CLUSTER_INDEX": "19"})
    assert all(len(name) <= 15 for name in (spec.host_link, *(n.link for n in spec.nodes)))


def test_the_state_is_kept_where_the_environment_says() -> None:
    assert spec_of("run", {"ODIGOS_CLUSTER_STATE": "/elsewhere"}).kubeconfig == Path("/elsewhere/run/kubeconfig")


@pytest.mark.parametrize("name", ["", "Run", "1st", "a/b", "../x", "run run", "abcdefghijk", "-run"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no cluster name"):
        spec_of(name, {"ODIGOS_CLUSTER_INDEX": "5"})


@pytest.mark.parametrize("index", ["", "two", "2", "20", "-3", "3.5"])
def test_another_name_needs_an_index_that_no_one_has(index: str) -> None:
    with pytest.raises(ValueError, match="ODIGOS_CLUSTER_INDEX between 3 and 19"):
        spec_of("other", {"ODIGOS_CLUSTER_INDEX": index})
