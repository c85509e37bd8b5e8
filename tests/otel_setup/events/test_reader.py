"""EventReader: the same reader for threads, without an event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventReader, EventStream, SlowSubscriber, StreamClosed

from .helpers import ANY, Clock, event, publish, run_without_waiting, shown

BOTH_KINDS = pytest.mark.parametrize("wanted", [None, ANY], ids=["place-in-the-ring", "own-queue"])


class Reading(threading.Thread):
    """Asks a reader in a thread, and keeps what came of it."""

    def __init__(self, reader: EventReader, timeout: float | None = None) -> None:
        super().__init__(daemon=True)
        self.reader, self.timeout = reader, timeout
        self.outcome: SystemEvent | StreamClosed | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.reader.get_event(self.timeout)
        except StreamClosed as closed:
            self.outcome = closed

    def waits(self) -> Reading:
        """Returns when it does."""
        ends = time.monotonic() + 30
        while not self.reader.subscriber._waiters:
            assert time.monotonic() < ends
            time.sleep(0.001)
        return self

    def ended(self) -> SystemEvent | StreamClosed | None:
        self.join(30)
        assert not self.is_alive(), "it still waits"
        return self.outcome


@pytest.fixture
def stream() -> Iterator[EventStream]:
    stream = EventStream(epoch="e")
    yield stream
    stream.close()


def test_it_takes_what_is_there(stream: EventStream) -> None:
    reader = stream.reader("one")
    publish(stream, 5)
    first = reader.get_event()
    assert first is not None
    assert first.sequence == 1
    assert shown(reader.get_events(2)) == [2, 3]
    assert shown(reader.get_events(100)) == [4, 5]
    assert reader.get_event(timeout=0) is None
    assert reader.get_event(timeout=-1) is None
    assert reader.get_events(timeout=0) == []
    assert (reader.subscriber.id, str(reader.cursor)) == ("one", "e-5")
    with pytest.raises(ValueError, match="max_n is 0"):
        reader.get_events(0)


def test_it_begins_and_loses_as_asked(stream: EventStream) -> None:
    publish(stream, 3)
    with stream.reader(None, ANY, since="e-1", policy="drop_newest", queue_size=1) as reader:
        publish(stream, 3)
        assert shown(reader.get_events()) == [2, 3]
        assert shown(reader.get_events()) == [4, "gap 5-6: 2 queue_full"]


def test_none_comes_when_the_time_is_up_and_not_before(stream: EventStream) -> None:
    reader = stream.reader()
    begin = time.monotonic()
    assert reader.get_event(timeout=0.02) is None
    assert time.monotonic() - begin >= 0.02
    assert reader.subscriber._waiters == set()


def test_a_wait_comes_to_its_end_though_the_streams_clock_stands_still() -> None:
    reader = EventStream(clock=Clock()).reader()
    assert isinstance(Reading(reader, timeout=0.01).ended(), type(None))


@BOTH_KINDS
def test_an_event_ends_the_wait(stream: EventStream, wanted: EventFilter | None) -> None:
    reading = Reading(stream.reader(None, wanted)).waits()
    published = stream.append(event())
    assert reading.ended() is published


def test_an_event_of_no_interest_does_not_end_the_wait(stream: EventStream) -> None:
    reading = Reading(stream.reader(None, EventFilter(room_ids={"a"}))).waits()
    stream.append(event(room_id="b"))
    published = stream.append(event(room_id="a"))
    assert reading.ended() is published


@BOTH_KINDS
def test_closing_it_from_elsewhere_ends_the_wait(stream: EventStream, wanted: EventFilter | None) -> None:
    reader = stream.reader(None, wanted)
    readings = [Reading(reader).waits() for _ in range(3)]
    reader.close()
    assert [type(reading.ended()) for reading in readings] == [StreamClosed] * 3


def test_closing_the_stream_ends_the_wait(stream: EventStream) -> None:
    reading = Reading(stream.reader()).waits()
    stream.close()
    assert isinstance(reading.ended(), StreamClosed)


def test_several_threads_share_the_events_of_one_reader(stream: EventStream) -> None:
    reader = stream.reader()
    readings = [Reading(reader).waits() for _ in range(4)]
    publish(stream, 4)
    outcomes = [reading.ended() for reading in readings]
    assert sorted(each.sequence for each in outcomes if isinstance(each, SystemEvent)) == [1, 2, 3, 4]


def test_iteration_ends_with_the_reader(stream: EventStream) -> None:
    read: list[int] = []

    def iterate(reader: EventReader) -> None:
        read.extend(each.sequence for each in reader)

    reader = stream.reader()
    thread = threading.Thread(target=iterate, args=(reader,), daemon=True)
    thread.start()
    publish(stream, 100)
    reader.close()
    thread.join(30)
    assert read == list(range(1, 101))


def test_iteration_does_not_take_slowness_for_a_good_end(stream: EventStream) -> None:
    reader = stream.reader(policy="disconnect", queue_size=2)
    publish(stream, 3)
    assert [next(reader).sequence, next(reader).sequence] == [1, 2]
    with pytest.raises(SlowSubscriber) as raised:
        next(reader)
    assert str(raised.value.cursor) == "e-2"


def test_leaving_its_block_closes_it_whatever_happens(stream: EventStream) -> None:
    with pytest.raises(ZeroDivisionError), stream.reader("one") as reader:
        raise ZeroDivisionError
    assert not reader.subscriber.active
    stream.reader("one")  # its id is free again


def test_an_interrupted_wait_leaves_nothing_behind(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the thread that waits; a reader with somebody waiting would never be cleaned up."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    reader = stream.reader()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.get_event(timeout=5)
    assert reader.subscriber._waiters == set()
    assert stream._bell.waiters == set()


def test_who_waits_in_a_thread_is_not_idle_and_who_does_not_is() -> None:
    clock = Clock()
    stream = EventStream(clock=clock)
    waits, reads = Reading(stream.reader("waits")).waits(), stream.reader("reads")
    stream.reader("does nothing")
    clock.pass_minutes(29)
    reads.get_event(timeout=0)
    clock.pass_minutes(1)
    assert run_without_waiting(stream.cleanup_inactive_subscribers()) == 1
    assert [told["id"] for told in stream.get_statistics()["subscribers"]] == ["waits", "reads"]
    stream.close()
    assert isinstance(waits.ended(), StreamClosed)
