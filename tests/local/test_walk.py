"""What `make run` decides by itself, apart from the walk on real nodes that tests/e2e is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster import walk
from cluster.images import BuiltImage
from cluster.kubectl import Kubectl, KubectlError
from cluster.local import LocalCluster
from cluster.walk import WalkError

CART = BuiltImage("demo-cart", "docker.io/odigos-cp/demo-cart:123", Path("/cache/demo-cart.tar"), "sha256:1")


def test_another_kubeconfig_is_a_foreign_cluster_and_our_own_is_not() -> None:
    cluster = LocalCluster("run")
    assert walk.foreign(cluster, {}) == ""
    assert walk.foreign(cluster, {"KUBECONFIG": "/home/me/.kube/config"}) == "/home/me/.kube/config"
    assert walk.foreign(cluster, {"KUBECONFIG": str(cluster.kubeconfig)}) == ""


def test_a_foreign_cluster_is_told_of_before_anything_happens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    walk.announce("run")
    said = capsys.readouterr().out
    assert "/home/me/.kube/config" in said
    assert all(namespace in said for namespace in (walk.SYSTEM, walk.SHOP, walk.STORE))


def node(*images: str, **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"images": [{"names": [image]} for image in images]}}


def kubectl(tmp_path: Path, *nodes: dict[str, Any]) -> Kubectl:
    """A program that answers every question with these nodes."""
    (tmp_path / "nodes.json").write_text(json.dumps({"items": nodes}))
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/nodes.json\n")
    program.chmod(0o755)
    return Kubectl(tmp_path / "kubeconfig", program)


@pytest.mark.parametrize("name", ["docker.io/odigos-cp/demo-cart:123", "odigos-cp/demo-cart:123"])
def test_images_that_every_node_lists_are_there(tmp_path: Path, name: str) -> None:
    assert walk.look_for_images(kubectl(tmp_path, node(name), node(name)), [CART]) == "all there"


def test_an_image_that_one_node_lacks_is_named_with_its_archive(tmp_path: Path) -> None:
    with pytest.raises(WalkError, match=r"demo-cart:123: /cache/demo-cart.tar"):
        walk.look_for_images(kubectl(tmp_path, node(CART.reference), node("other:1")), [CART])


def test_an_older_build_under_the_same_name_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(WalkError, match="do not have these images"):
        walk.look_for_images(kubectl(tmp_path, node("odigos-cp/demo-cart:122", "odigos-cp/demo-cart:local")), [CART])


def test_a_node_that_runs_no_ordinary_pod_needs_no_image(tmp_path: Path) -> None:
    control_plane = node(taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
    assert walk.look_for_images(kubectl(tmp_path, node(CART.reference), control_plane), [CART]) == "all there"


def test_a_node_that_lists_only_its_largest_images_is_no_reason_to_stop(tmp_path: Path) -> None:
    full = node(*(f"other:{number}" for number in range(50)))
    assert "going on" in walk.look_for_images(kubectl(tmp_path, full), [CART])


def test_waiting_in_vain_says_what_was_seen_last() -> None:
    def look() -> None:
        raise KubectlError("the server is away")

    with pytest.raises(WalkError, match=r"the trace: not within 0 s. the server is away and so on"):
        walk.until("the trace", 0, look, lambda: "and so on")


def test_of_long_evidence_the_rule_and_the_end_are_kept() -> None:
    seen = walk.evidence("loaded-library", "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/" + "x" * 40 + "/libjvm.so")
    assert seen.startswith("loaded-library: …")
    assert seen.endswith("/libjvm.so")
    assert walk.evidence("go-build-info", "go1.26.8") == "go-build-info: go1.26.8"
