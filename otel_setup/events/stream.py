"""The local event stream: a bounded history, and a bounded queue for each reader.

Publishing takes one short lock, never waits for a reader and starts no task: a reader that stops reading loses its
oldest events, which are counted, and nobody else notices. Events are shared, never copied. Everything here may be
called from any thread; only reading needs an event loop.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from otel_setup import clock as the_clock
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.routes import Routes
from otel_setup.events.subscriber import EventSubscriber, StreamClosed, Waiter, wake
from otel_setup.game_model import OTHER
from otel_setup.text import clean_id

DEFAULT_HISTORY_SIZE = 10_000
"""Events that are kept; older ones leave. Counted in ``dropped_history``."""
DEFAULT_MAX_SUBSCRIBERS = 100
"""Readers at a time; a further one is refused with ``SubscriberLimitError``."""
DEFAULT_QUEUE_SIZE = 1_000
"""Events that wait for one reader; beyond, its oldest leave. Counted in its ``dropped`` and ``dropped_subscribers``."""
MAX_EVENT_TYPES = 256
"""Names that ``events_by_type`` lists; events of further names count as ``other``."""

__all__ = ["EventStream", "EventSubscriber", "StreamClosed", "SubscriberExistsError", "SubscriberLimitError"]

_log = logging.getLogger(__name__)


class SubscriberLimitError(RuntimeError):
    """The stream has as many subscribers as it may have."""


class SubscriberExistsError(ValueError):
    """The id belongs to another subscriber."""


class EventStream:
    """Takes every event, keeps the newest, and hands each to the readers whose filter it matches.

    Parameters:
        history_size: events kept for ``get_history()``.
        max_subscribers: readers at a time.
        queue_size: events that may wait for one reader.
        lock: the lock to work under, for an owner who does more in the same step; its own where none is given.
        clock: seconds on a monotonic clock, by which idle readers are told; the product's where not given.

    Attributes:
        publisher: set by an owner through whom events have to go. ``publish_event()`` hands it the event, and it is
            for the publisher to ``append()`` it.
        faults: events refused because something failed inside; the first is logged.

    Raises:
        ValueError: a size makes no sense.
    """

    def __init__(
        self,
        history_size: int = DEFAULT_HISTORY_SIZE,
        max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        lock: threading.RLock | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if history_size < 0 or max_subscribers < 0 or queue_size < 1:
            raise ValueError(
                f"history_size={history_size}, max_subscribers={max_subscribers}, queue_size={queue_size}: "
                "the first two are at least 0, the last at least 1"
            )
        self.publisher: Callable[[SystemEvent], object] | None = None
        self._history: deque[SystemEvent] = deque(maxlen=history_size)
        self._max_subscribers = max_subscribers
        self._queue_size = queue_size
        self._clock = clock or the_clock.monotonic
        self._subscribers: dict[str, EventSubscriber] = {}
        self._start(lock)

    def _start(self, lock: threading.RLock | None) -> None:
        self._lock = lock or threading.RLock()
        self._history.clear()
        # Both are replaced on every change, so that an event published from inside publishing finds them whole.
        self._readers: tuple[EventSubscriber, ...] = ()
        self._routes = Routes()
        self._subscribers.clear()
        self._ids = itertools.count(1)
        self._instance = the_clock.token_hex(4)
        self._total = 0
        self._by_type: dict[str, int] = {}
        self._dropped_history = 0
        self._dropped_subscribers = 0
        self.faults = 0

    # --- publishing -------------------------------------------------------------------------------------------------
    def append(self, event: SystemEvent) -> SystemEvent:
        """Take an event in; returns it with its ``sequence``, and with an ``event_id`` if it had none.

        Never raises, waits for no reader and needs no event loop. The event itself is numbered; one that already has
        its place in a stream stays as it is, and a copy is taken in.
        """
        try:
            return self._append(event)
        except Exception:  # noqa: BLE001 - monitoring never raises into the game
            self._fault()
            return event

    async def publish_event(self, event: SystemEvent) -> None:
        """Publish an event: through ``publisher`` where there is one, else by ``append()``. Never raises or waits."""
        try:
            (self.publisher or self._append)(event)
        except Exception:  # noqa: BLE001 - monitoring never raises into the game
            self._fault()

    def _append(self, event: SystemEvent) -> SystemEvent:
        waiters: list[Waiter] = []
        with self._lock:
            # What can fail on a malformed event comes first, so that it changes nothing.
            readers = self._routes.of(event)
            name: str = event.event_type
            if name not in self._by_type:
                name = self._counted_name(name)
            self._total += 1
            event = self._numbered(event, self._total)
            self._by_type[name] = self._by_type.get(name, 0) + 1
            self._dropped_history += len(self._history) == self._history.maxlen
            self._history.append(event)
            for reader in readers:
                self._dropped_subscribers += reader._offer(event)
                waiters += reader._take_waiters()
        if waiters:
            wake(waiters)
        return event

    def _numbered(self, event: SystemEvent, sequence: int) -> SystemEvent:
        event_id = event.event_id or f"{self._instance}-{sequence}"
        if event.sequence != 0:
            return dataclasses.replace(event, sequence=sequence, event_id=event_id)
        # The event is new and nobody else's yet; a copy would cost more than all the rest.
        object.__setattr__(event, "sequence", sequence)
        object.__setattr__(event, "event_id", event_id)
        return event

    def _counted_name(self, event_type: str) -> str:
        name = clean_id(event_type)
        return name if name in self._by_type or len(self._by_type) < MAX_EVENT_TYPES else OTHER

    def _fault(self) -> None:
        with self._lock:
            self.faults += 1
            is_first = self.faults == 1
        if is_first:
            _log.warning("An event could not be published; further ones are only counted.", exc_info=True)

    # --- reading ----------------------------------------------------------------------------------------------------
    async def subscribe(
        self, subscriber_id: str | None = None, event_filter: EventFilter | None = None
    ) -> EventSubscriber:
        """A new reader of what is published from now on.

        Parameters:
            subscriber_id: its id; None or an empty one makes one up.
            event_filter: what it wants; None is everything.

        Raises:
            SubscriberExistsError: the id is taken.
            SubscriberLimitError: there are ``max_subscribers`` already.
            TypeError: ``event_filter`` is no ``EventFilter``.
        """
        _check_filter(event_filter)
        with self._lock:
            chosen = clean_id(subscriber_id) or self._unused_id()
            if chosen in self._subscribers:
                raise SubscriberExistsError(f"subscriber {chosen!r} exists; choose another id or close that one")
            if len(self._subscribers) >= self._max_subscribers:
                raise SubscriberLimitError(
                    f"all {self._max_subscribers} subscribers are taken; close one, clean up the inactive ones or "
                    "raise max_subscribers"
                )
            subscriber = EventSubscriber(self, chosen, event_filter, self._queue_size)
            self._subscribers[chosen] = subscriber
            self._changed()
        return subscriber

    async def unsubscribe(self, subscriber_id: str) -> bool:
        """Close the subscriber of this id; False where there is none."""
        subscriber = self._subscribers.get(clean_id(subscriber_id))
        if subscriber is None:
            return False
        subscriber.close()
        return True

    def get_history(self, limit: int | None = None, event_filter: EventFilter | None = None) -> list[SystemEvent]:
        """The kept events, oldest first.

        Parameters:
            limit: only the newest so many of those that match; None is all.
            event_filter: which events; None is all.

        Raises:
            TypeError: ``event_filter`` is no ``EventFilter``.
            ValueError: ``limit`` is negative.
        """
        _check_filter(event_filter)
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; it is 0 or more, or None for all")
        with self._lock:
            kept = list(self._history)
        # Filtered outside the lock and from the newest on, since nobody may wait for a reader of history.
        newest_first = (event for event in reversed(kept) if event_filter is None or event_filter.matches(event))
        return list(itertools.islice(newest_first, limit))[::-1]

    def get_statistics(self) -> dict[str, Any]:
        """What came in, what is held and what was lost, in JSON values.

        Of a subscriber, ``event_count`` = events read + ``dropped`` + ``queued``. ``dropped_subscribers`` counts the
        drops of closed subscribers too. ``events_by_type`` has a bounded number of names; ``other``
        stands for the rest.
        """
        with self._lock:
            return {
                "total_events": self._total,
                "history_size": len(self._history),
                "history_limit": self._history.maxlen,
                "subscriber_count": len(self._subscribers),
                "max_subscribers": self._max_subscribers,
                "events_by_type": {str(name): count for name, count in self._by_type.items()},
                "dropped_history": self._dropped_history,
                "dropped_subscribers": self._dropped_subscribers,
                "subscribers": [reader._statistics() for reader in self._readers],
            }

    @property
    def total_events(self) -> int:
        """Events taken in so far: the last one's sequence."""
        return self._total

    # --- upkeep -----------------------------------------------------------------------------------------------------
    async def cleanup_inactive_subscribers(self, max_idle_minutes: float = 30) -> int:
        """Close the subscribers that nobody has read from for so long and nobody waits on; returns how many.

        One that waits is active, however quiet its events are; one that never reads is not, however busy they are.
        """
        with self._lock:
            idle = [reader for reader in self._readers if reader._idle_seconds() >= max_idle_minutes * 60]
            for reader in idle:
                reader.close()
        return len(idle)

    def resize(self, history_size: int, max_subscribers: int) -> None:
        """Change the bounds. What no longer fits leaves history, oldest first, and counts as dropped."""
        with self._lock:
            if history_size != self._history.maxlen:
                self._dropped_history += max(0, len(self._history) - history_size)
                self._history = deque(self._history, maxlen=history_size)
            self._max_subscribers = max_subscribers

    def close(self) -> None:
        """Close every subscriber. History and statistics stay readable, and the stream may be used further."""
        for reader in self._readers:
            reader.close()

    def after_fork(self, lock: threading.RLock | None = None) -> None:
        """Begin afresh in a forked child, before anything else there uses the stream.

        The old lock may be held by a thread that the child does not have, and the parent's events, counts and readers
        are the parent's: the child starts empty, its subscribers are closed without waking anybody.

        Parameters:
            lock: as for the constructor: the renewed lock of whoever shares it.
        """
        for reader in self._readers:
            reader._drop()
        self._start(lock)

    def _unused_id(self) -> str:
        return next(name for n in self._ids if (name := f"subscriber-{n}") not in self._subscribers)

    def _forget(self, subscriber: EventSubscriber) -> None:
        if self._subscribers.get(subscriber.id) is subscriber:
            del self._subscribers[subscriber.id]
            self._changed()

    def _changed(self) -> None:
        self._readers = tuple(self._subscribers.values())
        self._routes = Routes(self._readers)


def _check_filter(event_filter: object) -> None:
    if event_filter is not None and not isinstance(event_filter, EventFilter):
        raise TypeError(f"event_filter is {event_filter!r:.80}; pass an EventFilter or None")
