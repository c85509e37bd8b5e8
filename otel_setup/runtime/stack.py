"""What a thread is doing, as text for people."""

from __future__ import annotations

import linecache
from types import FrameType

from otel_setup.text import MAX_TEXT_LENGTH, clean_text

_LOOP_MODULES = frozenset({"asyncio.events", "asyncio.base_events", "asyncio.runners", "selectors", "uvloop"})
"""Modules that run callbacks, or wait for the next one to run."""


def is_waiting(frame: FrameType) -> bool:
    """Whether a loop's thread is between two callbacks: then nothing of the application holds it."""
    return _is_of_the_loop(frame)


def stack_text(frame: FrameType) -> str:
    """The callback's stack, the innermost call last, as in a traceback.

    The loop's own calls below it are left out; where there is too much, the outermost calls are.
    """
    entries: list[str] = []
    room = MAX_TEXT_LENGTH
    current: FrameType | None = frame
    while current is not None and not _is_of_the_loop(current):
        entry = _entry(current)
        room -= len(entry) + 1
        if room < 0:
            break
        entries.append(entry)
        current = current.f_back
    return clean_text("\n".join(reversed(entries)))


def _is_of_the_loop(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _LOOP_MODULES


def _entry(frame: FrameType) -> str:
    code = frame.f_code
    line = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals).strip()
    place = f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}'
    return f"{place}\n    {line}" if line else place
