"""A reader that never reads: nobody waits for it, and what it holds in memory stays within its bounds."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import pytest

from otel_setup.events.boxes import Policy
from otel_setup.events.filter import EventFilter
from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventStream, EventSubscriber

from .helpers import ANY, event, publish, shown, subscribed

KILO = 1000
MAX_BYTES = 200 * KILO
TEXT = 20 * KILO


def published_size(stream: EventStream, count: int) -> int:
    """What the memory of this process grew by while so many events were published, in bytes."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        # Texts of their own, for one that all share would weigh nothing; and rooms, that none takes another's place.
        stream.append(event(room_id=f"{number}", data={"text": f"{number:0{TEXT}}"}))
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


def without_history() -> EventStream:
    """A stream whose ring holds one event, so that what grows is what its reader holds."""
    return EventStream(history_size=1, queue_size=1)


@pytest.mark.parametrize("wanted", [None, ANY], ids=["place-in-the-ring", "own-queue"])
@pytest.mark.parametrize("policy", Policy)
def test_it_holds_no_more_than_its_bytes(policy: Policy, wanted: EventFilter | None) -> None:
    """Of a hundred times as much: by what the interpreter has allocated, and not by the stream's own account."""
    tracemalloc.start()
    try:
        stream = without_history()
        if wanted is None and policy is Policy.DROP_OLDEST:
            stream.resize(1000, 1, history_bytes=MAX_BYTES)  # it holds nothing; the ring does, for all such readers
        stalled = subscribed(stream, None, wanted, policy=policy, queue_size=1000, max_bytes=MAX_BYTES)
        grown = published_size(stream, 100 * MAX_BYTES // TEXT)
    finally:
        tracemalloc.stop()
    assert stalled.queued * TEXT <= MAX_BYTES
    assert stalled.queued * TEXT > MAX_BYTES - 2 * TEXT  # it was full, or the bound was not what is tested here
    # Beside it, the newest event, which is history; and what an event without text is taken to weigh leaves room.
    assert grown < 1.1 * MAX_BYTES + TEXT


@pytest.mark.parametrize("policy", Policy)
def test_many_small_events_are_within_the_bound_too(policy: Policy) -> None:
    """What an event weighs without a text is not set too low."""
    tracemalloc.start()
    try:
        stream = without_history()
        wishes: dict[str, Any] = {"policy": policy, "queue_size": 10**6, "max_bytes": MAX_BYTES}
        stalled = subscribed(stream, None, ANY, **wishes)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1000):
            ids = {"room_id": f"room-{number}", "game_id": f"game-{number}", "player_id": f"player-{number}"}
            stream.append(event(**ids, data={"number": number, "from_state": f"turn-{number}"}))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert MAX_BYTES // EVENT_BYTES - 10 <= stalled.queued <= MAX_BYTES // EVENT_BYTES
    assert grown < 1.5 * MAX_BYTES


def test_what_was_fetched_ahead_is_within_the_bound_as_well() -> None:
    """It is not dropped any more; but it was within the bound before, so there is at most as much again."""
    tracemalloc.start()
    try:
        stream = without_history()
        stalled = subscribed(stream, None, ANY, queue_size=1000, max_bytes=MAX_BYTES)
        grown = published_size(stream, 20)
        stalled._wait_in_thread(1, 0)
        grown += published_size(stream, 1000)
    finally:
        tracemalloc.stop()
    assert grown < 2.2 * MAX_BYTES + TEXT


def stalled_in_every_way(stream: EventStream) -> list[EventSubscriber]:
    return [
        subscribed(stream, f"{policy} {number}", wanted, policy=policy, queue_size=5, since=since)
        for policy in Policy
        for number, (wanted, since) in enumerate([(None, None), (ANY, None), (None, "oldest"), (ANY, 3)])
    ]


def test_publishers_and_other_readers_go_on_beside_stalled_ones() -> None:
    """Publishers in threads come to their end, and a reader that keeps up loses nothing."""
    stream = EventStream(queue_size=10_000)
    publish(stream, 10)
    stalled = stalled_in_every_way(stream)
    reader = stream.reader("keeps up")
    publishers = [threading.Thread(target=publish, args=(stream, 1000), daemon=True) for _ in range(4)]
    for publisher in publishers:
        publisher.start()
    told: list[int | str] = []
    while len(told) < 4000:
        events = reader.get_events(500, timeout=60)
        assert events, "a publisher is held up"
        told += shown(events)
    for publisher in publishers:
        publisher.join(60)
        assert not publisher.is_alive()
    assert told == list(range(11, 4011))
    assert all(each.queued <= 5 for each in stalled)


def test_readers_that_stopped_in_the_middle_hold_nobody_up() -> None:
    """Each has taken one event and left the rest: none of them kept the lock."""
    stream = EventStream()
    for reader in stalled_in_every_way(stream):
        publish(stream, 1)
        assert reader._wait_in_thread(1, 0)
    publisher = threading.Thread(target=publish, args=(stream, 100), daemon=True)
    publisher.start()
    publisher.join(60)
    assert not publisher.is_alive()
