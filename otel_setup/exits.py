"""The end of a process: every shutdown under way is waited for, also in children that ``multiprocessing`` made."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

_MARGIN_SECONDS = 0.5
_LAST = -100
"""After the finalizers of ``multiprocessing`` itself, and those of applications, which may still have something to
tell."""


class Shutdowns:
    """Those under way; each keeps a deadline of its own."""

    def __init__(self) -> None:
        self._deadlines: dict[threading.Event, float] = {}

    def run(self, work: Callable[[], bool], timeout: float) -> bool:
        """Does the work, which takes ``timeout`` seconds at most, and gives its result."""
        done = threading.Event()
        self._deadlines[done] = time.monotonic() + timeout + _MARGIN_SECONDS
        try:
            return work()
        finally:
            del self._deadlines[done]
            done.set()

    def wait(self) -> None:
        """Waits for all that other threads do."""
        for done, deadline in tuple(self._deadlines.items()):
            done.wait(max(0.0, deadline - time.monotonic()))


def at_end_of_worker(work: Callable[[], object]) -> None:
    """Does work at the end of this process if ``multiprocessing`` forked it: ``atexit`` means nothing there."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, work, exitpriority=_LAST)
