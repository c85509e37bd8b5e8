"""One reader of the event stream: its queue, and how it waits.

What it holds is guarded by the lock of its stream, which also calls the methods marked so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent

if TYPE_CHECKING:
    from otel_setup.events.stream import EventStream

Waiter = asyncio.Future[None]


class StreamClosed(Exception):
    """The subscriber was closed, and every event it had is read."""


class EventSubscriber:
    """A reader of the stream: made by ``EventStream.subscribe()``.

    Each matching event comes once, in the order of publication, unless the queue was full meanwhile. At any moment
    ``event_count`` = events read + ``dropped`` + events queued. Read it from one task; with several, each event goes
    to one of them.

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
        event_count: matching events so far.
        dropped: how many of them left a full queue unread.
    """

    def __init__(self, stream: EventStream, subscriber_id: str, event_filter: EventFilter | None, queue_size: int):
        self.id = subscriber_id
        self.filter = event_filter
        self.active = True
        self.created_at = datetime.now(UTC)
        self.event_count = 0
        self.dropped = 0
        self._stream = stream
        self._queue: deque[SystemEvent] = deque(maxlen=queue_size)
        self._waiters: set[Waiter] = set()
        # Moments on the stream's clock, which does not jump; shown to people as the time of day.
        self._created = stream._clock()
        self._last_event: float | None = None
        self._last_read: float | None = None

    @property
    def last_event_at(self) -> datetime | None:
        """When the newest matching event was published, UTC."""
        return self._time_of_day(self._last_event)

    @property
    def last_read_at(self) -> datetime | None:
        """When it was last read from or somebody last waited for it, UTC."""
        return self._time_of_day(self._last_read)

    def _time_of_day(self, moment: float | None) -> datetime | None:
        return None if moment is None else self.created_at + timedelta(seconds=moment - self._created)

    async def get_event(self, timeout: float | None = None) -> SystemEvent | None:  # noqa: ASYNC109
        """The next matching event.

        A cancelled call takes no event with it.

        Parameters:
            timeout: seconds to wait; 0 takes what is there without waiting, None waits for as long as it takes.

        Returns:
            The event, or None when the time is up.

        Raises:
            StreamClosed: it is closed, and what was queued has been read.
        """
        events = await self.get_events(1, timeout)
        return events[0] if events else None

    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        """The next matching events: waits for one and takes what else is there, up to ``max_n``.

        Parameters:
            max_n: at least 1.
            timeout: as for ``get_event``; the list is empty when the time is up.

        Raises:
            StreamClosed: it is closed, and what was queued has been read.
            ValueError: ``max_n`` is below 1.
        """
        if max_n < 1:
            raise ValueError(f"max_n is {max_n}; ask for at least one event")
        deadline: float | None = None
        while True:
            with self._stream._lock:
                self._last_read = self._stream._clock()
                if self._queue:
                    # Taken here and returned without another await, so that no cancellation comes between.
                    return [self._queue.popleft() for _ in range(min(max_n, len(self._queue)))]
                if not self.active:
                    raise StreamClosed(f"subscriber {self.id!r} is closed")
                if timeout is not None and timeout <= 0:
                    return []
                loop = asyncio.get_running_loop()
                if timeout is not None:
                    deadline = loop.time() + timeout if deadline is None else deadline
                    if loop.time() >= deadline:
                        return []
                waiter = loop.create_future()
                self._waiters.add(waiter)
            timer = None if deadline is None else loop.call_at(deadline, _release, (waiter,))
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
                with self._stream._lock:
                    self._waiters.discard(waiter)

    def close(self) -> None:
        """Stop receiving and give the id back. Whoever waits wakes at once; what is queued can still be read."""
        with self._stream._lock:
            self.active = False
            self._stream._forget(self)
            waiters = self._take_waiters()
        wake(waiters)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SystemEvent:
        try:
            return (await self.get_events(1))[0]
        except StreamClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- called by the stream, under its lock -----------------------------------------------------------------------
    def _offer(self, event: SystemEvent) -> bool:
        """Queue a matching event; True where another had to leave."""
        is_full = len(self._queue) == self._queue.maxlen
        self._queue.append(event)
        self.event_count += 1
        self.dropped += is_full
        self._last_event = self._stream._clock()
        return is_full

    def _take_waiters(self) -> Collection[Waiter]:
        """The waiters, for one wake-up: further events before they run find none and wake nobody."""
        if not self._waiters:
            return ()
        # They waited until now, though the tasks behind them have yet to run.
        self._last_read = self._stream._clock()
        waiters, self._waiters = self._waiters, set()
        return waiters

    def _idle_seconds(self) -> float:
        if any(not waiter.get_loop().is_closed() for waiter in self._waiters):
            return 0.0
        return self._stream._clock() - (self._created if self._last_read is None else self._last_read)

    def _drop(self) -> None:
        """Forget everything, waking nobody: after a fork the loop that would run the waiters is the parent's."""
        self.active = False
        self._queue.clear()
        self._waiters.clear()

    def _statistics(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "active": self.active,
            "event_count": self.event_count,
            "dropped": self.dropped,
            "queued": len(self._queue),
            "created_at": self.created_at.isoformat(),
            "last_event_at": _iso(self.last_event_at),
            "last_read_at": _iso(self.last_read_at),
        }


def wake(waiters: Collection[Waiter]) -> None:
    """Release the waiters, of one loop in one call, from whatever thread this is."""
    for loop in {waiter.get_loop() for waiter in waiters}:
        try:
            loop.call_soon_threadsafe(_release, [waiter for waiter in waiters if waiter.get_loop() is loop])
        except RuntimeError:  # the loop is closed, and whoever waited in it is gone
            continue


def _release(waiters: Collection[Waiter]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
