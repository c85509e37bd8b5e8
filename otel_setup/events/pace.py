"""Replay at the speed at which it happened, or n times as fast."""

from __future__ import annotations

import math
from collections.abc import Callable

from otel_setup.events.record import SystemEvent

_NANOSECONDS = 1e9


class Pace:
    """When each event of the past is due: as long after the first one as it was then, divided by ``speed``.

    Parameters:
        speed: 1.0 is the original speed, 10.0 ten times as fast.
        clock: seconds on a monotonic clock.

    Raises:
        ValueError: ``speed`` is not a number above 0.
    """

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        if not (isinstance(speed, int | float) and math.isfinite(speed) and speed > 0):
            raise ValueError(f"speed is {speed!r:.80}; 1.0 is the original speed, 10 ten times as fast")
        self._speed = speed
        self._clock = clock
        self._begin: tuple[float, int] | None = None

    def wait(self, event: SystemEvent) -> float:
        """Seconds until the event is due; 0 or less where it is.

        Time runs from the first event asked about. One whose time lies before it is due at once.
        """
        if self._begin is None:
            self._begin = (self._clock(), event.timestamp_ns)
        moment, timestamp_ns = self._begin
        due = moment + (event.timestamp_ns - timestamp_ns) / _NANOSECONDS / self._speed
        return due - self._clock()
