"""CPU use between two readings."""

from __future__ import annotations

import threading
from collections.abc import Callable


class CpuUse:
    """CPU use of this process.

    Parameters:
        interval: shortest time in seconds that a value averages over.
        clock: a monotonic clock in seconds.
        cpu_clock: CPU seconds of all threads of this process.
    """

    def __init__(self, interval: float, clock: Callable[[], float], cpu_clock: Callable[[], float]) -> None:
        self._interval = interval
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._refreshing = threading.Lock()
        self._last = (clock(), cpu_clock())
        self._percent: float | None = None

    def percent(self) -> float | None:
        """In percent of one core (two busy cores are 200), averaged since the last refresh.

        The value is refreshed when it is read and at least ``interval`` old; until then every reader gets the same
        one. So parallel readers cannot cut each other's interval to nothing. None until a first interval has passed.
        """
        if self._refreshing.acquire(blocking=False):  # else another reader is at it: its former value will do
            try:
                then, used_then = self._last
                now, used_now = self._clock(), self._cpu_clock()
                if now - then >= self._interval:
                    self._percent = 100 * (used_now - used_then) / (now - then)
                    self._last = (now, used_now)
            finally:
                self._refreshing.release()
        return self._percent
