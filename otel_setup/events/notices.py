"""What a stream says of itself, in band: gaps, bookmarks and resets are events too, so no reader can miss them.

They are made for one reader, have no place in the stream and no uid, and never count as events of it.
"""

from __future__ import annotations

from enum import StrEnum

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent

_SEVERITIES = {event.name: event.severity for event in EVENTS}


class GapReason(StrEnum):
    """Why events are missing."""

    OVERWRITTEN = "overwritten"
    """The history had no room for them any more when the reader came to them."""
    QUEUE_FULL = "queue_full"
    """As many events as the reader may have waiting were waiting."""
    BYTES = "bytes"
    """What waited for the reader weighed as much as it may."""
    UPSTREAM = "upstream"
    """They did not arrive here from their producer."""
    BEFORE = "before"
    """They are of the time before their producer was first heard of here."""


def gap(first: int, last: int, count: int, reason: GapReason) -> SystemEvent:
    """Events ``first`` to ``last`` of the stream, or ``count`` among them, are missing for a reader."""
    return SystemEvent(
        event_type=EventType.STREAM_GAP,
        severity=_SEVERITIES[EventType.STREAM_GAP],
        data={
            a.GAP_FIRST.data_key: first,
            a.GAP_LAST.data_key: last,
            a.GAP_COUNT.data_key: count,
            a.GAP_REASON.data_key: reason.value,
        },
        sequence=last,
    )


def bookmark(cursor: Cursor) -> SystemEvent:
    """Nothing of interest up to here; a reader may go on from this cursor."""
    return _placed(EventType.STREAM_BOOKMARK, cursor, cursor.sequence)


def reset(asked: Cursor, sequence: int) -> SystemEvent:
    """The cursor that was asked for is not of this stream; what follows begins after ``sequence``."""
    return _placed(EventType.STREAM_RESET, asked, sequence)


def is_notice(event: SystemEvent) -> bool:
    """Whether it was made for a reader and did not happen in a game."""
    return event.event_type in _NOTICES and not event.event_id


def before(event: SystemEvent) -> int:
    """The sequence after which a reader stands who is about to get this event."""
    if not is_notice(event):
        return event.sequence - 1
    first = event.data.get(a.GAP_FIRST.data_key)
    return first - 1 if isinstance(first, int) else event.sequence


_NOTICES = frozenset({EventType.STREAM_GAP, EventType.STREAM_BOOKMARK, EventType.STREAM_RESET})


def _placed(event_type: EventType, cursor: Cursor, sequence: int) -> SystemEvent:
    return SystemEvent(
        event_type=event_type,
        severity=_SEVERITIES[event_type],
        data={a.STREAM_CURSOR.data_key: str(cursor)},
        sequence=sequence,
    )
