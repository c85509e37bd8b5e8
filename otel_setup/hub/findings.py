"""What the hub finds out by itself, as events of its stream: gaps, and servers that fall silent and return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.ledger.payload import LATE

_FOUND = "found_by"
# What is received has texts alone in its metadata, under keys of the resource: nobody can claim to be the hub.
_HUB = True
_SEVERITIES = {event.name: event.severity for event in EVENTS}


def finding(
    event_type: EventType, event_id: str, timestamp_ns: int, metadata: Mapping[str, Any], **fields: Any
) -> SystemEvent:
    """An event that the hub makes.

    Parameters:
        event_id: unique, and the same whenever the same is found.
        timestamp_ns: nanoseconds since 1970.
        metadata: of the producer that it is about.
        fields: further ones of :class:`SystemEvent`.
    """
    about = {key: value for key, value in metadata.items() if key != LATE}
    return SystemEvent(
        event_type=event_type,
        event_id=event_id,
        timestamp_ns=timestamp_ns,
        severity=_SEVERITIES[event_type],
        metadata=about | {_FOUND: _HUB},
        **fields,
    )


def is_finding(event: SystemEvent) -> bool:
    """Whether the hub made it, now or before a restart, and no producer did."""
    return event.metadata.get(_FOUND) is _HUB


def gap(
    producer: str, first: int, last: int, reason: GapReason, timestamp_ns: int, metadata: Mapping[str, Any]
) -> SystemEvent:
    """Numbers of a producer are missing.

    Parameters:
        timestamp_ns, metadata: of an event beside the gap.
    """
    data = _numbers(producer, first, last) | {a.GAP_REASON.data_key: reason.value}
    return finding(EventType.STREAM_GAP, f"gap-{producer}-{first}-{last}", timestamp_ns, metadata, data=data)


def filled(producer: str, first: int, last: int, beside: SystemEvent) -> SystemEvent:
    """Numbers that a gap has told of have come after all."""
    event_id, data = f"filled-{producer}-{first}-{last}", _numbers(producer, first, last)
    return finding(EventType.STREAM_GAP_FILLED, event_id, beside.timestamp_ns, beside.metadata, data=data)


def _numbers(producer: str, first: int, last: int) -> dict[str, Any]:
    return {
        a.PRODUCER_ID.data_key: producer,
        a.GAP_FIRST.data_key: first,
        a.GAP_LAST.data_key: last,
        a.GAP_COUNT.data_key: last - first + 1,
    }
