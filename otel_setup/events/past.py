"""Where in the past a reader begins, and the part of the kept events that follows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent

OLDEST = "oldest"
"""From the oldest event that is kept."""

Since = Cursor | str | int | float | datetime | None
"""After a cursor or its text; from the ``"oldest"``; the last n; from a time, as a float in seconds; None: from now."""

_NANOSECONDS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def checked_since(since: object) -> Since:
    """What was asked for, if it makes sense; a text as the cursor that it is.

    Raises:
        TypeError: it is nothing of these.
        ValueError: it is a text, and no cursor.
    """
    if since is None or since == OLDEST or isinstance(since, Cursor | datetime):
        return since
    if isinstance(since, str):
        return Cursor.parse(since)
    if isinstance(since, int | float) and not isinstance(since, bool) and 0 <= since < math.inf:
        return since
    raise TypeError(
        f"since is {since!r:.80}; pass a Cursor or its text, 'oldest', a number of events, a datetime, "
        "seconds since 1970 as a float, or None for now"
    )


def backlog(
    since: Since, event_filter: EventFilter | None, notices: list[SystemEvent], kept: list[SystemEvent]
) -> Iterator[SystemEvent]:
    """The past that a reader wants, found when it reads and not under the lock of those who publish."""
    if isinstance(since, Cursor) or since == OLDEST or since is None:
        return itertools.chain(notices, kept)
    if isinstance(since, int):
        return _last(since, event_filter, kept)
    assert not isinstance(since, str)  # noqa: S101 - as it was checked
    from_ns = _nanoseconds(since)
    return itertools.dropwhile(lambda event: event.timestamp_ns < from_ns, kept)


def _nanoseconds(moment: datetime | float) -> int:
    if isinstance(moment, datetime):  # exactly: as a float it would lie some hundred nanoseconds beside itself
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
    return int(moment * _NANOSECONDS)


def _last(count: int, event_filter: EventFilter | None, kept: list[SystemEvent]) -> Iterator[SystemEvent]:
    yield from newest(kept, count, event_filter)


def newest(kept: list[SystemEvent], limit: int | None, event_filter: EventFilter | None) -> list[SystemEvent]:
    """The newest events that match, oldest first; looked for from the newest on."""
    newest_first = (event for event in reversed(kept) if event_filter is None or event_filter.matches(event))
    return list(itertools.islice(newest_first, None if limit is None else min(limit, len(kept))))[::-1]
