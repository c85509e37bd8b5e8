"""What the tests of the example games share: reading a record file without the code that wrote it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from otel_setup import SystemEvent

Fact = dict[str, Any]


def read_facts(path: Path) -> list[Fact]:
    """The facts of a record, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of(facts: list[Fact], *kinds: str) -> list[Fact]:
    """Those of these kinds."""
    return [fact for fact in facts if fact["fact"] in kinds]


def by_room(facts: list[Fact]) -> dict[str, list[Fact]]:
    """The facts of each room."""
    rooms: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if "room" in fact:
            rooms[fact["room"]].append(fact)
    return dict(rooms)


def check_paths(rooms: dict[str, list[Fact]], start: str, end: str, legal: set[tuple[str, str]]) -> None:
    """Every room's transitions are legal and each begins where the last one ended; only decided games end properly."""
    for room, facts in rooms.items():
        phase = start
        for fact in of(facts, "transition"):
            assert fact["from"] == phase, room
            assert (fact["from"], fact["to"]) in legal
            phase = fact["to"]
        assert (phase == end) == bool(of(facts, "game_completed")), room


def check_everyone_counted_once(facts: list[Fact]) -> None:
    """What begins ends exactly once: games, rooms, seats, sockets; attempts called illegal are illegal."""
    for room, own in by_room(facts).items():
        if of(own, "room_created"):
            assert len(of(own, "room_created")) == len(of(own, "room_closed")) == 1, room
            assert len(of(own, "game_completed", "game_abandoned")) == len(of(own, "game_started")) <= 1, room
            joined = sorted((fact["player"], fact["actor"]) for fact in of(own, "player_joined"))
            left = sorted((fact["player"], fact["actor"]) for fact in of(own, "player_left"))
            assert joined == left, room
    opened, closed = of(facts, "socket_opened"), of(facts, "socket_closed")
    assert sorted(fact["path"] for fact in opened) == sorted(fact["path"] for fact in closed)


def check_events_follow_the_record(events: list[SystemEvent], rooms: dict[str, list[Fact]]) -> None:
    """A game is created with its room, and each phase that was entered was told to begin, in that order."""
    for room, facts in rooms.items():
        own = [event for event in events if event.game_id == room]
        created = [event for event in own if event.event_type == "game.created"]
        assert len(created) == len(of(facts, "room_created")), room
        begun = [event.data["phase"] for event in own if event.event_type == "phase.started"]
        assert begun == [fact["to"] for fact in of(facts, "transition")], room


def check_returns_follow_losses(facts: list[Fact]) -> None:
    """In every room a player is lost before coming back, and lost again only after that."""
    for room, own in by_room(facts).items():
        away: set[str] = set()
        for fact in of(own, "player_disconnected", "player_reconnected"):
            assert (fact["player"] in away) == (fact["fact"] == "player_reconnected"), room
            away ^= {fact["player"]}
