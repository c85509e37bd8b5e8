"""Events as lines of JSON, each with the place from which to go on: what `tail --json` prints and `record` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent

CURSOR = "cursor"
"""The first key of each line: up to where a reader has everything who has this line."""
BEGINS = b'{"cursor":'
"""How every line begins."""

_ESCAPED = {0x7F: "\\u007f"}
"""The one control character that JSON in ASCII leaves as it is."""
_TEXTS = ("event_id", "trace_id", "span_id", "game_id", "room_id", "player_id", "connection_id", "correlation_id")


def line_of(event: SystemEvent, cursor: Cursor | None) -> str:
    """An event on one line of ASCII, without its end: nothing in it can move a cursor or turn the reading direction."""
    placed = {CURSOR: None if cursor is None else str(cursor), **event.to_dict()}
    return json.dumps(placed, separators=(",", ":")).translate(_ESCAPED)


def event_in(line: Mapping[str, Any]) -> tuple[SystemEvent, Cursor | None]:
    """The event in a line that was parsed, whoever wrote it, and its place where it has one.

    Raises:
        ValueError: there is none.
    """
    try:
        event = SystemEvent.from_dict(line)
        cursor = line.get(CURSOR)
        place = None if cursor is None else Cursor.parse(cursor)
    except (KeyError, TypeError, AttributeError, OverflowError) as problem:
        raise ValueError(f"no event: {problem!r:.100}") from problem
    texts = [getattr(event, name) for name in _TEXTS]
    if not (
        all(text is None or isinstance(text, str) for text in texts)
        and isinstance(event.data, Mapping)
        and isinstance(event.metadata, Mapping)
        and type(event.sequence) is int
    ):
        raise ValueError("no event: a value is of another type")
    return event, place
