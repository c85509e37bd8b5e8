"""One event, as subscribers see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from otel_setup import clock
from otel_setup.catalogue import EventType, Severity
from otel_setup.text import clean_data, clean_id

_NANOSECONDS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemEvent:
    """Something that happened.

    Parameters:
        event_type: its name; foreign names are welcome (``EventType("my.event")``).
        timestamp_ns: UTC, nanoseconds since 1970.
        game_id, room_id, player_id, connection_id: whom it concerns, where known.
        correlation_id: of the request or message that led to it.
        trace_id, span_id: hexadecimal ids of the span it happened in, or "".
        severity: of its log record.
        data: what the catalogue declares for this event (by its short names), and what the caller added.
        metadata: about the event rather than of it.
        event_id: unique, ``log.record.uid`` in exported records; empty until published.
        sequence: its place in the local stream, from 1; 0 until published.
    """

    event_type: EventType
    timestamp_ns: int = field(default_factory=lambda: clock.time_ns())  # noqa: PLW0108 - the clock of then
    game_id: str | None = None
    room_id: str | None = None
    player_id: str | None = None
    connection_id: str | None = None
    correlation_id: str | None = None
    trace_id: str = ""
    span_id: str = ""
    severity: Severity = Severity.INFO
    data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    event_id: str = ""
    sequence: int = 0

    @property
    def timestamp(self) -> datetime:
        """When it happened, UTC, to the microsecond."""
        seconds, nanoseconds = divmod(self.timestamp_ns, _NANOSECONDS)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)

    def to_dict(self) -> dict[str, Any]:
        """The event in JSON values: ISO 8601 time, the type's value, ids that are not known as None."""
        return {
            "event_id": self.event_id,
            "sequence": self.sequence,
            "event_type": clean_id(self.event_type.value),
            "timestamp": self.timestamp.isoformat(),
            "severity": self.severity.name,
            "game_id": _id_or_none(self.game_id),
            "room_id": _id_or_none(self.room_id),
            "player_id": _id_or_none(self.player_id),
            "connection_id": _id_or_none(self.connection_id),
            "correlation_id": _id_or_none(self.correlation_id),
            "trace_id": self.trace_id or None,
            "span_id": self.span_id or None,
            "data": clean_data(self.data),
            "metadata": clean_data(self.metadata),
        }

    def to_json(self) -> str:
        """``to_dict()`` on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The event of which ``to_dict()`` made these values, its time to the microsecond.

        Raises:
            KeyError, ValueError, TypeError: this is no event.
        """
        microseconds = (datetime.fromisoformat(values["timestamp"]) - _EPOCH) // _MICROSECOND
        return cls(
            event_type=EventType(values["event_type"]),
            timestamp_ns=microseconds * 1000,
            game_id=values["game_id"],
            room_id=values["room_id"],
            player_id=values["player_id"],
            connection_id=values["connection_id"],
            correlation_id=values["correlation_id"],
            trace_id=values["trace_id"] or "",
            span_id=values["span_id"] or "",
            severity=Severity[values["severity"]],
            data=values["data"],
            metadata=values["metadata"],
            event_id=values["event_id"],
            sequence=values["sequence"],
        )


_set_sequence = vars(SystemEvent)["sequence"].__set__
_set_event_id = vars(SystemEvent)["event_id"].__set__


def number(event: SystemEvent, epoch: str, sequence: int) -> None:
    """Gives a new event, which nobody else has seen yet, its place in a stream, and an id if it has none."""
    # A copy would cost more than all the rest of publishing, and so would the way around a frozen class's refusal.
    _set_sequence(event, sequence)
    if not event.event_id:
        _set_event_id(event, f"{epoch}-{sequence}")


class _Unfinished:
    """An event that is being made. To assign to it takes a tenth of what the initialiser of a frozen class does."""

    __slots__ = SystemEvent.__slots__


def make_event(
    event_type: EventType,
    timestamp_ns: int,
    game_id: str | None,
    room_id: str | None,
    player_id: str | None,
    connection_id: str | None,
    correlation_id: str | None,
    trace_id: str,
    span_id: str,
    severity: Severity,
    data: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> SystemEvent:
    """A :class:`SystemEvent` of these fields; the same as to call it, for who makes many."""
    made: Any = _Unfinished()
    made.event_type = event_type
    made.timestamp_ns = timestamp_ns
    made.game_id = game_id
    made.room_id = room_id
    made.player_id = player_id
    made.connection_id = connection_id
    made.correlation_id = correlation_id
    made.trace_id = trace_id
    made.span_id = span_id
    made.severity = severity
    made.data = data
    made.metadata = metadata
    made.event_id = ""
    made.sequence = 0
    made.__class__ = SystemEvent  # allowed between classes of the same slots
    return cast(SystemEvent, made)


def _id_or_none(value: str | None) -> str | None:
    # Whoever made the event may not have cleaned its ids, and half a surrogate pair cannot be encoded.
    return None if value is None else clean_id(value)
