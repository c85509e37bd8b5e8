"""One span, one metric point and one log record, marked as a check, and what a receiver answers to them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.diagnosis.problems import one_line

CHECK = "otel_setup.check"
"""Name of the span, the metric and the event that are sent, and of the resource attribute, true, that marks them."""
INSTANCE_PREFIX = "check-"
"""Begins the ``service.instance.id`` of what is sent, so that no series of a running process is touched."""

_SCOPE = InstrumentationScope(name="otel_setup")


def check_resource(attributes: Mapping[str, object]) -> Resource:
    """A resource with these attributes, marked as a check; the instance id is one of its own."""
    own = {**attributes, "service.instance.id": f"{INSTANCE_PREFIX}{secrets.token_hex(4)}", CHECK: True}
    return Resource(attributes=[KeyValue(key=key, value=_value(value)) for key, value in own.items()])


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def _spans(resource: Resource) -> Any:
    now = time.time_ns()
    span = Span(
        trace_id=secrets.token_bytes(16),
        span_id=secrets.token_bytes(8),
        name=CHECK,
        kind=Span.SpanKind.SPAN_KIND_INTERNAL,
        start_time_unix_nano=now,
        end_time_unix_nano=now,
        flags=1,
    )
    scope = ScopeSpans(scope=_SCOPE, spans=[span])
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])


def _points(resource: Resource) -> Any:
    point = NumberDataPoint(time_unix_nano=time.time_ns(), as_int=1)
    metric = Metric(name=CHECK, description="1 for each check of the way to the Collector.", unit="1")
    metric.gauge.CopyFrom(Gauge(data_points=[point]))
    scope = ScopeMetrics(scope=_SCOPE, metrics=[metric])
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope])])


def _records(resource: Resource) -> Any:
    now = time.time_ns()
    record = LogRecord(
        time_unix_nano=now,
        observed_time_unix_nano=now,
        severity_number=SeverityNumber.SEVERITY_NUMBER_DEBUG,
        severity_text="DEBUG",
        event_name=CHECK,
    )
    scope = ScopeLogs(scope=_SCOPE, log_records=[record])
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope])])


@dataclass(frozen=True)
class Service:
    """What OTLP says of one signal: its gRPC method, its request, its response and where that counts rejections."""

    method: str
    request: Callable[[Resource], Any]
    response: Callable[[], Any]
    rejected: str


_EXPORT = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
SERVICES: Mapping[str, Service] = dict(
    zip(
        SIGNALS,
        (
            Service(_EXPORT.format("trace", "Trace"), _spans, ExportTraceServiceResponse, "rejected_spans"),
            Service(
                _EXPORT.format("metrics", "Metrics"), _points, ExportMetricsServiceResponse, "rejected_data_points"
            ),
            Service(_EXPORT.format("logs", "Logs"), _records, ExportLogsServiceResponse, "rejected_log_records"),
        ),
        strict=True,
    )
)
"""By signal."""


def rejection(signal: str, response: bytes) -> tuple[int, str] | None:
    """Items rejected and the receiver's word, by a response (OTLP specification, "Partial Success").

    Returns:
        None where everything was accepted without a word.

    Raises:
        ValueError: it is no response of OTLP.
    """
    service = SERVICES[signal]
    message = service.response()
    try:
        message.ParseFromString(response)
    except DecodeError:
        raise ValueError("no response of OTLP") from None
    rejected, said = getattr(message.partial_success, service.rejected), message.partial_success.error_message
    return (rejected, one_line(said)) if rejected or said else None
