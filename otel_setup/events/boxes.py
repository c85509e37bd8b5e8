"""What waits for one reader, within its bounds, and what becomes of the rest.

Two kinds. A reader that wants everything, and loses its oldest events where it is slow, needs only its place in the
ring: an event costs nothing for it until it is read. Any other reader has a queue of its own. At any moment, for both,
``matched`` = events taken out + ``missed`` + ``queued``.

Whoever uses a box holds the stream's lock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from otel_setup.events.notices import GapReason, before, gap, is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import Ring, size_of
from otel_setup.events.waiting import Bell

CoalesceKey = Callable[[SystemEvent], Hashable]
"""Of events with the same key only the latest is worth reading."""


class Policy(StrEnum):
    """What happens when more events wait for a reader than may. Whatever it is, the publisher does not wait."""

    DROP_OLDEST = "drop_oldest"
    """The oldest leave; a gap tells."""
    DROP_NEWEST = "drop_newest"
    """New ones are not taken in until there is room; a gap tells."""
    COALESCE = "coalesce"
    """A new one takes the place of a waiting one with the same key; past that the oldest leave."""
    DISCONNECT = "disconnect"
    """The reader is closed; what waits can be read, and then comes ``SlowSubscriber`` with the cursor to go on from."""


@dataclass(slots=True)
class _Hole:
    """Events that were dropped one after another."""

    first: int
    last: int
    count: int
    reason: GapReason

    def event(self) -> SystemEvent:
        return gap(self.first, self.last, self.count, self.reason)


class RingBox:
    """A place in the ring.

    Parameters:
        ring: the stream's ring; it may be replaced by one of another size.
        bell: rung when an event was appended to it.
        size: how many events may wait.
        max_bytes: how much those that wait may weigh.
    """

    policy = Policy.DROP_OLDEST

    def __init__(self, ring: Ring, bell: Bell, size: int, max_bytes: int) -> None:
        self.ring = ring
        self.bell = bell
        self.size = size
        self.gaps = 0
        self._max_bytes = max_bytes
        self._begin = self._position = ring.last  # position: of the last event that was taken, or told as lost
        self._taken = 0
        self._left: deque[SystemEvent] | None = None  # what waited when it was closed

    @property
    def matched(self) -> int:
        """Events published since it was made, until it was closed."""
        return (self.ring.last if self._left is None else self._position) - self._begin

    @property
    def missed(self) -> int:
        """How many of them went by unread."""
        return self.matched - self._taken - self.queued

    @property
    def queued(self) -> int:
        """How many of them wait."""
        if self._left is not None:
            return sum(not is_notice(event) for event in self._left)
        return self.ring.last - self._position - self._lost()[0]

    @property
    def queued_bytes(self) -> int:
        """What those that wait weigh."""
        if self._left is not None:
            return sum(size_of(event) for event in self._left if not is_notice(event))
        return self.ring.bytes_after(self.ring.last - self.queued)

    @property
    def position(self) -> int:
        """The sequence up to which nothing waits."""
        return before(self._left[0]) if self._left else self._position

    @property
    def closed(self) -> bool:
        """Whether it is closed, and nothing waits."""
        return self._left is not None and not self._left

    def take(self, limit: int) -> list[SystemEvent]:
        """Up to ``limit`` waiting events, a gap before them where some were lost."""
        if self._left is not None:
            return self._take_left(self._left, limit)
        ring, position = self.ring, self._position
        waiting = ring.last - position
        if not waiting:
            return []
        told: SystemEvent | None = None
        if waiting > self.size or ring.first > position + 1 or ring.weight > self._max_bytes:
            lost, reason = self._lost()
            if lost:
                told = gap(position + 1, position + lost, lost, reason)
                self.gaps += 1
                position += lost
                waiting -= lost
        count = limit if limit < waiting else waiting
        self._position = position + count
        self._taken += count
        found = ring.slice(position + 1, count)
        return found if told is None else [told, *found]

    def _take_left(self, left: deque[SystemEvent], limit: int) -> list[SystemEvent]:
        if left and is_notice(left[0]):
            limit += 1  # a gap takes no event's place
        events = [left.popleft() for _ in range(min(limit, len(left)))]
        self._taken += sum(not is_notice(event) for event in events)
        return events

    def close(self) -> None:
        """Nothing that is published from now on concerns it; what waits stays, whatever becomes of the ring."""
        if self._left is None:
            taken = self._taken
            left = deque(self.take(self.size))
            self._taken, self._left = taken, left

    def _lost(self) -> tuple[int, GapReason]:
        """How many of those that waited are lost, and what took the last of them."""
        ring, position = self.ring, self._position
        waiting = ring.last - position
        lost, reason = waiting - self.size, GapReason.QUEUE_FULL
        if (overwritten := ring.first - 1 - position) > lost:
            lost, reason = overwritten, GapReason.OVERWRITTEN
        if waiting > 1 and ring.bytes_after(position) > self._max_bytes:
            too_heavy = ring.fits(self._max_bytes) - position
            if too_heavy > lost:
                lost, reason = too_heavy, GapReason.BYTES
        return max(lost, 0), reason


class QueueBox:
    """A queue of its own, into which the stream puts what its reader wants.

    Parameters:
        ring: the stream's ring; it may be replaced by one of another size.
        policy: what happens when it is full.
        size: how many events may wait.
        max_bytes: how much those that wait may weigh; one event always finds room.
        key: for ``coalesce``.
    """

    def __init__(self, ring: Ring, policy: Policy, size: int, max_bytes: int, key: CoalesceKey | None = None) -> None:
        self.policy = policy
        self.bell = Bell()
        self.size = size
        self.matched = self.missed = self.coalesced = self.gaps = 0
        self.queued = self.queued_bytes = 0
        self.ring = ring
        self._closed_at: int | None = None
        self._max_bytes = max_bytes
        self._key = key
        self._items: deque[SystemEvent | _Hole] = deque()
        self._latest: OrderedDict[Hashable, SystemEvent] = OrderedDict()
        self._hole: _Hole | None = None  # before everything that waits

    def offer(self, event: SystemEvent, size: int | None = None) -> bool:
        """Takes an event in, by the policy.

        Parameters:
            size: what it weighs, from a caller who has weighed it.

        Returns:
            False where the reader is to be disconnected, and the event is not its any more.
        """
        size = size_of(event) if size is None else size
        queued, weight = self.queued, self.queued_bytes + size
        if self._key is None and queued < self.size and (weight <= self._max_bytes or not queued):
            self._items.append(event)
            self.matched += 1
            self.queued, self.queued_bytes = queued + 1, weight
            return True
        reason = self._why_full(size)
        if reason is not None and self.policy is Policy.DISCONNECT:
            self.close(at=event.sequence - 1)
            return False
        self.matched += 1
        if self._key is not None:
            self._offer_latest(event, size, _key_of(event, self._key))
        elif reason is not None and self.policy is Policy.DROP_NEWEST:
            self._miss_newest(event, reason)
        else:
            while reason is not None:
                self._miss_oldest(reason)
                reason = self._why_full(size)
            self._items.append(event)
            self._count(1, size)
        return True

    def take(self, limit: int) -> list[SystemEvent]:
        """Up to ``limit`` waiting events, gaps between them where some were lost."""
        if self._hole is None and len(self._items) == self.queued <= limit:  # all of them, and no holes
            events = list(cast(deque[SystemEvent], self._items))
            self._items.clear()
            self.queued = self.queued_bytes = 0
            return events
        events = []
        if self._hole is not None:
            events.append(self._hole.event())
            self._hole = None
        taken = 0
        while taken < limit and self._latest:
            _, event = self._latest.popitem(last=False)
            events.append(event)
            self._count(-1, -size_of(event))
            taken += 1
        while self._items and (taken < limit or isinstance(self._items[0], _Hole)):
            item = self._items.popleft()
            if isinstance(item, _Hole):
                events.append(item.event())
            else:
                events.append(item)
                self._count(-1, -size_of(item))
                taken += 1
        return events

    @property
    def position(self) -> int:
        """The sequence up to which nothing waits."""
        if self._hole is not None:
            return self._hole.first - 1
        if self._latest:
            return min(event.sequence for event in self._latest.values()) - 1
        if self._items:
            item = self._items[0]
            return (item.first if isinstance(item, _Hole) else item.sequence) - 1
        return self.ring.last if self._closed_at is None else self._closed_at

    @property
    def closed(self) -> bool:
        """Whether it is closed, and nothing waits."""
        return self._closed_at is not None and not (self._items or self._latest or self._hole)

    def close(self, at: int | None = None) -> None:
        """Nothing further is offered; what waits stays.

        Parameters:
            at: the sequence after which it is closed; the newest where not given.
        """
        if self._closed_at is None:
            self._closed_at = self.ring.last if at is None else at

    def _offer_latest(self, event: SystemEvent, size: int, key: Hashable) -> None:
        before = self._latest.pop(key, None)
        if before is not None:
            self._count(-1, -size_of(before))
            self.missed += 1
            self.coalesced += 1
        while self._latest and (reason := self._why_full(size)) is not None:
            _, oldest = self._latest.popitem(last=False)
            self._lose(oldest, reason)
        self._latest[key] = event
        self._count(1, size)

    def _miss_oldest(self, reason: GapReason) -> None:
        oldest = self._items.popleft()
        assert not isinstance(oldest, _Hole)  # noqa: S101 - only drop_newest leaves holes between events
        self._lose(oldest, reason)

    def _lose(self, oldest: SystemEvent, reason: GapReason) -> None:
        self._count(-1, -size_of(oldest))
        self.missed += 1
        if self._hole is None:
            self._hole = _Hole(oldest.sequence, oldest.sequence, 0, reason)
            self.gaps += 1
        self._hole.last = oldest.sequence  # higher than before: the oldest leave in the order in which they came
        self._hole.count += 1

    def _miss_newest(self, event: SystemEvent, reason: GapReason) -> None:
        self.missed += 1
        newest = self._items[-1]
        if not isinstance(newest, _Hole):
            newest = _Hole(event.sequence, event.sequence, 0, reason)
            self._items.append(newest)
            self.gaps += 1
        newest.last = event.sequence
        newest.count += 1

    def _why_full(self, size: int) -> GapReason | None:
        if self.queued >= self.size:
            return GapReason.QUEUE_FULL
        if self.queued and self.queued_bytes + size > self._max_bytes:
            return GapReason.BYTES
        return None

    def _count(self, events: int, size: int) -> None:
        self.queued += events
        self.queued_bytes += size


def _key_of(event: SystemEvent, key: CoalesceKey) -> Hashable:
    try:
        found = key(event)
        hash(found)
    except Exception:  # noqa: BLE001 - a reader's function runs where events are published, and costs others nothing
        return object()  # it takes the place of no other
    return found
