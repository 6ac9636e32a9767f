"""Whose process is it? By the container's id as a whole element of a path."""

from __future__ import annotations

import pytest

from odigos_cp.detector.belonging import Belonging, belongs
from tests.detector.proctree import CONTAINER, POD

OTHER_POD = "91ff0ec6-b9fc-b007-51eb-92867de2a7f6"
OTHER = "f" * 64
UNDERSCORED = POD.replace("-", "_")


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/pod{POD}/{CONTAINER}",
        f"/kubepods/burstable/pod{POD}/{CONTAINER}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice/cri-containerd-{CONTAINER}.scope",
        f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-{CONTAINER}.scope/container",
        f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/docker-{CONTAINER}.scope",
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDERSCORED}.slice/cri-containerd-{CONTAINER}.scope",
        f"/../cri-containerd-{CONTAINER}.scope",
        f"/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/{CONTAINER}",
    ],
)
def test_a_path_of_any_runtime_is_recognised(path: str) -> None:
    assert belongs(["/", path], CONTAINER, POD) is Belonging.YES


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/pod{POD}/{OTHER}",
        f"/kubepods/pod{POD}",
        f"/kubepods/pod{POD}/x{CONTAINER}",
        f"/kubepods/pod{POD}/{CONTAINER}0",
        f"/kubepods.slice/crio-conmon-{CONTAINER}.scope",
        "/",
        "",
    ],
)
def test_a_path_that_only_resembles_is_not(path: str) -> None:
    assert belongs([path], CONTAINER, POD) is Belonging.NO


def test_a_decoy_below_another_pod_is_seen_through() -> None:
    decoy = f"/kubepods/pod{OTHER_POD}/{OTHER}/{CONTAINER}"
    assert belongs([decoy], CONTAINER, POD) is Belonging.OTHER_POD
    dressed = f"/kubepods/pod{OTHER_POD}/{OTHER}/pod{POD}/{CONTAINER}"
    assert belongs([dressed], CONTAINER, POD) is Belonging.OTHER_POD


def test_without_a_pod_uid_the_container_id_is_enough() -> None:
    assert belongs([f"/kubepods/pod{OTHER_POD}/{CONTAINER}"], CONTAINER, "") is Belonging.YES
