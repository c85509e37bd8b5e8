"""Events as OpenTelemetry log records, and back.

An event is a log record with ``event_name``, attributes and severity, and no body (OpenTelemetry semantic conventions,
"Events"). The catalogue says which short name of ``SystemEvent.data`` becomes which attribute; what a caller added
beyond that travels in one map attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from opentelemetry._logs import LogRecord

from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.text import MAX_DATA_ITEMS, clean_data, clean_id

MAX_LISTED = 256
"""Entries kept of a declared list: seats, winners, scores."""

_FIELDS = {
    attribute.name: attribute.data_key
    for attribute in (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CONNECTION_ID, a.CORRELATION_ID)
}
# Ids are fields of an event. An entry of its data that has an id's name is the caller's own and cannot replace the id.
_NOT_DATA = {*_FIELDS, a.RECORD_UID.name, a.EXTRA.name}
_NAME_OF = {
    str(event.name): {
        attribute.data_key: attribute.name for attribute in event.attributes if attribute.name not in _NOT_DATA
    }
    for event in EVENTS
}
_KEY_OF = {name: {full: key for key, full in keys.items()} for name, keys in _NAME_OF.items()}
_SCORES = a.FINAL_SCORES.data_key
_SEVERITIES = sorted(Severity, key=lambda severity: severity.value, reverse=True)


def attributes_of(event: SystemEvent) -> dict[str, Any]:
    """An event's attributes as they are exported, whoever made it: no value can spoil the batch it travels in.

    Maps keyed by players become lists, so that no key is a name.
    """
    attributes: dict[str, Any] = {a.RECORD_UID.name: event.event_id}
    for name, key in _FIELDS.items():
        value = getattr(event, key)
        if value:
            attributes[name] = clean_id(value)
    names = _NAME_OF.get(event.event_type, {})
    extra: dict[str, Any] = {}
    for key, value in event.data.items():
        if key in names:
            if value is not None:
                attributes[names[key]] = _declared(_scores_listed(value) if key == _SCORES else value)
        elif len(extra) < MAX_DATA_ITEMS:
            extra[clean_id(key)] = clean_data(value)
    if extra:
        attributes[a.EXTRA.name] = extra
    return attributes


def event_of(record: LogRecord, event_id: str = "") -> SystemEvent:
    """The event a log record with ``event_name`` is; what :func:`attributes_of` made of one, as it was."""
    attributes = dict(record.attributes or {})
    keys = _KEY_OF.get(record.event_name or "", {})
    fields: dict[str, Any] = {
        key: clean_id(attributes.pop(name)) for name, key in _FIELDS.items() if name in attributes
    }
    uid = attributes.pop(a.RECORD_UID.name, event_id)
    extra = attributes.pop(a.EXTRA.name, {})
    data = {keys.get(name, clean_id(name)): _declared(value) for name, value in attributes.items()}
    if _SCORES in data:
        data[_SCORES] = _scores_mapped(data[_SCORES])
    if isinstance(extra, Mapping):
        data |= {clean_id(key): clean_data(value) for key, value in islice(extra.items(), MAX_DATA_ITEMS)}
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


def _declared(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [clean_data(item) for item in islice(value, MAX_LISTED)]
    return clean_data(value)


def _scores_listed(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return [{"player": player, "score": score} for player, score in islice(value.items(), MAX_LISTED)]


def _scores_mapped(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        return value
    return {clean_id(entry.get("player")): entry.get("score") for entry in value}
