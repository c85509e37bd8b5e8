"""A thread that watches an event loop from beside it, and records what the loop must not spend time on.

It notices that the loop's probe is overdue and looks at what the loop's thread is doing just then. A callback that
holds the interpreter's lock all the while, in an extension module, holds this thread too: it shows in the lag alone.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_setup.catalogue import EventType, M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.metrics.standard import GC_GENERATION
from otel_setup.events.record import SystemEvent
from otel_setup.runtime.gc_pauses import PAUSES
from otel_setup.runtime.loop_probe import LoopProbe
from otel_setup.runtime.stack import is_waiting, stack_text

if TYPE_CHECKING:
    from otel_setup.core import Core

BLOCKED_EVENT_SECONDS = 10.0
"""Seconds between two events that say who held the loop; all are counted."""


class LoopWatch:
    """Watches one loop from ``start()`` until ``stop()``, or until the loop is closed.

    Parameters:
        core: gives what the process observes with.
        loop: the loop.
        slow_callback: seconds for which the probe may be overdue before whoever holds the loop is looked for.
        blocked_event_seconds: the shortest time between two events.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        core: Callable[[], Core],
        loop: asyncio.AbstractEventLoop,
        *,
        slow_callback: float,
        blocked_event_seconds: float = BLOCKED_EVENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = core
        self._slow_callback = slow_callback
        self._event_seconds = blocked_event_seconds
        self._clock = clock
        self._probe = LoopProbe(loop, clock=clock)
        self._seen: float | None = None  # when the probe was due that was found overdue last
        self._seen_slow: float | None = None  # and the one that was a little overdue, while somebody looked closely
        self._next_event = clock()
        self._dropped_told = 0
        self._ending = threading.Event()
        self._released = threading.Lock()  # acquired once, by the first to end this
        self._thread = threading.Thread(target=self._run, name="otel_setup-loop-watch", daemon=True)

    def start(self) -> None:
        """Begins. Call it on the loop."""
        PAUSES.start()
        self._probe.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends, from any thread; the thread records what waits and is gone soon after."""
        self._probe.stop()
        self._release()

    def join(self, timeout: float) -> None:
        """Waits until the thread is gone, ``timeout`` seconds at most."""
        self._thread.join(timeout)

    def abandon(self) -> None:
        """Ends in a forked child, which has the timer but not the thread, and in which nobody listens to the pauses."""
        self._probe.abandon()

    def _release(self) -> None:
        self._ending.set()
        if self._released.acquire(blocking=False):
            PAUSES.stop()

    def _run(self) -> None:
        while not self._ending.wait(self._until_the_next_look()):
            with self._core().faults.guard("runtime"):
                if self._probe.loop.is_closed():
                    break
                self.look()
                self.record()
        self._release()
        with self._core().faults.guard("runtime"):
            self.record()

    def _until_the_next_look(self) -> float:
        least = self._core().debug.slow_callback(self._slow_callback)
        until_overdue = self._probe.due - self._clock() + least
        return min(max(until_overdue, least / 2), 1.0)

    def look(self) -> None:
        """Tells of the callback that holds the loop, if one does, and once.

        While somebody looks closely it tells earlier, besides, by an event that nothing counts.
        """
        due = self._probe.due
        overdue = self._clock() - due
        slow = overdue < self._slow_callback
        if overdue < self._core().debug.slow_callback(self._slow_callback):
            return
        if due == (self._seen_slow if slow else self._seen):
            return
        if not self._probe.loop.is_running():
            self._probe.pause()
            return
        frame = sys._current_frames().get(self._probe.thread_id)
        if frame is None or (due == self._probe.due and is_waiting(frame)):
            return  # late, because the machine is busy; nobody holds the loop
        # Where the timer has run meanwhile, the loop was held, but what it does now is something else.
        stack = stack_text(frame) if due == self._probe.due else None
        del frame  # it holds everything that the callback holds
        core = self._core()
        if slow:
            self._seen_slow = due
            core.publish(SystemEvent(event_type=EventType.EVENT_LOOP_SLOW, data=_told(overdue, stack)))
            return
        self._seen = due
        core.instruments.add(M.EVENT_LOOP_SLOW_CALLBACKS)
        self._publish(core, overdue, stack)

    def _publish(self, core: Core, seconds: float, stack: str | None) -> None:
        now = self._clock()
        if now < self._next_event:
            core.system.note_dropped("blocked_event_seconds")
            return
        self._next_event = now + self._event_seconds
        core.publish(SystemEvent(event_type=EventType.EVENT_LOOP_BLOCKED, data=_told(seconds, stack)))

    def record(self) -> None:
        """Records the lags and the pauses that wait, and what their bounds dropped."""
        core = self._core()
        lags = self._probe.drain()
        for lag in lags:
            core.instruments.record(M.EVENT_LOOP_LAG, lag)
        core.system.note_loop_lags(lags)
        for generation, seconds in PAUSES.drain():
            core.instruments.record(M.CPYTHON_GC_PAUSE_DURATION, seconds, **{GC_GENERATION.name: str(generation)})
        dropped = self._probe.dropped
        core.system.note_dropped("max_loop_lags", dropped - self._dropped_told)
        self._dropped_told = dropped
        core.system.note_dropped("max_gc_pauses", PAUSES.take_dropped())


def _told(seconds: float, stack: str | None) -> dict[str, object]:
    return {a.BLOCKED_SECONDS.data_key: round(seconds, 3), a.STACK_TRACE.data_key: stack}
