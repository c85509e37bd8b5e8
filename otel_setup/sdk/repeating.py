"""Exports that may succeed later are repeated; what became of each is counted once."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from otel_setup.sdk.account import ExportCounts
from otel_setup.sdk.export_log import listening, reason_in

RETRY_SECONDS = 300.0
"""How long one batch is repeated at most, as in the Collector's own exporters; then it has failed for good."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
"""Pauses between the SDK's attempts. Each of these is several tries by itself, for as long as ``export_timeout``."""

ResultT = TypeVar("ResultT")

# What the SDK's exporters say when they give up on something that may be repeated: OTLP, "Failures". They keep status
# codes to themselves. Anything else they say, such as that the request is wrong, would be the same another time.
_PASSING = re.compile(
    r"due to timeout, max retries or shutdown"
    r"|error code: StatusCode\.(CANCELLED|DEADLINE_EXCEEDED|ABORTED|OUT_OF_RANGE|UNAVAILABLE|DATA_LOSS)\b"
)


def may_succeed_later(heard: Sequence[str]) -> bool:
    """Whether what an exporter said about its failure leaves hope."""
    return bool(heard) and _PASSING.search(heard[-1]) is not None


class _Export:
    """One export under way, which is counted once. ``heard`` is what the exporter says meanwhile."""

    __slots__ = ("heard", "items")

    def __init__(self, items: int) -> None:
        self.items = items
        self.heard: Sequence[str] = ()


class RepeatingAccount:
    """Runs one signal's exports to one endpoint, repeats them while that makes sense, and counts what became of them.

    Parameters:
        signal: traces, metrics or logs.
        endpoint: where they go.
        counts: is told the outcomes.
        retry_seconds: how long one export is repeated; 0 where the next one says the same and more, as for metrics.
    """

    def __init__(
        self, signal: str, endpoint: str, counts: ExportCounts, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self.signal = signal
        self.endpoint = endpoint
        self.counts = counts
        self._retry_seconds = retry_seconds
        self._ended = threading.Event()
        self._under_way: set[_Export] = set()
        self._lock = threading.RLock()

    @property
    def of_this_process(self) -> bool:
        """False in a forked child's copy: what that holds is the parent's, who exports it."""
        return os.getpid() == self.counts.pid

    def kept(self, export: Callable[[], ResultT], items: int, results: Any) -> ResultT:
        """Runs an export and takes its outcome in. Blocks until that is known: it belongs into a thread of ours.

        Parameters:
            export: the exporter's.
            items: spans, points or records in it.
            results: the kind of result, which has ``SUCCESS`` and ``FAILURE``.
        """
        if not self.of_this_process:
            failure: ResultT = results.FAILURE
            return failure
        mine = _Export(items)
        with self._lock:
            self._under_way.add(mine)
        accepted, heard = False, ["it raised"]
        try:
            until, pause = time.monotonic() + self._retry_seconds, FIRST_PAUSE_SECONDS
            while True:
                with listening() as heard:
                    mine.heard = heard
                    result = export()
                accepted = result is results.SUCCESS
                if accepted or not may_succeed_later(heard) or time.monotonic() + pause > until:
                    return result
                self._take_in(0, accepted=False, heard=heard)  # said now, and not only when nothing helped
                if self._ended.wait(pause):
                    return result
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            if self._settled(mine):
                self._take_in(items, accepted=accepted, heard=heard)

    def close(self) -> None:
        """Repeats nothing any more. What is under way counts as failed: nobody will hear what became of it."""
        if not self.of_this_process:
            return
        self._ended.set()
        with self._lock:
            under_way = list(self._under_way)
        for export in under_way:
            if self._settled(export):
                self._take_in(export.items, accepted=False, heard=[*export.heard, "the time for the shutdown was up"])

    def _settled(self, export: _Export) -> bool:
        """Whether an export was not counted so far; from now on it is."""
        with self._lock:
            known = export in self._under_way
            self._under_way.discard(export)
            return known

    def _take_in(self, items: int, *, accepted: bool, heard: Sequence[str]) -> None:
        self.counts.count(self.signal, items, accepted=accepted)
        self.counts.log.note(self.endpoint, self.signal, items, None if accepted else reason_in(heard))
