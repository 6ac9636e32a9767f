"""Does a process belong to a container? Pure: from the paths of its control groups.

It does if an element of any of its paths is the container's 64-digit id, bare or dressed by a runtime
(`cri-containerd-<id>.scope`). The pod's uid is only a check: from inside a control group namespace it is often out of
sight. But where a path names a pod, the first one named must be ours: a container that may make control groups of its
own can name one after a stranger's container, yet only below itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

_RUNTIMES = ("", "cri-containerd-", "docker-", "crio-", "libpod-")
"""Not `crio-conmon-`: that is the monitor beside the container."""
_POD = re.compile(r"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?$")


class Belonging(Enum):
    NO = "no"
    YES = "yes"
    OTHER_POD = "other pod"


def belongs(paths: Iterable[str], container_id: str, pod_uid: str) -> Belonging:
    """The best that any path says."""
    verdicts = {_path_says(path, container_id, pod_uid) for path in paths}
    for verdict in (Belonging.YES, Belonging.OTHER_POD):
        if verdict in verdicts:
            return verdict
    return Belonging.NO


def _path_says(path: str, container_id: str, pod_uid: str) -> Belonging:
    elements = path.split("/")
    ids = {f"{runtime}{container_id}" for runtime in _RUNTIMES}
    if not any(element.removesuffix(".scope") in ids for element in elements):
        return Belonging.NO
    pods = [found.group(1).replace("_", "-") for element in elements if (found := _POD.search(element))]
    return Belonging.OTHER_POD if pod_uid and pods and pods[0] != pod_uid else Belonging.YES
