"""The time, and ids made up: the one place that asks for either, so that a test can stand in for both.

Ask through the module, ``clock.time_ns()``: a name imported from it would go on asking the clock of that moment.
What has to end by itself, a shutdown's deadline or a wait for a thread, asks the ``time`` module and not this one,
since a test's clock may stand still.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SPARE_BYTES = 8
_SPARES = 64
_spare: list[str] = []


def _token_hex(count: int) -> str:
    # The size that correlation ids have is fetched many at a time: each call to the system lets go of the interpreter,
    # which a thread that is exporting takes, and a game would wait up to 5 ms for one id.
    if count != _SPARE_BYTES:
        return secrets.token_hex(count)
    try:
        return _spare.pop()
    except IndexError:
        digits, length = secrets.token_hex(count * _SPARES), 2 * count
        _spare.extend(digits[start : start + length] for start in range(length, len(digits), length))
        return digits[:length]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spare.clear)  # else parent and child would make up the same ids

time_ns: Callable[[], int] = time.time_ns
"""The time of day: nanoseconds since 1970, UTC."""
monotonic: Callable[[], float] = time.perf_counter
"""Seconds on a clock that never jumps, for durations; of no meaning but against each other."""
# perf_counter, because time.monotonic ticks every 16 ms on Windows before Python 3.13. On Linux they are the same.
token_hex: Callable[[int], str] = _token_hex
"""A new id of so many bytes, in hexadecimal; from the system's random source, whatever a game seeds."""


@contextmanager
def replaced(
    *, time_ns: Callable[[], int], monotonic: Callable[[], float], token_hex: Callable[[int], str]
) -> Iterator[None]:
    """Other sources for this process, for a test, until the end of the block.

    What was made before the block may keep the source it began with.

    Parameters:
        time_ns: nanoseconds since 1970.
        monotonic: seconds.
        token_hex: takes a number of bytes, gives twice as many hexadecimal digits, another value each time.
    """
    sources = globals()
    names = ("time_ns", "monotonic", "token_hex")
    before = {name: sources[name] for name in names}
    sources.update(zip(names, (time_ns, monotonic, token_hex), strict=True))
    try:
        yield
    finally:
        sources.update(before)
