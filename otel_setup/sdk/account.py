"""The account of exports: what the Collector took and what was lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.sdk.export_log import ExportLog

TRACES, METRICS, LOGS = SIGNALS
QUEUE_FULL = "queue_size"
"""Lost because the queue was full: the oldest leave."""
TOO_LATE = "shutdown_timeout"
"""Lost because time was up at shutdown, or because it came afterwards."""


class ExportCounts:
    """Items accepted and failed, by signal; every signal is there from the start.

    Attributes:
        pid: whose they are.
        log: says when exports begin to fail, and when they work again.
        dropped: what was lost before it reached an exporter, by signal and reason.
        accepted_at: when the Collector last took something, by signal; seconds of the monotonic clock.
        failing_since: when exports began to fail, by signal; signals that work are not there.
        waiting: tells how many items wait for their export or are under way, by signal.
    """

    def __init__(self) -> None:
        self.log = ExportLog()
        self.accepted: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.failed: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.dropped = {(signal, reason): 0 for signal in (TRACES, LOGS) for reason in (QUEUE_FULL, TOO_LATE)}
        self.accepted_at: dict[str, float] = {}
        self.failing_since: dict[str, float] = {}
        self.waiting: dict[str, Callable[[], int]] = {}
        self._lock = threading.RLock()
        self.pid = os.getpid()

    def drop(self, signal: str, reason: str, items: int) -> None:
        """Takes in what never reached an exporter."""
        with self._lock:
            self.dropped[signal, reason] += items

    def count(self, signal: str, items: int, *, accepted: bool) -> None:
        """Takes the outcome of one export in."""
        with self._lock:
            (self.accepted if accepted else self.failed)[signal] += items
            if accepted:
                self.accepted_at[signal] = time.monotonic()
                self.failing_since.pop(signal, None)
            else:
                self.failing_since.setdefault(signal, time.monotonic())
