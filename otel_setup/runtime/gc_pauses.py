"""How long each garbage collection stopped the process.

The interpreter tells of a collection in the middle of whatever code happened to allocate, which may hold any lock. So
its hook only appends a number to a queue, and takes no lock; whoever records metrics empties the queue elsewhere.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from otel_setup.runtime.garbage import GENERATIONS

MAX_GC_PAUSES = 10_000
"""Pauses of one generation that wait to be recorded; further ones are dropped and counted."""


class GcPauses:
    """The pauses of this process, while somebody listens.

    Parameters:
        max_gc_pauses: bound of each generation's queue.
        clock: seconds on a clock fine enough for microseconds.
    """

    def __init__(self, max_gc_pauses: int = MAX_GC_PAUSES, clock: Callable[[], float] = time.perf_counter) -> None:
        self._max = max_gc_pauses
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._starting = threading.Lock()
        self._listeners = 0
        self._began: float | None = None
        self._waiting: dict[int, deque[float]] = {generation: deque() for generation in GENERATIONS}
        self._dropped = self._dropped_told = 0

    def start(self) -> None:
        """Listens. Each start wants its stop; two listeners share the pauses, of which each is drained once."""
        with self._starting:
            self._listeners += 1
            if self._listeners == 1:
                gc.callbacks.append(self._hook)

    def stop(self) -> None:
        """Listens no more. What waits can still be drained."""
        with self._starting:
            self._listeners -= 1
            if self._listeners == 0:
                self._leave()

    def after_fork(self) -> None:
        """Begins afresh in a forked child, whose parent's listeners are not its own: nobody listens there yet."""
        self._leave()
        self._begin()

    def _leave(self) -> None:
        with contextlib.suppress(ValueError):  # not there, or somebody emptied the list
            gc.callbacks.remove(self._hook)
        self._began = None

    def _hook(self, phase: str, info: Mapping[str, int]) -> None:
        # No two collections run at once, so nothing here needs a lock.
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            seconds, self._began = self._clock() - self._began, None
            waiting = self._waiting[info["generation"]]
            if len(waiting) < self._max:
                waiting.append(seconds)
            else:
                self._dropped += 1

    def drain(self) -> Iterator[tuple[int, float]]:
        """Takes what waits: generation and seconds of each pause."""
        for generation, waiting in self._waiting.items():
            for _ in range(len(waiting)):  # what comes in meanwhile is for the next time
                with contextlib.suppress(IndexError):  # another one drains too
                    yield generation, waiting.popleft()

    def take_dropped(self) -> int:
        """How many were dropped since this was asked last."""
        with self._starting:
            dropped = self._dropped - self._dropped_told
            self._dropped_told += dropped
            return dropped


PAUSES = GcPauses()
"""This process's pauses."""
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=PAUSES.after_fork)
