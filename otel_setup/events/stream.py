"""The local event stream: one ring of the newest events, which history and every reader share.

Publishing takes one short lock, never waits for a reader and starts no task: a reader that is slow loses events by the
policy it chose, is told so in their place, and nobody else notices. Events are shared, never copied. Everything here
may be called from any thread; only reading with ``await`` needs an event loop.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from otel_setup import clock as the_clock
from otel_setup.events.boxes import Policy, QueueBox, RingBox
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.inbox import Inbox
from otel_setup.events.notices import GapReason, gap, reset
from otel_setup.events.past import Since, backlog, checked_since, newest
from otel_setup.events.rates import rates_of
from otel_setup.events.reader import EventReader
from otel_setup.events.record import SystemEvent, number
from otel_setup.events.ring import Ring, size_of
from otel_setup.events.routes import Routes
from otel_setup.events.subscriber import EventSubscriber, SlowSubscriber, StreamClosed
from otel_setup.events.waiting import Bell, Waiter, wake
from otel_setup.events.wishes import Wishes
from otel_setup.game_model import OTHER
from otel_setup.text import clean_id

DEFAULT_HISTORY_SIZE = 10_000
"""Events that are kept; older ones leave. Counted in ``dropped_history``."""
DEFAULT_HISTORY_BYTES = 64 * 2**20
"""What they may weigh; older ones leave. Counted in ``dropped_history``."""
DEFAULT_MAX_SUBSCRIBERS = 100
"""Readers at a time; a further one is refused with ``SubscriberLimitError``."""
DEFAULT_QUEUE_SIZE = 1_000
"""Events that wait for one reader; beyond, its policy decides. Counted in ``dropped`` and ``dropped_subscribers``."""
DEFAULT_QUEUE_BYTES = 8 * 2**20
"""What may wait for one reader weighs no more than this; beyond, its policy decides, and they are counted as above."""
MAX_EVENT_TYPES = 256
"""Names that ``events_by_type`` lists; events of further names count as ``other``."""
__all__ = [
    "EventReader",
    "EventStream",
    "EventSubscriber",
    "Policy",
    "SlowSubscriber",
    "StreamClosed",
    "SubscriberExistsError",
    "SubscriberLimitError",
]

_log = logging.getLogger(__name__)


class SubscriberLimitError(RuntimeError):
    """The stream has as many subscribers as it may have."""


class SubscriberExistsError(ValueError):
    """The id belongs to another subscriber."""


class EventStream:
    """Takes every event, keeps the newest, and hands each to the readers whose filter it matches.

    Parameters:
        history_size: events kept for ``get_history()`` and for readers that begin in the past.
        max_subscribers: readers at a time.
        queue_size: events that may wait for one reader, unless it asks for another number.
        lock: the lock to work under, for an owner who does more in the same step; its own where none is given.
        clock: seconds on a monotonic clock, by which idle readers are told; the product's where not given.
        history_bytes: what the kept events may weigh, in bytes, about.
        queue_bytes: what may wait for one reader weighs no more, in bytes, about.
        epoch: names the sequence of this stream, for an owner who continues one; made up where not given.
        last_sequence: what the last event of that sequence had.

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
        *,
        history_bytes: int = DEFAULT_HISTORY_BYTES,
        queue_bytes: int = DEFAULT_QUEUE_BYTES,
        epoch: str | None = None,
        last_sequence: int = 0,
    ) -> None:
        if history_size < 0 or max_subscribers < 0 or queue_size < 1 or history_bytes < 1 or queue_bytes < 1:
            raise ValueError(
                f"history_size={history_size}, max_subscribers={max_subscribers}, queue_size={queue_size}, "
                f"history_bytes={history_bytes}, queue_bytes={queue_bytes}: the first two are at least 0, the others "
                "at least 1"
            )
        self.publisher: Callable[[SystemEvent], object] | None = None
        self._history_size = history_size
        self._history_bytes = history_bytes
        self._max_subscribers = max_subscribers
        self._queue_size = queue_size
        self._queue_bytes = queue_bytes
        self._clock = clock or the_clock.monotonic
        self._subscribers: dict[str, EventSubscriber] = {}
        self._start(lock, epoch, last_sequence)

    def _start(self, lock: threading.RLock | None, epoch: str | None = None, last_sequence: int = 0) -> None:
        self._lock = lock or threading.RLock()
        # A reader's place in the ring is good for as many as may wait for it, however short the history is.
        self._ring = Ring(max(self._history_size, self._queue_size), self._history_bytes, last_sequence)
        self._before = self._gone = last_sequence
        # Replaced on every change, so that an event published from inside publishing finds it whole.
        self._routes = Routes()
        self._bell = Bell()
        self._subscribers.clear()
        self._ids = itertools.count(1)
        self.epoch = epoch or the_clock.token_hex(4)
        self._by_type: dict[str, int] = {}
        self._missed_by_closed = 0
        self._last_moment = 0.0
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
        self._lock.acquire()  # "with" takes three times as long
        try:
            # What can fail on a malformed event comes first, so that it changes nothing.
            routes, by_type, ring = self._routes, self._by_type, self._ring
            readers = routes.of(event) if routes.lead_somewhere else ()
            name: str = event.event_type
            if name not in by_type:
                name = self._counted_name(name)
            size = size_of(event)
            if event.sequence != 0:
                event = dataclasses.replace(event, sequence=0)
            number(event, self.epoch, ring.last + 1)
            ring.append(event, size)
            by_type[name] = by_type.get(name, 0) + 1
            if self._subscribers:
                self._last_moment = self._clock()
            waiters = self._bell.take() if self._bell.waiters else None
            for reader in readers:
                woken = self._offer(reader, event, size)
                if woken:
                    waiters = [*waiters, *woken] if waiters else woken
        finally:
            self._lock.release()
        if waiters:
            wake(waiters)
        return event

    def _offer(self, reader: EventSubscriber, event: SystemEvent, size: int) -> Collection[Waiter] | None:
        """Puts an event into a reader's queue; returns who waits for it."""
        box = reader._inbox.box
        if not isinstance(box, QueueBox):
            return None  # it was closed while this event was on its way
        if not box.offer(event, size):
            return reader._shut(slow=True)
        reader._last_event = self._last_moment
        return box.bell.take() if box.bell.waiters else None

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
        self,
        subscriber_id: str | None = None,
        event_filter: EventFilter | None = None,
        *,
        since: Since = None,
        **wishes: Any,
    ) -> EventSubscriber:
        """A new reader: of what is published from now on, of what was, or of both without a hole or a repeat.

        Parameters:
            subscriber_id: its id; None or an empty one makes one up.
            event_filter: what it wants; None is everything.
            since: where it begins. None: now. A :class:`Cursor`, or its text: after that event; what is not kept any
                more comes as a ``stream.gap``, and a cursor of another stream as a ``stream.reset``, before all that
                is kept. ``"oldest"``: with all that is kept. A whole number: with the last so many that match. A
                ``datetime``, or seconds since 1970 as a float: with what happened from then on.
            wishes: ``live``, ``speed``, ``policy``, ``coalesce_key``, ``queue_size``, ``max_bytes``, ``gaps`` and
                ``bookmark_seconds``, which :class:`~otel_setup.events.wishes.Wishes` explains.

        Raises:
            SubscriberExistsError: the id is taken.
            SubscriberLimitError: there are ``max_subscribers`` already.
            TypeError: ``event_filter`` is no ``EventFilter``, or ``since`` nothing of the above.
            ValueError: a number makes no sense, or there is no such policy.
        """
        return self._subscribe(subscriber_id, event_filter, since, wishes)

    def reader(
        self,
        subscriber_id: str | None = None,
        event_filter: EventFilter | None = None,
        *,
        since: Since = None,
        **wishes: Any,
    ) -> EventReader:
        """As :meth:`subscribe`, for a thread: a reader that needs no event loop."""
        return EventReader(self._subscribe(subscriber_id, event_filter, since, wishes))

    def _subscribe(
        self, subscriber_id: str | None, event_filter: EventFilter | None, since: Since, wished: Mapping[str, Any]
    ) -> EventSubscriber:
        _check_filter(event_filter)
        given = {name: wish for name, wish in wished.items() if wish is not None}
        wishes = Wishes(**{"queue_size": self._queue_size, "max_bytes": self._queue_bytes, **given})
        since = checked_since(since)
        with self._lock:
            chosen = clean_id(subscriber_id) or self._unused_id()
            if chosen in self._subscribers:
                raise SubscriberExistsError(f"subscriber {chosen!r} exists; choose another id or close that one")
            if len(self._subscribers) >= self._max_subscribers:
                raise SubscriberLimitError(
                    f"all {self._max_subscribers} subscribers are taken; close one, clean up the inactive ones or "
                    "raise max_subscribers"
                )
            # The past up to here and the present from here on, in one step: no hole, and no repeat.
            notices, kept = self._past(since)
            box = self._box(event_filter, wishes) if wishes.live else None
            begin = kept[0].sequence - 1 if kept else self._ring.last
            past = backlog(since, event_filter, notices, kept)
            inbox = Inbox(event_filter, wishes, past, begin, box, self.epoch, self._clock)
            subscriber = EventSubscriber(self, chosen, event_filter, wishes, inbox)
            self._subscribers[chosen] = subscriber
            self._changed()
        return subscriber

    def _past(self, since: Since) -> tuple[list[SystemEvent], list[SystemEvent]]:
        """What is to be said first, and the kept events from which a reader's past is taken."""
        if since is None:
            return [], []
        if not isinstance(since, Cursor):
            return [], self._ring.after(self.oldest - 1)
        if since.epoch != self.epoch or since.sequence > self._ring.last:
            return [reset(since, self.oldest - 1)], self._ring.after(self.oldest - 1)
        first = max(since.sequence + 1, self.oldest)
        lost = first - since.sequence - 1
        notices = [gap(since.sequence + 1, first - 1, lost, GapReason.OVERWRITTEN)] if lost else []
        return notices, self._ring.after(first - 1)

    def _box(self, event_filter: EventFilter | None, wishes: Wishes) -> RingBox | QueueBox:
        if event_filter is None and wishes.policy is Policy.DROP_OLDEST:
            return RingBox(self._ring, self._bell, min(wishes.queue_size, self._ring.size), wishes.max_bytes)
        return QueueBox(self._ring, Policy(wishes.policy), wishes.queue_size, wishes.max_bytes, wishes.coalesce_key)

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
        return newest(self._kept(), limit, event_filter)

    def read(self, after: int, limit: int | None = None) -> list[SystemEvent]:
        """The kept events that follow a sequence, for readers that keep their own place and must lose nothing.

        Where the first one's ``sequence`` is not ``after + 1``, those between are not kept any more.
        """
        with self._lock:
            return self._ring.after(max(after, self.oldest - 1), limit)

    def _kept(self) -> list[SystemEvent]:
        with self._lock:
            return self._ring.after(self.oldest - 1)

    def get_statistics(self) -> dict[str, Any]:
        """What came in, what is held and what was lost, in JSON values.

        Of a subscriber, ``event_count`` = events read + ``dropped`` + ``queued``. ``dropped_subscribers`` counts the
        drops of closed subscribers too. ``events_by_type`` has a bounded number of names; ``other``
        stands for the rest. ``events_per_second`` is over the last 1 and 5 minutes, or since the oldest kept event
        where that is younger.
        """
        kept = self._kept()
        with self._lock:
            return {
                "epoch": self.epoch,
                "total_events": self.total_events,
                "oldest_sequence": self.oldest,
                "newest_sequence": self._ring.last,
                "history_size": len(kept),
                "history_limit": self._history_size,
                "subscriber_count": len(self._subscribers),
                "max_subscribers": self._max_subscribers,
                "events_by_type": {str(name): count for name, count in self._by_type.items()},
                "events_per_second": rates_of(kept),
                **self.dropped(),
                "subscribers": [reader.statistics() for reader in self._subscribers.values()],
            }

    def dropped(self) -> dict[str, int]:
        """What the bounds pushed out so far: of the history, and of what waited for readers."""
        with self._lock:
            missed = sum(reader._inbox.missed for reader in self._subscribers.values())
            return {
                "dropped_history": self.oldest - 1 - self._before,
                "dropped_subscribers": self._missed_by_closed + missed,
            }

    @property
    def total_events(self) -> int:
        """Events taken in so far."""
        return self._ring.last - self._before

    @property
    def cursor(self) -> Cursor:
        """After the newest event."""
        return Cursor(self.epoch, self._ring.last)

    @property
    def oldest(self) -> int:
        """Sequence of the oldest event that is kept."""
        ring = self._ring
        return max(self._gone + 1, ring.first, ring.last - self._history_size + 1)

    # --- upkeep -----------------------------------------------------------------------------------------------------
    async def cleanup_inactive_subscribers(self, max_idle_minutes: float = 30) -> int:
        """Close the subscribers that nobody has read from for so long and nobody waits on; returns how many.

        One that waits is active, however quiet its events are; one that never reads is not, however busy they are.
        """
        with self._lock:
            readers = list(self._subscribers.values())
            idle = [reader for reader in readers if reader._idle_seconds() >= max_idle_minutes * 60]
            for reader in idle:
                reader.close()
        return len(idle)

    def resize(
        self,
        history_size: int,
        max_subscribers: int,
        *,
        history_bytes: int | None = None,
        queue_size: int | None = None,
        queue_bytes: int | None = None,
    ) -> None:
        """Change the bounds; those that are not given stay.

        What no longer fits leaves history, oldest first, and counts as dropped. How much may wait for a reader changes
        for those that come from now on.
        """
        with self._lock:
            self._max_subscribers = max_subscribers
            self._history_bytes = history_bytes or self._history_bytes
            self._queue_size = queue_size or self._queue_size
            self._queue_bytes = queue_bytes or self._queue_bytes
            self._gone = self.oldest - 1  # what has left does not come back where there is more room
            self._history_size = history_size
            self._ring = self._ring.resized(max(history_size, self._queue_size), self._history_bytes)
            for reader in self._subscribers.values():
                if reader._inbox.box is not None:
                    reader._inbox.box.ring = self._ring

    def close(self) -> None:
        """Close every subscriber. History and statistics stay readable, and the stream may be used further."""
        for reader in tuple(self._subscribers.values()):
            reader.close()

    def after_fork(self, lock: threading.RLock | None = None) -> None:
        """Begin afresh in a forked child, before anything else there uses the stream.

        The old lock may be held by a thread that the child does not have, and the parent's events, counts and readers
        are the parent's: the child starts empty, its subscribers are closed without waking anybody.

        Parameters:
            lock: as for the constructor: the renewed lock of whoever shares it.
        """
        for reader in self._subscribers.values():
            reader._drop()
        self._start(lock)

    def _unused_id(self) -> str:
        return next(name for n in self._ids if (name := f"subscriber-{n}") not in self._subscribers)

    def _forget(self, subscriber: EventSubscriber) -> None:
        if self._subscribers.get(subscriber.id) is subscriber:
            del self._subscribers[subscriber.id]
            self._missed_by_closed += subscriber._inbox.missed
            self._changed()

    def _changed(self) -> None:
        self._routes = Routes(
            reader for reader in self._subscribers.values() if isinstance(reader._inbox.box, QueueBox)
        )


def _check_filter(event_filter: object) -> None:
    if event_filter is not None and not isinstance(event_filter, EventFilter):
        raise TypeError(f"event_filter is {event_filter!r:.80}; pass an EventFilter or None")
