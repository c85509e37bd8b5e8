"""What a Collector is sent: the exports of one game server, again and again as if they were of different ones."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.semconv.attributes.service_attributes import SERVICE_INSTANCE_ID

from deploy.collector.graph import Signal
from otel_setup.catalogue import attributes as a

SIGNALS: tuple[Signal, ...] = ("metrics", "traces", "logs")
MARK = "benchmark.load"
"""The resource attribute by which the stores tell this load from what the Collector says by itself."""

_REQUESTS: dict[Signal, Any] = {
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_SECONDS = 120.0


@dataclass(frozen=True)
class Requests:
    """Bodies of requests of one signal, and how much is in them: events are items, too, and so are spans of traces."""

    signal: Signal
    bodies: list[bytes] = field(default_factory=list)
    items: int = 0
    events: int = 0
    traces: int = 0


def recorded() -> dict[Signal, list[bytes]]:
    """Everything that one game server exports, in a process of its own.

    Raises:
        subprocess.SubprocessError: the game failed or took too long.
    """
    found: dict[Signal, list[bytes]] = {signal: [] for signal in SIGNALS}

    class Store(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            signal: Any = self.path.rpartition("/")[2]
            found[signal].append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        command = [sys.executable, "-m", "benchmarks.collector.game", url]
        subprocess.run(command, check=True, timeout=_SECONDS, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        server.shutdown()
    return found


def requests(signal: Signal, exports: list[bytes], items: int, servers: Iterator[int]) -> Requests:
    """Requests with at least so many items.

    Parameters:
        exports: of one server, of the signal.
        servers: numbers of servers that nobody else's requests are of.
    """
    bodies: list[bytes] = []
    traces: set[bytes] = set()
    sent = events = 0
    templates = itertools.cycle(exports)
    while sent < items:
        number = next(servers)
        for body in itertools.islice(templates, len(exports)):
            request = _REQUESTS[signal].FromString(body)
            for each in _resources(request):
                _become(each.resource, signal, number)
            these = list(_items(signal, request))
            for item in these:
                _renew(signal, item, number)
            bodies.append(request.SerializeToString())
            sent += len(these)
            if signal == "logs":
                events += sum(bool(item.event_name) for item in these)
            elif signal == "traces":
                traces.update(item.trace_id for item in these)
            if sent >= items:
                break
    return Requests(signal, bodies, sent, events, len(traces))


def _resources(request: Any) -> Iterator[Any]:
    for _, each in request.ListFields():
        yield from each


def _become(resource: Any, signal: Signal, number: int) -> None:
    resource.attributes.append(KeyValue(key=MARK, value=AnyValue(string_value=signal)))
    for attribute in resource.attributes:
        if attribute.key == SERVICE_INSTANCE_ID:
            attribute.value.string_value = _other(attribute.value.string_value, number)


def _items(signal: Signal, request: Any) -> Iterator[Any]:
    for each in _resources(request):
        for scope in (*getattr(each, f"scope_{'spans' if signal == 'traces' else signal}"),):
            if signal == "metrics":
                for metric in scope.metrics:
                    yield from getattr(metric, metric.WhichOneof("data")).data_points
            else:
                yield from scope.spans if signal == "traces" else scope.log_records


def _renew(signal: Signal, item: Any, number: int) -> None:
    """Other ids, which stay the same within what is of one server."""
    if signal == "metrics":
        return
    if item.trace_id:
        item.trace_id = (int.from_bytes(item.trace_id) ^ number).to_bytes(16)
    if signal == "logs":
        for attribute in item.attributes:
            if attribute.key == a.RECORD_UID.name:
                attribute.value.string_value = _other(attribute.value.string_value, number)


def _other(text: str, number: int) -> str:
    """Another id of the same length."""
    digits = f"{number:08x}"
    return digits + text[len(digits) :]
