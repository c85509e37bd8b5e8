"""The bounds of a stream: what it keeps, how much may wait, and what becomes of its readers when they change."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventStream, SubscriberLimitError

from .helpers import (
    ANY,
    account,
    event,
    numbered,
    numbers,
    publish,
    read,
    read_all,
    run_without_waiting,
    subscribed,
    weighing,
)


async def test_bounds_can_change_and_what_no_longer_fits_is_counted() -> None:
    stream = EventStream(history_size=5, max_subscribers=1)
    await stream.subscribe()
    for number in range(5):
        stream.append(numbered(number))
    stream.resize(history_size=2, max_subscribers=2)
    await stream.subscribe()
    assert numbers(stream.get_history()) == [3, 4]
    stream.append(numbered(5))
    statistics = stream.get_statistics()
    assert (statistics["history_limit"], statistics["dropped_history"], stream.total_events) == (2, 4, 6)
    stream.resize(history_size=4, max_subscribers=0)
    stream.append(numbered(6))
    assert numbers(stream.get_history()) == [4, 5, 6]
    with pytest.raises(SubscriberLimitError):
        await stream.subscribe()


@pytest.mark.parametrize("size", [2, 6, 500])
async def test_readers_stay_where_they_are_when_the_bounds_change(size: int) -> None:
    """Their place counts events published, not places in a ring."""
    stream = EventStream(history_size=6, queue_size=4)
    everything, filtered = subscribed(stream, queue_size=6), subscribed(stream, None, ANY, queue_size=6)
    publish(stream, 5)
    assert read(everything, 1) == read(filtered, 1) == [1]
    stream.resize(history_size=size, max_subscribers=9)
    publish(stream, 3)
    stream.resize(history_size=6, max_subscribers=9)
    assert read_all(everything) == read_all(filtered) == [2, 3, 4, 5, 6, 7, 8]
    publish(stream, 7)
    stream.resize(history_size=1, max_subscribers=9)
    assert account(everything) == (15, 8, 3, 4)
    assert read_all(everything) == ["gap 9-11: 3 overwritten", 12, 13, 14, 15]
    assert read_all(filtered) == ["gap 9-9: 1 queue_full", 10, 11, 12, 13, 14, 15]


async def test_how_much_may_wait_changes_for_those_who_come() -> None:
    stream = EventStream(queue_size=2)
    early = subscribed(stream)
    stream.resize(history_size=9, max_subscribers=9, queue_size=4, queue_bytes=3 * EVENT_BYTES)
    late, light = subscribed(stream, max_bytes=10**9), subscribed(stream)
    publish(stream, 5)
    assert [reader.queued for reader in (early, late, light)] == [2, 4, 3]


async def test_history_is_bounded_by_weight_and_the_newest_is_kept_whatever_it_weighs() -> None:
    stream = EventStream(history_bytes=3000)
    for weight in (1000, 1000, 1000, 1001, 50_000):
        stream.append(weighing(weight))
        assert stream.get_statistics()["dropped_history"] == stream.total_events - len(stream.get_history())
    assert [each.sequence for each in stream.get_history()] == [5]
    stream.append(weighing(1000))
    assert [each.sequence for each in stream.get_history()] == [6]
    assert stream.oldest == 6


def test_no_history_at_all_is_allowed() -> None:
    stream = EventStream(history_size=0)
    stream.append(event())
    assert stream.get_history() == []
    assert stream.get_statistics()["dropped_history"] == 1


@pytest.mark.parametrize("sizes", [{"history_size": -1}, {"max_subscribers": -1}, {"queue_size": 0}])
def test_sizes_without_sense_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(sizes))):
        EventStream(**sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"policy": "block"}, "policy is 'block'; it is one of drop_oldest, drop_newest, coalesce, disconnect"),
        ({"queue_size": 0}, "queue_size=0"),
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"bookmark_seconds": 0}, "bookmark_seconds is 0"),
        ({"bookmark_seconds": float("nan")}, "bookmark_seconds is nan"),
        ({"coalesce_key": lambda each: each}, "coalesce_key is for the policy coalesce"),
        ({"speed": 0}, "speed is 0"),
        ({"speed": float("inf")}, "speed is inf"),
        ({"speed": "fast"}, "speed is 'fast'"),
    ],
)
def test_wishes_without_sense_are_refused_and_leave_no_reader(wishes: dict[str, Any], told: str) -> None:
    stream = EventStream()
    with pytest.raises(ValueError, match=told):
        subscribed(stream, **wishes)
    assert stream.get_statistics()["subscriber_count"] == 0


def test_bounds_of_the_stream_hold_for_those_who_ask_for_none() -> None:
    stream = EventStream(queue_size=5, queue_bytes=3 * EVENT_BYTES)
    reader, other = subscribed(stream), subscribed(stream, None, ANY, queue_size=2)
    publish(stream, 6)
    assert (reader.queued, other.queued) == (3, 2)
    assert run_without_waiting(reader.get_event(0)).data["reason"] == "bytes"
