"""Events back from the JSON that ``SystemEvent.to_dict()`` makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.record import SystemEvent

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


def event_of(stored: Mapping[str, Any]) -> SystemEvent:
    """The event, its time to the microsecond.

    Raises:
        KeyError, ValueError, TypeError: this is no event.
    """
    microseconds = (datetime.fromisoformat(stored["timestamp"]) - _EPOCH) // _MICROSECOND
    return SystemEvent(
        event_type=EventType(stored["event_type"]),
        timestamp_ns=microseconds * 1000,
        game_id=stored["game_id"],
        room_id=stored["room_id"],
        player_id=stored["player_id"],
        connection_id=stored["connection_id"],
        correlation_id=stored["correlation_id"],
        trace_id=stored["trace_id"] or "",
        span_id=stored["span_id"] or "",
        severity=Severity[stored["severity"]],
        data=stored["data"],
        metadata=stored["metadata"],
        event_id=stored["event_id"],
        sequence=stored["sequence"],
    )
