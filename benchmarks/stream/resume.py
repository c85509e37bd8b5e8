"""Readers that go away and come back with their cursor, thousands of times: what they miss, and what that costs."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from benchmarks.report import Spread, Table
from benchmarks.stream.events import events
from benchmarks.stream.goals import Found, at_most
from otel_setup.catalogue import attributes as a
from otel_setup.events.cursor import Cursor
from otel_setup.events.notices import is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream

ROUNDS, CYCLES = 5, 10_000
QUICK_ROUNDS, QUICK_CYCLES = 2, 1_000
_HISTORY, _QUEUE = 500, 100
_AT_MOST_PUBLISHED = 20
_LONG_AWAY = 0.02
"""Share of the cycles in which more is published than history holds."""
_AT_MOST_READ = 40
_MICRO = 1e6


@dataclass
class Account:
    """What one reader met with, whoever it was at the time."""

    next: int = 1
    read: int = 0
    told_lost: int = 0
    undetected: int = 0
    repeated: int = 0

    def take(self, event: SystemEvent) -> None:
        """Takes an event in."""
        if is_notice(event):
            self.undetected += abs(event.data[a.GAP_FIRST.data_key] - self.next)
            self.told_lost += event.data[a.GAP_COUNT.data_key]
            self.next = event.data[a.GAP_LAST.data_key] + 1
            return
        self.undetected += max(0, event.sequence - self.next)
        self.repeated += event.sequence < self.next
        self.read += 1
        self.next = event.sequence + 1


def run(*, quick: bool) -> Found:
    """Several rounds, each of other chances."""
    rounds, count = (QUICK_ROUNDS, QUICK_CYCLES) if quick else (ROUNDS, CYCLES)
    accounts, costs = [], []
    for seed in range(rounds):
        account, seconds = asyncio.run(cycles(count, seed))
        accounts.append(account)
        costs.append(seconds / count * _MICRO)
    read, told = (sum(getattr(account, name) for account in accounts) for name in ("read", "told_lost"))
    undetected = Spread.of([account.undetected for account in accounts])
    repeated = Spread.of([account.repeated for account in accounts])
    rows = [
        (
            f"{rounds * count:,}",
            f"{read:,}",
            f"{told:,}",
            f"{undetected.high:.0f}",
            f"{repeated.high:.0f}",
            str(Spread.of(costs)),
        )
    ]
    columns = ("times away and back", "events read", "told as gaps", "lost untold", "repeated", "each time, µs")
    remarks = (
        f"One reader; history of {_HISTORY} events, of which it is at times too long away. Microseconds of the "
        f"thread's time for subscribing, reading up to {_AT_MOST_READ} events and closing: median (quartiles) of "
        f"{rounds} rounds.",
    )
    verdicts = [at_most("events lost untold over resumes", 0, undetected), at_most("events repeated", 0, repeated)]
    table = Table("Away and back with a cursor", columns, rows, remarks)
    return Found(table, verdicts, {"read": read, "told": told, "cycle_us": Spread.of(costs)})


async def cycles(count: int, seed: int) -> tuple[Account, float]:
    """Goes away and comes back so many times; what was met with, and seconds of the thread's time."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    stream = EventStream(history_size=_HISTORY, queue_size=_QUEUE)
    account, cursor, seconds = Account(), str(Cursor(stream.epoch, 0)), 0.0
    for _ in range(count):
        for event in events(2 * _HISTORY if chance.random() < _LONG_AWAY else chance.randrange(_AT_MOST_PUBLISHED)):
            stream.append(event)
        started = time.thread_time()
        async with await stream.subscribe(since=cursor) as subscriber:
            for event in await subscriber.get_events(chance.randrange(1, _AT_MOST_READ), timeout=0):
                account.take(event)
            cursor = str(subscriber.cursor)
        seconds += time.thread_time() - started
    async with await stream.subscribe(since=cursor, live=False) as rest:
        async for event in rest:
            account.take(event)
    account.undetected += stream.cursor.sequence + 1 - account.next
    return account, seconds
