"""One round of publishing and reading, and rounds of several peers by turns."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.report import Spread
from benchmarks.stream.events import BURST, events
from benchmarks.stream.peers import Peer

Make = Callable[[], Peer] | None
"""Makes a peer; None where it is not installed."""
NOT_INSTALLED = "not installed"
_MICRO = 1e6
_SETTLE_SECONDS = 0.01


@dataclass(frozen=True)
class Cost:
    """Microseconds of the thread's time that one event took.

    Parameters:
        publishing: in the publisher's calls.
        total: until every reader had it, publishing included.
    """

    publishing: float
    total: float


async def once(peer: Peer, readers: int, count: int, rooms: int | None = None) -> Cost:
    """Publishes ``count`` events, in bursts, to so many readers.

    Parameters:
        rooms: of how many rooms the events are, of each by turns; each reader wants those of one room, and of readers
            beyond that number the rooms are quiet. None where every reader wants everything.

    Raises:
        RuntimeError: a reader did not get what it should.
    """
    published = events(count, rooms or 1)
    expected = [count if rooms is None else count // rooms if number < rooms else 0 for number in range(readers)]
    await peer.open(readers)
    tasks = [asyncio.create_task(reading) for reading in peer.reading(expected)]
    await asyncio.sleep(_SETTLE_SECONDS)  # until all of them wait
    gc.collect()
    publishing = 0.0
    started = time.thread_time()
    for first in range(0, count, BURST):
        burst = published[first : first + BURST]
        began = time.thread_time()
        await peer.publish(burst)
        publishing += time.thread_time() - began
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    total = time.thread_time() - started
    if peer.received() != expected:
        raise RuntimeError(f"{type(peer).__name__}: readers did not get what was published for them")
    await peer.close()
    return Cost(publishing / count * _MICRO, total / count * _MICRO)


def by_turns(
    peers: Mapping[str, Make], readers: int, count: int, rounds: int, *, rooms: int | None = None, slow: frozenset[str]
) -> dict[str, list[Cost]]:
    """Rounds of all peers that there are, by turns; each in an event loop of its own.

    Parameters:
        count: events of a round.
        rooms: as for :func:`once`.
        slow: peers that get a quarter of them, because they would take most of the time.
    """
    there = {name: make for name, make in peers.items() if make is not None}
    found: dict[str, list[Cost]] = {name: [] for name in there}
    order = list(there)
    for _ in range(rounds):
        for name in order:
            events_of_round = count // 4 if name in slow else count
            found[name].append(asyncio.run(once(there[name](), readers, events_of_round, rooms)))
        order.append(order.pop(0))  # nobody always comes after the same one
    return found


def ratios(theirs: list[Cost], ours: list[Cost], part: str = "total") -> Spread:
    """How many times as much they take, round by round: rounds differ more than peers do on a busy machine.

    Parameters:
        part: which part of the cost is compared.
    """
    return Spread.of([getattr(their, part) / getattr(our, part) for their, our in zip(theirs, ours, strict=True)])


def spread(costs: list[Cost], part: str = "total") -> Spread:
    """The median of a part of several costs, with the quartiles."""
    return Spread.of([getattr(cost, part) for cost in costs])
