"""What is done of a partition, told by hand-made events: the order of publication, and the offsets that may be told."""

from __future__ import annotations

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import AccountBounds, Accounts
from otel_setup.kafka.partition import Partition

PRODUCER = "ada-0000000a"


def event(number: int) -> SystemEvent:
    return SystemEvent(event_type=EventType("game.started"), event_id=f"{PRODUCER}-{number}", timestamp_ns=number)


class Reader:
    """A partition whose events are published one after another, from place 1."""

    def __init__(self, begin: int = 0) -> None:
        self.partition = Partition(Accounts(AccountBounds(hole_seconds=2)), begin)
        self.seen: list[str] = []

    def message(self, offset: int, *numbers: int, wanted: bool = True, now: float = 0) -> None:
        for given in self.partition.take(offset, [event(number) for number in numbers], now):
            self.publish(given, wanted)

    def due(self, now: float) -> None:
        for given in self.partition.due(now):
            self.publish(given, True)

    def publish(self, given: SystemEvent, wanted: bool) -> None:
        if wanted:
            self.seen.append(given.event_id.removeprefix(f"{PRODUCER}-"))
        self.partition.published(given, len(self.seen) if wanted else 0)


def test_a_message_is_done_when_all_its_events_are() -> None:
    reader = Reader()
    reader.message(7, 1, 2, 3)
    assert [reader.partition.done(place) for place in (0, 1, 2, 3)] == [None, None, None, 8]


def test_what_is_committed_is_not_told_again() -> None:
    reader = Reader()
    reader.message(7, 1)
    assert reader.partition.done(1) == 8
    assert reader.partition.done(1) == 8, "as long as the broker does not know"
    reader.partition.committed = 8
    assert reader.partition.done(1) is None


def test_a_message_that_is_being_taken_is_not_done() -> None:
    reader = Reader()
    events = reader.partition.take(7, [event(1), event(2)], 0)
    reader.publish(next(events), True)
    assert reader.partition.done(1) is None


def test_a_message_waits_for_those_before_it() -> None:
    reader = Reader()
    reader.message(7, 1)
    reader.message(8, 2)
    reader.message(9, 1, 2)  # both again
    assert reader.seen == ["1", "2"]
    assert reader.partition.duplicates == 2
    assert reader.partition.done(1) == 8
    assert reader.partition.done(2) == 10


def test_an_event_that_came_too_early_keeps_its_message_from_being_done() -> None:
    reader = Reader()
    reader.message(7, 1, 3)
    assert reader.seen == ["1"]
    assert reader.partition.done(1) is None
    reader.message(8, 2)
    assert reader.seen == ["1", "2", "3"]
    assert reader.partition.done(2) is None, "3 came by the first message"
    assert reader.partition.done(3) == 9


def test_a_hole_that_lasts_is_told_and_then_the_message_is_done() -> None:
    reader = Reader()
    reader.message(7, 1, 4)
    reader.due(1.9)
    assert reader.seen == ["1"]
    reader.due(2.1)
    assert len(reader.seen) == 3
    assert reader.seen[-1] == "4"
    assert reader.partition.done(3) == 8


def test_messages_that_bring_nothing_wanted_are_done_with_the_one_before() -> None:
    reader = Reader()
    reader.message(7, 1)
    for number in range(2, 1000):
        reader.message(6 + number, number, wanted=False)
    assert len(reader.partition._messages) == 1, "or a reader that wants little would keep much"
    assert reader.partition.done(0) is None
    assert reader.partition.done(1) == 1006


def test_events_from_before_the_first_one_read_are_told_only_where_nobody_read_before() -> None:
    whole, later = Reader(begin=0), Reader(begin=7)
    for reader in (whole, later):
        reader.message(7, 5)
        reader.due(3)
    assert len(whole.seen) == 2
    assert later.seen == ["5"]
