"""What was last seen of the event loop."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

MAX_LAG_WINDOW = 60.0
"""Seconds over which the greatest lag is told."""
_SLOTS = 6


class LoopState:
    """Filled by whoever watches the loop, read by whoever collects metrics.

    Parameters:
        clock: a monotonic clock in seconds.

    Attributes:
        tasks: asyncio tasks as last counted.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noting = threading.Lock()
        self._greatest: tuple[tuple[int, float], ...] = ()  # by slot of time
        self._dropped: Counter[str] = Counter()
        self.tasks: int | None = None

    def note_lags(self, lags: Sequence[float]) -> None:
        """Takes in lags, in seconds, of just now."""
        if not lags:
            return
        with self._noting:
            slot = self._slot()
            earlier = dict(self._of_window())
            earlier[slot] = max(*lags, earlier.get(slot, 0.0))
            self._greatest = tuple(earlier.items())

    def max_lag(self) -> float | None:
        """The greatest lag in seconds of the last :data:`MAX_LAG_WINDOW` seconds; None where none was taken in."""
        return max((lag for _, lag in self._of_window()), default=None)

    def note_dropped(self, bound: str, count: int) -> None:
        """Counts what a bound pushed out."""
        with self._noting:
            self._dropped[bound] += count

    def dropped(self) -> dict[str, int]:
        """What bounds pushed out, by bound."""
        with self._noting:
            return dict(self._dropped)

    def _slot(self) -> int:
        return int(self._clock() * _SLOTS // MAX_LAG_WINDOW)

    def _of_window(self) -> list[tuple[int, float]]:
        oldest = self._slot() - _SLOTS + 1
        return [(slot, lag) for slot, lag in self._greatest if slot >= oldest]
