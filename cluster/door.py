"""The UI's address on this machine: a port-forward that is held open, at 3000 or where there is room."""

from __future__ import annotations

import errno
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from cluster.kubectl import Kubectl

PORT = 3000
AGAIN_SECONDS = 1.0
FORWARDING = re.compile(r"Forwarding from \S+:(\d+) ->")


def is_free(port: int) -> bool:
    """Whether nobody on this machine's loopback has it."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as trying:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trying.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            # such as a machine without IPv6: kubectl takes what there is
    return True


def hold(kubectl: Kubectl, service: str, namespace: str, say: Callable[[str], None]) -> None:
    """Until this process is told to end. kubectl ends its forward when the pod goes: then there is a next one."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _hold(kubectl, service, namespace, say)
    finally:
        signal.signal(signal.SIGTERM, before)


def _hold(kubectl: Kubectl, service: str, namespace: str, say: Callable[[str], None]) -> None:
    port = PORT
    if not is_free(port):
        say(f"port {PORT} is taken on this machine: another one is used")
        port = 0
    told = ""
    while True:
        arguments = ("port-forward", "--address=localhost", f"svc/{service}", f"{port or ''}:{PORT}", "-n", namespace)
        try:
            forward = kubectl.popen(*arguments)
        except FileNotFoundError:
            say("the cluster has been removed")
            return
        with forward:  # at its end: waits, and closes our side of the pipe
            try:
                port, why = _follow(forward, port, say)
            finally:
                forward.terminate()
        if why != told:
            say(f"the port-forward ended; opening it again. {why}".rstrip())
        told = why
        time.sleep(AGAIN_SECONDS)


def _follow(forward: subprocess.Popen[str], port: int, say: Callable[[str], None]) -> tuple[int, str]:
    """Says where the door is once it is open; when it has closed, its port, which is kept, and kubectl's last words."""
    assert forward.stdout is not None
    last = ""
    opened = False
    for line in forward.stdout:
        if (found := FORWARDING.match(line)) and not opened:
            opened, port = True, int(found[1])
            say(f"UI: http://localhost:{port}  (Ctrl-C closes it; the cluster stays: `make down` removes it)")
        elif not found and not line.startswith("Handling connection"):
            last = line.strip()
    return port, last
