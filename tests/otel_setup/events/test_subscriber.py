"""EventSubscriber: waiting, cancelling, closing, and going idle."""

from __future__ import annotations

import asyncio
import threading

import pytest

from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, EventSubscriber, StreamClosed
from otel_setup.events.waiting import release

from .helpers import Clock, drain, event, numbered, numbers, run_without_waiting, settle

QUIET = EventFilter(room_ids=set())


# --- timeouts --------------------------------------------------------------------------------------------------------


async def test_timeout_zero_takes_what_is_there_and_never_waits() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    assert run_without_waiting(reader.get_event(timeout=0)) is None
    stream.append(numbered(1))
    assert run_without_waiting(reader.get_event(timeout=0)).data["number"] == 1
    assert run_without_waiting(reader.get_event(timeout=-1)) is None


async def test_none_comes_when_the_time_is_up_and_not_before() -> None:
    reader = await EventStream().subscribe()
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await reader.get_event(timeout=0.02) is None
    assert loop.time() - start >= 0.02


async def test_an_event_ends_the_wait() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    waiting = asyncio.create_task(reader.get_event(timeout=300))
    await settle()
    published = stream.append(event())
    assert await waiting is published


async def test_an_event_that_comes_with_the_end_of_the_time_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    waiting = asyncio.create_task(reader.get_event(timeout=10))
    await settle()
    now += 11  # the loop's clock, read by the lambda above
    published = stream.append(event())
    assert await waiting is published


async def test_other_events_do_not_end_the_wait() -> None:
    stream = EventStream()
    reader = await stream.subscribe(event_filter=EventFilter(event_types={"game.ended"}))
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    stream.append(event("game.started"))
    await settle()
    assert not waiting.done()
    stream.append(event("game.ended"))
    assert (await waiting).event_type == "game.ended"  # type: ignore[union-attr]


async def test_events_published_by_another_thread_wake_a_reader() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    thread = threading.Thread(target=stream.append, args=(numbered(1),))
    thread.start()
    assert (await asyncio.wait_for(waiting, 30)).data["number"] == 1  # type: ignore[union-attr]
    thread.join()


async def test_a_batch_waits_for_one_event_and_takes_no_more_than_asked() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    waiting = asyncio.create_task(reader.get_events(3))
    await settle()
    for number in range(5):
        stream.append(numbered(number))
    assert numbers(await waiting) == [0, 1, 2]
    assert numbers(await reader.get_events(100)) == [3, 4]
    assert await reader.get_events(100, timeout=0) == []
    with pytest.raises(ValueError, match="max_n is 0"):
        await reader.get_events(0)


# --- cancellation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancelled_wait_loses_no_event(turns: int) -> None:
    """Whenever the cancellation comes, before, while or after the event arrives, somebody has the event."""
    stream = EventStream()
    reader = await stream.subscribe()
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    published = stream.append(event())
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
    left = await drain(reader)
    taken = [outcome] if isinstance(outcome, SystemEvent) else []
    assert taken + left == [published]


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_a_cancelled_wait_passes_its_wake_up_on(cancelled: int) -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    waiting = [asyncio.create_task(reader.get_event()) for _ in range(2)]
    await settle()
    published = stream.append(event())
    waiting[cancelled].cancel()
    assert await asyncio.wait_for(waiting[1 - cancelled], 30) is published


async def test_a_timeout_around_it_loses_no_event() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.get_event(), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await reader.get_event()
    published = stream.append(event())
    assert await reader.get_event(timeout=0) is published


async def test_ended_waits_leave_nothing_behind() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    loop = asyncio.get_running_loop()
    for _ in range(50):
        waiting = asyncio.create_task(reader.get_event(timeout=300))
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert len(reader._waiters) == 0
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]


# --- closing ---------------------------------------------------------------------------------------------------------


async def test_closing_wakes_who_waits() -> None:
    reader = await EventStream().subscribe()
    waiting = [asyncio.create_task(reader.get_event()) for _ in range(2)]
    await settle()
    reader.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(outcome) for outcome in outcomes] == [StreamClosed, StreamClosed]


async def test_another_thread_can_close() -> None:
    reader = await EventStream().subscribe()
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    thread = threading.Thread(target=reader.close)
    thread.start()
    with pytest.raises(StreamClosed):
        await asyncio.wait_for(waiting, 30)
    thread.join()


async def test_after_closing_what_is_queued_is_delivered_and_then_the_end_is_told() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    stream.append(numbered(1))
    stream.append(numbered(2))
    reader.close()
    stream.append(numbered(3))
    assert [(await reader.get_event()).data["number"] for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    for timeout in (None, 0, 5.0):
        with pytest.raises(StreamClosed):
            await reader.get_event(timeout=timeout)


async def test_iteration_ends_with_the_subscriber() -> None:
    stream = EventStream()
    reader = await stream.subscribe()
    read: list[SystemEvent] = []

    async def iterate() -> None:
        async for each in reader:
            read.append(each)

    task = asyncio.create_task(iterate())
    for number in range(3):
        stream.append(numbered(number))
        await settle()
    reader.close()
    await asyncio.wait_for(task, 30)
    assert numbers(read) == [0, 1, 2]


async def test_leaving_its_block_closes_it_whatever_happens() -> None:
    stream = EventStream(max_subscribers=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with await stream.subscribe("same") as reader:
                raise ZeroDivisionError
        assert not reader.active
    assert stream.get_statistics()["subscriber_count"] == 0


# --- idle readers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream(clock: Clock) -> EventStream:
    return EventStream(clock=clock)


async def test_a_reader_that_never_reads_is_removed_however_busy_the_stream_is(
    stream: EventStream, clock: Clock
) -> None:
    reader = await stream.subscribe()
    clock.pass_minutes(29)
    stream.append(numbered(1))
    assert await stream.cleanup_inactive_subscribers() == 0
    clock.pass_minutes(1)
    stream.append(numbered(2))
    assert await stream.cleanup_inactive_subscribers() == 1
    assert not reader.active
    assert numbers(await drain(reader)) == [1, 2]


async def test_a_reader_that_waits_is_kept_however_quiet_its_events_are(stream: EventStream, clock: Clock) -> None:
    reader = await stream.subscribe(event_filter=QUIET)
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    clock.pass_minutes(300)
    assert await stream.cleanup_inactive_subscribers() == 0
    reader.close()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_polling_keeps_a_reader(stream: EventStream, clock: Clock) -> None:
    reader = await stream.subscribe(event_filter=QUIET)
    for _ in range(4):
        clock.pass_minutes(20)
        await reader.get_event(timeout=0)
        assert await stream.cleanup_inactive_subscribers() == 0
    clock.pass_minutes(30)
    assert await stream.cleanup_inactive_subscribers() == 1


async def test_what_was_read_of_what_was_fetched_ahead_counts_as_reading(stream: EventStream, clock: Clock) -> None:
    """It is read without the stream's lock, and so without a word of when: until it is looked at."""
    reader = await stream.subscribe()
    for number in range(3):
        stream.append(numbered(number))
    await reader.get_event(timeout=0)
    clock.pass_minutes(29)
    await reader.get_event(timeout=0)
    clock.pass_minutes(29)
    assert await stream.cleanup_inactive_subscribers() == 0
    clock.pass_minutes(29)
    assert await stream.cleanup_inactive_subscribers() == 0
    clock.pass_minutes(1)
    assert await stream.cleanup_inactive_subscribers() == 1


@pytest.mark.parametrize("pause", [0, 0.1, 5])
async def test_who_read_once_and_then_no_more_is_removed_at_the_first_look(
    stream: EventStream, clock: Clock, pause: float
) -> None:
    reader = await stream.subscribe()
    for number in range(3):
        stream.append(numbered(number))
        await reader.get_event(timeout=0)
        clock.now += pause
    clock.pass_minutes(30)
    assert await stream.cleanup_inactive_subscribers() == 1


async def test_what_was_fetched_ahead_and_not_read_does_not_count_as_reading(stream: EventStream, clock: Clock) -> None:
    reader = await stream.subscribe()
    for number in range(3):
        stream.append(numbered(number))
    assert numbers(await reader.get_events(1)) == [0]
    clock.pass_minutes(30)
    assert await stream.cleanup_inactive_subscribers() == 1


async def test_a_reader_just_woken_is_not_idle_though_its_task_has_yet_to_run(
    stream: EventStream, clock: Clock
) -> None:
    reader = await stream.subscribe()
    waiting = asyncio.create_task(reader.get_event())
    await settle()
    clock.pass_minutes(300)
    published = stream.append(event())
    assert run_without_waiting(stream.cleanup_inactive_subscribers()) == 0
    assert await waiting is published


async def test_a_reader_whose_time_is_up_is_not_idle_though_its_task_has_yet_to_run(
    stream: EventStream, clock: Clock
) -> None:
    reader = await stream.subscribe(event_filter=QUIET)
    waiting = asyncio.create_task(reader.get_event(timeout=0.001))
    await settle()
    clock.pass_minutes(300)
    release(reader._waiters)  # type: ignore[arg-type]  # as the timer does; the task itself runs at the loop's next turn
    assert run_without_waiting(stream.cleanup_inactive_subscribers()) == 0
    assert await waiting is None


def test_who_asked_in_vain_last_is_idle_since_then(stream: EventStream, clock: Clock) -> None:
    """What was fetched ahead, and is read by now, does not make a reading of it afterwards."""
    reader: EventSubscriber = run_without_waiting(stream.subscribe())
    for _ in range(3):
        stream.append(event())
    for _ in range(3):
        assert run_without_waiting(reader.get_event(timeout=0)) is not None
    assert run_without_waiting(reader.get_event(timeout=0)) is None
    clock.pass_minutes(31)
    assert run_without_waiting(stream.cleanup_inactive_subscribers()) == 1


def test_a_reader_whose_loop_is_closed_does_not_wait_any_more(stream: EventStream, clock: Clock) -> None:
    loop = asyncio.new_event_loop()
    reader: EventSubscriber = loop.run_until_complete(stream.subscribe())
    abandoned = loop.create_task(reader.get_event())
    loop.run_until_complete(settle())
    loop.close()
    clock.pass_minutes(31)
    assert asyncio.run(stream.cleanup_inactive_subscribers()) == 1
    abandoned._log_destroy_pending = False  # type: ignore[attr-defined]  # losing it is what the test is about


async def test_how_long_is_idle_can_be_said(stream: EventStream, clock: Clock) -> None:
    await stream.subscribe()
    clock.pass_minutes(2)
    assert await stream.cleanup_inactive_subscribers(max_idle_minutes=2.5) == 0
    assert await stream.cleanup_inactive_subscribers(max_idle_minutes=2) == 1


async def test_the_moments_of_a_reader_follow_the_clock(stream: EventStream, clock: Clock) -> None:
    reader = await stream.subscribe()
    clock.pass_minutes(1)
    stream.append(event())
    clock.pass_minutes(2)
    await reader.get_event(timeout=0)
    assert (reader.last_event_at - reader.created_at).total_seconds() == 60  # type: ignore[operator]
    assert (reader.last_read_at - reader.created_at).total_seconds() == 180  # type: ignore[operator]
