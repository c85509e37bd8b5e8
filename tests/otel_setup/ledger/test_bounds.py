"""Everything has a bound: it pushes out the right one, and says how many."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.catalogue.attributes import BOUND
from otel_setup.ledger import reports
from tests.otel_setup.ledger.builder import World


def test_max_live_games_gives_up_the_longest_quiet_one() -> None:
    world = World(max_live_games=2)
    world.start("a")
    world.start("b")
    world.acted("ann", game="a")
    world.start("c")
    assert set(world.ledger.games) == {"a", "c"}
    assert world.ledger.dropped == {"max_live_games": 1}
    assert set(world.ledger.rooms) == {"a", "c"}, "its room went with it"
    assert sum(reports.games_by_state(world.ledger).values()) == reports.games_active(world.ledger) == 2


def test_an_idle_game_is_given_up_after_its_time_and_not_before() -> None:
    world = World(game_idle_timeout=60.0)
    world.start("quiet")
    world.start("busy")
    world.wait(40)
    world.acted("ann", game="busy")
    world.wait(20)
    world.ledger.sweep()
    assert set(world.ledger.games) == {"quiet", "busy"}
    world.wait(1)
    world.ledger.sweep()
    assert set(world.ledger.games) == {"busy"}
    assert world.ledger.dropped == {"game_idle_timeout": 1}
    assert sum(reports.games_by_state(world.ledger).values()) == 1
    assert (world.ledger.completed, world.ledger.abandoned) == (0, 0), "nobody said how it ended"


def test_an_idle_game_is_given_up_when_another_starts() -> None:
    world = World(game_idle_timeout=60.0)
    world.start("quiet")
    world.wait(61)
    world.start("new")
    assert set(world.ledger.games) == {"new"}


def test_max_players_forgets_the_least_recently_seen() -> None:
    world = World(max_players=2)
    for player in ("ann", "bea", "ann", "cid"):
        world.acted(player)
    assert set(world.ledger.players) == {"ann", "cid"}
    assert world.ledger.dropped == {"max_players": 1}
    assert reports.player_metrics(world.ledger, "bea") == {}


def test_max_rooms_forgets_the_longest_quiet_one() -> None:
    world = World(max_rooms=2)
    world.tell(EventType.ROOM_CREATED, room="a")
    world.tell(EventType.ROOM_CREATED, room="b")
    world.tell(EventType.PLAYER_JOINED, room="a", player="ann", is_bot=False)
    world.tell(EventType.ROOM_CREATED, room="c")
    assert set(world.ledger.rooms) == {"a", "c"}
    assert world.ledger.dropped == {"max_rooms": 1}


def test_a_game_lives_on_without_its_forgotten_room() -> None:
    world = World(max_rooms=1)
    world.start("a")
    world.start("b")
    world.acted("ann", game="a")
    world.moved("waiting", "preparation", 1, game="a")
    assert world.ledger.state_of("a") == "preparation"
    assert set(world.ledger.rooms) == {"b"}
    world.end("a", winner="ann")
    assert set(world.ledger.rooms) == {"b"}


def test_max_connections_forgets_the_one_opened_first() -> None:
    world = World(max_connections=2)
    for connection in ("a", "b", "c"):
        world.tell(EventType.CONNECTION_OPENED, connection=connection)
    assert set(world.ledger.connections) == {"b", "c"}
    assert world.ledger.dropped == {"max_connections": 1}


def test_max_error_kinds_forgets_the_one_not_seen_for_longest() -> None:
    world = World(max_error_kinds=2)
    for error_type in ("A", "B", "A", "C"):
        world.error(error_type, game=None)
    assert set(world.ledger.errors) == {("other", "A"), ("other", "C")}
    assert world.ledger.dropped == {"max_error_kinds": 1}
    assert world.ledger.errors_by_state == {"other": 4}, "the counter forgets nothing"


def test_every_bound_is_counted_under_a_declared_name() -> None:
    assert isinstance(BOUND.values, tuple)
    world = World(
        max_live_games=1, game_idle_timeout=60.0, max_players=1, max_rooms=1, max_connections=1, max_error_kinds=1
    )
    for name in ("a", "b"):
        world.start(name)
        world.acted(name, game=name)
        world.tell(EventType.CONNECTION_OPENED, connection=name)
        world.error(name)
    world.tell(EventType.ROOM_CREATED, room="c")
    world.wait(61)
    world.ledger.sweep()
    assert set(world.ledger.dropped) == {
        "max_live_games",
        "game_idle_timeout",
        "max_players",
        "max_rooms",
        "max_connections",
        "max_error_kinds",
    }
    assert set(world.ledger.dropped) <= set(BOUND.values)


def test_the_samples_of_a_phase_and_of_the_timeline_are_bounded() -> None:
    world = World()
    for _ in range(1_500):
        world.tell(EventType.PHASE_COMPLETED, phase="turn", duration_seconds=1.0)
        world.acted("ann")
    assert world.ledger.phases["turn"].count == 1_500
    assert len(world.ledger.phases["turn"].recent) == 1_000
    assert len(world.ledger.performance) == 1_000


def test_memory_does_not_grow_with_the_games_that_were_played() -> None:
    """20,000 finished games of 80,000 players, among others that never end; and no socket is ever closed."""
    sizes: dict[str, Any] = {
        "max_live_games": 50,
        "max_players": 200,
        "max_rooms": 100,
        "max_connections": 50,
        "max_error_kinds": 10,
    }
    world = World(**sizes)

    def play(first: int, last: int) -> None:
        for number in range(first, last):
            game, players = f"game{number}", [f"{name}{number}" for name in "abcd"]
            if number % 10 == 0:
                world.tell(EventType.ROOM_CREATED, room=game)
            world.start(game, humans=" ".join(players))
            world.error(f"Error{number}", game=game)
            world.tell(EventType.CONNECTION_OPENED, connection=game)
            if number % 50:
                world.end(game, winner=players[0], scores=dict.fromkeys(players, number))

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        play(0, 2_500)  # fills all that is bounded
        before = held()
        play(2_500, 20_500)
        grown = held() - before
    finally:
        tracemalloc.stop()
    assert world.ledger.completed > 20_000
    allowed = 200 * sum(sizes.values())
    assert grown < allowed, f"18,000 games more take {grown} bytes more; {allowed} are allowed"
