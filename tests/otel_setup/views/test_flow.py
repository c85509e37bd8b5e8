"""Where rooms, games and phases lead to."""

from __future__ import annotations

from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.views import flow_diagram
from tests.otel_setup.ledger.builder import World, as_json


def _links(world: World, group: str) -> dict[tuple[str, str], int]:
    view = flow_diagram(world.ledger, world.now_ns)
    assert as_json(view) == view
    names = {node["id"] for node in view["nodes"]}
    assert len(names) == len(view["nodes"])
    assert all(link["source"] in names and link["target"] in names for link in view["links"])
    return {(link["source"], link["target"]): link["value"] for link in view["links"] if link["group"] == group}


def _values(world: World) -> dict[str, Any]:
    return {node["id"]: node["value"] for node in flow_diagram(world.ledger)["nodes"]}


def test_what_became_of_the_games() -> None:
    world = World(max_live_games=3, game_idle_timeout=100.0)
    for name in "abcdef":
        world.start(name)
        if name == "a":
            world.end(name, winner="ann")
        if name == "b":
            world.end(name, abandoned=True)
    world.wait(60)
    world.acted("ann", game="f")
    world.acted("ann", game="e")
    world.wait(60)
    world.ledger.sweep()
    assert _links(world, "games") == {
        ("games_started", "games_active"): 2,
        ("games_started", "games_completed"): 1,
        ("games_started", "games_abandoned"): 1,
        ("games_started", "games_given_up"): 2,
    }
    assert _values(world)["games_started"] == 6


def test_what_became_of_the_rooms() -> None:
    world = World()
    for room in ("unplayed", "waiting", "played"):
        world.tell(EventType.ROOM_CREATED, room=room)
    world.tell(EventType.ROOM_CLOSED, room="unplayed")
    for game in ("first", "second"):
        world.start(game, room="played")
        world.end(game, winner="ann")
    world.tell(EventType.ROOM_CLOSED, room="played")
    world.start("implied")
    assert _links(world, "rooms") == {
        ("rooms_created", "rooms_waiting"): 1,
        ("rooms_created", "rooms_played"): 1,
        ("rooms_created", "rooms_closed_unplayed"): 1,
    }
    assert _values(world)["rooms_created"] == 3


def test_a_room_announced_after_its_game_began_was_played() -> None:
    world = World()
    world.start("g", room="r")
    world.tell(EventType.ROOM_CREATED, room="r")
    world.tell(EventType.ROOM_CREATED, room="r")
    world.end(winner="ann")
    world.tell(EventType.ROOM_CLOSED, room="r")
    assert set(_links(world, "rooms").values()) == {1, 0}
    assert _values(world)["rooms_played"] == 1


def test_a_forgotten_room_no_longer_waits() -> None:
    world = World(max_rooms=1)
    world.tell(EventType.ROOM_CREATED, room="a")
    world.tell(EventType.ROOM_CREATED, room="b")
    assert _values(world)["rooms_waiting"] == 1


def test_transitions_between_phases_and_which_lead_back() -> None:
    world = World()
    world.start()
    for ordinal, (left, entered) in enumerate(
        [("waiting", "preparation"), ("turn", "turn_results"), ("turn_results", "turn"), ("turn", "turn_results")], 1
    ):
        world.moved(left, entered, ordinal)
    links = _links(world, "phases")
    assert links["turn", "turn_results"] == 2
    assert links["turn_results", "turn"] == 1
    assert links["scoring", "game_over"] == 0
    back = {(link["source"], link["target"]) for link in flow_diagram(world.ledger)["links"] if link["back"]}
    assert back == {("turn_results", "turn"), ("scoring", "preparation")}
    assert _values(world)["turn_results"] == 2
