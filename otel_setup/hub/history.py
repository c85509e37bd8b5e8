"""What was: events after a place in the stream, from memory where it has them, else from the log on disk."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import concerns
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.hub.frames import Frames, frame, payload_in
from otel_setup.hub.metrics import Counters
from otel_setup.hub.query import From, Last, Query
from otel_setup.hub.segments import Entry, SegmentLog

READERS = 2
"""Threads that read the log for those whose past is older than what memory has."""
PAGE_EVENTS = 1000
"""Events read at a time for one answer."""
PAGE_BYTES = 16 * 1024 * 1024
"""Bytes of events in one answer; past it the answer ends early, with ``more``."""

P = ParamSpec("P")
T = TypeVar("T")
_logger = logging.getLogger("otel_setup.hub")


class Stored(NamedTuple):
    """An event of the past; the payload where it came from the log."""

    event: SystemEvent
    payload: bytes | None = None


class Page(NamedTuple):
    """A page of events.

    Parameters:
        payloads: each event as JSON.
        cursor: where the next page begins.
        complete: False where events between the asked place and this page are not kept any more.
        more: whether there are more events after it now.
    """

    payloads: list[bytes]
    cursor: Cursor
    complete: bool
    more: bool


class History:
    """The past of a stream.

    Parameters:
        stream: has the newest events in memory.
        log: has the older ones; None where the hub keeps nothing on disk.
        frames: those that are made already.
        counters: where entries are counted that are no events.
    """

    def __init__(self, stream: EventStream, log: SegmentLog | None, frames: Frames, counters: Counters) -> None:
        self.frames = frames
        self._stream = stream
        self._log = log
        self._threads = ThreadPoolExecutor(READERS, "otel_setup-hub-history")
        self._counters = counters

    @property
    def oldest(self) -> int:
        """The sequence of the oldest event that is kept."""
        if self._log is None or self._log.first_sequence > self._log.last_sequence:
            return self._stream.oldest
        return min(self._log.first_sequence, self._stream.oldest)

    async def after(self, sequence: int, limit: int) -> list[Stored]:
        """Up to ``limit`` events that follow a sequence; none where there are none.

        Their sequences tell whether some are missing. Of the log, fewer may come than there are.
        """
        if self._log is not None and sequence + 1 < self._stream.oldest:
            found = await self._in_thread(self._read, self._log, sequence, limit)
            # The log has an event a moment before the stream does.
            newest = self._stream.cursor.sequence
            if found := [stored for stored in found if stored.event.sequence <= newest]:
                return found
        return [Stored(event) for event in self._stream.read(sequence, limit)]

    async def before(self, time_ns: int) -> int:
        """The sequence after which everything is that was taken in at a time or later.

        In memory the events' own times decide, because nothing else is known there.

        Parameters:
            time_ns: nanoseconds since 1970.
        """
        if self._log is not None:
            return await self._in_thread(self._log.find_time, time_ns)
        for event in self._stream.read(0):
            if event.timestamp_ns >= time_ns:
                return event.sequence - 1
        return self._stream.cursor.sequence

    def frame(self, stored: Stored) -> bytes:
        """An event as readers of the stream get it."""
        if stored.payload is None:
            return self.frames.of(stored.event)
        return frame(stored.event, Cursor(self._stream.epoch, stored.event.sequence), stored.payload)

    async def page(self, query: Query, max_scan: int) -> Page:
        """A page of events that match a query: after ``since`` or, without it, the newest ones."""
        position, complete = await self._begin(query)
        end = self._stream.cursor.sequence
        payloads: list[bytes] = []
        size = scanned = 0
        while position < end and len(payloads) < query.limit and scanned < max_scan and size < PAGE_BYTES:
            found = await self.after(position, min(PAGE_EVENTS, end - position))
            if not found:
                break
            for stored in found:
                complete = complete and stored.event.sequence == position + 1
                position = stored.event.sequence
                scanned += 1
                if concerns(query.event_filter, stored.event):
                    payload = stored.payload or payload_in(self.frames.of(stored.event))
                    payloads.append(payload)
                    size += len(payload)
                if len(payloads) >= query.limit or size >= PAGE_BYTES:
                    break
        return Page(payloads, Cursor(self._stream.epoch, position), complete, position < self._stream.cursor.sequence)

    async def _begin(self, query: Query) -> tuple[int, bool]:
        """The sequence before the first event of a page, and whether nothing is missing there."""
        match query.since:
            case Cursor() as cursor:
                now = self._stream.cursor
                if cursor.epoch != now.epoch or cursor.sequence > now.sequence:
                    return self.oldest - 1, False
                return max(cursor.sequence, self.oldest - 1), cursor.sequence >= self.oldest - 1
            case From(time_ns):
                return await self.before(time_ns), True
            case None | Last():
                count = query.limit if query.since is None else query.since.count
                newest = self._stream.get_history(count, query.event_filter)
                return (newest[0].sequence - 1 if newest else self._stream.cursor.sequence), True
            case _:
                return self.oldest - 1, True

    def close(self) -> None:
        """Lets the threads go; what they read is of no use any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, log: SegmentLog, sequence: int, limit: int) -> list[Stored]:
        """In a thread. An entry that is no event is left out; readers see by the sequences that it is missing."""
        return [stored for entry in log.read(sequence, limit) if (stored := self._stored(entry)) is not None]

    def _stored(self, entry: Entry) -> Stored | None:
        try:
            return Stored(SystemEvent.from_dict(json.loads(entry.payload)), entry.payload)
        except (ValueError, KeyError, TypeError):
            self._counters.unreadable += 1
            _logger.exception("event %d of the log cannot be read", entry.sequence)
            return None

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*arguments, **named))
