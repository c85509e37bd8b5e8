"""Records and requests for the tests of the hub's decoder, made by OpenTelemetry's exporter or by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_setup import EventType, SystemEvent, clock
from otel_setup.catalogue import Severity
from otel_setup.events.log_records import attributes_of
from otel_setup.hub.otlp import Limits

NOW_NS = 1_800_000_000_123_456_789
DAY_NS = 86_400 * 10**9
LIMITS = Limits()
RESOURCE = {
    "service.name": "arena",
    "service.instance.id": "i-1",
    "service.version": "1.2",
    "host.name": "h",
    "process.pid": 7,
}
METADATA = {"service": "arena", "instance": "i-1", "version": "1.2", "host": "h"}

EVENTS = [
    SystemEvent(
        event_type=EventType.GAME_STARTED,
        timestamp_ns=NOW_NS,
        event_id="i-1-9f8e7d6c-1",
        game_id="g1",
        room_id="r1",
        correlation_id="corr_1",
        data={
            "player_count": 4,
            "players": [{"player": "p_ann", "is_bot": False}, {"player": "p_bo", "is_bot": True}],
            "own": {"deep": [1, 2.5, True, "ü", {"deeper": None}]},
        },
    ),
    SystemEvent(
        event_type=EventType.GAME_ENDED,
        timestamp_ns=NOW_NS - 5,
        event_id="i-1-9f8e7d6c-2",
        severity=Severity.ERROR,
        game_id="g1",
        data={"final_scores": {"p_ann": 50, "p_bo": -3.5}, "winner_id": ["p_ann"], "empty": ""},
    ),
    SystemEvent(
        event_type=EventType("arena.storm.closing"),
        timestamp_ns=NOW_NS - 3 * DAY_NS,
        event_id="a uid of another kind",
        severity=Severity.DEBUG,
        player_id="p_ann",
        connection_id="c1",
        trace_id=f"{0xABC:032x}",
        span_id=f"{0xDEF:016x}",
        data={"radius": 40.5, "largest": 2**63 - 1, "smallest": -(2**63) + 1},
    ),
]


def exported(events: list[SystemEvent]) -> ExportLogsServiceRequest:
    """The events as the SDK and the encoder of its OTLP exporters send them."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("test")
    for event in events:
        span = SpanContext(int(event.trace_id or "0", 16), int(event.span_id or "0", 16), False, TraceFlags(1))
        logger.emit(
            timestamp=event.timestamp_ns,
            context=set_span_in_context(NonRecordingSpan(span)),
            severity_number=SeverityNumber(event.severity.value),
            event_name=event.event_type.value,
            attributes=attributes_of(event),
        )
    return encode_logs(exporter.get_finished_logs())


def received(events: list[SystemEvent]) -> list[SystemEvent]:
    return [replace(event, metadata=METADATA) for event in events]


def as_json(request: ExportLogsServiceRequest, *, own_names: bool = False, as_numbers: bool = False) -> bytes:
    """A request in OTLP's JSON, written by hand from the protobuf message."""

    def named(name: str) -> str:
        first, *rest = name.split("_")
        return name if own_names else first + "".join(word.capitalize() for word in rest)

    def integer(number: int) -> Any:
        return number if as_numbers else str(number)

    def value(message: AnyValue) -> dict[str, Any]:
        kind = message.WhichOneof("value")
        if kind is None:
            return {}
        content = getattr(message, kind)
        if kind == "array_value":
            return {named(kind): {"values": [value(item) for item in content.values]}}
        if kind == "kvlist_value":
            return {named(kind): {"values": attributes(content.values)}}
        return {named(kind): integer(content) if kind == "int_value" else content}

    def attributes(messages: Any) -> list[dict[str, Any]]:
        return [{"key": message.key, "value": value(message.value)} for message in messages]

    def record(message: LogRecord) -> dict[str, Any]:
        fields = {
            "time_unix_nano": integer(message.time_unix_nano),
            "observed_time_unix_nano": integer(message.observed_time_unix_nano),
            "severity_number": message.severity_number,
            "severity_text": message.severity_text,
            "event_name": message.event_name,
            "attributes": attributes(message.attributes),
            "trace_id": message.trace_id.hex().upper(),
            "span_id": message.span_id.hex(),
            "flags": message.flags,
            "body": None,
            "not_known_yet": [{"a": 1}],
        }
        return {named(name): content for name, content in fields.items()}

    body = {
        named("resource_logs"): [
            {
                "resource": {"attributes": attributes(resource.resource.attributes)},
                named("scope_logs"): [
                    {
                        "scope": {"name": scope.scope.name},
                        named("log_records"): [record(message) for message in scope.log_records],
                        named("schema_url"): "x",
                    }
                    for scope in resource.scope_logs
                ],
            }
            for resource in request.resource_logs
        ]
    }
    return json.dumps(body).encode()


def record(**fields: Any) -> LogRecord:
    attributes = fields.pop("attributes", {})
    made = LogRecord(**{"event_name": "x", "time_unix_nano": NOW_NS, **fields})
    for key, value in attributes.items():
        made.attributes.append(KeyValue(key=key, value=any_value(value)))
    return made


def any_value(value: Any) -> AnyValue:
    if isinstance(value, AnyValue):
        return value
    made = AnyValue()
    if isinstance(value, Mapping):
        made.kvlist_value.SetInParent()
        made.kvlist_value.values.extend(KeyValue(key=key, value=any_value(item)) for key, item in value.items())
    elif isinstance(value, list):
        made.array_value.SetInParent()
        made.array_value.values.extend(any_value(item) for item in value)
    elif value is not None:
        kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
        setattr(made, kinds[type(value)], value)
    return made


def request_of(*records: LogRecord) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.extend(records)
    return request


REQUEST = exported(EVENTS)
GOOD = record(event_name="good")


def clean(value: Any) -> bool:
    """Whether a value is one that JSON knows, of visible text, bounded."""
    if isinstance(value, Mapping):
        return len(value) <= 256 and all(clean(key) and clean(item) for key, item in value.items())
    if isinstance(value, list):
        return len(value) <= 256 and all(clean(item) for item in value)
    if isinstance(value, str):
        return len(value) <= 2048 and all(char.isprintable() or char.isspace() for char in value)
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


@pytest.fixture
def now() -> Iterator[None]:
    """Records arrive at NOW_NS."""
    with clock.replaced(time_ns=lambda: NOW_NS, monotonic=clock.monotonic, token_hex=clock.token_hex):
        yield
