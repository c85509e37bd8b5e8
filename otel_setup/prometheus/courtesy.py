"""Keeps a collection from holding up the event loop.

A thread that computes keeps CPython's interpreter lock for ``sys.getswitchinterval()``, 5 ms by default, before it
lets another one in: that long a game's loop waits at every turn while /metrics is collected beside it. While a
collection runs the interval is shorter, so the loop gets in soon; the collection takes a little longer instead.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL_SECONDS = 0.001
"""Longest time a computing thread keeps the interpreter while metrics are collected."""

# Set values are cut to whole microseconds: without it each scrape could take one away.
_HALF_A_MICROSECOND = 5e-7
_lock = threading.Lock()
_inside = 0
_usual = 0.0


@contextmanager
def yielding_often() -> Iterator[None]:
    """Shortens the switch interval of the interpreter during the block; several blocks may overlap."""
    global _inside, _usual  # noqa: PLW0603 - the interval is one for the whole interpreter
    with _lock:
        _inside += 1
        if _inside == 1:
            _usual = sys.getswitchinterval()
            if _usual > INTERVAL_SECONDS:
                sys.setswitchinterval(INTERVAL_SECONDS)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            # Somebody else's interval, set meanwhile, stays.
            if _inside == 0 and math.isclose(sys.getswitchinterval(), INTERVAL_SECONDS, rel_tol=0.01):
                sys.setswitchinterval(_usual + _HALF_A_MICROSECOND)
