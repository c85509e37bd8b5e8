"""How long an event takes from its publication until a reader has it, beside a queue for each reader."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from benchmarks.report import Spread, Table
from benchmarks.stream.events import events
from benchmarks.stream.goals import Found, at_most
from benchmarks.ticking import percentile
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream

READERS = 10
EVENTS_PER_SECOND = 1000
ROUNDS, SECONDS = 9, 1.5
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.5
_STREAM, _QUEUE = "event stream", "asyncio.Queue"
_STREAM_THREAD, _QUEUE_THREAD = "event stream, from another thread", "asyncio.Queue, from another thread"
_LOOP_MS, _THREAD_MS = 1.0, 5.0
_TIMEOUT_SECONDS = 5.0
_MS = 1000

Send = Callable[[SystemEvent], object]
Read = Callable[[], Coroutine[Any, Any, list[float]]]
Times = dict[str, float]
"""When each event was published, by its correlation id."""


class _Way:
    """From publishers to readers, and the clock by which it is measured."""

    def __init__(self, seconds: float, clock: Callable[[], float], *, in_thread: bool) -> None:
        self._count = int(seconds * EVENTS_PER_SECOND)
        self._clock = clock
        self._in_thread = in_thread
        self._published = Times()

    async def stream(self) -> list[float]:
        """Milliseconds of each event to each reader of a stream."""
        stream = EventStream()
        subscribers = [await stream.subscribe() for _ in range(READERS)]
        readers = [self._read(lambda each=each: each.get_event(_TIMEOUT_SECONDS)) for each in subscribers]  # type: ignore[misc]  # mypy knows no defaults of lambdas
        return await self._measure(readers, stream.append)

    async def queues(self) -> list[float]:
        """The same through queues."""
        loop = asyncio.get_running_loop()
        queues: list[asyncio.Queue[SystemEvent]] = [asyncio.Queue() for _ in range(READERS)]

        def send(event: SystemEvent) -> None:
            for queue in queues:
                queue.put_nowait(event)

        readers = [self._read(lambda each=each: asyncio.wait_for(each.get(), _TIMEOUT_SECONDS)) for each in queues]  # type: ignore[misc]  # as above
        if self._in_thread:
            return await self._measure(readers, lambda event: loop.call_soon_threadsafe(send, event))
        return await self._measure(readers, send)

    def _read(self, get: Callable[[], Awaitable[SystemEvent | None]]) -> Coroutine[Any, Any, list[float]]:
        async def read() -> list[float]:
            took = []
            for _ in range(self._count):
                event = await get()
                now = self._clock()
                if event is None:
                    raise RuntimeError("an event did not come")
                took.append((now - self._published[str(event.correlation_id)]) * _MS)
            return took

        return read()

    async def _measure(self, reading: list[Coroutine[Any, Any, list[float]]], send: Send) -> list[float]:
        readers = [asyncio.create_task(each) for each in reading]
        await asyncio.sleep(0)
        made = events(self._count)
        chance = random.Random(self._count)  # noqa: S311 - no secret
        due, moments = time.perf_counter(), []
        for _ in made:
            due += chance.expovariate(EVENTS_PER_SECOND)
            moments.append(due)

        def publish(event: SystemEvent) -> None:
            self._published[str(event.correlation_id)] = self._clock()
            send(event)

        if self._in_thread:
            threading.Thread(target=_publish_in_thread, args=(publish, made, moments)).start()
        else:
            for event, moment in zip(made, moments, strict=True):
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                publish(event)
        return sorted([took for one in await asyncio.gather(*readers) for took in one])


def _publish_in_thread(publish: Send, made: list[SystemEvent], moments: list[float]) -> None:
    for event, moment in zip(made, moments, strict=True):
        time.sleep(max(0.0, moment - time.perf_counter()))
        publish(event)


def run(*, quick: bool) -> Found:
    """All ways by turns."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)

    def way(clock: Callable[[], float] = time.perf_counter, *, in_thread: bool = False) -> _Way:
        return _Way(seconds, clock, in_thread=in_thread)

    ways: dict[str, Callable[[], Coroutine[Any, Any, list[float]]]] = {
        _STREAM: lambda: way().stream(),
        _QUEUE: lambda: way().queues(),
        f"{_STREAM}, the thread's own time": lambda: way(time.thread_time).stream(),
        f"{_QUEUE}, the thread's own time": lambda: way(time.thread_time).queues(),
        _STREAM_THREAD: lambda: way(in_thread=True).stream(),
        _QUEUE_THREAD: lambda: way(in_thread=True).queues(),
    }
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run_once in ways.items():
            took[name].append(asyncio.run(run_once()))
    found = {
        name: {
            "p50_ms": Spread.of([percentile(one, 0.5) for one in runs]),
            "p99_ms": Spread.of([percentile(one, 0.99) for one in runs]),
        }
        for name, runs in took.items()
    }
    rows = [(name, str(spreads["p50_ms"]), str(spreads["p99_ms"])) for name, spreads in found.items()]
    remarks = (
        f"Milliseconds, {READERS} readers, {EVENTS_PER_SECOND:,} events a second at random moments, each read with a "
        f"timeout: median (quartiles) of {rounds} rounds of {seconds:g} s. Elapsed time counts what else the machine "
        "does as well; the thread's own time does not.",
    )
    same_loop = f"p99 from publishing to reading, {READERS} readers, same loop"
    verdicts = [
        at_most(same_loop, _LOOP_MS, found[_STREAM]["p99_ms"], " ms"),
        at_most("the same, published by another thread", _THREAD_MS, found[_STREAM_THREAD]["p99_ms"], " ms"),
    ]
    return Found(Table("From publishing to reading", ("", "p50, ms", "p99, ms"), rows, remarks), verdicts, found)
