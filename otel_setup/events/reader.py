"""A reader of the event stream for threads, which have no event loop."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import EventSubscriber, SlowSubscriber, StreamClosed


class EventReader:
    """A subscriber for threads: the same, without an event loop. Made by ``EventStream.reader()``::

        with stream.reader("recorder") as reader:
            for event in reader:
                ...

    Attributes:
        subscriber: what it reads; tells id, counts and cursor.
    """

    def __init__(self, subscriber: EventSubscriber) -> None:
        self.subscriber = subscriber

    def get_event(self, timeout: float | None = None) -> SystemEvent | None:
        """As :meth:`EventSubscriber.get_event`."""
        events = self.subscriber._wait_in_thread(1, timeout)
        return events[0] if events else None

    def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:
        """As :meth:`EventSubscriber.get_events`."""
        return self.subscriber._wait_in_thread(max_n, timeout)

    @property
    def cursor(self) -> Cursor:
        """As :attr:`EventSubscriber.cursor`."""
        return self.subscriber.cursor

    def close(self) -> None:
        """As :meth:`EventSubscriber.close`; from any thread."""
        self.subscriber.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SystemEvent:
        try:
            return self.subscriber._wait_in_thread(1, None)[0]
        except SlowSubscriber:
            raise  # an end that the loop must not take for a good one
        except StreamClosed:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
