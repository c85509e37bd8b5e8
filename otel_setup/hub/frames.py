"""Events in the form in which readers get them, made once for all of them (Server-Sent Events, WHATWG HTML §9.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any

from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_id

SIGN_OF_LIFE = b": \n\n"
"""A comment: keeps the connection open and is no event."""
END = "end"
"""The event that tells a reader that the stream ends here on purpose."""
_DATA = b"\ndata: "


def payload_of(event: SystemEvent, sequence: int) -> bytes:
    """The event in this place of the stream as one line of JSON: what is logged, and what readers get."""
    # Not to_json(): an event gets its sequence when it is published, and by then it has to be in the log.
    return dumps(event.to_dict() | {"sequence": sequence}, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def frame(event: SystemEvent, cursor: Cursor, payload: bytes) -> bytes:
    """The event as a frame; its id is the cursor from which a reader may go on after it."""
    return f"id: {cursor}\nevent: {clean_id(event.event_type)}".encode() + _DATA + payload + b"\n\n"


def payload_in(made: bytes) -> bytes:
    """The JSON in a frame."""
    return made[made.index(_DATA) + len(_DATA) : -2]


def retry(milliseconds: int) -> bytes:
    """Tells how long to wait before connecting again."""
    return f"retry: {milliseconds}\n\n".encode()


def end(data: Mapping[str, Any], place: str = "") -> bytes:
    """The last frame of a stream.

    Parameters:
        data: the reason, and the cursor from which a reader may go on.
        place: the frame's id, with which a reader that connects again is told that there is no more.
    """
    id_line = f"id: {place}\n" if place else ""
    return f"{id_line}event: {END}\ndata: {dumps(dict(data), separators=(',', ':'))}\n\n".encode()


class Frames:
    """The frames of the newest events.

    Parameters:
        epoch: of the stream.
        max_bytes: what they may weigh; past it the oldest leave, and are made anew when somebody wants them.
    """

    def __init__(self, epoch: str, max_bytes: int) -> None:
        self._epoch = epoch
        self._max_bytes = max_bytes
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, sequence: int, made: bytes) -> None:
        """Keeps the frame of the newest event."""
        self._kept[sequence] = made
        self._bytes += len(made)
        while self._bytes > self._max_bytes and self._kept:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest)

    def of(self, event: SystemEvent) -> bytes:
        """An event's frame. What is made for one reader alone is not kept."""
        # What is made for one reader alone has no uid, and the sequence of an event that it stands beside.
        if event.event_id and (kept := self._kept.get(event.sequence)) is not None:
            return kept
        return frame(event, Cursor(self._epoch, event.sequence), payload_of(event, event.sequence))


class Runs:
    """Frames of events that follow each other, joined once for all readers that take the same ones.

    Parameters:
        frames: the frames one by one.
        max_bytes: what the joined ones may weigh that are remembered; past it the oldest leave, and are made anew.
    """

    def __init__(self, frames: Frames, max_bytes: int) -> None:
        self._frames = frames
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[int, int, int], tuple[Sequence[SystemEvent], bytes]] = OrderedDict()
        self._bytes = 0

    def of(self, events: Sequence[SystemEvent]) -> bytes:
        """All their frames; there is at least one event."""
        ends = events[0].sequence, events[-1].sequence, len(events)
        kept = self._kept.get(ends)
        # Filters and gaps make other runs with the same ends. Events that are the same object are not looked into.
        if kept is not None and kept[0] == events:
            return kept[1]
        made = b"".join(map(self._frames.of, events))
        self._forget(ends)
        self._kept[ends] = events, made
        self._bytes += len(made)
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))
        return made

    def _forget(self, ends: tuple[int, int, int]) -> None:
        if (gone := self._kept.pop(ends, None)) is not None:
            self._bytes -= len(gone[1])
