"""The newest events of a stream, by their sequence: one ring that history and readers share.

It is bounded in number and in bytes. Whoever uses it holds the stream's lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from otel_setup.events.record import SystemEvent

EVENT_BYTES = 640
"""What an event without long texts takes in memory, about: the object, its map of a few entries and its ids.

Measured: 570 where the game made it, with whose objects it shares its ids, and 750 where it was read from a message.
"""
_ENTRY_BYTES = 64
_NESTED = (list, tuple, dict)


def size_of(event: SystemEvent) -> int:
    """About how many bytes an event keeps in memory; cheap, because every event is measured."""
    size = EVENT_BYTES
    for value in event.data.values():
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind in _NESTED:
            size += _nested(value)
    return size


def _nested(value: Any) -> int:
    if isinstance(value, str):
        return _ENTRY_BYTES + len(value)
    if isinstance(value, Mapping):
        return _ENTRY_BYTES + sum(_nested(key) + _nested(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return _ENTRY_BYTES + sum(map(_nested, value))
    return _ENTRY_BYTES


class Ring:
    """Events ``first`` to ``last``; there are none where ``first`` is ``last + 1``.

    Parameters:
        size: how many it holds, at least 1.
        max_bytes: how much they may weigh together, by :func:`size_of`. The newest is always kept.
        last: the sequence before the first event that will come.
    """

    __slots__ = ("_ends", "_events", "first", "last", "max_bytes", "size", "weight")

    def __init__(self, size: int, max_bytes: int, last: int = 0) -> None:
        self.max_bytes = max_bytes
        self.weight = 0
        self.first, self.last = last + 1, last
        self.size = size
        self._events: list[SystemEvent | None] = [None] * size
        # The weight of everything up to and including each event: a difference of two is the weight between them.
        self._ends = array("Q", bytes(8 * (size + 1)))

    def append(self, event: SystemEvent, weight: int) -> None:
        """Takes the next event in, which weighs so much; the oldest leave where there is no room."""
        size, ends, first = self.size, self._ends, self.first
        slots = size + 1
        total = ends[self.last % slots] + weight
        last = self.last = self.last + 1
        ends[last % slots] = total
        self._events[last % size] = event
        if last - first >= size:
            self.first = first = first + 1
        weight = total - ends[(first - 1) % slots]
        if weight > self.max_bytes:
            while weight > self.max_bytes and first < last:
                self._events[first % size] = None
                first += 1
                weight = total - ends[(first - 1) % slots]
            self.first = first
        self.weight = weight

    def after(self, sequence: int, limit: int | None = None) -> list[SystemEvent]:
        """Up to ``limit`` events that follow ``sequence``, from the oldest kept on."""
        begin = sequence + 1 if sequence >= self.first else self.first
        count = self.last - begin + 1
        if limit is not None and limit < count:
            count = limit
        if count <= 0:
            return []
        return self.slice(begin, count)

    def slice(self, first: int, count: int) -> list[SystemEvent]:
        """So many events from ``first`` on, all of which are kept."""
        size = self.size
        start = first % size
        end = start + count
        if end <= size:
            return self._events[start:end]  # type: ignore[return-value]  # kept ones are events
        return self._events[start:] + self._events[: end - size]  # type: ignore[return-value]

    def bytes_after(self, sequence: int) -> int:
        """What the events after ``sequence`` weigh."""
        begin = max(sequence, self.first - 1)
        return self._end(self.last) - self._end(begin) if begin < self.last else 0

    def fits(self, max_bytes: int) -> int:
        """The lowest sequence after which everything weighs at most ``max_bytes``; the newest event always fits."""
        wanted = self._end(self.last) - max_bytes
        if wanted <= self._end(self.first - 1):
            return self.first - 1
        found = bisect_right(range(self.first, self.last), wanted - 1, key=self._end)
        return min(self.first + found, self.last - 1)

    def resized(self, size: int, max_bytes: int) -> Ring:
        """A ring of another size with the newest of these events."""
        kept = self.after(self.last - size)
        other = Ring(size, max_bytes, self.last - len(kept))
        for event in kept:
            other.append(event, size_of(event))
        return other

    def _end(self, sequence: int) -> int:
        return self._ends[sequence % (self.size + 1)]
