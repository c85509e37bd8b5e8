"""Ways to hand events to readers in one process: this product's, and others to compare it with.

All of them get the same events and have the same readers. Signals (blinker, psygnal) have no queues: their receivers
run within the publisher's call, and here they do the least that keeps an event for later, an ``append``.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from benchmarks.stream.events import room
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream

_BATCH = 1000
"""Events that a reader of batches takes at a time, at most."""

Wants = Callable[[SystemEvent], bool]


class Peer(Protocol):
    """One way."""

    async def open(self, readers: int) -> None:
        """Makes so many readers."""

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        """Publishes events one by one."""

    def reading(self, counts: Sequence[int]) -> list[Coroutine[Any, Any, None]]:
        """What the readers do until each has so many events; empty where they are called by the publisher."""

    def received(self) -> list[int]:
        """How many events each reader got."""

    async def close(self) -> None:
        """Ends it."""


class _Counting:
    """What all have in common."""

    def __init__(self) -> None:
        self._received: list[int] = []

    async def open(self, readers: int) -> None:
        self._received = [0] * readers

    def reading(self, counts: Sequence[int]) -> list[Coroutine[Any, Any, None]]:
        return [self._read(number, count) for number, count in enumerate(counts)]

    async def _read(self, number: int, count: int) -> None: ...

    def received(self) -> list[int]:
        return self._received

    async def close(self) -> None: ...


class Stream(_Counting):
    """The product's event stream.

    Parameters:
        batch: whether readers take all there is, instead of one event at a time.
        selective: whether each reader wants one room, instead of everything.
    """

    def __init__(self, *, batch: bool = False, selective: bool = False) -> None:
        super().__init__()
        self._batch, self._selective = batch, selective

    async def open(self, readers: int) -> None:
        await super().open(readers)
        self._stream = EventStream(max_subscribers=readers)
        self._subscribers = [
            await self._stream.subscribe(
                event_filter=EventFilter(room_ids={room(number)}) if self._selective else None,
            )
            for number in range(readers)
        ]

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        append = self._stream.append
        for event in events:
            append(event)

    async def _read(self, number: int, count: int) -> None:
        subscriber, got = self._subscribers[number], 0
        if self._batch:
            while got < count:
                got += len(await subscriber.get_events(_BATCH))
        else:
            for _ in range(count):
                await subscriber.get_event()
        self._received[number] = subscriber.delivered  # gaps, which tell what was lost, not counted

    async def close(self) -> None:
        self._stream.close()


class Queues(_Counting):
    """A loop over one ``asyncio.Queue`` for each reader.

    Parameters:
        wants: makes what each reader wants, by its number, asked for every event; None is everything.
    """

    def __init__(self, wants: Callable[[int], Wants] | None = None) -> None:
        super().__init__()
        self._wants = wants

    async def open(self, readers: int) -> None:
        await super().open(readers)
        self._queues: list[asyncio.Queue[SystemEvent]] = [asyncio.Queue() for _ in range(readers)]
        if self._wants is not None:
            self._readers = [(self._wants(number), queue) for number, queue in enumerate(self._queues)]

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        if self._wants is None:
            for event in events:
                for queue in self._queues:
                    queue.put_nowait(event)
        else:
            for event in events:
                for wants, queue in self._readers:
                    if wants(event):
                        queue.put_nowait(event)

    async def _read(self, number: int, count: int) -> None:
        queue = self._queues[number]
        for _ in range(count):
            await queue.get()
        self._received[number] = count


class LockedTasks(_Counting):
    """How such streams are often written first, and this one was: a task for each delivery, all under one lock.

    Parameters:
        wants: as for :class:`Queues`.
        size: of each queue. Where one is full, its task waits, and the publisher with it.
    """

    def __init__(self, wants: Callable[[int], Wants] | None = None, size: int = 1000) -> None:
        super().__init__()
        self._wants = wants
        self._size = size

    async def open(self, readers: int) -> None:
        await super().open(readers)
        self._lock = asyncio.Lock()
        self._history: deque[SystemEvent] = deque(maxlen=10_000)
        self._queues: list[asyncio.Queue[SystemEvent]] = [asyncio.Queue(self._size) for _ in range(readers)]
        self._filters = [None if self._wants is None else self._wants(number) for number in range(readers)]

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        for event in events:
            async with self._lock:
                self._history.append(event)
                await asyncio.gather(
                    *(
                        asyncio.create_task(self._deliver(wants, queue, event))
                        for wants, queue in zip(self._filters, self._queues, strict=True)
                    )
                )

    @staticmethod
    async def _deliver(wants: Wants | None, queue: asyncio.Queue[SystemEvent], event: SystemEvent) -> None:
        if wants is None or wants(event):
            await queue.put(event)

    async def _read(self, number: int, count: int) -> None:
        queue = self._queues[number]
        for _ in range(count):
            await queue.get()
        self._received[number] = count


class _Signals(_Counting):
    """Receivers that the publisher calls."""

    async def open(self, readers: int) -> None:
        self._taken: list[deque[SystemEvent]] = [deque() for _ in range(readers)]

    def reading(self, counts: Sequence[int]) -> list[Coroutine[Any, Any, None]]:
        return []

    def received(self) -> list[int]:
        return [len(taken) for taken in self._taken]


class Blinker(_Signals):
    """A blinker signal."""

    def __init__(self, blinker: Any) -> None:
        super().__init__()
        self._signal = blinker.Signal()

    async def open(self, readers: int) -> None:
        await super().open(readers)
        for taken in self._taken:
            self._signal.connect(_receiver(taken), weak=False)

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        send = self._signal.send
        for event in events:
            send(event)


class Psygnal(_Signals):
    """A psygnal signal."""

    def __init__(self, psygnal: Any) -> None:
        super().__init__()
        self._signal = psygnal.SignalInstance((object,))

    async def open(self, readers: int) -> None:
        await super().open(readers)
        for taken in self._taken:
            self._signal.connect(taken.append, check_nargs=False)

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        emit = self._signal.emit
        for event in events:
            emit(event)


class Broadcaster(_Counting):
    """A channel of broadcaster, in memory."""

    def __init__(self, broadcaster: Any) -> None:
        super().__init__()
        self._broadcast = broadcaster.Broadcast("memory://")

    async def open(self, readers: int) -> None:
        await super().open(readers)
        await self._broadcast.connect()

    async def publish(self, events: Sequence[SystemEvent]) -> None:
        for event in events:
            await self._broadcast.publish("events", event)

    async def _read(self, number: int, count: int) -> None:
        async with self._broadcast.subscribe("events") as subscriber:
            async for _ in subscriber:
                self._received[number] += 1
                if self._received[number] == count:
                    return

    async def close(self) -> None:
        await self._broadcast.disconnect()


def optional(name: str, make: Callable[[Any], Peer]) -> Callable[[], Peer] | None:
    """How to make a peer of a package that need not be there; None where it is not."""
    try:
        package = importlib.import_module(name)
    except ImportError:
        return None
    return lambda: make(package)


def five_sets(number: int) -> Wants:
    """What a plain filter asks of an event: five sets, each of which may be left open. This one wants a room."""
    sets: tuple[set[str] | None, ...] = (None, None, {room(number)}, None, None)
    names, games, rooms, players, correlations = sets

    def wants(event: SystemEvent) -> bool:
        return (
            (names is None or event.event_type in names)
            and (games is None or event.game_id in games)
            and (rooms is None or event.room_id in rooms)
            and (players is None or event.player_id in players)
            and (correlations is None or event.correlation_id in correlations)
        )

    return wants


def product_filter(number: int) -> Wants:
    """The product's own filter, which wants a room, asked for each event."""
    return EventFilter(room_ids={room(number)}).matches


def _receiver(taken: deque[SystemEvent]) -> Callable[[SystemEvent], None]:
    def receive(event: SystemEvent) -> None:
        taken.append(event)

    return receive
