"""Events as servers send them, for the tests of the hub's intake, streams and pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent

PRODUCER = "server1-0a1b2c3d"
SECOND_NS = 1_000_000_000
BEGIN_NS = 1_700_000_000 * SECOND_NS


def sent(number: int, producer: str = PRODUCER, **fields: Any) -> SystemEvent:
    """An event as a server numbers it."""
    given = {"event_type": EventType.GAME_STARTED, "game_id": f"game{number}", "timestamp_ns": at(number)} | fields
    return SystemEvent(event_id=f"{producer}-{number}", **given)


def at(second: int) -> int:
    """So many seconds after the beginning; nanoseconds since 1970."""
    return BEGIN_NS + second * SECOND_NS


def numbers(events: Iterable[SystemEvent]) -> list[int]:
    """The servers' numbers of events."""
    return [int(event.event_id.rpartition("-")[2]) for event in events]


def request(events: Iterable[SystemEvent], instance: str = "server1") -> ExportLogsServiceRequest:
    """An export of these events, as OpenTelemetry's own protobuf classes make it."""
    export = ExportLogsServiceRequest()
    resource = export.resource_logs.add()
    resource.resource.attributes.extend(
        [_text("service.name", "a game"), _text("service.instance.id", instance)],
    )
    scope = resource.scope_logs.add()
    for event in events:
        record = scope.log_records.add()
        record.event_name = event.event_type
        record.time_unix_nano = event.timestamp_ns
        record.severity_number = event.severity.value
        record.attributes.append(_text("log.record.uid", event.event_id))
        for name, value in (("game.id", event.game_id), ("room.id", event.room_id)):
            if value is not None:
                record.attributes.append(_text(name, value))
        record.attributes.extend(_text(key, value) for key, value in event.data.items())
    return export


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
