"""What several of the event tests need."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.events.filter import EventFilter
from otel_setup.events.notices import is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventStream, EventSubscriber, StreamClosed

ANY = EventFilter()
"""Everything, and yet a filter: its reader has a queue of its own and no place in the ring."""


def event(name: str = "game.started", **fields: Any) -> SystemEvent:
    return SystemEvent(event_type=EventType(name), **fields)


def numbered(number: int, **fields: Any) -> SystemEvent:
    """An event that a test can tell from others."""
    return event(data={"number": number}, **fields)


def weighing(weight: int, **fields: Any) -> SystemEvent:
    """An event that counts as so many bytes: its text is what it has above an event without any."""
    return event(data={"text": "x" * (weight - EVENT_BYTES)}, **fields)


def numbers(events: list[SystemEvent]) -> list[int]:
    return [each.data["number"] for each in events]


def publish(stream: EventStream, count: int, **fields: Any) -> None:
    for _ in range(count):
        stream.append(event(**fields))


def shown(events: list[SystemEvent]) -> list[int | str]:
    """Events by their sequence; what the stream says of itself by what it says, such as ``"gap 1-4: 4 queue_full"``."""
    return [_said(each) if is_notice(each) else each.sequence for each in events]


def _said(notice: SystemEvent) -> str:
    data = notice.data
    if notice.event_type == "stream.gap":
        return f"gap {data['first']}-{data['last']}: {data['count']} {data['reason']}"
    return f"{notice.event_type.removeprefix('stream.')} {data['cursor']}"


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result; fails if it suspends even once."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waited")


def subscribed(stream: EventStream, *arguments: Any, **wishes: Any) -> EventSubscriber:
    """As ``stream.subscribe()``, without an event loop."""
    reader: EventSubscriber = run_without_waiting(stream.subscribe(*arguments, **wishes))
    return reader


def read(reader: EventSubscriber, count: int) -> list[int | str]:
    """What a reader gets who asks for up to so many."""
    return shown(run_without_waiting(reader.get_events(count, timeout=0)))


def read_all(reader: EventSubscriber) -> list[int | str]:
    """What a reader gets, one by one, until nothing waits or it ends."""
    return shown(run_without_waiting(drain_all(reader)))


def account(reader: EventSubscriber) -> tuple[int, int, int, int]:
    """Matched, delivered, missed, queued."""
    return reader.event_count, reader.delivered, reader.dropped, reader.queued


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
