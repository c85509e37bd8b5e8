"""What an exception says of itself, as text that may be kept: its class, its message, and the end of its stack."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

from otel_setup.catalogue import attributes as a
from otel_setup.text import MAX_TEXT_LENGTH, clean_text

STACK_FRAMES = 10
"""Innermost frames of a failure's stack that are told."""
_REPORTED = "__otel_setup_reported_by__"


def stack_of(error: BaseException) -> str:
    """The end of the stack, where the cause is."""
    lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-STACK_FRAMES)
    return clean_text("".join(lines)[-MAX_TEXT_LENGTH:])


def told_of(error: BaseException) -> dict[str, Any]:
    """What an error event says of an exception; by which event it was reported before, too, since it counts once."""
    told = {
        a.ERROR_TYPE.data_key: type(error).__qualname__,
        a.ERROR_MESSAGE.data_key: clean_text(error),
        a.STACK_TRACE.data_key: stack_of(error),
    }
    reported_by = getattr(error, _REPORTED, None)
    return told if reported_by is None else {**told, a.REPORTED_BY.data_key: reported_by}


def mark_reported(error: BaseException, event_name: str) -> None:
    """Remembers, with the exception, which event reported it first; one that takes no attributes is reported anew."""
    with suppress(Exception):
        if not hasattr(error, _REPORTED):
            setattr(error, _REPORTED, event_name)
