"""Where a reader begins: at a cursor, with the oldest, the last so many, or a time; and the past, then the present."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.inbox import BACKLOG_PORTION
from otel_setup.events.stream import EventStream, StreamClosed

from .helpers import ANY, account, event, publish, read, read_all, subscribed, weighing

ROOM_A = EventFilter(room_ids={"a"})
SECOND = 1_000_000_000


def of_ten(**sizes: Any) -> EventStream:
    """A stream that ten events came to, alternately of room a and of room b."""
    stream = EventStream(epoch="e", **sizes)
    for number in range(10):
        publish(stream, 1, room_id="ab"[number % 2])
    return stream


# --- cursors ---------------------------------------------------------------------------------------------------------


def test_a_cursor_is_written_and_read() -> None:
    assert str(Cursor("9f8e7d6c", 42)) == "9f8e7d6c-42"
    assert Cursor.parse(" 9f8e7d6c-42\n") == Cursor("9f8e7d6c", 42)
    assert Cursor.parse("e-0") == Cursor("e", 0)


@pytest.mark.parametrize(
    "text",
    ["", "e", "e-", "-1", "e--1", "e-01", "e-1.0", "e-1 2", "a-b-1", "é-1", "e-１", "e-" + "9" * 20, "e" * 65 + "-1"],
)
def test_what_is_no_cursor_is_refused_whatever_else_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="is no cursor; one looks like"):
        Cursor.parse(text)
    with pytest.raises(ValueError, match="is no cursor"):
        subscribed(EventStream(), since=text)


@pytest.mark.parametrize("since", [Cursor("e", 6), "e-6"])
def test_after_a_cursor_comes_what_follows_it(since: Any) -> None:
    stream = of_ten()
    assert read_all(subscribed(stream, since=since)) == [7, 8, 9, 10]
    assert read_all(subscribed(stream, None, ROOM_A, since=since)) == [7, 9]


def test_after_the_newest_comes_only_what_is_new() -> None:
    stream = of_ten()
    reader = subscribed(stream, since=stream.cursor)
    assert read_all(reader) == []
    publish(stream, 1)
    assert read_all(reader) == [11]


@pytest.mark.parametrize("wanted", [None, ROOM_A])
def test_what_is_not_kept_any_more_is_told_first_with_its_exact_number(wanted: EventFilter | None) -> None:
    stream = of_ten(history_size=4, queue_size=1)
    reader = subscribed(stream, None, wanted, since="e-2")
    assert str(reader.cursor) == "e-2"  # nothing was told yet, so whoever goes on from here has to be told, too
    assert read(reader, 1) == ["gap 3-6: 4 overwritten"]
    assert str(reader.cursor) == "e-6"
    assert read_all(reader) == ([7, 8, 9, 10] if wanted is None else [7, 9])


def test_nothing_is_told_as_lost_that_is_kept() -> None:
    stream = of_ten(history_size=4, queue_size=1)
    assert read_all(subscribed(stream, since="e-6")) == [7, 8, 9, 10]
    assert read_all(subscribed(stream, since="e-5")) == ["gap 6-6: 1 overwritten", 7, 8, 9, 10]


def test_history_that_left_because_of_its_weight_is_told_as_well() -> None:
    stream = EventStream(epoch="e", history_bytes=3000)
    for _ in range(5):
        stream.append(weighing(1000))
    assert read_all(subscribed(stream, since="e-0")) == ["gap 1-2: 2 overwritten", 3, 4, 5]


def test_without_any_history_all_since_a_cursor_is_a_gap() -> None:
    stream = of_ten(history_size=0)
    reader = subscribed(stream, since="e-7")
    assert read_all(reader) == ["gap 8-10: 3 overwritten"]
    publish(stream, 1)
    assert read_all(reader) == [11]


def test_events_lost_before_the_beginning_are_told_to_who_wants_no_gaps_too() -> None:
    """Nothing else says so: how many of them it would have wanted is not known, and so not counted."""
    stream = of_ten(history_size=4, queue_size=1)
    reader = subscribed(stream, since="e-2", gaps=False)
    assert read_all(reader) == ["gap 3-6: 4 overwritten", 7, 8, 9, 10]
    assert account(reader) == (4, 4, 0, 0)


@pytest.mark.parametrize("since", ["f-3", "e-11"], ids=["another-stream", "ahead-of-the-stream"])
def test_a_cursor_of_elsewhere_is_a_reset_and_then_all_that_is_kept(since: str) -> None:
    stream = of_ten(history_size=4, queue_size=1)
    reader = subscribed(stream, None, ROOM_A, since=since)
    assert str(reader.cursor) == "e-6"
    assert read(reader, 1) == [f"reset {since}"]
    assert str(reader.cursor) == "e-6"
    assert read_all(reader) == [7, 9]


def test_a_reset_of_an_empty_stream_stands_at_its_beginning() -> None:
    stream = EventStream(epoch="e")
    reader = subscribed(stream, since="f-3")
    assert str(reader.cursor) == "e-0"
    assert read_all(reader) == ["reset f-3"]
    assert str(reader.cursor) == "e-0"


# --- oldest, the last so many, a time --------------------------------------------------------------------------------


def test_oldest_is_all_that_is_kept() -> None:
    stream = of_ten(history_size=4, queue_size=1)
    assert read_all(subscribed(stream, since="oldest")) == [7, 8, 9, 10]
    assert read_all(subscribed(stream, None, ROOM_A, since="oldest")) == [7, 9]


def test_a_number_is_the_last_so_many_that_match() -> None:
    stream = of_ten()
    assert read_all(subscribed(stream, since=3)) == [8, 9, 10]
    assert read_all(subscribed(stream, None, ROOM_A, since=3)) == [5, 7, 9]
    assert read_all(subscribed(stream, None, ROOM_A, since=0)) == []
    for many in (100, sys.maxsize + 1):
        assert read_all(subscribed(stream, None, ROOM_A, since=many)) == [1, 3, 5, 7, 9]


def test_the_cursor_of_who_has_not_read_yet_stands_before_what_it_gets_first() -> None:
    stream = of_ten()
    assert subscribed(stream, None, ROOM_A, since=2).cursor.sequence == 6
    assert subscribed(stream, None, ROOM_A, since="oldest").cursor.sequence == 0
    assert subscribed(stream).cursor.sequence == 10


def test_a_time_is_what_happened_from_then_on() -> None:
    stream = EventStream()
    moment = datetime(2024, 2, 29, 12, 0, 0, 123_457, tzinfo=UTC)
    first = 1_709_208_000_123_457_000  # the same, reckoned apart: 19,782 days and half a day after 1970
    for nanoseconds in (-SECOND, -1, 0, 1, SECOND):
        stream.append(event(timestamp_ns=first + nanoseconds))
    assert read_all(subscribed(stream, since=moment)) == [3, 4, 5]
    assert read_all(subscribed(stream, since=moment.astimezone(timezone(timedelta(hours=5))))) == [3, 4, 5]
    assert read_all(subscribed(stream, since=moment + timedelta(microseconds=1))) == [5]
    assert read_all(subscribed(stream, since=first / 1e9 + 0.5)) == [5]
    assert read_all(subscribed(stream, since=0.0)) == [1, 2, 3, 4, 5]
    assert read_all(subscribed(stream, since=moment + timedelta(days=1))) == []


def test_every_microsecond_is_found_exactly() -> None:
    """As a float in seconds, a time of today is some hundred nanoseconds beside itself."""
    begin = datetime(2024, 2, 29, tzinfo=UTC)
    for microsecond in range(0, 1_000_000, 9_973):
        stream = EventStream()
        stream.append(event(timestamp_ns=1_709_164_800 * SECOND + microsecond * 1000))
        assert read_all(subscribed(stream, since=begin + timedelta(microseconds=microsecond))) == [1]


@pytest.mark.parametrize("since", [-1, -0.5, True, float("nan"), float("inf"), ["oldest"], b"oldest"])
def test_what_says_no_beginning_is_refused(since: Any) -> None:
    with pytest.raises(TypeError, match="pass a Cursor or its text"):
        subscribed(EventStream(), since=since)


# --- the past, then the present --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [None, ANY])
def test_who_wants_only_the_past_comes_to_an_end(wanted: EventFilter | None) -> None:
    stream = of_ten()
    reader = subscribed(stream, "one", wanted, since="e-7", live=False)
    publish(stream, 1)
    assert read(reader, 10) == [8, 9, 10]
    assert reader.active
    with pytest.raises(StreamClosed):
        read(reader, 10)
    assert not reader.active
    assert account(reader) == (3, 3, 0, 0)
    subscribed(stream, "one")  # its id is free again


def test_who_wants_nothing_of_the_past_and_nothing_of_the_present_ends_at_once() -> None:
    with pytest.raises(StreamClosed):
        read(subscribed(of_ten(), live=False), 1)


@pytest.mark.parametrize("wanted", [None, ROOM_A])
def test_what_is_published_before_the_past_is_read_comes_after_it(wanted: EventFilter | None) -> None:
    stream = of_ten()
    reader = subscribed(stream, None, wanted, since="e-4")
    publish(stream, 2, room_id="a")
    assert read(reader, 1) == [5]
    publish(stream, 1, room_id="a")
    assert read_all(reader) == ([6, 7, 8, 9, 10, 11, 12, 13] if wanted is None else [7, 9, 11, 12, 13])


def test_the_past_is_not_lost_to_a_full_queue_nor_to_a_full_history() -> None:
    stream = of_ten(history_size=10, queue_size=2)
    reader = subscribed(stream, since="oldest")
    publish(stream, 20)
    assert read_all(reader) == [*range(1, 11), "gap 11-28: 18 queue_full", 29, 30]
    assert account(reader) == (30, 12, 18, 0)


def test_a_long_past_of_which_little_matches_is_found_in_portions() -> None:
    """Also by who polls: it is not told that nothing is there while something is."""
    stream = EventStream(epoch="e")
    for number in range(3 * BACKLOG_PORTION + 5):
        publish(stream, 1, room_id="a" if number in (0, 2 * BACKLOG_PORTION, 3 * BACKLOG_PORTION + 4) else "b")
    places = [1, 2 * BACKLOG_PORTION + 1, 3 * BACKLOG_PORTION + 5]
    assert read_all(subscribed(stream, None, ROOM_A, since="oldest")) == places
    assert read_all(subscribed(stream, None, ROOM_A, since=2)) == places[1:]
    assert read_all(subscribed(stream, None, EventFilter(room_ids={"c"}), since="oldest", live=False)) == []


@pytest.mark.parametrize("wanted", [None, ANY])
def test_history_and_what_a_thread_publishes_meanwhile_have_no_hole_and_no_repeat(wanted: EventFilter | None) -> None:
    stream = EventStream(queue_size=10_000)
    publish(stream, 100)
    publisher = threading.Thread(target=publish, args=(stream, 5000))
    publisher.start()
    readers = []
    while publisher.is_alive():
        readers.append((stream.cursor.sequence, subscribed(stream, None, wanted, since=50)))
        if len(readers) == 90:
            break
    publisher.join()
    for before, reader in readers:
        told = read_all(reader)
        assert isinstance(told[0], int)
        assert before - 50 < told[0]
        assert told == list(range(told[0], 5101))


# --- reading by sequence ---------------------------------------------------------------------------------------------


def test_reading_by_sequence_begins_after_it_or_at_the_oldest_that_is_kept() -> None:
    stream = of_ten(history_size=4, queue_size=100)

    def sequences(*arguments: int) -> list[int]:
        return [each.sequence for each in stream.read(*arguments)]

    assert sequences(8) == [9, 10]
    assert sequences(0) == [7, 8, 9, 10]  # the ring has more, for its readers; history has not
    assert sequences(7, 2) == [8, 9]
    assert sequences(10) == sequences(99) == sequences(7, 0) == []


def test_a_reader_by_sequence_loses_nothing_while_the_ring_turns() -> None:
    stream = EventStream(history_size=7)
    place, seen = 0, []
    for count in (3, 1, 7, 2, 5, 7):
        publish(stream, count)
        while events := stream.read(place, 2):
            seen += [each.sequence for each in events]
            place = seen[-1]
    assert seen == list(range(1, 26))


# --- a stream that continues another ---------------------------------------------------------------------------------


def test_a_stream_can_continue_the_sequence_of_one_before() -> None:
    stream = EventStream(epoch="e", last_sequence=1000)
    assert (str(stream.cursor), stream.oldest, stream.total_events) == ("e-1000", 1001, 0)
    reader = subscribed(stream)
    assert stream.append(event()).sequence == 1001
    assert read_all(reader) == [1001]
    assert read_all(subscribed(stream, since="e-990")) == ["gap 991-1000: 10 overwritten", 1001]
    assert read_all(subscribed(stream, since="oldest")) == [1001]
    statistics = stream.get_statistics()
    assert (statistics["total_events"], statistics["dropped_history"], statistics["newest_sequence"]) == (1, 0, 1001)


def test_streams_have_epochs_of_their_own() -> None:
    assert EventStream().epoch != EventStream().epoch
    assert Cursor.parse(str(EventStream().cursor)).sequence == 0
