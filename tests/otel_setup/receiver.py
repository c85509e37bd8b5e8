"""A small OTLP/HTTP receiver for unit tests: decodes what the exporters send. The real Collector is in tests/e2e."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, Any] = {
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
}


class Receiver:
    """Everything received so far, decoded."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: dict[str, list[Any]] = {path: [] for path in REQUESTS}
        self.headers: list[dict[str, str]] = []

    def log_records(self) -> list[Any]:
        return [
            r for q in self.requests["/v1/logs"] for x in q.resource_logs for s in x.scope_logs for r in s.log_records
        ]

    def events(self) -> list[Any]:
        """The log records that are events; others are what somebody logged."""
        return [record for record in self.log_records() if record.event_name]

    def spans(self) -> list[Any]:
        return [
            p for q in self.requests["/v1/traces"] for x in q.resource_spans for s in x.scope_spans for p in s.spans
        ]

    def metrics(self) -> list[Any]:
        return [
            m
            for q in self.requests["/v1/metrics"]
            for x in q.resource_metrics
            for s in x.scope_metrics
            for m in s.metrics
        ]

    def resource(self, path: str) -> dict[str, str]:
        request = self.requests[path][0]
        (first, *_) = getattr(
            request, {"/v1/logs": "resource_logs", "/v1/traces": "resource_spans"}.get(path, "resource_metrics")
        )
        return {item.key: item.value.string_value for item in first.resource.attributes}

    def wait_for(self, condition: Callable[[], object], timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "what was waited for did not arrive"
            time.sleep(0.01)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.headers.append(dict(self.headers))
            receiver.requests[self.path].append(REQUESTS[self.path].FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
