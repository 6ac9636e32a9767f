"""Which port of loopback is free?"""

from __future__ import annotations

import socket


def free_port() -> int:
    """Of a moment ago: whoever wants it takes it soon."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
