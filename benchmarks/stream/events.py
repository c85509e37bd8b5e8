"""The events that the benchmarks of the stream publish, and whom they are for."""

from __future__ import annotations

from otel_setup.catalogue import EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent, make_event

BURST = 64
"""Events that are published before the readers have their turn, as in a tick of a busy server."""
_BEGIN_NS = 1_893_456_000_000_000_000
_DATA = {
    a.ACTION_TYPE.data_key: "play",
    a.ACTION_STATUS.data_key: "completed",
    a.ACTION_OUTCOME.data_key: "accepted",
    a.DURATION_MS.data_key: 1.25,
}


def room(number: int) -> str:
    """The ``number``th room."""
    return f"room-{number}"


def events(count: int, rooms: int = 1) -> list[SystemEvent]:
    """New events, of each room by turns.

    Parameters:
        count: how many.
        rooms: how many rooms they are of.
    """
    return [_event(number, room(number % rooms)) for number in range(count)]


def _event(number: int, room_id: str) -> SystemEvent:
    return make_event(
        EventType.ACTION_COMPLETED,
        _BEGIN_NS + number * 1_000_000,
        f"game-of-{room_id}",
        room_id,
        "Ada",
        None,
        f"{number:016x}",
        "",
        "",
        Severity.INFO,
        dict(_DATA),
        {},
    )
