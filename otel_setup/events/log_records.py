"""Events as OpenTelemetry log records, and back.

An event is a log record with ``event_name``, attributes and severity, and no body (OpenTelemetry semantic conventions,
"Events"). The catalogue says which short name of ``SystemEvent.data`` becomes which attribute; what a caller added
beyond that travels in one map attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LogRecord

from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_data, clean_id

_FIELDS = {
    attribute.name: attribute.data_key
    for attribute in (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CONNECTION_ID, a.CORRELATION_ID)
}
_NAME_OF = {str(event.name): {attribute.data_key: attribute.name for attribute in event.attributes} for event in EVENTS}
_KEY_OF = {name: {full: key for key, full in keys.items()} for name, keys in _NAME_OF.items()}
_SEVERITIES = sorted(Severity, key=lambda severity: severity.value, reverse=True)


def attributes_of(event: SystemEvent) -> dict[str, Any]:
    """An event's attributes as they are exported. Maps keyed by players become lists, so that no key is a name."""
    attributes: dict[str, Any] = {a.RECORD_UID.name: event.event_id}
    for name, key in _FIELDS.items():
        value = getattr(event, key)
        if value:
            attributes[name] = value
    names = _NAME_OF.get(event.event_type, {})
    extra = {}
    for key, value in event.data.items():
        if key not in names:
            extra[key] = value
        elif value is not None:
            attributes[names[key]] = _scores(value) if key == a.FINAL_SCORES.data_key else value
    if extra:
        attributes[a.EXTRA.name] = clean_data(extra)
    return attributes


def event_of(record: LogRecord, event_id: str = "") -> SystemEvent:
    """The event a log record with ``event_name`` is."""
    attributes = dict(record.attributes or {})
    keys = _KEY_OF.get(record.event_name or "", {})
    fields: dict[str, Any] = {
        key: clean_id(attributes.pop(name)) for name, key in _FIELDS.items() if name in attributes
    }
    uid = attributes.pop(a.RECORD_UID.name, event_id)
    extra = attributes.pop(a.EXTRA.name, {})
    data = {keys.get(name, name): clean_data(value) for name, value in attributes.items()}
    if isinstance(extra, Mapping):
        data |= {str(key): clean_data(value) for key, value in extra.items()}
    number = getattr(record.severity_number, "value", None) or Severity.INFO.value
    return SystemEvent(
        event_type=EventType(clean_id(record.event_name)),
        timestamp_ns=record.timestamp or record.observed_timestamp or 0,
        severity=next((severity for severity in _SEVERITIES if severity.value <= number), Severity.DEBUG),
        trace_id=format(record.trace_id, "032x") if record.trace_id else "",
        span_id=format(record.span_id, "016x") if record.span_id else "",
        data=data,
        event_id=str(uid),
        **fields,
    )


def _scores(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return [{"player": player, "score": score} for player, score in value.items()]
