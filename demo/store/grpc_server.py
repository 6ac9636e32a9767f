"""OTLP/gRPC in (port 4317): the three Export calls, handed on as bytes, so no generated code is needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from . import otlp
from .memory import Memory

SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}
MAX_MESSAGE = 64 << 20


def serve(address: str, memory: Memory) -> grpc.Server:
    """A started server; gzip is the library's part."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", MAX_MESSAGE)])
    for service, signal in SERVICES.items():
        call = grpc.unary_unary_rpc_method_handler(_exporter(signal, memory))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": call}),))
    server.add_insecure_port(address)
    server.start()
    return server


def _exporter(signal: str, memory: Memory):  # type: ignore[no-untyped-def]  # grpc has no types
    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            memory.add(signal, otlp.from_protobuf(signal, body))
        except (otlp.Malformed, AttributeError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not an OTLP request: {error}")
        return b""

    return export
