"""What this process costs: memory and its growth, CPU, garbage collection, threads, tasks and file descriptors.

The readers are cheap and never wait for one another; any thread may call them, such as a metric reader's. A reading
that the system refuses is left out and counted, never raised. Everything is per process: a forked child starts afresh
with its first reading and reports its own numbers.

MB means 2**20 bytes throughout, as in process tools and as in psutil's usual `rss / 1024 / 1024`.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import psutil

BYTES_PER_MB = 1024 * 1024
GENERATIONS = (0, 1, 2)
GC_COUNTS = ("collections", "collected", "uncollectable")  # the keys of gc.get_stats()


class _ThisProcess:
    """What is known about one process id; after a fork a new one replaces it, so no lock or number crosses over."""

    def __init__(self, max_samples: int, cpu_time: tuple[float, float]) -> None:
        self.pid = os.getpid()
        self.sampling = threading.Lock()
        self.samples: deque[tuple[float, float]] = deque(maxlen=max_samples)  # (clock seconds, RSS in MB)
        self.samples_dropped = 0
        self.growth: tuple[float, float] | None = None  # (clock seconds of the last sample, MB per hour)
        self.refreshing_cpu = threading.Lock()
        self.cpu_time = cpu_time  # (clock seconds, CPU seconds) at the last refresh
        self.cpu_percent: float | None = None
        self.gc_before = gc.get_stats()
        self.gc_recorded = {generation: dict.fromkeys(GC_COUNTS, 0) for generation in GENERATIONS}
        self.gc_records_refused = 0
        self.asyncio_tasks: int | None = None
        self.read_failures = 0

    @cached_property
    def process(self) -> psutil.Process:
        return psutil.Process(self.pid)


class SystemMetricsCollector:
    """Readings of this process, for gauges (the small methods) and for people (the summaries).

    Somebody has to call `sample()` every `collection_interval` seconds, since growth needs history; nothing runs by
    itself. Reading disturbs no other reader.

    Args:
        collection_interval: Seconds between two calls of `sample()`, for whoever makes them.
        growth_window: Seconds of samples that the memory growth is computed over.
        clock: A monotonic clock in seconds.
        min_growth_span: Seconds that the samples must span before a growth is given; half the window by default, so
            that start-up does not look like a leak.
        max_samples: Most samples kept. What this bound drops before its time is counted in `samples_dropped`.
        cpu_interval: Shortest time in seconds that `cpu_percent()` averages over.
        cpu_clock: CPU seconds of all threads of this process.

    Raises:
        ValueError: A duration or bound that is not positive, or a span longer than the window.
    """

    def __init__(
        self,
        collection_interval: float = 30,
        growth_window: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        min_growth_span: float | None = None,
        max_samples: int = 1200,
        cpu_interval: float = 1.0,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        if min_growth_span is None:
            min_growth_span = growth_window / 2
        durations = {
            "collection_interval": collection_interval,
            "growth_window": growth_window,
            "min_growth_span": min_growth_span,
            "cpu_interval": cpu_interval,
        }
        for name, seconds in durations.items():
            if not seconds > 0:
                raise ValueError(f"{name} must be a positive number of seconds, not {seconds!r}")
        if min_growth_span > growth_window:
            raise ValueError(f"min_growth_span ({min_growth_span} s) must not exceed growth_window ({growth_window} s)")
        if max_samples <= 1:
            raise ValueError(f"max_samples must be at least 2, not {max_samples!r}")
        self.collection_interval = collection_interval
        self.growth_window = growth_window
        self.min_growth_span = min_growth_span
        self.max_samples = max_samples
        self.cpu_interval = cpu_interval
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._state = _ThisProcess(max_samples, (clock(), cpu_clock()))

    def _own(self) -> _ThisProcess:
        state = self._state
        if state.pid != os.getpid():
            # Two threads may come here at once: one state wins, and neither holds anything of value yet.
            state = self._state = _ThisProcess(self.max_samples, (self._clock(), self._cpu_clock()))
        return state

    # --- readings ----------------------------------------------------------------------------------------------------

    def memory_mb(self) -> dict[str, float]:
        """`{"rss": MB, "vms": MB}`: resident and virtual memory now; empty where the system does not tell."""
        state = self._own()
        try:
            memory = state.process.memory_info()
        except (psutil.Error, OSError):
            state.read_failures += 1
            return {}
        return {"rss": memory.rss / BYTES_PER_MB, "vms": memory.vms / BYTES_PER_MB}

    def cpu_percent(self) -> float | None:
        """CPU use in percent of one core (two busy cores are 200), averaged since the last refresh.

        The value is refreshed when it is read and at least `cpu_interval` old; until then every reader gets the same
        one. So parallel readers cannot cut each other's interval to nothing. `None` until a first interval has passed.
        """
        state = self._own()
        if state.refreshing_cpu.acquire(blocking=False):  # else another reader is at it: its former value will do
            try:
                then, used_then = state.cpu_time
                now, used_now = self._clock(), self._cpu_clock()
                if now - then >= self.cpu_interval:
                    state.cpu_percent = 100 * (used_now - used_then) / (now - then)
                    state.cpu_time = (now, used_now)
            finally:
                state.refreshing_cpu.release()
        return state.cpu_percent

    def gc_collections(self) -> dict[int, int]:
        """Collections by generation, `{0: n, 1: n, 2: n}`, since this collector was made or the process forked."""
        return {generation: stats["collections"] for generation, stats in enumerate(self._gc_stats())}

    def gc_objects_collected(self) -> int:
        """Objects freed by garbage collection, all generations, since this collector was made or the process forked."""
        return sum(stats["collected"] for stats in self._gc_stats())

    def _gc_stats(self) -> list[dict[str, int]]:
        before = self._own().gc_before
        return [{key: now[key] - then[key] for key in now} for now, then in zip(gc.get_stats(), before, strict=True)]

    def threads_active(self) -> int:
        """Python threads that are alive, the calling one included."""
        return threading.active_count()

    def file_descriptors_open(self) -> int | None:
        """Open file descriptors; `None` where the system does not tell."""
        state = self._own()
        try:
            # Linux 6.2 and later gives the count itself. Listing them instead takes a millisecond with a thousand
            # sockets, and counts the descriptor it lists with.
            counted = os.stat("/proc/self/fd").st_size
        except OSError:
            counted = 0
        try:
            return counted or state.process.num_fds()
        except (psutil.Error, OSError, AttributeError):  # AttributeError: no file descriptors on this system
            state.read_failures += 1
            return None

    def note_asyncio_tasks(self, count: int) -> None:
        """Remember how many asyncio tasks there are. Call it on the loop: no other thread can count them safely."""
        self._own().asyncio_tasks = count

    def asyncio_tasks(self) -> int | None:
        """The count last noted in this process; `None` before the first."""
        return self._own().asyncio_tasks

    # --- growth ------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Take one memory sample and bring the growth up to date. For the background work, from any thread."""
        state = self._own()
        if not state.sampling.acquire(blocking=False):
            return  # another thread is sampling just now, and its sample is as good
        try:
            rss = self.memory_mb().get("rss")
            if rss is None:
                return
            now = self._clock()
            while state.samples and state.samples[0][0] < now - self.growth_window:
                state.samples.popleft()
            if len(state.samples) == self.max_samples:
                state.samples_dropped += 1
            state.samples.append((now, rss))
            long_enough = now - state.samples[0][0] >= self.min_growth_span
            state.growth = (now, _slope(state.samples) * 3600) if long_enough else None
        finally:
            state.sampling.release()

    def growth_rate_mb_per_hour(self) -> float | None:
        """Growth of the resident memory in MB per hour: the least-squares line through the window's samples.

        `None` until the samples span `min_growth_span` seconds, and when the last one is older than the window.
        """
        growth = self._own().growth
        if growth is None or self._clock() - growth[0] > self.growth_window:
            return None
        return growth[1]

    @property
    def samples_dropped(self) -> int:
        """Samples that `max_samples` pushed out while still inside the window."""
        return self._own().samples_dropped

    @property
    def read_failures(self) -> int:
        """Readings that the system refused."""
        return self._own().read_failures

    def memory_alerts(self, rss_limit_mb: float = 1000, growth_limit_mb_per_hour: float = 50) -> list[tuple[str, str]]:
        """What is over its limit now, as (error type, message): `HighMemoryUsage`, `HighMemoryGrowth`.

        Args:
            rss_limit_mb: Resident memory in MB that is still well.
            growth_limit_mb_per_hour: Growth in MB per hour that is still well.
        """
        alerts = []
        rss = self.memory_mb().get("rss")
        if rss is not None and rss > rss_limit_mb:
            alerts.append(
                ("HighMemoryUsage", f"resident memory is {rss:.1f} MB, over the limit of {rss_limit_mb:g} MB")
            )
        growth = self.growth_rate_mb_per_hour()
        if growth is not None and growth > growth_limit_mb_per_hour:
            limit = f"over the limit of {growth_limit_mb_per_hour:g} MB per hour"
            alerts.append(("HighMemoryGrowth", f"resident memory grows by {growth:.1f} MB per hour, {limit}"))
        return alerts

    # --- summaries and commands --------------------------------------------------------------------------------------

    def get_memory_summary(self) -> dict[str, Any]:
        """Memory now and its growth: `current_rss_mb`, `current_vms_mb`, `current_percent` (of the machine's memory),
        `growth_rate_mb_per_hour` and `samples` (how many the window holds). What is not known is `None`."""
        state = self._own()
        memory = self.memory_mb()
        try:
            percent = state.process.memory_percent()
        except (psutil.Error, OSError):
            state.read_failures += 1
            percent = None
        return {
            "current_rss_mb": memory.get("rss"),
            "current_vms_mb": memory.get("vms"),
            "current_percent": percent,
            "growth_rate_mb_per_hour": self.growth_rate_mb_per_hour(),
            "samples": len(state.samples),
        }

    def get_gc_summary(self) -> dict[str, Any]:
        """The garbage collector in this process.

        `enabled`; `thresholds` and `pending` (allocations since the last collection) by generation; `generations`, the
        interpreter's counts since this collector was made or the process forked, with their sums `total_collections`,
        `total_collected` and `total_uncollectable`; and `by_generation`, what `record_gc_collection` was told.
        """
        generations = self._gc_stats()
        return {
            "enabled": gc.isenabled(),
            "thresholds": list(gc.get_threshold()),
            "pending": list(gc.get_count()),
            "total_collections": sum(stats["collections"] for stats in generations),
            "total_collected": sum(stats["collected"] for stats in generations),
            "total_uncollectable": sum(stats["uncollectable"] for stats in generations),
            "generations": generations,
            "by_generation": {generation: dict(seen) for generation, seen in self._own().gc_recorded.items()},
        }

    def record_gc_collection(self, generation: int, collected: int, uncollectable: int) -> None:
        """Count one collection that the caller observed, for `get_gc_summary()["by_generation"]`.

        Takes no lock: a `gc.callbacks` hook may call it in the middle of anything, this module included. A generation
        that does not exist is ignored and counted in `gc_records_refused`.
        """
        state = self._own()
        seen = state.gc_recorded.get(generation)
        if seen is None:
            state.gc_records_refused += 1
            return
        seen["collections"] += 1
        seen["collected"] += collected
        seen["uncollectable"] += uncollectable

    @property
    def gc_records_refused(self) -> int:
        """Calls of `record_gc_collection` with a generation that does not exist."""
        return self._own().gc_records_refused

    def force_gc_collection(self, generation: int | None = None) -> dict[str, Any]:
        """Collect garbage now. A troubleshooting call: it stops every thread while it works.

        Args:
            generation: The oldest generation to collect; all where it is `None`.

        Returns:
            `collected` objects, and `before_counts` and `after_counts`, the allocations pending by generation.

        Raises:
            ValueError: There is no such generation.
        """
        chosen = GENERATIONS[-1] if generation is None else generation
        if chosen not in GENERATIONS:
            raise ValueError(f"generation must be one of {GENERATIONS}, not {generation!r}")
        before = gc.get_count()
        collected = gc.collect(chosen)
        return {"collected": collected, "before_counts": list(before), "after_counts": list(gc.get_count())}

    def set_gc_thresholds(self, generation0: int, generation1: int, generation2: int) -> None:
        """Set the interpreter's collection thresholds, as `gc.set_threshold` does; 0 for the first turns it off.

        Raises:
            ValueError: A threshold is negative.
        """
        if min(generation0, generation1, generation2) < 0:
            raise ValueError(f"thresholds must not be negative: {(generation0, generation1, generation2)}")
        gc.set_threshold(generation0, generation1, generation2)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through points (x, y) of which at least two x differ."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
