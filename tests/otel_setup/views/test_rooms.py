"""Rooms with their health."""

from __future__ import annotations

from otel_setup.catalogue import EventType
from otel_setup.views import room_status
from otel_setup.views.copying import PORTION
from tests.otel_setup.ledger.builder import World, as_json


def test_a_room_with_all_it_has() -> None:
    world = World()
    world.tell(EventType.ROOM_CREATED, room="r")
    world.wait(10)
    world.start("g", humans="ann bea", bots="B1", room="r")
    world.moved("waiting", "preparation", 1)
    world.acted("ann")
    world.error()
    world.tell(EventType.PHASE_COMPLETED, "g", phase="waiting", duration_seconds=2.5)
    world.tell(EventType.PHASE_COMPLETED, "g", phase="waiting", duration_seconds=0.5)
    world.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    status = room_status(world.ledger, world.now_ns)
    row = {
        "room_id": "r",
        "game_id": "g",
        "current_state": "preparation",
        "player_count": 3,
        "bot_count": 2,
        "created_at": "2026-03-01T12:00:00+00:00",
        "last_activity": "2026-03-01T12:00:10+00:00",
        "total_actions": 1,
        "error_count": 1,
        "phase_durations": {"waiting": 3.0},
        "health": "healthy",
    }
    assert as_json(status) == {
        "type": "room_status",
        "summary": {
            "total_rooms": 1,
            "active_rooms": 1,
            "total_players": 3,
            "health_summary": {"healthy": 1, "idle": 0, "warning": 0, "critical": 0},
        },
        "rooms_by_state": {"preparation": [row]},
        "rooms": [row],
        "timestamp": "2026-03-01T12:00:10+00:00",
    }


def test_no_rooms() -> None:
    status = room_status(World().ledger)
    assert status["summary"] == {
        "total_rooms": 0,
        "active_rooms": 0,
        "total_players": 0,
        "health_summary": {"healthy": 0, "idle": 0, "warning": 0, "critical": 0},
    }
    assert (status["rooms"], status["rooms_by_state"]) == ([], {})


def test_health_and_activity_are_summed_up() -> None:
    world = World()
    world.tell(EventType.ROOM_CREATED, room="empty")
    for room, errors in (("fine", 0), ("bad", 6), ("worse", 11)):
        world.wait(400)
        world.start(f"game of {room}", humans="ann bea", room=room)
        for _ in range(errors):
            world.error(game=f"game of {room}")
    status = room_status(world.ledger, world.now_ns)
    assert status["summary"] == {
        "total_rooms": 4,
        "active_rooms": 3,
        "total_players": 6,
        "health_summary": {"healthy": 0, "idle": 2, "warning": 1, "critical": 1},
    }
    assert [room["room_id"] for room in status["rooms"]] == ["empty", "fine", "bad", "worse"]
    assert [room["room_id"] for room in status["rooms_by_state"]["waiting"]] == ["empty", "fine", "bad", "worse"]


def test_more_rooms_than_are_copied_at_a_time() -> None:
    world = World()
    names = [f"r{number}" for number in range(2 * PORTION + 1)]
    for name in names:
        world.tell(EventType.ROOM_CREATED, room=name)
    assert [room["room_id"] for room in room_status(world.ledger)["rooms"]] == names


def test_what_is_shown_is_a_copy() -> None:
    world = World()
    world.start()
    world.tell(EventType.PHASE_COMPLETED, "g", phase="turn", duration_seconds=1.0)
    room_status(world.ledger)["rooms"][0]["phase_durations"]["turn"] = 99
    assert world.ledger.rooms["g"].phase_seconds == {"turn": 1.0}
