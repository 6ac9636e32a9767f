"""OTLP/HTTP in (port 4318), and the query API out (port 8080): both on the standard library's server.

POST /v1/traces|metrics|logs         protobuf or JSON, plain or gzip, with a length or in chunks
GET /api/summary                     per service: spans, metric points, log records, the newest resource
GET /api/traces?services=a,b&limit=  the newest traces that cross all of these services
GET /api/traces/ID                   every span of one trace, with its resource
GET /api/metrics?service=            metric name -> data points
GET /api/logs?service=&limit=        the newest log records
DELETE /api/data                     forget everything
GET /healthz
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import otlp
from .memory import Memory

MAX_BODY = 64 << 20
SIGNALS = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}


class Rejected(Exception):
    """The request cannot be taken: status and reason."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler], memory: Memory) -> None:
        self.memory = memory
        super().__init__(address, handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Server

    def answer(self, status: int, body: bytes = b"{}", kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reject(self, error: Rejected) -> None:
        self.close_connection = True
        self.answer(error.args[0], json.dumps({"message": error.args[1]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """One line a request would drown what matters."""


class Receiver(Handler):
    def do_POST(self) -> None:
        kind = self.headers.get("content-type", "").split(";")[0].strip()
        try:
            signal = SIGNALS.get(self.path)
            if signal is None:
                raise Rejected(404, f"OTLP/HTTP comes to one of {', '.join(SIGNALS)}")
            body = self._body()
            if kind == "application/json":
                request = otlp.from_json(body)
            elif kind == "application/x-protobuf":
                request = otlp.from_protobuf(signal, body)
            else:
                raise Rejected(
                    415, f"{kind or 'no content type'} is neither application/json nor application/x-protobuf"
                )
            self.server.memory.add(signal, request)
        except Rejected as error:
            return self.reject(error)
        except (otlp.Malformed, AttributeError, TypeError, ValueError) as error:
            return self.reject(Rejected(400, f"not an OTLP request: {error}"))
        return self.answer(200, b"" if kind.endswith("protobuf") else b"{}", kind)

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/healthz" else 404)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            chunks, size = [], 0
            while length := int(self.rfile.readline(64).split(b";")[0], 16):
                size += length
                if size > MAX_BODY:
                    raise Rejected(413, f"larger than {MAX_BODY} bytes")
                chunks.append(self.rfile.read(length))
                self.rfile.readline(64)
            self.rfile.readline(64)
            body = b"".join(chunks)
        else:
            size = int(self.headers.get("content-length", "0"))
            if not 0 <= size <= MAX_BODY:
                raise Rejected(413, f"larger than {MAX_BODY} bytes")
            body = self.rfile.read(size)
        if self.headers.get("content-encoding") == "gzip":
            try:
                with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
                    body = file.read(MAX_BODY + 1)
            except (OSError, EOFError, zlib.error) as error:
                raise Rejected(400, f"not gzip: {error}") from None
            if len(body) > MAX_BODY:
                raise Rejected(413, f"larger than {MAX_BODY} bytes when unpacked")
        return body


class Query(Handler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
        memory = self.server.memory
        if url.path == "/healthz":
            return self._say({"ok": True})
        if url.path == "/api/summary":
            return self._say(memory.summary())
        if url.path == "/api/traces":
            services = [name for name in asked.get("services", "").split(",") if name]
            return self._say({"traces": memory.traces(services, _limit(asked))})
        if url.path.startswith("/api/traces/"):
            trace = url.path.removeprefix("/api/traces/")
            spans = memory.trace(trace)
            return self._say({"traceId": trace, "spans": spans}, 200 if spans else 404)
        if url.path == "/api/metrics":
            return self._say({"metrics": memory.metrics(asked.get("service", ""))})
        if url.path == "/api/logs":
            return self._say({"logs": memory.logs(asked.get("service", ""), _limit(asked))})
        return self.reject(Rejected(404, "there is /api/summary, /api/traces, /api/metrics, /api/logs and /healthz"))

    def do_DELETE(self) -> None:
        if self.path != "/api/data":
            return self.reject(Rejected(404, "only /api/data can be deleted"))
        self.server.memory.clear()
        return self._say({"deleted": True})

    def _say(self, answer: dict[str, Any], status: int = 200) -> None:
        self.answer(status, json.dumps(answer).encode())


def _limit(asked: dict[str, str]) -> int:
    given = asked.get("limit", "")
    return min(int(given), 1000) if given.isdigit() else 20
