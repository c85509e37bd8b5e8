"""The stream and its readers as a model so simple that it can be trusted: lists, and loops over them.

``World`` does each operation to a real stream and to the model, and compares. Whoever drives it chooses the operations:
Hypothesis in the tests, a random generator in the drill.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import pytest

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.inbox import READ_AHEAD
from otel_setup.events.notices import is_notice
from otel_setup.events.reader import EventReader
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventStream, EventSubscriber, SlowSubscriber, StreamClosed

from .helpers import Clock, event, run_without_waiting, subscribed

NAMES = ("game.started", "game.ended", "phase.started")
ROOMS = ("a", "b", None)
POLICIES = ("drop_oldest", "drop_newest", "coalesce", "disconnect")
Wants = Callable[[SystemEvent], bool]
KINDS: tuple[tuple[EventFilter | None, Wants], ...] = (
    (None, lambda _: True),
    (EventFilter(), lambda _: True),
    (EventFilter(event_types={"game.*"}), lambda each: each.event_type in ("game.started", "game.ended")),
    (EventFilter(event_types={"*.started"}), lambda each: each.event_type in ("game.started", "phase.started")),
    (EventFilter(room_ids={"a"}), lambda each: each.room_id == "a"),
    (
        EventFilter(event_types={"game.*"}, room_ids={"b"}),
        lambda each: each.event_type != "phase.started" and each.room_id == "b",
    ),
    (EventFilter(room_ids=set()), lambda _: False),
)  # fmt: skip
"""Each filter and, written apart from it, what it means."""
SECOND = 1_000_000_000


@dataclass
class Lost:
    """Events that left one after another, and why they may be said to have left."""

    sequences: list[int]
    reasons: set[str]


@dataclass(frozen=True)
class Reset:
    """The word that a cursor is of another stream."""


Entry = SystemEvent | Lost | Reset


def weight_of(published: SystemEvent) -> int:
    return EVENT_BYTES + len(published.data["text"])


@dataclass
class Model:
    """What a reader should have."""

    reader: EventSubscriber
    wants: Wants
    policy: str
    size: int
    max_bytes: int
    gaps: bool
    live: bool
    in_ring: bool
    ring_size: int
    past: list[Entry]
    since_read: float
    queue: list[Entry] = field(default_factory=list)
    front: list[SystemEvent] = field(default_factory=list)
    """Lost from the queue's beginning since it was last fetched from."""
    front_reasons: set[str] = field(default_factory=set)
    ahead: list[Entry] = field(default_factory=list)
    matched: int = 0
    missed: int = 0
    coalesced: int = 0
    delivered: int = 0
    last: int = 0
    """The sequence up to which it was delivered or told something."""
    cursor: int = -1
    oldest_in_ring: int = 0
    refused: list[int] = field(default_factory=list)
    """The event that did not come to it any more, because it was disconnected: whoever goes on has to get it."""
    open: bool = True
    slow: bool = False
    read_on: bool = False

    # --- what is published ------------------------------------------------------------------------------------------
    def publish(self, published: SystemEvent) -> None:
        if not (self.open and self.live and self.wants(published)):
            return
        if self.policy == "disconnect" and self.why_full(published):
            self.open, self.slow, self.refused = False, True, [published.sequence]
            return
        self.matched += 1
        if self.policy == "drop_newest" and (reason := self.why_full(published)):
            self.missed += 1
            if not isinstance(self.queue[-1], Lost):
                self.queue.append(Lost([], set()))
            newest = self.queue[-1]
            assert isinstance(newest, Lost)
            newest.sequences.append(published.sequence)
            newest.reasons.add(reason)
            return
        if self.policy == "coalesce":
            others = [each for each in self.waiting(self.queue) if key_of(each) != key_of(published)]
            self.coalesced += len(self.queue) - len(others)
            self.missed += len(self.queue) - len(others)
            self.queue = list(others)
        while reason := self.why_full(published):
            self.lose_oldest(reason)
        self.queue.append(published)

    def ring_begins_with(self, sequence: int) -> None:
        """What the ring has no room for any more is lost for who has only a place in it."""
        if not self.open:
            return
        self.oldest_in_ring = sequence
        while self.in_ring and (waiting := self.waiting(self.queue)) and waiting[0].sequence < sequence:
            self.lose_oldest("overwritten")

    def lose_oldest(self, reason: str) -> None:
        oldest = self.queue.pop(0)
        assert isinstance(oldest, SystemEvent)
        self.front.append(oldest)
        self.front_reasons.add(reason)
        self.missed += 1

    def why_full(self, published: SystemEvent) -> str | None:
        waiting = self.waiting(self.queue)
        if len(waiting) >= (min(self.size, self.ring_size) if self.in_ring else self.size):
            return "queue_full"
        if waiting and sum(map(weight_of, waiting)) + weight_of(published) > self.max_bytes:
            return "bytes"
        return None

    # --- what is read -----------------------------------------------------------------------------------------------
    def take(self, count: int) -> list[Entry] | None:
        """What a reader gets who asks for so many; None where it ended."""
        if not self.ahead:
            self.ahead = self.fetch(count)
        if not self.ahead and not (self.open and self.live):
            self.open = False
            return None
        taken, self.ahead = self.ahead[:count], self.ahead[count:]
        self.delivered += len(self.waiting(taken))
        for entry in taken:
            self.last = max(self.last, *sequences_of([entry]), 0)
        return taken

    def fetch(self, count: int) -> list[Entry]:
        if self.past:
            count = max(count, READ_AHEAD)
            fetched, self.past = self.past[:count], self.past[count:]
            self.matched += len(self.waiting(fetched))
            return fetched
        count = max(count, 1 if self.policy == "coalesce" else min(READ_AHEAD, self.size))
        fetched = [] if not self.front else [Lost([each.sequence for each in self.front], self.why_lost())]
        self.front, self.front_reasons = [], set()
        while self.queue and (count or isinstance(self.queue[0], Lost)):
            count -= isinstance(self.queue[0], SystemEvent)
            fetched.append(self.queue.pop(0))
        if not self.gaps:
            self.last = max([self.last, *sequences_of(each for each in fetched[:1] if isinstance(each, Lost))])
            return list(self.waiting(fetched))
        return fetched

    def why_lost(self) -> set[str]:
        """A queue knows why it dropped an event; of a place in the ring the bounds that all of them exceed are told."""
        if not self.in_ring:
            return self.front_reasons
        every = [*self.front, *self.waiting(self.queue)]
        after = list(itertools.accumulate(weight_of(each) for each in reversed(every)))[::-1]
        exceeded = {
            "queue_full": len(every) - min(self.size, self.ring_size),
            "overwritten": sum(each.sequence < self.oldest_in_ring for each in every),
            "bytes": min(sum(weight > self.max_bytes for weight in after), len(every) - 1),
        }
        assert max(exceeded.values()) == len(self.front)
        return {reason for reason, count in exceeded.items() if count == len(self.front)}

    @staticmethod
    def waiting(entries: list[Entry]) -> list[SystemEvent]:
        return [each for each in entries if isinstance(each, SystemEvent)]

    @property
    def queued(self) -> int:
        return len(self.waiting(self.queue)) + len(self.waiting(self.ahead))

    @property
    def pending(self) -> list[int]:
        """Sequences of all that is still to be delivered or told."""
        lost = [each.sequence for each in self.front]
        return [*sequences_of([*self.ahead, *self.past, *self.queue]), *lost, *self.refused]

    def check(self) -> None:
        """The account is exact, and the cursor stands between what was read and what was not."""
        told = self.reader.statistics()
        assert (told["event_count"], told["delivered"], told["dropped"], told["queued"]) == (
            self.matched, self.delivered, self.missed, self.queued,
        )  # fmt: skip
        assert self.matched == self.delivered + self.missed + self.queued
        assert told["coalesced"] == self.coalesced
        assert self.reader.active == self.open
        cursor = self.reader.cursor.sequence
        assert max(self.last, self.cursor) <= cursor < min([*self.pending, cursor + 1])
        self.cursor = cursor


def key_of(each: SystemEvent) -> Hashable:
    return each.event_type, each.room_id


def sequences_of(entries: Any) -> list[int]:
    """Of events, and of what was lost."""
    return [
        sequence
        for entry in entries
        for sequence in (
            [entry.sequence] if isinstance(entry, SystemEvent) else entry.sequences if isinstance(entry, Lost) else []
        )
    ]


def agrees(told: SystemEvent, entry: Entry) -> bool:
    """Whether what a reader got is what it should get."""
    if isinstance(entry, SystemEvent):
        return told is entry
    if not is_notice(told) or isinstance(entry, Reset):
        return is_notice(told) and told.event_type == "stream.reset"
    data = told.data
    return (
        (data["first"], data["last"], data["count"])
        == (entry.sequences[0], entry.sequences[-1], len(entry.sequences))
        and data["reason"] in entry.reasons
    )  # fmt: skip


class World:
    """A stream and its readers, twice."""

    def __init__(self, history: int, queue: int, history_bytes: int, last_sequence: int = 0) -> None:
        self.clock = Clock()
        self.queue_size = queue
        self.history_size, self.history_bytes = history, history_bytes
        self.stream = EventStream(
            history, 1000, queue, clock=self.clock, history_bytes=history_bytes, epoch="e", last_sequence=last_sequence
        )
        self.ring: list[SystemEvent] = []
        self.history: list[SystemEvent] = []
        self.published, self.last = 0, last_sequence
        self.open: list[Model] = []
        self.every: list[Model] = []
        self.closed: list[Model] = []  # the last few of them
        self.missed_by_closed = 0

    def publish(self, name: str, room: str | None, length: int) -> None:
        self.published += 1
        self.last += 1
        made = event(name, room_id=room, data={"text": "x" * length}, timestamp_ns=self.last * SECOND)
        published = self.stream.append(made)
        assert published.sequence == self.last
        self.ring.append(published)
        self.history.append(published)
        for model in self.open:
            model.publish(published)
        self.bound()

    def resize(self, history: int, history_bytes: int) -> None:
        self.history_size, self.history_bytes = history, history_bytes
        self.stream.resize(history, 1000, history_bytes=history_bytes)
        self.bound()

    def bound(self) -> None:
        """What the ring has no room for leaves it, and what has left the ring, or is too old, leaves history."""
        del self.ring[: -max(self.history_size, self.queue_size)]
        while len(self.ring) > 1 and sum(map(weight_of, self.ring)) > self.history_bytes:
            del self.ring[0]
        del self.history[: max(0, len(self.history) - self.history_size)]
        while self.history and self.history[0].sequence < self.ring[0].sequence:
            del self.history[0]
        for model in self.open:
            model.ring_begins_with(self.ring[0].sequence if self.ring else self.last + 1)
        self.forget_closed()

    def subscribe(self, kind: int, since: Any = None, **wishes: Any) -> Model:
        """A reader of ``KINDS[kind]``; ``since`` and ``wishes`` as for the stream, all given but the coalescing key."""
        event_filter, wants = KINDS[kind]
        model = Model(
            subscribed(self.stream, None, event_filter, since=since, **wishes),
            wants,
            wishes["policy"],
            wishes["queue_size"],
            wishes["max_bytes"],
            wishes["gaps"],
            wishes["live"],
            in_ring=event_filter is None and wishes["policy"] == "drop_oldest",
            ring_size=max(self.history_size, self.queue_size),
            past=self.past(since, wants),
            since_read=self.clock.now,
        )
        model.ring_begins_with(self.ring[0].sequence if self.ring else self.last + 1)
        self.open.append(model)
        self.every.append(model)
        return model

    def past(self, since: Any, wants: Wants) -> list[Entry]:
        """The history that a reader wants, and what it is told before."""
        wanted: list[Entry] = [each for each in self.history if wants(each)]
        if since is None:
            return []
        if isinstance(since, float):
            return [each for each in wanted if isinstance(each, SystemEvent) and each.timestamp_ns >= since * SECOND]
        if isinstance(since, int):
            return wanted[max(0, len(wanted) - since) :]
        if not isinstance(since, Cursor):
            return wanted
        if since.epoch != "e" or since.sequence > self.last:
            return [Reset(), *wanted]
        oldest = self.history[0].sequence if self.history else self.last + 1
        lost = list(range(since.sequence + 1, oldest))
        after = [each for each in wanted if isinstance(each, SystemEvent) and each.sequence > since.sequence]
        return [*([Lost(lost, {"overwritten"})] if lost else []), *after]

    def read(self, model: Model, count: int, how: str) -> None:
        """Asks for so many, in one of three ways, and compares."""
        if how == "one":
            count = 1
        if how == "one" and model.ahead:
            model.read_on = True  # without the stream's lock, and so without a note of when
        else:
            model.since_read, model.read_on = self.clock.now, False
        expected = model.take(count)
        if expected is None:
            with pytest.raises(SlowSubscriber if model.slow else StreamClosed) as raised:
                take(model.reader, count, how)
            if isinstance(raised.value, SlowSubscriber):
                assert raised.value.cursor == model.reader.cursor
            self.forget_closed()
        else:
            told = take(model.reader, count, how)
            assert len(told) == len(expected), (told, expected)
            assert all(map(agrees, told, expected)), (told, expected)
        model.check()

    def close(self, model: Model) -> None:
        model.reader.close()
        model.open = False
        self.forget_closed()

    def clean_up(self, minutes: float) -> None:
        """Those whom nobody has read from for so long are closed."""
        idle = 0
        for model in self.open:
            if model.read_on:
                model.since_read, model.read_on = self.clock.now, False
            model.open = self.clock.now - model.since_read < minutes * 60
            idle += not model.open
        assert run_without_waiting(self.stream.cleanup_inactive_subscribers(minutes)) == idle
        self.forget_closed()

    def forget_closed(self) -> None:
        closed = [model for model in self.open if not model.open]
        self.missed_by_closed += sum(model.missed for model in closed)
        self.open = [model for model in self.open if model.open]
        self.closed = [*self.closed, *closed][-6:]

    def check(self) -> None:
        """History and totals are those of the lists; nothing failed on the way."""
        statistics = self.stream.get_statistics()
        assert self.stream.get_history() == self.history
        assert statistics["total_events"] == self.published
        assert statistics["dropped_history"] == self.published - len(self.history)
        assert statistics["dropped_subscribers"] == self.missed_by_closed + sum(model.missed for model in self.open)
        assert [told["id"] for told in statistics["subscribers"]] == [model.reader.id for model in self.open]
        assert self.stream.faults == 0
        for model in self.open:
            model.check()


def take(reader: EventSubscriber, count: int, how: str) -> list[SystemEvent]:
    """Reads as a task does, one or several, or as a thread does."""
    if how == "thread":
        return EventReader(reader).get_events(count, timeout=0)
    if how == "several":
        events: list[SystemEvent] = run_without_waiting(reader.get_events(count, timeout=0))
        return events
    one = run_without_waiting(reader.get_event(timeout=0))
    return [] if one is None else [one]
