"""How late an event loop runs what is due."""

from __future__ import annotations

import asyncio
import time

TICK_SECONDS = 0.001
_MS = 1000


async def lateness(seconds: float) -> list[float]:
    """Milliseconds by which each tick of a millisecond was late, in ascending order.

    None is left out: what follows a late one was due meanwhile, and is late as well.

    Parameters:
        seconds: how long it measures.
    """
    started, late = time.perf_counter(), []
    for number in range(int(seconds / TICK_SECONDS)):
        due = started + number * TICK_SECONDS
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        late.append((time.perf_counter() - due) * _MS)
    return sorted(late)


def percentile(ascending: list[float], share: float) -> float:
    """The value below which a share, from 0 to 1, of the others lies."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]
