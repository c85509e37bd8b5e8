"""Events as OpenTelemetry log records, and back.

An event is a log record with ``event_name``, attributes and severity, and no body (OpenTelemetry semantic conventions,
"Events"). The catalogue says which short name of ``SystemEvent.data`` becomes which attribute; what a caller added
beyond that travels in one map attribute.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from itertools import islice
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from otel_setup import clock
from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent, make_event
from otel_setup.text import MAX_DATA_ITEMS, clean_data, clean_id, clean_text

if TYPE_CHECKING:
    from otel_setup.privacy import Pseudonyms

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
_UID, _EXTRA = a.RECORD_UID.name, a.EXTRA.name
# By number: the highest one at or below it, and 0 says none.
_SEVERITY_AT = [
    Severity.INFO,
    *(max((s for s in Severity if s.value <= n), key=lambda s: s.value, default=Severity.DEBUG) for n in range(1, 25)),
]
_SEVERITY_OF = {severity: (SeverityNumber(severity.value), severity.name) for severity in Severity}
# Data under these keys hold no names, where they are scalars: nothing in them is a secret that others must be told of.
_NAMELESS = {
    str(event.name): frozenset(
        attribute.data_key
        for attribute in event.attributes
        if attribute.name not in _NOT_DATA and not attribute.personal
    )
    for event in EVENTS
}
_SCALARS = frozenset({str, int, float, bool, NoneType})
_NONE: frozenset[str] = frozenset()
_NO_CONTEXT = Context()


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


def log_record_of(event: SystemEvent, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """An event as the arguments of ``Logger.emit``, fit to leave the process."""
    severity_number, severity_text = _SEVERITY_OF[event.severity]
    return {
        "timestamp": event.timestamp_ns,
        "severity_number": severity_number,
        "severity_text": severity_text,
        "event_name": clean_id(event.event_type.value),
        "attributes": pseudonyms.pseudonymised(attributes_of(event)),
    }


class EventRecord(LogRecord):
    """A log record that an event is. It is worked out when somebody looks at it, in the thread of the export.

    Names are learnt at once all the same: other records, exported before, may mention them.

    Parameters:
        event: the event; not changed any more.
        pseudonyms: replace players' names.
        context: of the span it happened in.
    """

    # What events have none of. The base class's initialiser is left out: it would look for the current span again.
    body = None
    exception = None
    context = _NO_CONTEXT

    def __init__(self, event: SystemEvent, pseudonyms: Pseudonyms, context: SpanContext) -> None:
        self.pseudonyms = pseudonyms
        self.observed_timestamp = clock.time_ns()
        self._event = event
        self._span = context
        self._attributes: dict[str, Any] | None = None
        data = event.data
        if data.keys() <= _NAMELESS.get(event.event_type, _NONE) and _SCALARS.issuperset(map(type, data.values())):
            pseudonyms.of(event.player_id)
        else:
            self._attributes = pseudonyms.pseudonymised(attributes_of(event))

    @property
    def attributes(self) -> dict[str, Any]:  # type: ignore[override]  # a variable of the base class; here it stays
        """The event's attributes, fit to leave the process."""
        if self._attributes is None:
            self._attributes = self.pseudonyms.pseudonymised(attributes_of(self._event))
        return self._attributes

    timestamp = property(lambda self: self._event.timestamp_ns)
    event_name = property(lambda self: clean_id(self._event.event_type))
    severity_number = property(lambda self: _SEVERITY_OF[self._event.severity][0])
    severity_text = property(lambda self: _SEVERITY_OF[self._event.severity][1])
    trace_id = property(lambda self: self._span.trace_id)
    span_id = property(lambda self: self._span.span_id)
    trace_flags = property(lambda self: self._span.trace_flags)

    def __copy__(self) -> Self:
        return self  # the SDK copies each record for each processor; nothing here can be changed

    def with_attributes(self, attributes: Mapping[str, Any]) -> LogRecord:
        """An ordinary record of the same, under other attributes."""
        return _Plain(self, attributes)


class _Plain(LogRecord):
    """A record's fields, without the base class's search for the current span."""

    def __init__(self, record: LogRecord, attributes: Mapping[str, Any]) -> None:
        self.timestamp, self.observed_timestamp = record.timestamp, record.observed_timestamp
        self.trace_id, self.span_id, self.trace_flags = record.trace_id, record.span_id, record.trace_flags
        self.severity_number, self.severity_text = record.severity_number, record.severity_text
        self.event_name, self.attributes = record.event_name, attributes
        self.body, self.exception, self.context = None, None, _NO_CONTEXT


Take = Callable[[SystemEvent, "Pseudonyms", SpanContext], None]
"""What :meth:`EventTaker.take` is."""


class EventTaker(Logger):
    """A logger that takes events as they are."""

    @abstractmethod
    def take(self, event: SystemEvent, pseudonyms: Pseudonyms, context: SpanContext) -> None:
        """Takes an event, which nobody changes any more.

        Parameters:
            pseudonyms: replace players' names.
            context: of the span it happened in.
        """


TAKE = EventTaker.take.__name__


def event_of(record: LogRecord, event_id: str = "") -> SystemEvent:
    """The event a log record with ``event_name`` is; what :func:`attributes_of` made of one, as it was."""
    return event_from_attributes(
        record.event_name,
        record.attributes or {},
        timestamp_ns=record.timestamp or record.observed_timestamp or 0,
        severity_number=getattr(record.severity_number, "value", None) or 0,
        trace_id=format(record.trace_id, "032x") if record.trace_id else "",
        span_id=format(record.span_id, "016x") if record.span_id else "",
        event_id=event_id,
    )


def event_from_attributes(
    event_name: str | None,
    attributes: Mapping[str, Any],
    *,
    timestamp_ns: int,
    severity_number: int,
    trace_id: str,
    span_id: str,
    event_id: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> SystemEvent:
    """The event that a log record of these fields is, whatever it was read from. Names, ids and values come out clean.

    Parameters:
        attributes: the record's, as plain values.
        timestamp_ns: UTC, nanoseconds since 1970.
        severity_number: of OpenTelemetry's logs data model; 0 where the record says none.
        trace_id, span_id: hexadecimal, or "".
        event_id: where the attributes hold no ``log.record.uid``.
        metadata: about the event rather than of it.
    """
    keys = _KEY_OF.get(event_name or "", {})
    ids: dict[str, str | None] = dict.fromkeys(_FIELDS.values())
    data: dict[str, Any] = {}
    extra: Any = None
    for name, value in attributes.items():
        if (field := _FIELDS.get(name)) is not None:
            ids[field] = clean_id(value)
        elif name == _UID:
            event_id = str(value)
        elif name == _EXTRA:
            extra = value
        else:
            data[keys.get(name) or clean_id(name)] = _declared(value)
    if _SCORES in data:
        data[_SCORES] = _scores_mapped(data[_SCORES])
    if isinstance(extra, Mapping):
        data |= {clean_id(key): clean_data(value) for key, value in islice(extra.items(), MAX_DATA_ITEMS)}
    event = make_event(
        EventType(clean_id(event_name)),
        timestamp_ns,
        **ids,
        trace_id=trace_id,
        span_id=span_id,
        severity=_SEVERITY_AT[min(max(severity_number, 0), len(_SEVERITY_AT) - 1)],
        data=data,
        metadata={} if metadata is None else metadata,
    )
    object.__setattr__(event, "event_id", event_id)  # nobody else has seen it yet
    return event


def _declared(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is float and isfinite(value):  # the usual ones without a further call
        return value
    if kind is list or kind is tuple:
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
