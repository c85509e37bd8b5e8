"""Every room with its health."""

from __future__ import annotations

from collections import Counter
from typing import Any

from otel_setup.catalogue.attributes import ROOM_HEALTH
from otel_setup.ledger import Ledger
from otel_setup.ledger.reports import room_health
from otel_setup.ledger.state import Room
from otel_setup.views.copying import copied, iso, or_now


def room_status(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """All rooms, the longest quiet first, once in a row and once by the phase they are in.

    ``active_rooms`` are those with a game; ``phase_durations`` are seconds spent in each phase so far.
    """
    now_ns = or_now(now_ns)
    rooms = copied(ledger, ledger.rooms.values, lambda room: _row(room, now_ns))
    by_state: dict[str, list[dict[str, Any]]] = {}
    for row in rooms:
        by_state.setdefault(row["current_state"], []).append(row)
    health = Counter(row["health"] for row in rooms)
    return {
        "type": "room_status",
        "summary": {
            "total_rooms": len(rooms),
            "active_rooms": sum(row["game_id"] is not None for row in rooms),
            "total_players": sum(row["player_count"] for row in rooms),
            "health_summary": {name: health[name] for name in ROOM_HEALTH},
        },
        "rooms_by_state": by_state,
        "rooms": rooms,
        "timestamp": iso(now_ns),
    }


def _row(room: Room, now_ns: int) -> dict[str, Any]:
    return {
        "room_id": room.room_id,
        "game_id": room.game_id,
        "current_state": room.state,
        "player_count": room.player_count,
        "bot_count": room.bot_count,
        "created_at": iso(room.created_ns),
        "last_activity": iso(room.last_activity_ns),
        "total_actions": room.total_actions,
        "error_count": room.error_count,
        "phase_durations": dict(room.phase_seconds),
        "health": room_health(room, now_ns),
    }
