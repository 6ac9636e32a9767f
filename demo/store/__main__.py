"""The demo destination: an OTLP back end that only remembers, for trying odigos-cp out and for its end-to-end tests.

Nothing is kept on disk. Ports: 4317 OTLP/gRPC, 4318 OTLP/HTTP, 8080 what came (http_server.py lists the questions).
"""

from __future__ import annotations

import os
import signal
import threading

from . import grpc_server
from .http_server import Query, Receiver, Server
from .memory import Memory


def main() -> None:
    memory = Memory()
    servers = [
        Server(("", int(os.environ.get("OTLP_HTTP_PORT", "4318"))), Receiver, memory),
        Server(("", int(os.environ.get("QUERY_PORT", "8080"))), Query, memory),
    ]
    grpc = grpc_server.serve(f"[::]:{os.environ.get('OTLP_GRPC_PORT', '4317')}", memory)
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    print("store listens: OTLP/gRPC, OTLP/HTTP and the query API", flush=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    stop.wait()
    grpc.stop(grace=1).wait(2)
    for server in servers:
        server.shutdown()
    print("store closed", flush=True)


if __name__ == "__main__":
    main()
