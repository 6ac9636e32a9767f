"""Which Debian packages a cluster needs, and how they get there on a machine that has none of them."""

from __future__ import annotations

import os
import shutil

from cluster.commands import ClusterError, run
from cluster.steps import Steps

NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "nsenter": "util-linux",
    "mount": "mount",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""What is looked for, and the package that has it."""


def missing() -> list[str]:
    return sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})


def ensure(steps: Steps) -> None:
    """All of them there; a step only when there is something to do."""
    if wanted := missing():
        with steps.step(f"the system's packages: {', '.join(wanted)}"):
            install()


def install() -> list[str]:
    """Installs what is missing and says what that was."""
    wanted = missing()
    if not wanted:
        return []
    if shutil.which("apt-get") is None:
        raise ClusterError("these are missing, and there is no apt-get to install them: " + " ".join(wanted))
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "update", "-qq", timeout=300)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted, timeout=900)
    if still := missing():
        raise ClusterError("installed, and yet not there: " + " ".join(still))
    return wanted
