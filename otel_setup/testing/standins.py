"""Stand-ins for what differs from run to run: a clock that a test moves, and ids that count."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from opentelemetry.sdk.trace.id_generator import IdGenerator

STARTS_AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""The time of day at which every test begins."""
_NS = 1_000_000_000


class FakeClock:
    """A clock that stands still until a test moves it.

    It is the clock of the monitoring. A game's own clock, ``asyncio.sleep`` and ``time.time`` go on as ever; a game
    that takes its clock as a parameter can be given :attr:`monotonic`.
    """

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._start_ns = int(STARTS_AT.timestamp()) * _NS

    def advance(self, seconds: float) -> None:
        """Lets time pass.

        Raises:
            ValueError: ``seconds`` is negative: no clock of the monitoring goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"advance({seconds!r}): time only passes; give 0 seconds or more")
        # Whole nanoseconds, so that many small steps add up to what they say.
        self._elapsed_ns += round(seconds * _NS)

    @property
    def elapsed(self) -> float:
        """Seconds since the test began."""
        return self._elapsed_ns / _NS

    @property
    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.fromtimestamp(self.time_ns() / _NS, UTC)

    def time_ns(self) -> int:
        """The time of day: nanoseconds since 1970."""
        return self._start_ns + self._elapsed_ns

    def monotonic(self) -> float:
        """Seconds for durations; 0.0 when the test begins."""
        return self.elapsed

    def since_start(self, time_ns: int) -> float:
        """A time of day, as seconds since the test began."""
        return (time_ns - self._start_ns) / _NS


class SequentialIds(IdGenerator):
    """Ids that count from 1, each length by itself: of traces, spans, correlations, sockets, epochs."""

    def __init__(self) -> None:
        self._numbers: defaultdict[int, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def token_hex(self, size: int) -> str:
        """The next id of ``size`` bytes, in hexadecimal."""
        return format(next(self._numbers[size]), f"0{2 * size}x")

    def generate_span_id(self) -> int:
        """The next id of a span."""
        return int(self.token_hex(8), 16)

    def generate_trace_id(self) -> int:
        """The next id of a trace."""
        return int(self.token_hex(16), 16)
