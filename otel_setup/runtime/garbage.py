"""The garbage collector's own counts."""

from __future__ import annotations

import gc
from typing import Any

GENERATIONS = (0, 1, 2)
COUNTS = ("collections", "collected", "uncollectable")  # the keys of gc.get_stats()


class Garbage:
    """What the interpreter counted since this object was made, and what callers told.

    Attributes:
        refused: calls of :meth:`note` with a generation that does not exist.
    """

    def __init__(self) -> None:
        self._before = gc.get_stats()
        self._noted = {generation: dict.fromkeys(COUNTS, 0) for generation in GENERATIONS}
        self.refused = 0

    def stats(self) -> list[dict[str, int]]:
        """The interpreter's counts by generation."""
        pairs = zip(gc.get_stats(), self._before, strict=True)
        return [{key: now[key] - then[key] for key in COUNTS} for now, then in pairs]

    def note(self, generation: int, collected: int, uncollectable: int) -> None:
        """Counts one collection that the caller observed. Takes no lock: a hook of the collector may call it."""
        noted = self._noted.get(generation)
        if noted is None:
            self.refused += 1
            return
        noted["collections"] += 1
        noted["collected"] += collected
        noted["uncollectable"] += uncollectable

    def summary(self) -> dict[str, Any]:
        """See ``SystemMetricsCollector.get_gc_summary``."""
        generations = self.stats()
        totals = {f"total_{key}": sum(stats[key] for stats in generations) for key in COUNTS}
        return {
            "enabled": gc.isenabled(),
            "thresholds": list(gc.get_threshold()),
            "pending": list(gc.get_count()),
            **totals,
            "generations": generations,
            "by_generation": {generation: dict(noted) for generation, noted in self._noted.items()},
        }


def collect(generation: int | None = None) -> dict[str, Any]:
    """See ``SystemMetricsCollector.force_gc_collection``."""
    chosen = GENERATIONS[-1] if generation is None else generation
    if chosen not in GENERATIONS:
        raise ValueError(f"generation must be one of {GENERATIONS}, not {generation!r}")
    before = gc.get_count()
    collected = gc.collect(chosen)
    return {"collected": collected, "before_counts": list(before), "after_counts": list(gc.get_count())}


def set_thresholds(generation0: int, generation1: int, generation2: int) -> None:
    """See ``SystemMetricsCollector.set_gc_thresholds``."""
    if min(generation0, generation1, generation2) < 0:
        raise ValueError(f"thresholds must not be negative: {(generation0, generation1, generation2)}")
    gc.set_threshold(generation0, generation1, generation2)
