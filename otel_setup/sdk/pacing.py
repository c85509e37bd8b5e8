"""Lets the event loop in while a thread works through a batch.

A thread that computes keeps CPython's interpreter lock for 5 ms (``sys.getswitchinterval()``) before it lets another
one in: so long a game's loop would wait at every turn while a batch is made ready for export. A short sleep after a few
items gives the lock away at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

PORTION = 16
"""Items between two pauses: a fraction of a millisecond."""
PAUSE_SECONDS = 0.00005
"""Long enough for a waiting thread to wake up. Not 0: then this thread would have the lock back before it does."""

_T = TypeVar("_T")


def in_portions(items: Iterable[_T]) -> Iterator[_T]:
    """The items, with a pause after each few."""
    for number, item in enumerate(items, 1):
        yield item
        if number % PORTION == 0:
            time.sleep(PAUSE_SECONDS)
