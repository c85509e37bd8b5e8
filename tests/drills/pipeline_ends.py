"""Both ends of a Collector's pipelines: who sends numbered items and notes what was accepted, and stores for them.

Every span, point, record and event carries a number. What was sent is known from the sender's own list, what arrived
from the stores'; nothing is asked of the Collector in between.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_setup.catalogue import attributes as a
from settings import Settings
from tests.drills.proof import Finding

SERVICE = "drill"
METRIC = "drill.numbers"
EVENT = "drill.happened"
KINDS = ("metrics", "traces", "logs", "events")
"""What is sent: events are log records with a name, and stores of their own keep them."""
LOCAL = "127.0.0.1"
MILLISECOND = 1_000_000
"""In nanoseconds. Between two points of a series: of one millisecond Prometheus keeps one."""


# --- what is sent -----------------------------------------------------------------------------------------------------
def text(key: str, value: str) -> KeyValue:
    """An attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def span(trace: int, number: int, name: str = "drill", *more: KeyValue) -> Span:
    """A span of a trace that is kept."""
    now = time.time_ns()
    kept = KeyValue(key=a.TRACE_KEPT.name, value=AnyValue(bool_value=True))
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name=name,
        start_time_unix_nano=now - 1_000_000,
        end_time_unix_nano=now,
        attributes=[kept, *more],
    )


def spans(items: list[Span], service: str = SERVICE) -> ExportTraceServiceRequest:
    """A request with spans of one service."""
    of = Resource(attributes=[text("service.name", service), text("service.instance.id", f"{service}-1")])
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=of, scope_spans=[ScopeSpans(spans=items)])])


def request(kind: str, numbers: range, filler: str = "") -> Any:
    """A request with an item for each number.

    :param filler: an attribute of each, for its weight
    """
    of = Resource(attributes=[text("service.name", SERVICE), text("service.instance.id", f"{SERVICE}-1")])
    weight = [text("filler", filler)] if filler else []
    if kind == "traces":
        return spans([span(number, number, "drill", *weight) for number in numbers])
    if kind == "metrics":
        now = time.time_ns()
        points = [
            NumberDataPoint(as_int=number, time_unix_nano=now + index * MILLISECOND, attributes=weight)
            for index, number in enumerate(numbers)
        ]
        total = Sum(
            data_points=points,
            is_monotonic=True,
            aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
        )
        scope = ScopeMetrics(metrics=[Metric(name=METRIC, sum=total)])
        return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=of, scope_metrics=[scope])])
    records = [
        LogRecord(
            time_unix_nano=time.time_ns(),
            event_name=EVENT if kind == "events" else "",
            body=AnyValue(string_value=str(number)),
            attributes=weight,
        )
        for number in numbers
    ]
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=of, scope_logs=[ScopeLogs(log_records=records)])]
    )


def post(port: int, kind: str, body: Any) -> int:
    """Send one request; returns the status.

    :raises OSError: where there is no answer
    :raises http.client.HTTPException: where it breaks off
    """
    signal = "logs" if kind == "events" else kind
    connection = http.client.HTTPConnection(LOCAL, port, timeout=30)
    try:
        connection.request(
            "POST", f"/v1/{signal}", body.SerializeToString(), {"Content-Type": "application/x-protobuf"}
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@dataclass
class Sender:
    """Sends numbered items of one kind, each request until it is accepted, as game servers do.

    :ivar accepted: when each number was, by the clock of :func:`time.monotonic`
    :ivar refused: how often a request was told to come again, or got no answer
    """

    port: int
    kind: str
    batch: int = 10
    pause: float = 0.05
    accepted: dict[int, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def send(self, stop: threading.Event) -> None:
        """Send until told to stop; a request that has begun is sent until it is accepted."""
        first = 1
        while not stop.is_set():
            numbers = range(first, first + self.batch)
            body = request(self.kind, numbers)
            while not self._accepted(body):
                time.sleep(0.1)
            self.accepted.update(dict.fromkeys(numbers, time.monotonic()))
            first = numbers.stop
            stop.wait(self.pause)

    def _accepted(self, body: Any) -> bool:
        try:
            status = post(self.port, self.kind, body)
        except (OSError, http.client.HTTPException):
            self.refused["no answer"] += 1
            return False
        if status != HTTPStatus.OK:
            self.refused[str(status)] += 1
        return status == HTTPStatus.OK


@contextmanager
def load(port: int, kinds: tuple[str, ...] = KINDS, **how: Any) -> Iterator[dict[str, Sender]]:
    """Senders of each kind, at work until the end of the block."""
    senders = {kind: Sender(port, kind, **how) for kind in kinds}
    stop = threading.Event()
    threads = [threading.Thread(target=sender.send, args=(stop,), daemon=True) for sender in senders.values()]
    for thread in threads:
        thread.start()
    try:
        yield senders
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "a request was never accepted"


# --- where it arrives -------------------------------------------------------------------------------------------------
class Store:
    """A store that can be away.

    :ivar numbers: every item's number, as often as it came, in the order of arrival
    :ivar spans: every span with its service
    :ivar sums: the last value of every series of a sum, by its metric's name and its labels
    :ivar status: what it answers; anything but 200 keeps nothing
    """

    def __init__(self, kind: str, port: int) -> None:
        self.kind, self.port = kind, port
        self.status = HTTPStatus.OK
        self.numbers: list[int] = []
        self.spans: list[tuple[str, Span]] = []
        self.sums: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._running = ExitStack()

    def begin(self) -> None:
        """Be there."""
        serve = _grpc_server if self.kind == "traces" else _http_server
        self._running.enter_context(serve(self))

    def end(self) -> None:
        """Be away: nothing answers at its port."""
        self._running.close()

    def keep(self, body: bytes) -> None:
        """What came in one request, but for what the Collector says of itself."""
        if self.kind == "traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _labels(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self.spans += [(service, one) for one in scope.spans]
                    self.numbers += [int.from_bytes(one.span_id, "big") for one in scope.spans]
        elif self.kind == "metrics":
            self._keep_metrics(ExportMetricsServiceRequest.FromString(body))
        else:
            for of in ExportLogsServiceRequest.FromString(body).resource_logs:
                if _labels(of.resource.attributes).get("service.name") == SERVICE:
                    records = [record for part in of.scope_logs for record in part.log_records]
                    # A store of logs gets events too, and so a number of each kind.
                    wanted = [each for each in records if bool(each.event_name) == (self.kind == "events")]
                    self.numbers += [int(record.body.string_value) for record in wanted]

    def _keep_metrics(self, body: ExportMetricsServiceRequest) -> None:
        for resource in body.resource_metrics:
            labels = _labels(resource.resource.attributes)
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.sum.data_points:
                    if metric.name == METRIC:
                        self.numbers.append(point.as_int)
                    else:
                        series = frozenset((labels | _labels(point.attributes)).items())
                        self.sums[metric.name, series] = point.as_int or point.as_double


def _labels(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextmanager
def _http_server(store: Store) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if store.status == HTTPStatus.OK and not self.server.gone:  # type: ignore[attr-defined]  # Server's own
                store.keep(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(store.status)
            else:
                self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if store.status == HTTPStatus.OK else store.status)
                self.close_connection = True
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True
        gone = False

    server = Server((LOCAL, store.port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        # A connection that is open already is answered by its thread: it must not keep anything from now on.
        server.gone = True
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _grpc_server(store: Store) -> Iterator[None]:
    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        if store.status != HTTPStatus.OK:
            context.abort(grpc.StatusCode.UNAVAILABLE, "told so")
        store.keep(body)
        return ExportTraceServiceResponse().SerializeToString()

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
        def service(self, _details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(
        ThreadPoolExecutor(2), (Handler(),), options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    )
    assert server.add_insecure_port(f"{LOCAL}:{store.port}"), f"port {store.port} is taken"
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


def ports_of(settings: Settings) -> dict[str, int]:
    """Where a Collector with these settings sends each kind."""
    return {
        "metrics": settings.prometheus.port,
        "traces": settings.jaeger.otlp_grpc_port,
        "logs": settings.loki.port,
        "events": settings.hub.port,
    }


@contextmanager
def stores(settings: Settings, kinds: tuple[str, ...] = KINDS) -> Iterator[dict[str, Store]]:
    """A store for each kind, at the settings' ports."""
    made = {kind: Store(kind, port) for kind, port in ports_of(settings).items() if kind in kinds}
    with ExitStack() as stack:
        for store in made.values():
            store.begin()
            stack.callback(store.end)
        yield made


def prometheus_url(settings: Settings) -> str:
    """Where the store of metrics is."""
    return f"http://{LOCAL}:{settings.prometheus.port}"


def eventually(condition: Callable[[], object], seconds: float) -> bool:
    """Whether it came true within so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def out_of_order(numbers: list[int]) -> int:
    """Items that came after a later one, where each is looked at when it came first."""
    firsts = list(dict.fromkeys(numbers))
    return sum(after < before for before, after in itertools.pairwise(firsts))


def unexpected(findings: list[Finding]) -> list[Finding]:
    """Those that differ from what was expected."""
    return [finding for finding in findings if finding.expected not in (None, finding.observed)]
