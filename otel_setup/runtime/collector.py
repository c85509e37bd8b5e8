"""Readings of this process, for gauges and for people.

The readers are cheap and never wait for one another; any thread may call them, such as a metric reader's. A reading
that the system refuses is left out and counted, never raised. Everything is per process: a forked child starts afresh
with its first reading and reports its own numbers.

MB means 2**20 bytes throughout, as in process tools and as in psutil's usual `rss / 1024 / 1024`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from otel_setup.runtime import garbage
from otel_setup.runtime.cpu import CpuUse
from otel_setup.runtime.garbage import Garbage
from otel_setup.runtime.growth import Growth
from otel_setup.runtime.loop_state import LoopState
from otel_setup.runtime.process import ProcessReadings

BYTES_PER_MB = 1024 * 1024


class _ThisProcess:
    """What is known about one process id; after a fork a new one replaces it, so no lock or number crosses over."""

    def __init__(self, cpu: CpuUse, growth: Growth, loop: LoopState) -> None:
        self.pid = os.getpid()
        self.process = ProcessReadings()
        self.garbage = Garbage()
        self.cpu = cpu
        self.growth = growth
        self.loop = loop


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
        self._state = self._begin()

    def _begin(self) -> _ThisProcess:
        def clock() -> float:
            return self._clock()

        return _ThisProcess(
            CpuUse(self.cpu_interval, clock, self._cpu_clock),
            Growth(self.growth_window, self.min_growth_span, self.max_samples, clock),
            LoopState(clock),
        )

    def _own(self) -> _ThisProcess:
        state = self._state
        if state.pid != os.getpid():
            # Two threads may come here at once: one state wins, and neither holds anything of value yet.
            state = self._state = self._begin()
        return state

    # --- readings ----------------------------------------------------------------------------------------------------

    def memory_bytes(self) -> dict[str, int]:
        """`{"rss": bytes, "vms": bytes}`: resident and virtual memory now; empty where the system does not tell."""
        memory = self._own().process.memory()
        return {} if memory is None else dict(zip(("rss", "vms"), memory, strict=True))

    def memory_mb(self) -> dict[str, float]:
        """As `memory_bytes()`, in MB."""
        return {kind: size / BYTES_PER_MB for kind, size in self.memory_bytes().items()}

    def cpu_percent(self) -> float | None:
        """CPU use in percent of one core (two busy cores are 200), averaged over `cpu_interval` at least.

        The same for all who read within one such interval. `None` until a first one has passed.
        """
        return self._own().cpu.percent()

    def cpu_times(self) -> dict[str, float]:
        """CPU seconds of this process by mode, `{"user": s, "system": s}`."""
        return self._own().process.cpu_times()

    def context_switches(self) -> dict[str, int]:
        """Context switches of this process, `{"voluntary": n, "involuntary": n}`; empty on Windows."""
        return self._own().process.context_switches()

    def paging_faults(self) -> dict[str, int]:
        """Page faults of this process, `{"major": n, "minor": n}`; empty on Windows."""
        return self._own().process.paging_faults()

    def uptime(self) -> float | None:
        """Seconds since this process began; `None` where the system does not tell."""
        return self._own().process.uptime()

    def gc_counts(self, count: str) -> dict[int, int]:
        """One of the garbage collector's counts (`collections`, `collected`, `uncollectable`) by generation.

        Since this collector was made or the process forked.
        """
        return {generation: stats[count] for generation, stats in enumerate(self._own().garbage.stats())}

    def gc_collections(self) -> dict[int, int]:
        """Collections by generation, `{0: n, 1: n, 2: n}`, since this collector was made or the process forked."""
        return self.gc_counts("collections")

    def gc_objects_collected(self) -> int:
        """Objects freed by garbage collection, all generations, since this collector was made or the process forked."""
        return sum(self.gc_counts("collected").values())

    def threads_active(self) -> int:
        """Python threads that are alive, the calling one included."""
        return self._own().process.python_threads()

    def thread_count(self) -> int | None:
        """Threads of this process, those that Python did not start included; `None` where the system does not tell."""
        return self._own().process.threads()

    def file_descriptors_open(self) -> int | None:
        """Open file descriptors; `None` where the system does not tell."""
        return self._own().process.file_descriptors()

    @property
    def read_failures(self) -> int:
        """Readings that the system refused."""
        return self._own().process.failures

    # --- the event loop ----------------------------------------------------------------------------------------------

    def note_asyncio_tasks(self, count: int | None) -> None:
        """Remember how many asyncio tasks there are; `None` when nobody counts them any more.

        Call it on the loop: no other thread can count them safely.
        """
        self._own().loop.tasks = count

    def asyncio_tasks(self) -> int | None:
        """The count last noted in this process; `None` before the first."""
        return self._own().loop.tasks

    def note_loop_lags(self, lags: Sequence[float]) -> None:
        """Take in how late, in seconds, the event loop ran timers of just now."""
        self._own().loop.note_lags(lags)

    def max_loop_lag(self) -> float | None:
        """The greatest lag in seconds of the last minute; `None` where none was taken in."""
        return self._own().loop.max_lag()

    def note_dropped(self, bound: str, count: int = 1) -> None:
        """Count what a bound of those who watch the process pushed out."""
        self._own().loop.note_dropped(bound, count)

    def dropped(self) -> dict[str, int]:
        """What `note_dropped` was told, by bound."""
        return self._own().loop.dropped()

    # --- growth ------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Take one memory sample and bring the growth up to date. For the background work, from any thread."""
        self._own().growth.sample(lambda: self.memory_mb().get("rss"))

    def growth_rate_mb_per_hour(self) -> float | None:
        """Growth of the resident memory in MB per hour: the least-squares line through the window's samples.

        `None` until the samples span `min_growth_span` seconds, and when the last one is older than the window.
        """
        return self._own().growth.mb_per_hour()

    @property
    def samples_dropped(self) -> int:
        """Samples that `max_samples` pushed out while still inside the window."""
        return self._own().growth.dropped

    def memory_alerts(
        self, rss_limit_mb: float = 1000.0, growth_limit_mb_per_hour: float = 50.0
    ) -> list[tuple[str, str]]:
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
        return {
            "current_rss_mb": memory.get("rss"),
            "current_vms_mb": memory.get("vms"),
            "current_percent": state.process.memory_percent(),
            "growth_rate_mb_per_hour": self.growth_rate_mb_per_hour(),
            "samples": len(state.growth),
        }

    def get_gc_summary(self) -> dict[str, Any]:
        """The garbage collector in this process.

        `enabled`; `thresholds` and `pending` (allocations since the last collection) by generation; `generations`, the
        interpreter's counts since this collector was made or the process forked, with their sums `total_collections`,
        `total_collected` and `total_uncollectable`; and `by_generation`, what `record_gc_collection` was told.
        """
        return self._own().garbage.summary()

    def record_gc_collection(self, generation: int, collected: int, uncollectable: int) -> None:
        """Count one collection that the caller observed, for `get_gc_summary()["by_generation"]`.

        Takes no lock: a `gc.callbacks` hook may call it in the middle of anything, this module included. A generation
        that does not exist is ignored and counted in `gc_records_refused`.
        """
        self._own().garbage.note(generation, collected, uncollectable)

    @property
    def gc_records_refused(self) -> int:
        """Calls of `record_gc_collection` with a generation that does not exist."""
        return self._own().garbage.refused

    def force_gc_collection(self, generation: int | None = None) -> dict[str, Any]:
        """Collect garbage now. A troubleshooting call: it stops every thread while it works.

        Args:
            generation: The oldest generation to collect; all where it is `None`.

        Returns:
            `collected` objects, and `before_counts` and `after_counts`, the allocations pending by generation.

        Raises:
            ValueError: There is no such generation.
        """
        return garbage.collect(generation)

    def set_gc_thresholds(self, generation0: int, generation1: int, generation2: int) -> None:
        """Set the interpreter's collection thresholds, as `gc.set_threshold` does; 0 for the first turns it off.

        Raises:
            ValueError: A threshold is negative.
        """
        garbage.set_thresholds(generation0, generation1, generation2)
