"""What all readers of events from elsewhere have in common with those of the local stream."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from types import TracebackType
from typing import Self

from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import StreamClosed

DEFAULT_QUEUE_SIZE = 1_000
"""Events that wait for the reader; while there are as many nothing more is fetched, and the sender's bounds hold."""


class ReadableEvents(ABC):
    """The reading calls of an :class:`~otel_setup.events.subscriber.EventSubscriber`, for events from elsewhere.

    ``async with`` connects and closes; a loop ends where the events do.
    """

    @abstractmethod
    async def start(self) -> Self:
        """Connect; ``async with`` does it."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop fetching, and wait until the connection is closed."""

    @abstractmethod
    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        """The next events: waits for one and takes what else is here, up to ``max_n``.

        A cancelled call takes no event with it.

        Parameters:
            max_n: at least 1.
            timeout: seconds to wait; 0 takes what is there without waiting, None waits for as long as it takes. The
                list is empty when the time is up.

        Raises:
            StreamClosed: it is over, and what was here has been read. Its cause, where it has one, is what ended it.
            RuntimeError: it was not started.
            ValueError: ``max_n`` is below 1.
        """

    async def get_event(self, timeout: float | None = None) -> SystemEvent | None:  # noqa: ASYNC109
        """The next event, or None when the time is up; otherwise as :meth:`get_events`."""
        events = await self.get_events(1, timeout)
        return events[0] if events else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SystemEvent:
        try:
            return (await self.get_events(1))[0]
        except StreamClosed as closed:
            if closed.__cause__ is not None:
                raise  # an end that the loop must not take for a good one
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class ArrivingEvents(ReadableEvents):
    """Fetches events in the background and hands them over, so that no cancelled wait takes one with it.

    Subclasses fetch: :meth:`_fetch` calls :meth:`_put` for each event, and :meth:`_connected` once the first connection
    stands.

    Parameters:
        queue_size: events that may wait; while there are as many, nothing is fetched.

    Raises:
        ValueError: ``queue_size`` is below 1.
    """

    def __init__(self, queue_size: int = DEFAULT_QUEUE_SIZE) -> None:
        if queue_size < 1:
            raise ValueError(f"queue_size is {queue_size}; it is at least 1")
        self._queue_size = queue_size
        self._waiting: deque[tuple[SystemEvent, Cursor | None]] = deque()
        self._cursor: Cursor | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._stands = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._ended = False

    # --- beginning and ending -----------------------------------------------------------------------------------------
    async def start(self) -> Self:
        """Connect; ``async with`` does it.

        Raises:
            RuntimeError: it was started before.
            Exception: what the subclass says of a connection that cannot be made.
        """
        if self._task is not None:
            raise RuntimeError("it was started before; make another one")
        self._task = asyncio.create_task(self._run())
        try:
            await self._stands.wait()
        except BaseException:
            self.close()
            raise
        if self._failure is not None and not self._waiting:  # what came before it is to be read first
            raise self._failure
        return self

    def close(self) -> None:
        """Fetch nothing more. Whoever waits wakes at once; what is here can still be read."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        self._wake()

    async def aclose(self) -> None:
        """As ``close()``, and wait until the connection is closed."""
        self.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._fetch()
        except asyncio.CancelledError:
            raise
        except Exception as failure:  # noqa: BLE001 - it is raised to whoever reads
            self._failure = failure
        finally:
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        for waited_for in (self._arrived, self._stands):
            waited_for.set()

    # --- for subclasses -----------------------------------------------------------------------------------------------
    @abstractmethod
    async def _fetch(self) -> None:
        """Fetches events to the end; what it raises is raised to the reader after the last of them."""

    def _connected(self, cursor: Cursor | None = None) -> None:
        """The first connection stands; the reader's place, where it is known."""
        if not self._stands.is_set():
            self._cursor = cursor
            self._stands.set()

    async def _put(self, event: SystemEvent, cursor: Cursor | None) -> None:
        """Hands an event to the reader, and the cursor from which to go on after it; waits while there is no room."""
        while len(self._waiting) >= self._queue_size:
            self._room.clear()
            await self._room.wait()
        self._waiting.append((event, cursor))
        self._arrived.set()

    # --- reading ------------------------------------------------------------------------------------------------------
    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        """As :meth:`ReadableEvents.get_events`.

        Raises:
            Exception: what ended it, where it did not end well.
        """
        return [event for event, _ in await self.get_placed(max_n, timeout)]

    async def get_placed(
        self,
        max_n: int = 100,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> list[tuple[SystemEvent, Cursor | None]]:
        """As ``get_events``, each with the cursor from which to go on after it, where there is one."""
        if max_n < 1:
            raise ValueError(f"max_n is {max_n}; ask for at least one event")
        if self._task is None:
            raise RuntimeError("start it first: async with ... as events")
        try:
            async with asyncio.timeout(timeout):
                while not self._waiting and not self._ended:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            pass
        if not self._waiting:
            if not self._ended:
                return []
            if self._failure is not None:
                raise self._failure
            raise StreamClosed("it is closed, and what was here has been read")
        placed = [self._waiting.popleft() for _ in range(min(max_n, len(self._waiting)))]
        self._cursor = placed[-1][1] or self._cursor
        self._room.set()
        return placed

    @property
    def cursor(self) -> Cursor | None:
        """Where the reader stands: whoever reads ``since`` there gets what follows. None before that is known."""
        return self._cursor
