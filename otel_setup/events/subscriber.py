"""One reader of the event stream: how it waits for what comes next, in a task or in a thread.

What it holds is guarded by the lock of its stream.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otel_setup.events.boxes import QueueBox
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.inbox import NOTHING, RATE_STEP_SECONDS, Inbox, Taken
from otel_setup.events.record import SystemEvent
from otel_setup.events.waiting import Bell, Waiter, is_waiting, release, wake
from otel_setup.events.wishes import Wishes

if TYPE_CHECKING:
    from otel_setup.events.stream import EventStream

_NANOSECONDS = 1e9


class StreamClosed(Exception):
    """The subscriber was closed, and every event it had is read."""


class SlowSubscriber(StreamClosed):
    """The subscriber was closed because more waited for it than may.

    Attributes:
        cursor: up to where it was given everything; whoever subscribes again ``since`` there goes on where it ended.
    """

    def __init__(self, message: str, cursor: Cursor) -> None:
        super().__init__(message)
        self.cursor = cursor


class EventSubscriber:
    """A reader of the stream: made by ``EventStream.subscribe()``.

    Each matching event comes once, in the order of publication. What was lost because the reader was slow comes as a
    ``stream.gap`` in its place, which says how many and why. At any moment ``event_count`` = events read +
    ``dropped`` + events queued. Read it from one task; with several, each event goes to one of them.

    It is also an asynchronous iterator, which ends when the subscriber is closed, and a context manager, which closes
    it::

        async with await stream.subscribe("dashboard") as subscriber:
            async for event in subscriber:
                ...

    Attributes:
        id: its name.
        filter: what it wants; None is everything.
        active: False once it is closed.
        created_at: UTC.
    """

    def __init__(
        self, stream: EventStream, subscriber_id: str, event_filter: EventFilter | None, wishes: Wishes, inbox: Inbox
    ) -> None:
        self.id = subscriber_id
        self.filter = event_filter
        self.active = True
        self.created_at = datetime.now(UTC)
        self._stream = stream
        self._lock = stream._lock
        self._clock = stream._clock
        self._wishes = wishes
        self._inbox = inbox
        self._ready = inbox.ready
        self._slow = False
        self._waiters: set[Waiter] = set()
        self._bell = Bell() if inbox.box is None else inbox.box.bell
        # Moments on the stream's clock, which does not jump; shown to people as the time of day.
        self._created = self._clock()
        self._last_event: float | None = None
        self._last_read: float | None = None

    # --- reading ----------------------------------------------------------------------------------------------------
    async def get_event(self, timeout: float | None = None) -> SystemEvent | None:  # noqa: ASYNC109
        """The next matching event.

        A cancelled call takes no event with it.

        Parameters:
            timeout: seconds to wait; 0 takes what is there without waiting, None waits for as long as it takes.

        Returns:
            The event, or None when the time is up.

        Raises:
            StreamClosed: it is closed, and what was queued has been read.
            SlowSubscriber: the same, and it was closed because it was too slow for its policy.
        """
        if self._ready:
            try:
                return self._ready.popleft()  # one step, which needs no lock
            except IndexError:  # somebody else took it
                pass
        events = await self._wait(1, timeout)
        return events[0] if events else None

    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        """The next matching events: waits for one and takes what else is there, up to ``max_n``.

        Parameters:
            max_n: at least 1.
            timeout: as for ``get_event``; the list is empty when the time is up.

        Raises:
            StreamClosed: it is closed, and what was queued has been read.
            SlowSubscriber: the same, and it was closed because it was too slow for its policy.
            ValueError: ``max_n`` is below 1.
        """
        if max_n < 1:
            raise ValueError(f"max_n is {max_n}; ask for at least one event")
        return await self._wait(max_n, timeout)

    async def _wait(self, max_n: int, timeout: float | None) -> list[SystemEvent]:  # noqa: ASYNC109
        waiter: asyncio.Future[None] | None = None
        deadline: float | None = None
        while True:
            self._lock.acquire()  # "with" takes three times as long
            try:
                if waiter is not None:
                    self._stop_waiting(waiter)
                events, pause = self._take(max_n)
                if events:
                    # Returned without another await, so that no cancellation comes between.
                    return events
                if pause == 0:
                    waiter = None
                elif timeout is not None and (timeout <= 0 or _is_past(deadline)):
                    return []
                else:
                    waiter = asyncio.get_running_loop().create_future()
                    self._wait_for(waiter)
            finally:
                self._lock.release()
            if waiter is None:  # more of the past is to be filtered: not in one go, for the sake of the others
                await _give_way(timeout)
                continue
            timer: asyncio.TimerHandle | None = None
            if timeout is not None or pause is not None:
                deadline = _deadline(timeout) if deadline is None else deadline
                timer = _alarm(waiter, deadline, pause)
            try:
                await waiter
            except BaseException:
                with self._lock:
                    self._stop_waiting(waiter)
                raise
            finally:
                if timer is not None:
                    timer.cancel()

    def _wait_in_thread(self, max_n: int, timeout: float | None) -> list[SystemEvent]:
        """As ``get_events``, for a thread without an event loop."""
        if max_n < 1:
            raise ValueError(f"max_n is {max_n}; ask for at least one event")
        # By a clock that goes on whatever a test does with the stream's: this has to end.
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                events, pause = self._take(max_n)
                left = None if deadline is None else deadline - time.monotonic()
                if events or (pause != 0 and left is not None and left <= 0):
                    return events
                waiter = threading.Event()
                self._wait_for(waiter)
            try:
                if pause != 0:
                    waiter.wait(min((seconds for seconds in (left, pause) if seconds is not None), default=None))
            finally:
                with self._lock:
                    self._stop_waiting(waiter)

    def _take(self, max_n: int) -> Taken:
        inbox = self._inbox
        self._last_read = now = self._clock()
        taken = inbox.take(max_n, now)
        if taken is NOTHING and (inbox.box is None or not self.active) and inbox.ended:
            self._shut()
            raise self._closed()
        if not 0 <= now - inbox.rated_at < RATE_STEP_SECONDS:
            inbox.rate_reading(now)
        return taken

    def _wait_for(self, waiter: Waiter) -> None:
        self._waiters.add(waiter)
        self._bell.waiters.add(waiter)

    def _stop_waiting(self, waiter: Waiter) -> None:
        self._waiters.discard(waiter)
        self._bell.waiters.discard(waiter)

    # --- ending -----------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Stop receiving and give the id back. Whoever waits wakes at once; what is queued can still be read."""
        with self._lock:
            waiters = self._shut()
        wake(waiters)

    def _shut(self, *, slow: bool = False) -> list[Waiter]:
        """Closes it; returns who waits. The stream calls it too, under its lock, where the reader is too slow."""
        self.active = False
        self._slow = self._slow or slow
        if self._inbox.box is not None:
            self._inbox.box.close()
        self._stream._forget(self)
        return list(self._waiters)

    def _closed(self) -> StreamClosed:
        if not self._slow:
            return StreamClosed(f"subscriber {self.id!r} is closed")
        cursor = self._cursor()
        return SlowSubscriber(
            f"subscriber {self.id!r} was closed: more than {self._wishes.queue_size} events, or "
            f"{self._wishes.max_bytes} bytes, waited for it. Subscribe again since={str(cursor)!r}",
            cursor,
        )

    def _drop(self) -> None:
        """Forget everything, waking nobody: after a fork the loop that would run the waiters is the parent's."""
        self.active = False
        self._inbox.drop()
        self._waiters.clear()
        self._bell = Bell()
        self._lock = threading.RLock()  # the old one may be held by a thread that the child does not have

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SystemEvent:
        if self._ready:
            try:
                return self._ready.popleft()
            except IndexError:
                pass
        try:
            return (await self._wait(1, None))[0]
        except SlowSubscriber:
            raise  # an end that the loop must not take for a good one
        except StreamClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- what is told of it -----------------------------------------------------------------------------------------
    @property
    def event_count(self) -> int:
        """Matching events so far."""
        with self._lock:
            return self._inbox.matched

    @property
    def dropped(self) -> int:
        """How many of them left unread, because too many waited."""
        with self._lock:
            return self._inbox.missed

    @property
    def queued(self) -> int:
        """How many of them wait to be read."""
        with self._lock:
            return self._inbox.queued

    @property
    def delivered(self) -> int:
        """How many of them were read."""
        with self._lock:
            return self._inbox.delivered

    @property
    def cursor(self) -> Cursor:
        """Where it stands: what it wants up to here has been read, or told as a gap."""
        with self._lock:
            return self._cursor()

    def _cursor(self) -> Cursor:
        return Cursor(self._stream.epoch, self._inbox.position)

    @property
    def last_event_at(self) -> datetime | None:
        """When the newest event it wanted was published, UTC."""
        if self._last_event is None and self._inbox.box is not None and self._inbox.box.matched:
            return self._time_of_day(self._stream._last_moment)
        return self._time_of_day(self._last_event)

    @property
    def last_read_at(self) -> datetime | None:
        """When it was last read from or somebody last waited for it, UTC."""
        return self._time_of_day(self._last_read)

    def _time_of_day(self, moment: float | None) -> datetime | None:
        return None if moment is None else self.created_at + timedelta(seconds=moment - self._created)

    def _idle_seconds(self) -> float:
        now = self._clock()
        if any(map(is_waiting, self._waiters)):
            return 0.0
        if self._inbox.has_read_on():
            self._inbox.rate_reading(now)
            self._last_read = now
        return now - (self._created if self._last_read is None else self._last_read)

    def statistics(self) -> dict[str, Any]:
        """What it was given, what it missed and how far behind it is, in JSON values.

        ``lag_events`` counts everything published since its cursor, wanted or not; ``lag_seconds`` is the age of the
        first of these against the newest.
        """
        with self._lock:
            inbox, box, cursor, ring = self._inbox, self._inbox.box, self._cursor(), self._stream._ring
            matched, delivered, missed, queued = inbox.account()
            if (now := self._clock()) - inbox.rated_at >= RATE_STEP_SECONDS:
                inbox.rate_reading(now)
            behind = ring.after(cursor.sequence, 1) + ring.after(ring.last - 1)
            return {
                "id": self.id,
                "active": self.active,
                "event_count": matched,
                "delivered": delivered,
                "dropped": missed,
                "coalesced": box.coalesced if isinstance(box, QueueBox) else 0,
                "queued": queued,
                "queued_bytes": 0 if box is None else box.queued_bytes,
                "queue_size": self._wishes.queue_size,
                "gaps": 0 if box is None else box.gaps,
                "policy": str(self._wishes.policy),
                "cursor": str(cursor),
                "lag_events": ring.last - cursor.sequence,
                "lag_seconds": max(0, behind[-1].timestamp_ns - behind[0].timestamp_ns) / _NANOSECONDS if behind else 0,
                "events_per_second": round(inbox.rate, 3),
                "created_at": self.created_at.isoformat(),
                "last_event_at": _iso(self.last_event_at),
                "last_read_at": _iso(self.last_read_at),
            }


async def _give_way(timeout: float | None) -> None:  # noqa: ASYNC109
    """Lets other tasks run; who polls does not wait at all."""
    if timeout is None or timeout > 0:
        await asyncio.sleep(0)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() >= deadline


def _alarm(waiter: asyncio.Future[None], deadline: float | None, pause: float | None) -> asyncio.TimerHandle:
    """Ends a wait at a time of its loop, or after so many seconds, whichever comes first."""
    loop = waiter.get_loop()
    moment = min(math.inf if deadline is None else deadline, math.inf if pause is None else loop.time() + pause)
    return loop.call_at(moment, release, (waiter,))


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
