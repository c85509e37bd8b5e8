"""EventStream: publishing, history, statistics, and the seats of subscribers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import pytest

from otel_setup.events import stream as stream_module
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, StreamClosed, SubscriberExistsError, SubscriberLimitError

from .helpers import (
    Clock,
    drain,
    event,
    numbered,
    numbers,
    read,
    run_without_waiting,
    settle,
    subscribed,
)


def test_events_are_numbered_from_one() -> None:
    stream = EventStream()
    assert [stream.append(event()).sequence for _ in range(3)] == [1, 2, 3]


def test_a_new_event_is_numbered_in_place_and_an_old_one_is_copied() -> None:
    stream = EventStream()
    new = event()
    assert stream.append(new) is new
    again = stream.append(new)
    assert (new.sequence, again.sequence) == (1, 2)
    assert again.event_id == new.event_id


def test_every_event_has_an_id_of_its_own_and_keeps_the_one_it_brought() -> None:
    streams = [EventStream(), EventStream()]
    ids = [stream.append(event()).event_id for stream in streams for _ in range(3)]
    assert len(set(ids)) == 6
    assert all(ids)
    assert streams[0].append(event(event_id="mine")).event_id == "mine"


async def test_one_event_is_shared_by_history_and_all_readers() -> None:
    stream = EventStream()
    readers = [await stream.subscribe() for _ in range(3)]
    published = stream.append(event())
    assert stream.get_history()[0] is published
    for reader in readers:
        assert await reader.get_event(timeout=0) is published


# --- slow readers ----------------------------------------------------------------------------------------------------


async def test_a_stalled_reader_costs_neither_publisher_nor_other_readers_anything() -> None:
    stream = EventStream(queue_size=10)
    stalled = await stream.subscribe("stalled")
    reader = await stream.subscribe("reader")
    read: list[SystemEvent] = []
    for number in range(1000):
        run_without_waiting(stream.publish_event(numbered(number)))
        read += await drain(reader)
    assert numbers(read) == list(range(1000))
    assert reader.dropped == 0
    assert (stalled.event_count, stalled.dropped) == (1000, 990)
    assert numbers(await drain(stalled)) == list(range(990, 1000))


async def test_publishing_starts_no_task() -> None:
    stream = EventStream()
    readers = [await stream.subscribe() for _ in range(5)]
    waiting = [asyncio.create_task(reader.get_event()) for reader in readers]
    await settle()
    before = asyncio.all_tasks()
    for number in range(100):
        await stream.publish_event(numbered(number))
    assert asyncio.all_tasks() == before
    await asyncio.gather(*waiting)


async def test_drops_are_counted_by_reader_and_in_total_beyond_its_end() -> None:
    stream = EventStream(queue_size=2)
    first, second = await stream.subscribe("first"), await stream.subscribe("second")
    for number in range(5):
        stream.append(numbered(number))
        if number == 3:
            second.close()
    assert (first.dropped, second.dropped) == (3, 2)
    assert stream.get_statistics()["dropped_subscribers"] == 5


# --- waking readers --------------------------------------------------------------------------------------------------


async def test_a_waiting_reader_is_woken_once_for_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    others = [await stream.subscribe(event_filter=EventFilter(room_ids={"elsewhere"})) for _ in range(3)]
    tasks = [asyncio.create_task(each.get_event()) for each in (reader, *others)]
    await settle()
    loop = asyncio.get_running_loop()
    wake_ups: list[Any] = []
    real = loop.call_soon_threadsafe

    def count_wake_up(*args: Any) -> Any:
        wake_ups.append(args)
        return real(*args)

    def publish() -> None:
        for number in range(100):
            stream.append(numbered(number))

    monkeypatch.setattr(loop, "call_soon_threadsafe", count_wake_up)
    publisher = threading.Thread(target=publish)
    publisher.start()
    publisher.join()
    assert len(wake_ups) == 1
    await settle()
    assert [task.done() for task in tasks] == [True, False, False, False]
    for other in others:
        other.close()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_publishing_survives_the_closed_loop_of_a_reader_and_another_loop_can_read_on() -> None:
    stream = EventStream()
    loop = asyncio.new_event_loop()
    reader = loop.run_until_complete(stream.subscribe())
    abandoned = loop.create_task(reader.get_event())
    loop.run_until_complete(settle())
    loop.close()

    stream.append(numbered(1))
    stream.append(numbered(2))

    assert stream.faults == 0
    assert numbers(asyncio.run(drain(reader))) == [1, 2]
    abandoned._log_destroy_pending = False  # type: ignore[attr-defined]  # losing it is what the test is about


# --- what publishing may not do --------------------------------------------------------------------------------------


def test_nothing_that_is_published_raises(caplog: pytest.LogCaptureFixture) -> None:
    stream = EventStream()
    run_without_waiting(stream.subscribe(event_filter=EventFilter(event_types={"game.*"})))
    broken: Any = [None, "text", SystemEvent(event_type=None)]  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for each in broken:
            assert stream.append(each) is each
            run_without_waiting(stream.publish_event(each))
    assert stream.faults == 6
    assert len(caplog.records) == 1
    assert stream.get_statistics()["total_events"] == 0
    assert stream.append(event()).sequence == 1


async def test_publish_event_goes_through_the_publisher() -> None:
    stream = EventStream()
    seen: list[SystemEvent] = []
    stream.publisher = seen.append
    published = event()
    await stream.publish_event(published)
    assert seen == [published]
    assert stream.get_history() == []


async def test_a_failing_publisher_is_counted_and_not_raised() -> None:
    stream = EventStream()
    stream.publisher = lambda _: 1 / 0
    await stream.publish_event(event())
    assert stream.faults == 1


# --- history ---------------------------------------------------------------------------------------------------------


def test_history_keeps_the_newest_and_counts_the_rest() -> None:
    stream = EventStream(history_size=3)
    for number in range(5):
        stream.append(numbered(number))
    assert numbers(stream.get_history()) == [2, 3, 4]
    statistics = stream.get_statistics()
    held = {key: statistics[key] for key in ("total_events", "history_size", "history_limit", "dropped_history")}
    assert held == {"total_events": 5, "history_size": 3, "history_limit": 3, "dropped_history": 2}


def test_history_by_limit_is_the_newest_oldest_first() -> None:
    stream = EventStream()
    for number in range(5):
        stream.append(numbered(number))
    assert numbers(stream.get_history(limit=2)) == [3, 4]
    assert numbers(stream.get_history(limit=50)) == [0, 1, 2, 3, 4]
    assert stream.get_history(limit=0) == []


def test_history_by_filter_limits_what_matches() -> None:
    stream = EventStream()
    for number in range(10):
        stream.append(numbered(number, room_id="even" if number % 2 == 0 else "odd"))
    odd = EventFilter(room_ids={"odd"})
    assert numbers(stream.get_history(event_filter=odd)) == [1, 3, 5, 7, 9]
    assert numbers(stream.get_history(limit=2, event_filter=odd)) == [7, 9]
    assert stream.get_history(event_filter=EventFilter(room_ids=set())) == []


def test_a_history_that_was_handed_out_is_the_callers() -> None:
    stream = EventStream()
    stream.append(event())
    stream.get_history().clear()
    assert len(stream.get_history()) == 1


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is -1"):
        EventStream().get_history(limit=-1)


# --- subscribers -----------------------------------------------------------------------------------------------------


async def test_by_default_a_hundred_subscribers_find_room() -> None:
    stream = EventStream()
    for _ in range(100):
        await stream.subscribe()
    with pytest.raises(SubscriberLimitError):
        await stream.subscribe()


async def test_a_full_house_and_a_taken_id_are_told_apart() -> None:
    stream = EventStream(max_subscribers=2)
    await stream.subscribe("one")
    with pytest.raises(SubscriberExistsError, match="'one' exists"):
        await stream.subscribe("one")
    await stream.subscribe("two")
    with pytest.raises(SubscriberLimitError, match="all 2 subscribers"):
        await stream.subscribe("three")
    assert issubclass(SubscriberLimitError, RuntimeError)
    assert issubclass(SubscriberExistsError, ValueError)
    assert not issubclass(SubscriberExistsError, RuntimeError)


async def test_a_refused_subscriber_leaves_nothing_behind() -> None:
    stream = EventStream(max_subscribers=1)
    await stream.subscribe("one")
    for taken in ("one", "two"):
        with pytest.raises((SubscriberExistsError, SubscriberLimitError)):
            await stream.subscribe(taken)
    assert [each["id"] for each in stream.get_statistics()["subscribers"]] == ["one"]


async def test_unsubscribing_gives_id_and_seat_back() -> None:
    stream = EventStream(max_subscribers=1)
    first = await stream.subscribe("one")
    assert await stream.unsubscribe("one")
    second = await stream.subscribe("one")
    stream.append(event())
    assert (first.active, first.event_count) == (False, 0)
    assert second.event_count == 1
    assert not await stream.unsubscribe("nobody")


async def test_closing_an_old_subscriber_again_leaves_its_successor_alone() -> None:
    stream = EventStream()
    first = await stream.subscribe("one")
    first.close()
    await stream.subscribe("one")
    first.close()
    assert stream.get_statistics()["subscriber_count"] == 1


async def test_made_up_ids_avoid_chosen_ones() -> None:
    stream = EventStream()
    chosen = {(await stream.subscribe(f"subscriber-{n}")).id for n in range(1, 4)}
    made_up = {(await stream.subscribe()).id for _ in range(3)}
    assert len(chosen | made_up) == 6


async def test_a_hostile_id_is_kept_clean() -> None:
    stream = EventStream()
    reader = await stream.subscribe("\x1b[31m" + "x" * 10_000)
    assert reader.id.isprintable()
    assert len(reader.id) <= 128


async def test_what_is_no_filter_is_refused() -> None:
    stream = EventStream()
    wrong: Any = {"room_ids": {"r"}}
    with pytest.raises(TypeError, match="pass an EventFilter"):
        await stream.subscribe(event_filter=wrong)
    with pytest.raises(TypeError, match="pass an EventFilter"):
        stream.get_history(event_filter=wrong)


async def test_each_reader_gets_what_its_filter_matches_once_and_in_order() -> None:
    stream = EventStream()
    rooms = {room: await stream.subscribe(event_filter=EventFilter(room_ids={room})) for room in "abc"}
    everything = await stream.subscribe()
    for number in range(30):
        stream.append(numbered(number, room_id="abc"[number % 3]))
    assert {room: numbers(await drain(reader)) for room, reader in rooms.items()} == {
        "a": list(range(0, 30, 3)),
        "b": list(range(1, 30, 3)),
        "c": list(range(2, 30, 3)),
    }
    assert numbers(await drain(everything)) == list(range(30))


async def test_closing_the_stream_closes_every_subscriber_and_leaves_the_history() -> None:
    stream = EventStream()
    waiting = [asyncio.create_task((await stream.subscribe()).get_event()) for _ in range(3)]
    await settle()
    stream.append(event())
    stream.close()
    stream.append(event())
    assert [one.sequence for one in await asyncio.gather(*waiting)] == [1, 1, 1]  # type: ignore[union-attr]
    assert stream.get_statistics()["subscriber_count"] == 0
    assert len(stream.get_history()) == 2


async def test_closing_the_stream_wakes_those_who_wait() -> None:
    stream = EventStream()
    waiting = [asyncio.create_task((await stream.subscribe()).get_event()) for _ in range(3)]
    await settle()
    stream.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [StreamClosed] * 3


# --- statistics ------------------------------------------------------------------------------------------------------


async def test_statistics_tell_what_happened() -> None:
    stream = EventStream(history_size=10, max_subscribers=5, queue_size=2, epoch="e")
    reader = await stream.subscribe("reader", EventFilter(event_types={"game.*"}))
    for name in ("game.started", "phase.started", "game.ended", "game.error", "game.error"):
        stream.append(event(name))
    assert [each.sequence for each in await reader.get_events(2, timeout=0)] == [3, 4]  # a gap, and game.error
    statistics = json.loads(json.dumps(stream.get_statistics()))
    (told,) = statistics.pop("subscribers")
    rates = statistics.pop("events_per_second")
    assert statistics == {
        "epoch": "e",
        "total_events": 5,
        "oldest_sequence": 1,
        "newest_sequence": 5,
        "history_size": 5,
        "history_limit": 10,
        "subscriber_count": 1,
        "max_subscribers": 5,
        "events_by_type": {"game.started": 1, "phase.started": 1, "game.ended": 1, "game.error": 2},
        "dropped_history": 0,
        "dropped_subscribers": 2,
    }
    moments = {key: told.pop(key) for key in ("created_at", "last_event_at", "last_read_at")}
    assert told.pop("queued_bytes") == 0  # what waits was fetched ahead
    assert told == {
        "id": "reader",
        "active": True,
        "event_count": 4,
        "delivered": 1,
        "dropped": 2,
        "coalesced": 0,
        "queued": 1,
        "queue_size": 2,
        "gaps": 1,
        "policy": "drop_oldest",
        "cursor": "e-4",
        "lag_events": 1,
        "lag_seconds": 0,
        "events_per_second": 0.0,
    }
    assert all(moment.endswith("+00:00") for moment in moments.values())
    assert rates["1m"]["all"] > 0
    assert rates["5m"]["by_type"].keys() == {"game.started", "phase.started", "game.ended", "game.error"}


async def test_the_lag_is_what_was_published_since_and_how_long_ago() -> None:
    stream = EventStream()
    reader, filtered = subscribed(stream), subscribed(stream, None, EventFilter(room_ids={"a"}))
    for second in range(5):
        stream.append(event(timestamp_ns=second * 1_000_000_000, room_id="a" if second == 2 else "b"))
    lags = [(told["lag_events"], told["lag_seconds"]) for told in stream.get_statistics()["subscribers"]]
    assert lags == [(5, 4), (3, 2)]
    assert (read(reader, 4), read(filtered, 1)) == ([1, 2, 3, 4], [3])
    lags = [(told["lag_events"], told["lag_seconds"]) for told in stream.get_statistics()["subscribers"]]
    assert lags == [(1, 0), (0, 0)]


def test_who_stopped_reading_is_said_to_read_ever_less() -> None:
    """Nobody reads meanwhile, so whoever asks for the statistics has to let the rate sink."""
    clock = Clock()
    stream = EventStream(clock=clock)
    reader = subscribed(stream)
    for _ in range(60):
        stream.append(event())
    assert len(run_without_waiting(reader.get_events(60))) == 60
    clock.pass_minutes(1)
    assert reader.statistics()["events_per_second"] == 1.0
    clock.pass_minutes(10)
    assert reader.statistics()["events_per_second"] < 0.001


async def test_moments_that_have_not_come_are_none() -> None:
    stream = EventStream()
    await stream.subscribe()
    (told,) = stream.get_statistics()["subscribers"]
    assert (told["last_event_at"], told["last_read_at"]) == (None, None)


def test_foreign_names_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_EVENT_TYPES", 10)
    stream = EventStream()
    for number in range(100):
        stream.append(event(f"foreign.{number}"))
    stream.append(event("foreign.3"))
    by_type = stream.get_statistics()["events_by_type"]
    assert len(by_type) == 11
    assert (by_type["foreign.3"], by_type["other"]) == (2, 90)
    assert sum(by_type.values()) == 101


def test_a_hostile_name_is_listed_clean() -> None:
    stream = EventStream()
    stream.append(event("\x1b]0;" + "x" * 10_000))
    stream.append(event("\x1b]0;" + "x" * 10_000))
    (name,) = stream.get_statistics()["events_by_type"]
    assert name.isprintable()
    assert len(name) <= 128
