"""What becomes of the events of a slow reader: by each policy, by count and by weight, and what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from otel_setup.events.boxes import Policy, QueueBox
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import Ring
from otel_setup.events.stream import EventStream, SlowSubscriber, StreamClosed

from .helpers import (
    ANY,
    account,
    event,
    publish,
    read,
    read_all,
    settle,
    shown,
    subscribed,
    weighing,
)

BOTH_KINDS = pytest.mark.parametrize("wanted", [None, ANY], ids=["place-in-the-ring", "own-queue"])
"""Who wants everything and loses its oldest has only a place in the ring; with a filter, a queue of its own."""
KILO = 1000


# --- drop_oldest -----------------------------------------------------------------------------------------------------


@BOTH_KINDS
def test_the_oldest_leave_and_a_gap_in_their_place_says_which(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=3)
    publish(stream, 5)
    assert account(reader) == (5, 0, 2, 3)
    assert read_all(reader) == ["gap 1-2: 2 queue_full", 3, 4, 5]
    assert account(reader) == (5, 3, 2, 0)


@BOTH_KINDS
def test_as_many_as_may_wait_lose_nothing(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=3)
    publish(stream, 3)
    assert read_all(reader) == [1, 2, 3]


@BOTH_KINDS
def test_each_loss_is_told_once(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=2)
    told: list[int | str] = []
    for _ in range(3):
        publish(stream, 3)
        told += read_all(reader)
    assert told == ["gap 1-1: 1 queue_full", 2, 3, "gap 4-4: 1 queue_full", 5, 6, "gap 7-7: 1 queue_full", 8, 9]
    assert reader.statistics()["gaps"] == 3


def test_a_gap_counts_only_what_its_reader_wanted() -> None:
    stream = EventStream()
    reader = subscribed(stream, None, EventFilter(room_ids={"a"}), queue_size=1)
    for room in "abbaba":
        publish(stream, 1, room_id=room)
    assert read_all(reader) == ["gap 1-4: 2 queue_full", 6]


@BOTH_KINDS
def test_what_waits_is_bounded_by_weight(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, max_bytes=3 * KILO)
    for _ in range(3):
        stream.append(weighing(KILO))
    assert (reader.dropped, reader.statistics()["queued_bytes"]) == (0, 3 * KILO)
    stream.append(weighing(KILO + 1))
    assert account(reader) == (4, 0, 2, 2)
    assert reader.statistics()["queued_bytes"] == 2 * KILO + 1
    assert read_all(reader) == ["gap 1-2: 2 bytes", 3, 4]


@BOTH_KINDS
def test_an_event_that_weighs_more_than_may_wait_comes_alone(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, max_bytes=3 * KILO)
    stream.append(weighing(KILO))
    stream.append(weighing(50 * KILO))
    assert read_all(reader) == ["gap 1-1: 1 bytes", 2]
    stream.append(weighing(50 * KILO))
    stream.append(weighing(KILO))
    assert read_all(reader) == ["gap 3-3: 1 bytes", 4]
    assert reader.dropped == 2


def test_what_the_ring_had_no_room_for_is_told_as_overwritten() -> None:
    stream = EventStream(history_bytes=2 * KILO)
    reader = subscribed(stream)
    for _ in range(5):
        stream.append(weighing(KILO))
    assert account(reader) == (5, 0, 3, 2)
    assert read_all(reader) == ["gap 1-3: 3 overwritten", 4, 5]


def test_who_wants_more_waiting_than_the_ring_holds_gets_what_it_holds() -> None:
    stream = EventStream(history_size=2, queue_size=2)
    everything, own_queue = subscribed(stream, queue_size=4), subscribed(stream, None, ANY, queue_size=4)
    publish(stream, 5)
    assert read_all(everything) == ["gap 1-3: 3 queue_full", 4, 5]
    assert read_all(own_queue) == ["gap 1-1: 1 queue_full", 2, 3, 4, 5]


@BOTH_KINDS
def test_the_cursor_stands_before_what_is_lost_until_that_is_told(wanted: EventFilter | None) -> None:
    """Whoever goes on from there may still find it in the history."""
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=2)
    publish(stream, 5)
    assert reader.cursor.sequence == 0
    assert read_all(subscribed(stream, None, wanted, since=reader.cursor)) == [1, 2, 3, 4, 5]
    assert read(reader, 1) == ["gap 1-3: 3 queue_full"]
    assert reader.cursor.sequence == 3


def test_what_was_fetched_ahead_is_not_dropped_any_more() -> None:
    stream = EventStream()
    reader = subscribed(stream, queue_size=3)
    publish(stream, 3)
    assert read(reader, 1) == [1]
    publish(stream, 4)
    assert account(reader) == (7, 1, 1, 5)
    assert read_all(reader) == [2, 3, "gap 4-4: 1 queue_full", 5, 6, 7]


# --- drop_newest -----------------------------------------------------------------------------------------------------


@BOTH_KINDS
def test_new_ones_are_not_taken_in_until_there_is_room(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, policy="drop_newest", queue_size=3)
    publish(stream, 5)
    assert account(reader) == (5, 0, 2, 3)
    assert read(reader, 3) == [1, 2, 3]
    publish(stream, 1)
    assert read_all(reader) == ["gap 4-5: 2 queue_full", 6]


def test_a_gap_stands_between_what_waited_before_it_and_what_came_after() -> None:
    box = QueueBox(Ring(10, 10**9), Policy.DROP_NEWEST, 3, 10**9)
    for sequence in range(1, 6):
        assert box.offer(event(sequence=sequence, event_id="x"))
    assert shown(box.take(1)) == [1]
    for sequence in range(6, 9):
        assert box.offer(event(sequence=sequence, event_id="x"))
    assert (box.matched, box.missed, box.queued, box.gaps) == (8, 4, 3, 2)
    assert shown(box.take(2)) == [2, 3, "gap 4-5: 2 queue_full"]
    assert shown(box.take(2)) == [6, "gap 7-8: 2 queue_full"]


def test_new_ones_have_to_be_light_enough_too() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="drop_newest", max_bytes=3 * KILO)
    for weight in (50 * KILO, KILO, KILO):  # the first finds room whatever it weighs
        stream.append(weighing(weight))
    assert read_all(reader) == [1, "gap 2-3: 2 bytes"]
    for weight in (2 * KILO, 2 * KILO, KILO):  # the third is light enough again, the second is not
        stream.append(weighing(weight))
    assert read_all(reader) == [4, "gap 5-5: 1 bytes", 6]


# --- coalesce --------------------------------------------------------------------------------------------------------


def test_of_events_of_one_place_only_the_latest_waits() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce")
    for name, room in [("game.started", "a"), ("game.started", "b"), ("game.ended", "a"), ("game.started", "a")]:
        stream.append(event(name, room_id=room, game_id="g"))
    stream.append(event("game.started", room_id="a", game_id="h"))
    assert account(reader) == (5, 0, 1, 4)
    assert reader.statistics()["coalesced"] == 1
    assert read_all(reader) == [2, 3, 4, 5]  # 4 took the place of 1, and no gap says so: 4 is what 1 has become


def test_what_still_waits_is_not_fetched_ahead_where_it_may_be_replaced() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce")
    for room in "ab":
        publish(stream, 1, room_id=room)
    assert read(reader, 1) == [1]
    publish(stream, 1, room_id="b")
    assert read_all(reader) == [3]


def test_the_key_can_be_chosen() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce", coalesce_key=lambda each: each.player_id)
    for player in ("p", "q", "p", "p", None):
        stream.append(event("action.completed", player_id=player))
    assert read_all(reader) == [2, 4, 5]
    assert account(reader) == (5, 3, 2, 0)


@pytest.mark.parametrize(("bounds", "reason"), [({"queue_size": 2}, "queue_full"), ({"max_bytes": 2 * KILO}, "bytes")])
def test_past_its_bounds_the_oldest_leave(bounds: dict[str, int], reason: str) -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce", coalesce_key=lambda each: each.room_id, **bounds)
    for room in "abacd":
        stream.append(weighing(KILO, room_id=room))
    assert account(reader) == (5, 0, 3, 2)
    assert reader.statistics()["coalesced"] == 1
    assert read_all(reader) == [f"gap 2-3: 2 {reason}", 4, 5]


def test_a_heavier_event_in_the_place_of_a_light_one_is_weighed_too() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce", coalesce_key=lambda each: each.room_id, max_bytes=3 * KILO)
    for room, weight in [("a", KILO), ("b", KILO), ("a", 3 * KILO)]:
        stream.append(weighing(weight, room_id=room))
    assert read_all(reader) == ["gap 2-2: 1 bytes", 3]
    assert reader.statistics()["queued_bytes"] == 0


@pytest.mark.parametrize("key", [lambda _: 1 / 0, lambda _: []], ids=["raises", "no-key"])
def test_a_key_that_fails_costs_nobody_an_event(key: Callable[[SystemEvent], Any]) -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="coalesce", coalesce_key=key)
    other = subscribed(stream, None, ANY)
    publish(stream, 2)
    assert read_all(reader) == read_all(other) == [1, 2]
    assert account(reader) == (2, 2, 0, 0)
    assert stream.faults == 0


# --- disconnect ------------------------------------------------------------------------------------------------------


@BOTH_KINDS
@pytest.mark.parametrize("bounds", [{"queue_size": 3}, {"max_bytes": 3 * KILO}])
def test_who_is_too_slow_reads_what_waits_and_then_learns_where_to_go_on(
    wanted: EventFilter | None, bounds: dict[str, int]
) -> None:
    stream = EventStream(epoch="e")
    reader = subscribed(stream, "one", wanted, policy="disconnect", **bounds)
    for _ in range(6):
        stream.append(weighing(KILO))
    assert not reader.active
    assert account(reader) == (3, 0, 0, 3)
    assert stream.get_statistics()["subscriber_count"] == 0
    assert read(reader, 10) == [1, 2, 3]
    for _ in range(2):
        with pytest.raises(
            SlowSubscriber, match=r"'one' was closed: more than .* Subscribe again since='e-3'"
        ) as raised:
            read(reader, 10)
        assert str(raised.value.cursor) == "e-3"
    again = subscribed(stream, "one", wanted, since=raised.value.cursor)
    stream.append(event())
    assert read_all(again) == [4, 5, 6, 7]


def test_the_cursor_of_a_slow_reader_with_a_filter_stands_before_what_it_did_not_get() -> None:
    stream = EventStream(epoch="e")
    wanted = EventFilter(room_ids={"a"})
    reader = subscribed(stream, None, wanted, policy="disconnect", queue_size=2)
    for room in "abababbaab":
        publish(stream, 1, room_id=room)
    assert read(reader, 10) == [1, 3]
    with pytest.raises(SlowSubscriber) as raised:
        read(reader, 1)
    assert read_all(subscribed(stream, None, wanted, since=str(raised.value.cursor))) == [5, 8, 9]


def test_one_event_too_heavy_for_the_bound_disconnects_nobody() -> None:
    stream = EventStream()
    reader = subscribed(stream, policy="disconnect", max_bytes=KILO)
    stream.append(weighing(50 * KILO))
    assert reader.active
    assert read_all(reader) == [1]


async def test_iterating_does_not_take_slowness_for_a_good_end() -> None:
    stream = EventStream()
    reader = await stream.subscribe(policy="disconnect", queue_size=2)
    publish(stream, 3)
    seen: list[int] = []

    async def iterate() -> None:
        async for each in reader:
            seen.append(each.sequence)

    with pytest.raises(SlowSubscriber):
        await iterate()
    assert seen == [1, 2]


async def test_whoever_waits_when_a_reader_is_disconnected_wakes() -> None:
    """It cannot be waiting while its queue is full, but for the moment between the wake-up and its turn."""
    stream = EventStream()
    reader = await stream.subscribe(policy="disconnect", queue_size=1)
    waiting = [asyncio.create_task(reader.get_event()) for _ in range(3)]
    await settle()
    publish(stream, 2)
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SlowSubscriber", "SlowSubscriber", "SystemEvent"]


# --- without gaps ----------------------------------------------------------------------------------------------------


@BOTH_KINDS
@pytest.mark.parametrize(
    ("policy", "left"), [("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3]), ("coalesce", [3, 4, 5])]
)
def test_who_wants_no_gaps_gets_the_events_and_the_count(
    wanted: EventFilter | None, policy: str, left: list[int]
) -> None:
    stream = EventStream()
    wishes: dict[str, Any] = {"coalesce_key": lambda each: each.sequence} if policy == "coalesce" else {}
    reader = subscribed(stream, None, wanted, policy=policy, queue_size=3, gaps=False, **wishes)
    publish(stream, 5)
    assert read_all(reader) == left
    assert account(reader) == (5, 3, 2, 0)
    assert (reader.cursor.sequence, reader.statistics()["gaps"]) == (5, 1)


@BOTH_KINDS
def test_without_gaps_a_closed_reader_still_gets_what_waits(wanted: EventFilter | None) -> None:
    """Of one event that may wait, the gap would take the place, were it one."""
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=1, gaps=False)
    publish(stream, 3)
    reader.close()
    assert read(reader, 1) == [3]
    with pytest.raises(StreamClosed):
        read(reader, 1)


# --- closing, bounds, wishes -----------------------------------------------------------------------------------------


@BOTH_KINDS
@pytest.mark.parametrize("policy", Policy)
def test_what_waits_at_the_close_stays_whatever_is_published_then(wanted: EventFilter | None, policy: Policy) -> None:
    stream = EventStream(history_size=3, queue_size=3)
    reader = subscribed(stream, None, wanted, policy=policy, queue_size=3)
    for number in range(3):
        publish(stream, 1, room_id=f"{number}")
    reader.close()
    before = account(reader)
    publish(stream, 10)
    assert account(reader) == before == (3, 0, 0, 3)
    assert reader.cursor.sequence == 0
    assert read_all(reader) == [1, 2, 3]
    assert reader.cursor.sequence == 3


@BOTH_KINDS
def test_a_gap_at_the_close_is_told_and_weighs_nothing(wanted: EventFilter | None) -> None:
    stream = EventStream()
    reader = subscribed(stream, None, wanted, queue_size=2)
    for _ in range(3):
        stream.append(weighing(KILO))
    reader.close()
    assert account(reader) == (3, 0, 1, 2)
    assert reader.statistics()["queued_bytes"] == 2 * KILO
    assert read_all(reader) == ["gap 1-1: 1 queue_full", 2, 3]


def test_a_gap_in_the_hub_is_an_event_like_others() -> None:
    """It has an id: it is counted, kept, and no reader without gaps misses it."""
    stream = EventStream()
    reader = subscribed(stream, gaps=False, queue_size=2)
    publish(stream, 2)
    stream.append(event("stream.gap", event_id="hub-1-1", data={"first": 1, "last": 2, "count": 2}))
    assert read_all(reader) == [2, 3]
    assert account(reader) == (3, 2, 1, 0)
