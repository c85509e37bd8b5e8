"""A timer that tells how late an event loop is.

All that runs on the loop is the timer's callback: it reads a clock, appends a number to a queue and sets itself again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context

LAG_INTERVAL = 0.1
"""Seconds between two measurements of the event loop's lag."""
MAX_LOOP_LAGS = 1000
"""Measurements that wait to be recorded; further ones are dropped and counted."""


class LoopProbe:
    """Measures the lag of one loop. A timer keeps no loop alive.

    Parameters:
        interval: seconds between two measurements.
        max_loop_lags: bound of the queue.
        clock: a monotonic clock in seconds.

    Attributes:
        due: when the timer is to run next, by the clock; infinite where nobody can say.
        thread_id: the thread in which it ran last.
        dropped: measurements that found the queue full.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float = LAG_INTERVAL,
        max_loop_lags: int = MAX_LOOP_LAGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = loop
        self.due = math.inf
        self.thread_id = 0
        self.dropped = 0
        self._interval = interval
        self._max = max_loop_lags
        self._clock = clock
        self._lags: deque[float] = deque()
        self._context = Context()  # an empty one: that of the caller may hold a whole request
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        """Begins. Call it on the loop."""
        self._set()

    def stop(self) -> None:
        """Ends, from any thread."""
        self.abandon()
        if self._timer is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so the timer is gone
                self.loop.call_soon_threadsafe(self._timer.cancel)

    def abandon(self) -> None:
        """Ends without a word to the loop, which in a forked child is the parent's."""
        self._stopped = True
        self.due = math.inf

    def pause(self) -> None:
        """The loop does not run: what comes next is not late."""
        self.due = math.inf

    def drain(self) -> list[float]:
        """Takes the lags that wait, in seconds."""
        return [self._lags.popleft() for _ in range(len(self._lags))]

    def _tick(self) -> None:
        if self._stopped:
            return
        lag = self._clock() - self.due
        if lag > -math.inf:
            if len(self._lags) < self._max:
                self._lags.append(lag if lag > 0 else 0.0)
            else:
                self.dropped += 1
        self._set()

    def _set(self) -> None:
        self.thread_id = threading.get_ident()
        self._timer = self.loop.call_later(self._interval, self._tick, context=self._context)
        self.due = self._clock() + self._interval
