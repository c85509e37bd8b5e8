"""How many events a second, by the times of the events themselves."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from otel_setup import clock
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_id

WINDOWS = (60, 300)
"""Seconds over which they are counted."""
MAX_NAMES = 256
"""Names that are listed, the most frequent first."""

_NANOSECONDS = 1_000_000_000


def rates_of(kept: list[SystemEvent]) -> dict[str, Any]:
    """Events a second, in all and by name, over the last 1 and 5 minutes.

    Where the oldest kept event is younger than that, since that one.
    """
    now_ns = clock.time_ns()
    rates: dict[str, Any] = {}
    for seconds in WINDOWS:
        from_ns = now_ns - seconds * _NANOSECONDS
        recent = list(itertools.takewhile(lambda event: event.timestamp_ns >= from_ns, reversed(kept)))  # noqa: B023
        is_whole = len(recent) < len(kept) or not recent
        span = seconds if is_whole else max(1.0, (now_ns - recent[-1].timestamp_ns) / _NANOSECONDS)
        by_name = Counter(clean_id(event.event_type) for event in recent).most_common(MAX_NAMES)
        rates[f"{seconds // 60}m"] = {
            "all": round(len(recent) / span, 3),
            "by_type": {name: round(count / span, 3) for name, count in by_name},
        }
    return rates
