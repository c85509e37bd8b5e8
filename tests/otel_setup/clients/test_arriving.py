"""What is common to readers of events from elsewhere, of which each subclass tells only its own part."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from otel_setup.catalogue import EventType
from otel_setup.clients.arriving import ArrivingEvents, ReadableEvents
from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import StreamClosed

FIRST, SECOND = (SystemEvent(event_type=EventType("arena.tick"), sequence=number) for number in (1, 2))


class Told(ReadableEvents):
    """Gives what it was told to, one after the other, and notes what was asked of it."""

    def __init__(self, *answers: list[SystemEvent] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[object] = []

    async def start(self) -> Self:
        self.asked.append("start")
        return self

    async def aclose(self) -> None:
        self.asked.append("aclose")

    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:
        self.asked.append((max_n, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def closed_by(cause: Exception | None) -> StreamClosed:
    closed = StreamClosed("over")
    closed.__cause__ = cause
    return closed


async def test_a_loop_ends_where_the_events_do() -> None:
    assert [event async for event in Told([FIRST], [SECOND], closed_by(None))] == [FIRST, SECOND]


async def test_a_loop_does_not_take_a_failure_for_the_end() -> None:
    events = Told([FIRST], closed_by(OSError("no way there")))
    assert await anext(events) is FIRST
    with pytest.raises(StreamClosed) as closed:
        await anext(events)
    assert str(closed.value.__cause__) == "no way there"


async def test_one_event_is_the_only_one_of_a_batch_of_one() -> None:
    events = Told([FIRST], [])
    assert await events.get_event(0.25) is FIRST
    assert await events.get_event(timeout=0) is None, "the time is up"
    assert events.asked == [(1, 0.25), (1, 0)]


async def test_a_block_starts_it_and_closes_it_whatever_happens_inside() -> None:
    events = Told()

    async def crash() -> None:
        async with events as entered:
            assert entered is events
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    assert events.asked == ["start", "aclose"]


class Failing(ArrivingEvents):
    """One event once it is let, and the failure directly after it."""

    def __init__(self, *, at_once: bool = False) -> None:
        super().__init__()
        self.let = asyncio.Event()
        if at_once:
            self.let.set()

    async def _fetch(self) -> None:
        self._connected()
        await self.let.wait()
        await self._put(FIRST, None)
        raise OSError("cut off")


async def test_a_failure_comes_after_the_last_event_that_arrived() -> None:
    async with Failing() as events:
        events.let.set()
        assert await anext(events) is FIRST
        with pytest.raises(OSError, match="cut off"):
            await anext(events)


async def test_a_failure_before_anybody_read_comes_after_the_events_all_the_same() -> None:
    async with Failing(at_once=True) as events:
        assert await anext(events) is FIRST
        with pytest.raises(OSError, match="cut off"):
            await anext(events)
