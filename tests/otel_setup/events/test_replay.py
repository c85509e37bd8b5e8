"""The past at the speed at which it happened, by a clock that the test sets; and bookmarks, by the same clock."""

from __future__ import annotations

import asyncio
import math

import pytest

from otel_setup.events.filter import EventFilter
from otel_setup.events.pace import Pace
from otel_setup.events.reader import EventReader
from otel_setup.events.stream import EventStream, EventSubscriber

from .helpers import ANY, Clock, account, event, publish, read, read_all, settle, subscribed

SECOND = 1_000_000_000
HAPPENED = (0, 1, 1, 3, 7)
"""Seconds after the first event at which each of five happened."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream(clock: Clock) -> EventStream:
    stream = EventStream(clock=clock, epoch="e")
    for number, seconds in enumerate(HAPPENED):
        stream.append(event(timestamp_ns=(5000 + seconds) * SECOND, room_id="ab"[number % 2]))
    return stream


def due(reader: EventSubscriber, clock: Clock, *moments: float) -> list[list[int | str]]:
    """What it gets, asked for everything, so many seconds after the first time."""
    begin, told = clock.now, []
    for moment in moments:
        clock.now = begin + moment
        told.append(read(reader, 100))
    return told


# --- replay ----------------------------------------------------------------------------------------------------------


def test_at_the_original_speed_each_comes_as_long_after_the_first_as_it_happened(
    stream: EventStream, clock: Clock
) -> None:
    reader = subscribed(stream, since="oldest", speed=1.0)
    clock.pass_minutes(60)  # time runs from the first event that is read, not from the subscription
    assert due(reader, clock, 0, 0.999, 1, 2.999, 3, 6.999, 7) == [[1], [], [2, 3], [], [4], [], [5]]


def test_ten_times_as_fast(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, since="oldest", speed=10)
    assert due(reader, clock, 0, 0.09, 0.11, 0.29, 0.31, 0.69, 0.71) == [[1], [], [2, 3], [], [4], [], [5]]


def test_who_reads_late_gets_at_once_what_is_due(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, since="oldest", speed=1)
    assert due(reader, clock, 0, 3.5, 100) == [[1], [2, 3, 4], [5]]


def test_one_at_a_time_is_no_faster(stream: EventStream, clock: Clock) -> None:
    """What is fetched ahead with it is due as well."""
    reader = subscribed(stream, since="oldest", speed=1)
    assert read(reader, 1) == [1]
    assert read(reader, 1) == []
    clock.now += 1
    assert [read(reader, 1) for _ in range(3)] == [[2], [3], []]
    assert account(reader) == (3, 3, 0, 0)
    assert reader.cursor.sequence == 3


def test_of_a_filtered_past_the_time_between_what_matches_counts(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, None, EventFilter(room_ids={"b"}), since="oldest", speed=1)
    assert due(reader, clock, 0, 1.9, 2) == [[2], [], [4]]


def test_an_event_stamped_before_the_first_is_due_at_once(stream: EventStream, clock: Clock) -> None:
    stream.append(event(timestamp_ns=SECOND))
    reader = subscribed(stream, since=2, speed=1)
    assert due(reader, clock, 0) == [[5, 6]]


@pytest.mark.parametrize("wanted", [None, ANY])
def test_after_the_past_comes_the_present_as_it_happens(
    stream: EventStream, clock: Clock, wanted: EventFilter | None
) -> None:
    reader = subscribed(stream, None, wanted, since="e-3", speed=1)
    assert read(reader, 100) == [4]
    stream.append(event(timestamp_ns=9000 * SECOND))
    assert read(reader, 100) == []  # the present waits for the past
    clock.now += 4
    assert read_all(reader) == [5, 6]
    stream.append(event(timestamp_ns=99_000 * SECOND))
    assert read_all(reader) == [7]
    assert account(reader) == (4, 4, 0, 0)


def test_the_end_of_a_past_without_a_present_comes_after_its_last_event(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, since=2, speed=1, live=False)
    assert due(reader, clock, 0, 3.9, 4) == [[4], [], [5]]
    assert read_all(reader) == []
    assert not reader.active


def test_what_is_lost_is_told_without_delay(clock: Clock) -> None:
    stream = EventStream(history_size=2, queue_size=1, clock=clock, epoch="e")
    publish(stream, 5, timestamp_ns=SECOND)
    reader = subscribed(stream, since="e-1", speed=0.001)
    assert read(reader, 1) == ["gap 2-3: 2 overwritten"]


async def test_a_task_that_waits_for_what_is_due_gets_it_then() -> None:
    """By the real clock: the pause ends the wait, and neither a timeout nor an event is needed."""
    stream = EventStream()
    for milliseconds in (0, 20):
        stream.append(event(timestamp_ns=milliseconds * 1_000_000))
    reader = await stream.subscribe(since="oldest", speed=1)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    events = [await asyncio.wait_for(reader.get_event(), 30) for _ in range(2)]
    assert [each.sequence for each in events] == [1, 2]  # type: ignore[union-attr]
    assert loop.time() - begin >= 0.02


def test_a_thread_that_waits_for_what_is_due_gets_it_then() -> None:
    stream = EventStream()
    for milliseconds in (0, 20):
        stream.append(event(timestamp_ns=milliseconds * 1_000_000))
    with stream.reader(since="oldest", speed=1, live=False) as reader:
        assert [each.sequence for each in reader] == [1, 2]


async def test_a_wait_for_the_past_ends_with_its_timeout_and_loses_nothing(stream: EventStream, clock: Clock) -> None:
    reader = await stream.subscribe(since=2, speed=1)
    assert (await reader.get_event(timeout=5)).sequence == 4  # type: ignore[union-attr]
    assert await reader.get_event(timeout=0.001) is None
    assert EventReader(reader).get_event(timeout=0.001) is None
    clock.now += 4
    assert read_all(reader) == [5]


def test_the_pace_runs_from_the_first_event_asked_about(clock: Clock) -> None:
    pace = Pace(2.0, clock)
    clock.now += 3
    assert pace.wait(event(timestamp_ns=10 * SECOND)) == 0
    assert math.isclose(pace.wait(event(timestamp_ns=16 * SECOND)), 3)
    clock.now += 1
    assert math.isclose(pace.wait(event(timestamp_ns=16 * SECOND)), 2)


# --- bookmarks -------------------------------------------------------------------------------------------------------

QUIET = EventFilter(room_ids={"nowhere"})


def test_where_nothing_wanted_happens_a_bookmark_says_how_far_it_has_come(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, None, QUIET, bookmark_seconds=10)
    publish(stream, 2)
    assert due(reader, clock, 0, 9.9, 10, 10) == [[], [], ["bookmark e-7"], []]
    assert account(reader) == (0, 0, 0, 0)  # it is no event
    assert read_all(subscribed(stream, since="e-7")) == []


def test_a_bookmark_comes_only_where_the_cursor_has_moved(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, None, QUIET, bookmark_seconds=10)
    assert due(reader, clock, 10, 20, 30) == [[], [], []]
    publish(stream, 1)
    assert due(reader, clock, 0, 9, 10, 20) == [[], [], ["bookmark e-6"], []]


def test_an_event_puts_the_bookmark_off(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, None, EventFilter(room_ids={"a"}), bookmark_seconds=10)
    clock.now += 9
    publish(stream, 1, room_id="a")
    assert read(reader, 10) == [6]
    publish(stream, 1, room_id="b")
    assert due(reader, clock, 0, 9.9, 10) == [[], [], ["bookmark e-7"]]


def test_who_gets_everything_needs_no_bookmark(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, bookmark_seconds=10)
    publish(stream, 1)
    assert due(reader, clock, 0, 10, 20) == [[6], [], []]


def test_a_bookmark_ends_no_stream_that_has_ended(stream: EventStream, clock: Clock) -> None:
    reader = subscribed(stream, None, QUIET, bookmark_seconds=10)
    publish(stream, 1)
    reader.close()
    clock.now += 10
    assert read_all(reader) == []
    assert reader.cursor.sequence == 6


async def test_a_bookmark_ends_a_wait() -> None:
    stream = EventStream(epoch="e")
    reader = await stream.subscribe(event_filter=QUIET, bookmark_seconds=0.01)
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    publish(stream, 3)
    told = await asyncio.wait_for(waiting, 30)
    assert told is not None
    assert (told.event_type, told.data["cursor"], told.event_id) == ("stream.bookmark", "e-3", "")
