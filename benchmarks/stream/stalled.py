"""A hundred readers of which one reads nothing: what the publisher, the others and the memory notice of it."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import psutil

from benchmarks.processes import Figures, in_a_process, tell
from benchmarks.report import Spread, Table
from benchmarks.stream import peers
from benchmarks.stream.events import BURST, events
from benchmarks.stream.goals import Found, at_most
from benchmarks.ticking import percentile
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import DEFAULT_QUEUE_BYTES, EventStream, EventSubscriber

READERS = 100
ROUNDS, EVENTS = 7, 30_000
QUICK_ROUNDS, QUICK_EVENTS = 3, 10_000
_WARM_UP = 12_000
"""More than history holds, so that what grows afterwards is not history."""
ALL_READ, ONE_STALLED = "event stream, all read", "event stream, one stalled"
FILTER_READ, FILTER_STALLED = "event stream, one with a filter, all read", "event stream, the one with a filter stalled"
_QUEUES_READ, _QUEUES_STALLED = "asyncio.Queue, all read", "asyncio.Queue, one stalled"
REPLACED = "lock and tasks, one stalled"
_NAMES = (ALL_READ, ONE_STALLED, FILTER_READ, FILTER_STALLED, _QUEUES_READ, _QUEUES_STALLED)
_SLOWER = 1.2
_BLOCKED_SECONDS = 3.0
_MICRO, _MEBIBYTE = 1e6, 2**20

Publish = Callable[[SystemEvent], object]


def run(*, quick: bool) -> Found:
    """Each in a process of its own, by turns, several rounds."""
    rounds, count = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    measured: dict[str, list[Figures]] = {name: [] for name in _NAMES}
    order = list(_NAMES)
    for _ in range(rounds):
        for name in order:
            measured[name].append(in_a_process(__name__, name, str(count), timeout=300))
        order.append(order.pop(0))
    blocked = in_a_process(__name__, REPLACED, str(count), timeout=300)["published"]
    spreads = {name: {key: Spread.of([one[key] for one in runs]) for key in runs[0]} for name, runs in measured.items()}
    rows = [
        (name, str(found["p50"]), str(found["p99"]), str(found["grown"]), f"{found['lost'].high:,.0f}")
        for name, found in spreads.items()
    ]
    rows.append((REPLACED, "", f"the publisher waits for ever after {blocked:,.0f} events", "", ""))
    verdicts = []
    for stalled, read in ((ONE_STALLED, ALL_READ), (FILTER_STALLED, FILTER_READ)):
        slower = [one["p99"] / none["p99"] for one, none in zip(measured[stalled], measured[read], strict=True)]
        verdicts.append(at_most(f"publisher's p99, {stalled}, against {read}", _SLOWER, Spread.of(slower), " times"))
    bound = DEFAULT_QUEUE_BYTES / _MEBIBYTE
    verdicts += [
        at_most(f"memory grown, {stalled}", bound, spreads[stalled]["grown"], " MiB")
        for stalled in (ONE_STALLED, FILTER_STALLED)
    ]
    lost = Spread.of([one["lost"] for name in (ONE_STALLED, FILTER_STALLED) for one in measured[name]])
    verdicts.append(at_most("events that the other 99 lost", 0, lost))
    columns = ("", "p50, µs", "p99, µs", "memory grown, MiB", "lost by the others")
    remarks = (
        f"Microseconds of the thread's time in the publisher's call, {READERS} readers; median (quartiles) of {rounds} "
        f"rounds of {count:,} events, each round in a process of its own. Memory is what the process takes (RSS) more "
        f"than after the first {_WARM_UP:,} events, which fill the history.",
    )
    return Found(Table("One reader of a hundred reads nothing", columns, rows, remarks), verdicts, spreads)


async def _stream(count: int, last: str) -> Figures:
    """A hundred readers; the ``last`` one is what is looked at."""
    stream = EventStream()
    wanted = EventFilter(severity_at_least="DEBUG") if last in (FILTER_READ, FILTER_STALLED) else None
    subscribers = [await stream.subscribe() for _ in range(READERS - 1)]

    async def read(subscriber: EventSubscriber) -> None:
        async for _ in subscriber:
            pass

    tasks = [asyncio.create_task(read(subscriber)) for subscriber in subscribers]
    await _publish(stream.append, _WARM_UP)
    one = await stream.subscribe(event_filter=wanted)
    if last in (ALL_READ, FILTER_READ):
        tasks.append(asyncio.create_task(read(one)))
    figures = await _measure(stream.append, count)
    figures["lost"] = sum(subscriber.dropped for subscriber in subscribers)
    stream.close()
    await asyncio.gather(*tasks)
    return figures


async def _queues(count: int, *, stalled: bool) -> Figures:
    queues: list[asyncio.Queue[SystemEvent]] = [asyncio.Queue() for _ in range(READERS)]

    async def read(queue: asyncio.Queue[SystemEvent]) -> None:
        while True:
            await queue.get()

    def publish(event: SystemEvent) -> None:
        for queue in queues:
            queue.put_nowait(event)

    tasks = [asyncio.create_task(read(queue)) for queue in queues]
    await _publish(publish, _WARM_UP)
    if stalled:
        tasks[0].cancel()
    figures = await _measure(publish, count)
    for task in tasks:
        task.cancel()
    return {**figures, "lost": 0}


async def _locked(count: int) -> Figures:
    """How many events are published until the publisher waits for the one that does not read."""
    peer, published = peers.LockedTasks(), 0
    await peer.open(2)
    reads, reads_nothing = peer.reading([count, count])
    reads_nothing.close()
    task = asyncio.create_task(reads)
    for event in events(count):
        try:
            await asyncio.wait_for(peer.publish([event]), _BLOCKED_SECONDS)
        except TimeoutError:
            break
        published += 1
    task.cancel()
    return {"published": published}


async def _measure(publish: Publish, count: int) -> Figures:
    gc.collect()
    before = psutil.Process().memory_info().rss
    took = sorted(await _publish(publish, count))
    grown = psutil.Process().memory_info().rss - before
    return {
        "p50": percentile(took, 0.5) * _MICRO,
        "p99": percentile(took, 0.99) * _MICRO,
        "grown": max(0, grown) / _MEBIBYTE,
    }


async def _publish(publish: Publish, count: int) -> list[float]:
    """Seconds of the thread's time of each call; readers have their turn after each burst."""
    took: list[float] = []
    for _ in range(0, count, BURST):
        for event in events(BURST):
            started = time.thread_time()
            publish(event)
            took.append(time.thread_time() - started)
        await asyncio.sleep(0)
    return took


def measure(name: str, count: int) -> Figures:
    """What one of the ways takes, in this process."""
    ways: dict[str, Callable[[], Coroutine[Any, Any, Figures]]] = {
        **{last: partial(_stream, count, last) for last in (ALL_READ, ONE_STALLED, FILTER_READ, FILTER_STALLED)},
        _QUEUES_READ: lambda: _queues(count, stalled=False),
        _QUEUES_STALLED: lambda: _queues(count, stalled=True),
        REPLACED: lambda: _locked(count),
    }
    return asyncio.run(ways[name]())


if __name__ == "__main__":
    tell(measure(sys.argv[1], int(sys.argv[2])))
