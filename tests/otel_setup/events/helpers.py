"""What several of the event tests need."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.events.notices import is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventSubscriber, StreamClosed


def event(name: str = "game.started", **fields: Any) -> SystemEvent:
    return SystemEvent(event_type=EventType(name), **fields)


def numbered(number: int, **fields: Any) -> SystemEvent:
    """An event that a test can tell from others."""
    return event(data={"number": number}, **fields)


def numbers(events: list[SystemEvent]) -> list[int]:
    return [each.data["number"] for each in events]


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result; fails if it suspends even once."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waited")


async def settle() -> None:
    """Let every task that can run do so until it waits; nothing here needs more than a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def drain(subscriber: EventSubscriber) -> list[SystemEvent]:
    """Everything that is queued, but for what the stream says of itself."""
    return [each for each in await drain_all(subscriber) if not is_notice(each)]


async def drain_all(subscriber: EventSubscriber) -> list[SystemEvent]:
    """Everything that is queued."""
    events: list[SystemEvent] = []
    try:
        while (found := await subscriber.get_event(timeout=0)) is not None:
            events.append(found)
    except StreamClosed:
        pass
    return events


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += minutes * 60
