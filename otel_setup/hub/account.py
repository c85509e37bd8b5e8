"""The account of one producer: which of its numbers came, which are awaited, which are missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heappop, heappush
from typing import Any, NamedTuple

from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.hub import findings
from otel_setup.hub.ranges import Ranges
from otel_setup.ledger.payload import LATE


class Kind(StrEnum):
    """What is to be done with an event."""

    DELIVER = "deliver"
    """It has its place in the stream now."""
    HOLD = "hold"
    """It waits for others that come before it."""
    DUPLICATE = "duplicate"
    """It came before, or so late that nobody can tell whether it did."""


class Delivery(NamedTuple):
    """One event, and what is to be done with it. Deliveries are carried out in the order in which they are given."""

    event: SystemEvent
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class AccountBounds:
    """How long and how much the accounts wait and remember.

    Parameters:
        hole_seconds: how long an event waits for those before it; then a gap is told.
        max_held: events of one producer that may wait; past it the oldest gap is told at once.
        max_producers: accounts; past it that of the longest silent producer is forgotten, counted as
            ``producers_forgotten``.
        max_ranges: ranges of missing numbers that are remembered of one producer; past it the lowest can no longer be
            filled, which counts its numbers as ``unfillable``.
        max_foreign: uids that are remembered of records that no producer has numbered.
    """

    hole_seconds: float = 2.0
    max_held: int = 4_096
    max_producers: int = 1_000
    max_ranges: int = 1_000
    max_foreign: int = 100_000


class Account:
    """The numbers of one producer, from 1.

    Every number up to ``highest`` is in exactly one state, so that at any time
    ``highest = delivered + missing + held + awaited``.

    Parameters:
        producer: ``instance-epoch``.
        state: what ``state()`` gave earlier.
    """

    def __init__(self, producer: str, bounds: AccountBounds, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.producer = producer
        self._bounds = bounds
        self.next: int = state.get("next", 1)
        """The lowest number that is neither delivered nor told to be missing."""
        self.highest: int = state.get("highest", 0)
        self.delivered: int = state.get("delivered", 0)
        self.filled: int = state.get("filled", 0)
        self.duplicates: int = state.get("duplicates", 0)
        self.unfillable: int = state.get("unfillable", 0)
        self.undecided: int = state.get("undecided", 0)
        self._forgotten_up_to: int = state.get("forgotten_up_to", 0)
        self._missing = Ranges(state.get("missing"))
        self._held: dict[int, SystemEvent] = {}
        self._lowest: list[int] = []  # the same numbers as a heap
        # When which numbers were known to exist, oldest first; None after a restart, until the clock is known.
        self._known: deque[tuple[float | None, int]] = deque()
        # Of the event delivered last.
        self._time_ns: int = state.get("time_ns", 0)
        self._metadata: Mapping[str, Any] = state.get("metadata", {})
        for number, event in state.get("held", ()):
            self._hold(number, SystemEvent.from_dict(event), None)
        if self.highest >= self.next:
            self._known.append((None, self.highest))

    # --- what comes ---------------------------------------------------------------------------------------------------

    def take(self, number: int, event: SystemEvent, now: float) -> Iterator[Delivery]:
        """Takes an event in; ``now`` is in monotonic seconds."""
        if number == self.next:
            yield self._deliver(number, event)
            yield from self._deliver_held()
        elif number > self.next:
            if number in self._held:
                self.duplicates += 1
                yield Delivery(event, Kind.DUPLICATE)
                return
            self._hold(number, event, now)
            yield Delivery(event, Kind.HOLD)
            if len(self._known) > self._bounds.max_held:  # some may be behind others that are still awaited
                self._known = deque(entry for entry in self._known if entry[1] >= self.next)
            while len(self._known) > self._bounds.max_held:
                yield from self._tell_oldest_gap()
        elif number in self._missing:
            self._fill(number)
            yield Delivery(_marked_late(event), Kind.DELIVER)
        else:
            self.duplicates += 1
            self.undecided += number <= self._forgotten_up_to
            yield Delivery(event, Kind.DUPLICATE)

    def expect(self, number: int, now: float) -> None:
        """The producer says that it has told this many events."""
        if number > self.highest:
            self.highest = number
            self._known.append((now, number))

    def due(self, now: float) -> Iterator[Delivery]:
        """What has waited for long enough; ``now`` is in monotonic seconds."""
        yield from self._deliver_held()
        if self._known and self._known[0][0] is None:
            self._known = deque((now if since is None else since, number) for since, number in self._known)
        while (since := self.waiting_since()) is not None and since + self._bounds.hole_seconds <= now:
            yield from self._tell_oldest_gap()

    def flush(self) -> Iterator[Delivery]:
        """What waits, now."""
        while self.waiting_since() is not None:
            yield from self._tell_oldest_gap()

    def waiting_since(self) -> float | None:
        """Since when the lowest awaited number is awaited; minus infinity after a restart; None where none is."""
        if not self._known:
            return None
        since = self._known[0][0]
        return float("-inf") if since is None else since

    # --- what a log says, after a restart -----------------------------------------------------------------------------

    def was_held(self, number: int, event: SystemEvent) -> None:
        """The event was taken in and waited."""
        if number >= self.next:
            self._hold(number, event, None)

    def was_delivered(self, number: int, event: SystemEvent) -> None:
        """The event got its place in the stream."""
        if number < self.next:
            if number in self._missing:
                self._fill(number)
        else:
            if number > self.next:  # what the log said of those between is damaged
                self._miss(number - 1)
            self._held.pop(number, None)
            self._deliver(number, event)
            self._settle()

    def was_missing(self, last: int) -> None:
        """A gap was told that ends with this number."""
        if last >= self.next:
            self._miss(last)
            self._settle()

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def missing(self) -> int:
        """Numbers that a gap was told for and that have not come since."""
        return self._missing.size + self.unfillable

    def report(self) -> dict[str, int]:
        """The account, for people and metrics."""
        return {
            "emitted": self.highest,
            "delivered": self.delivered,
            "missing": self.missing,
            "awaited": self.highest - self.next + 1 - len(self._held),
            "held": len(self._held),
            "filled": self.filled,
            "late": self.filled,  # each late event fills one number of a gap
            "duplicates": self.duplicates,
            "unfillable": self.unfillable,
            "undecided": self.undecided,
        }

    def state(self) -> dict[str, Any]:
        """What an account of later needs to go on from here, in JSON values."""
        return {
            "next": self.next,
            "highest": self.highest,
            "delivered": self.delivered,
            "filled": self.filled,
            "duplicates": self.duplicates,
            "unfillable": self.unfillable,
            "undecided": self.undecided,
            "forgotten_up_to": self._forgotten_up_to,
            "missing": self._missing.pairs(),
            "time_ns": self._time_ns,
            "metadata": dict(self._metadata),
            "held": [[number, event.to_dict()] for number, event in self._held.items()],
        }

    # --- steps --------------------------------------------------------------------------------------------------------

    def _hold(self, number: int, event: SystemEvent, now: float | None) -> None:
        if number not in self._held:
            self._held[number] = event
            heappush(self._lowest, number)
            self._known.append((now, number))
            self.highest = max(self.highest, number)

    def _deliver(self, number: int, event: SystemEvent) -> Delivery:
        self.next = number + 1
        self.highest = max(self.highest, number)
        self.delivered += 1
        self._time_ns, self._metadata = event.timestamp_ns, event.metadata
        return Delivery(event, Kind.DELIVER)

    def _deliver_held(self) -> Iterator[Delivery]:
        while (event := self._held.pop(self.next, None)) is not None:
            yield self._deliver(self.next, event)
        self._settle()

    def _settle(self) -> None:
        """Lets go of what waited and does not any more."""
        while self._known and self._known[0][1] < self.next:
            self._known.popleft()
        while self._lowest and self._lowest[0] < self.next:
            heappop(self._lowest)

    def _tell_oldest_gap(self) -> Iterator[Delivery]:
        """Up to the next event that is held or, where none is, up to the highest number there must be."""
        last = self._lowest[0] - 1 if self._lowest else self.highest
        if last >= self.next:
            following = self._held.get(last + 1)
            if following is not None:
                self._time_ns, self._metadata = following.timestamp_ns, following.metadata
            first, reason = self.next, GapReason.UPSTREAM if self.next > 1 else GapReason.BEFORE
            self._miss(last)
            gap = findings.gap(self.producer, first, last, reason, self._time_ns, self._metadata)
            yield Delivery(gap, Kind.DELIVER)
        yield from self._deliver_held()

    def _miss(self, last: int) -> None:
        self._missing.append(self.next, last)
        self.next = last + 1
        self.highest = max(self.highest, last)
        if len(self._missing) > self._bounds.max_ranges:
            self._forget_lowest()

    def _fill(self, number: int) -> None:
        self._missing.remove(number)
        self.filled += 1
        self.delivered += 1
        if len(self._missing) > self._bounds.max_ranges:
            self._forget_lowest()

    def _forget_lowest(self) -> None:
        first, last = self._missing.pop_lowest()
        self.unfillable += last - first + 1
        self._forgotten_up_to = last


def _marked_late(event: SystemEvent) -> SystemEvent:
    return replace(event, metadata={**event.metadata, LATE: True})
