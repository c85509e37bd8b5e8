"""What one reader gets next: first what it asked for of the past, then what waits for it, and the account of both.

Whoever uses it holds the stream's lock. At any moment ``matched`` = ``delivered`` + ``missed`` + ``queued``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from otel_setup.events.boxes import Policy, QueueBox, RingBox
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter, concerns
from otel_setup.events.notices import before, bookmark, is_notice
from otel_setup.events.pace import Pace
from otel_setup.events.record import SystemEvent
from otel_setup.events.wishes import Wishes

READ_AHEAD = 64
"""Events that are fetched at a time for a reader that takes them one by one; they are its own, and never dropped."""
BACKLOG_PORTION = 256
"""Events of the past that are filtered at a time, so that nobody who publishes waits long."""
_RATE_SECONDS = 60.0
RATE_STEP_SECONDS = 1.0
"""How often the rate at which a reader reads is worked out, at most."""

Taken = tuple[list[SystemEvent], float | None]
"""Events, or else the seconds after which to look again even if none comes before; None: no need to."""
NOTHING: Taken = ([], None)
_NONE: list[SystemEvent] = []


class Inbox:
    """What one reader gets next.

    Parameters:
        event_filter: what it wants; None is everything.
        wishes: how it wants it.
        backlog: of the past, unfiltered, perhaps with a notice in front.
        begin: the sequence before what it gets first.
        box: what waits for it of the present; None where it wants only the past.
        epoch: of the stream.
        clock: seconds on a monotonic clock.
    """

    def __init__(
        self,
        event_filter: EventFilter | None,
        wishes: Wishes,
        backlog: Iterator[SystemEvent],
        begin: int,
        box: RingBox | QueueBox | None,
        epoch: str,
        clock: Callable[[], float],
    ) -> None:
        self.box = box
        self.ready: deque[SystemEvent] = deque()  # fetched ahead; whoever reads may take from it without the lock
        self.from_backlog = 0
        self._drained_at = -1  # the newest event of all, wanted or not, when nothing was left to give
        self.rate = 0.0
        self._filter = event_filter
        self._wishes = wishes
        self._bookmark_seconds = wishes.bookmark_seconds
        self._epoch = epoch
        self._backlog: Iterator[SystemEvent] | None = backlog
        self._due: deque[SystemEvent] = deque()  # of the backlog: filtered, and not yet its time
        self._pace = None if wishes.speed is None else Pace(wishes.speed, clock)
        # Whoever takes one at a time gets some ahead, but where the next may still be replaced by a later one.
        coalesces = wishes.policy is Policy.COALESCE
        self._ahead = 1 if coalesces else min(READ_AHEAD, wishes.queue_size)
        self._taken = self._notices = 0
        self._position = self._marked = begin
        self._marked_at = self.rated_at = clock()
        self._rated = self._left_ready = 0

    # --- taking -----------------------------------------------------------------------------------------------------
    def take(self, max_n: int, now: float) -> Taken:
        """Up to ``max_n`` events that are there; ``now`` is the clock's."""
        ready, box = self.ready, self.box
        if ready and (fetched := self._fetched(max_n)):
            self._left_ready = len(ready)
            return fetched, None
        self._left_ready = 0
        if box is not None and self._drained_at == box.ring.last:
            return NOTHING  # nobody published anything since it had nothing left
        events = _NONE
        if self._backlog is not None:
            events, pause = self._past(max_n)
            if pause is not None:
                return events, pause
        if not events and box is not None:
            wanted = max_n if max_n > self._ahead else self._ahead
            events = box.take(wanted)
            if len(events) < wanted and self._bookmark_seconds is None:
                self._drained_at = box.ring.last
            if box.gaps:
                events = self._noted(events)
        if not events:
            return NOTHING if self._bookmark_seconds is None else self._bookmark(now)
        count = len(events)
        self._taken += count
        self._position = events[-1].sequence
        self._marked_at = now
        if count > max_n:
            ready.extend(events[max_n:])
            self._left_ready = len(ready)
            del events[max_n:]
        return events, None

    def _fetched(self, max_n: int) -> list[SystemEvent]:
        events: list[SystemEvent] = []
        try:
            while len(events) < max_n:
                events.append(self.ready.popleft())
        except IndexError:  # that was all; somebody else may have taken some meanwhile
            pass
        return events

    def _noted(self, events: list[SystemEvent]) -> list[SystemEvent]:
        """Events with gaps among them: these counted, or left out where they are not wanted."""
        if not self._wishes.gaps:
            return [event for event in events if not is_notice(event)]
        self._notices += sum(map(is_notice, events))
        return events

    def _past(self, max_n: int) -> Taken:
        """What is due of the backlog."""
        if not self._due and not self._filter_portion():
            return NOTHING
        events: list[SystemEvent] = []
        while self._due and len(events) < max(max_n, READ_AHEAD):
            event = self._due[0]
            if self._pace is not None and not is_notice(event) and (seconds := self._pace.wait(event)) > 0:
                if not events:
                    return [], seconds
                break
            events.append(self._due.popleft())
        notices = sum(map(is_notice, events))
        self._notices += notices
        self.from_backlog += len(events) - notices
        return events, None if events else 0.0  # there may be more of it, in the next portion

    def _filter_portion(self) -> bool:
        """Looks at some more of the backlog; False where there is no more."""
        assert self._backlog is not None  # noqa: S101 - as its caller found
        wanted, looked = self._filter, 0
        for event in self._backlog:
            looked += 1
            if is_notice(event) or concerns(wanted, event):
                self._due.append(event)
            if looked == BACKLOG_PORTION:
                return True
        if not looked:
            self._backlog = None
        return looked > 0

    def _bookmark(self, now: float) -> Taken:
        """Where nothing of interest happens, at times a word on how far it has come."""
        every = self._bookmark_seconds
        if every is None or self.ended:
            return NOTHING
        left = self._marked_at + every - now
        if left > 0:
            return [], left
        self._marked_at = now
        if self.position == max(self._marked, self._position):
            return [], every
        self._marked = self.position
        self._taken += 1
        self._notices += 1
        return [bookmark(Cursor(self._epoch, self.position))], None

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more that is not here already."""
        return self._backlog is None and (self.box is None or self.box.closed)

    # --- the account ------------------------------------------------------------------------------------------------
    @property
    def matched(self) -> int:
        """Events it wanted; of the past those it has come to."""
        return self.from_backlog + (0 if self.box is None else self.box.matched)

    @property
    def missed(self) -> int:
        """How many of them left unread."""
        return 0 if self.box is None else self.box.missed

    @property
    def queued(self) -> int:
        """How many of them wait."""
        return self._read_ahead() + (0 if self.box is None else self.box.queued)

    @property
    def delivered(self) -> int:
        """How many of them were read."""
        return self._taken - self._notices - self._read_ahead()

    def account(self) -> tuple[int, int, int, int]:
        """``matched``, ``delivered``, ``missed`` and ``queued`` of one moment, though somebody reads meanwhile."""
        ahead, box = self._read_ahead(), self.box
        missed, waiting = (0, 0) if box is None else (box.missed, box.queued)
        return self.matched, self._taken - self._notices - ahead, missed, waiting + ahead

    def _read_ahead(self) -> int:
        return sum(not is_notice(event) for event in tuple(self.ready))

    @property
    def position(self) -> int:
        """The sequence up to which it was given everything it wants, or was told what is missing."""
        try:
            return before(self.ready[0])
        except IndexError:
            pass
        if not (self._due or self._taken) and self._backlog is not None:
            self._filter_portion()  # nothing was read yet, and what comes first may be a gap
        if self._due:
            return before(self._due[0])
        if self._backlog is not None or self.box is None:
            return self._position
        return max(self._position, self.box.position)

    def rate_reading(self, now: float) -> None:
        """How many events a second are read, by what was read since this was last asked."""
        delivered, elapsed = self.delivered, max(now - self.rated_at, 0.0)
        self.rate = self.rate * math.exp(-elapsed / _RATE_SECONDS) + (delivered - self._rated) / _RATE_SECONDS
        self._rated, self.rated_at = delivered, now

    def has_read_on(self) -> bool:
        """Whether some of what was fetched ahead was read, which happens without a word, since this was last asked."""
        left, self._left_ready = self._left_ready, len(self.ready)
        return self._left_ready != left

    def drop(self) -> None:
        """Forgets everything."""
        self.box, self._backlog = None, None
        self.ready.clear()
        self._due.clear()
