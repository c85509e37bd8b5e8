"""What every view does: say its time, and copy from the ledger without holding it up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from otel_setup import clock
from otel_setup.ledger import Ledger

PORTION = 200
"""Items copied each time the ledger's lock is taken: some tenths of a millisecond."""

_NS = 1_000_000_000
_T = TypeVar("_T")
_R = TypeVar("_R")


def iso(timestamp_ns: int) -> str:
    """Nanoseconds since 1970 as ISO 8601 in UTC, to the microsecond."""
    seconds, nanoseconds = divmod(timestamp_ns, _NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000).isoformat()


def or_now(now_ns: int | None) -> int:
    """The time a view is asked for, or now."""
    return clock.time_ns() if now_ns is None else now_ns


def copied(ledger: Ledger, items: Callable[[], Iterable[_T]], copy: Callable[[_T], _R]) -> list[_R]:
    """A copy of each item, made under the lock, but never of more than a portion at a time.

    Each copy is whole. Items may come and go between two portions.
    """
    with ledger.lock:
        found = list(items())
    copies: list[_R] = []
    for start in range(0, len(found), PORTION):
        with ledger.lock:
            copies += [copy(item) for item in found[start : start + PORTION]]
    return copies
