"""The stream under threads, under a shared lock, and in a forked child."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, StreamClosed

from .helpers import event, numbers, run_without_waiting

THREADS, EACH = 8, 400


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads change as often as the interpreter allows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def publish_from_threads(stream: EventStream) -> list[threading.Thread]:
    start = threading.Barrier(THREADS)

    def publish(thread: int) -> None:
        start.wait()
        for number in range(EACH):
            stream.append(event(data={"thread": thread, "number": number}))

    threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def assert_complete(events: list[SystemEvent]) -> None:
    assert [each.sequence for each in events] == list(range(1, THREADS * EACH + 1))
    for thread in range(THREADS):
        assert numbers([each for each in events if each.data["thread"] == thread]) == list(range(EACH))


@pytest.mark.usefixtures("eager_switching")
def test_threads_publishing_at_once_lose_nothing_and_share_no_number() -> None:
    stream = EventStream()
    for thread in publish_from_threads(stream):
        thread.join()
    assert_complete(stream.get_history())
    assert stream.get_statistics()["events_by_type"] == {"game.started": THREADS * EACH}


@pytest.mark.usefixtures("eager_switching")
async def test_a_reader_gets_what_threads_publish_once_and_in_order() -> None:
    stream = EventStream(queue_size=THREADS * EACH)
    reader = await stream.subscribe()
    threads = publish_from_threads(stream)
    read = [await asyncio.wait_for(reader.get_event(), 60) for _ in range(THREADS * EACH)]
    for thread in threads:
        thread.join()
    assert_complete(read)  # type: ignore[arg-type]
    assert await reader.get_event(timeout=0) is None


@pytest.mark.usefixtures("eager_switching")
def test_subscribers_come_and_go_while_threads_publish() -> None:
    stream = EventStream(queue_size=5)
    threads = publish_from_threads(stream)
    while any(thread.is_alive() for thread in threads):
        reader = run_without_waiting(stream.subscribe())
        run_without_waiting(reader.get_event(timeout=0))
        stream.get_statistics()
        reader.close()
    assert stream.faults == 0
    assert stream.get_statistics()["total_events"] == THREADS * EACH


def test_a_lock_that_was_given_is_the_one_used() -> None:
    """The owner can do several things in one step: a publisher in another thread waits until the step is over."""
    lock = threading.RLock()
    stream = EventStream(lock=lock)
    publisher = threading.Thread(target=stream.append, args=(event(),))
    with lock:
        publisher.start()
        publisher.join(0.05)
        assert publisher.is_alive()
        stream.append(event("game.ended"))
    publisher.join()
    assert [each.event_type for each in stream.get_history()] == ["game.ended", "game.started"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_a_forked_child_starts_afresh_though_another_thread_held_the_lock() -> None:
    stream = EventStream()
    reader = await stream.subscribe("reader")
    waiting = asyncio.create_task(reader.get_event())
    await asyncio.sleep(0)
    stream.append(event())
    await waiting
    stream.append(event())
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with stream._lock:
            is_held.set()
            may_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(30)  # ends a child that is locked out
            stream.after_fork()
            code = 0 if starts_afresh(stream, reader) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    may_go.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert reader.active
    assert await reader.get_event(timeout=0) is not None


def starts_afresh(stream: EventStream, parents_reader: object) -> bool:
    assert not parents_reader.active  # type: ignore[attr-defined]
    with pytest.raises(StreamClosed):
        run_without_waiting(parents_reader.get_event())  # type: ignore[attr-defined]
    assert stream.append(event()).sequence == 1
    statistics = stream.get_statistics()
    assert (statistics["total_events"], statistics["history_size"], statistics["subscriber_count"]) == (1, 1, 0)
    reader = run_without_waiting(stream.subscribe("reader"))
    stream.append(event())
    return bool(run_without_waiting(reader.get_event(timeout=0)).sequence == 2)


def test_a_child_can_be_given_the_lock_its_owner_renewed() -> None:
    stream = EventStream(lock=threading.RLock())
    renewed = threading.RLock()
    stream.after_fork(renewed)
    publisher = threading.Thread(target=stream.append, args=(event(),))
    with renewed:
        publisher.start()
        publisher.join(0.05)
        assert publisher.is_alive()
    publisher.join()


class ReadMeanwhile(deque[SystemEvent]):
    """What was fetched ahead, of which a thread reads one whenever another thread has counted it."""

    def __iter__(self) -> Iterator[SystemEvent]:
        counted = list(super().__iter__())
        if self:
            self.popleft()
        return iter(counted)


def test_the_account_told_to_another_thread_is_of_one_moment() -> None:
    """What was fetched ahead is read without the lock; whoever looks meanwhile sees each event once."""
    stream = EventStream()
    reader = stream.reader().subscriber
    for _ in range(5):
        stream.append(event())
    run_without_waiting(reader.get_event())
    reader._inbox.ready = ReadMeanwhile(reader._inbox.ready)
    for left in (4, 3, 2):
        (told,) = stream.get_statistics()["subscribers"]
        assert (told["event_count"], told["delivered"], told["dropped"], told["queued"]) == (5, 5 - left, 0, left)


@pytest.mark.parametrize(
    "wishes", [{"since": "oldest", "speed": 1}, {"policy": "coalesce"}, {"live": False, "since": 1}]
)
def test_a_child_of_any_reader_has_none(wishes: dict[str, Any]) -> None:
    stream = EventStream(epoch="e")
    for _ in range(3):
        stream.append(event())
    reader = stream.reader("one", **wishes)
    stream.append(event())
    stream.after_fork()
    with pytest.raises(StreamClosed):
        reader.get_event()
    assert stream.epoch != "e"
    assert (stream.oldest, stream.cursor.sequence, stream.get_history()) == (1, 0, [])
    stream.reader("one")  # its id is free


def test_ids_after_a_fork_are_not_the_parents() -> None:
    stream = EventStream()
    before = stream.append(event()).event_id
    stream.after_fork()
    assert stream.append(event()).event_id != before
