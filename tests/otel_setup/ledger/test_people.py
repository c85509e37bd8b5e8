"""Players and the bots that stand in for them, rooms, sockets and errors."""

from __future__ import annotations

import pytest

from otel_setup.catalogue import EventType
from otel_setup.ledger import reports
from tests.otel_setup.ledger.builder import World

# --- who plays ------------------------------------------------------------------------------------------------------


def test_the_actor_of_a_named_seat() -> None:
    world = World()
    world.start(humans="ann", bots="bea")
    assert world.ledger.actor("g", "ann") == "human"
    assert world.ledger.actor("g", "bea") == "bot"
    assert world.ledger.actor("g", "stranger") == "unknown"
    assert world.ledger.actor("never", "ann") == "unknown"


@pytest.mark.parametrize(("bots", "actor"), [(0, "human"), (4, "bot"), (1, "unknown")])
def test_the_actor_of_a_game_that_told_only_counts(bots: int, actor: str) -> None:
    world = World()
    world.start_by_counts(players=4, bots=bots)
    assert world.ledger.actor("g", "Bot 2") == actor


def test_takeover_and_return_change_the_actor_and_the_rooms_bots() -> None:
    world = World()
    world.start(humans="ann bea", bots="B1")
    room = world.ledger.rooms["g"]
    assert room.bot_count == 1

    world.tell(EventType.PLAYER_DISCONNECTED, "g", player="ann")
    assert world.ledger.actor("g", "ann") == "human", "nobody plays for her yet"
    world.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    assert (world.ledger.actor("g", "ann"), room.bot_count) == ("bot", 2)
    world.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    assert room.bot_count == 2, "told twice, taken over once"
    world.wait(12.5)
    assert world.ledger.away_seconds("g", "ann") == 12.5

    world.tell(EventType.PLAYER_RECONNECTED, "g", player="ann")
    assert (world.ledger.actor("g", "ann"), room.bot_count) == ("human", 1)
    assert world.ledger.away_seconds("g", "ann") is None
    world.tell(EventType.PLAYER_RECONNECTED, "g", player="ann")
    assert room.bot_count == 1
    assert room.player_count == 3


def test_a_declared_bot_stays_a_bot() -> None:
    world = World()
    world.start(humans="ann", bots="B1")
    world.tell(EventType.PLAYER_RECONNECTED, "g", player="B1")
    assert (world.ledger.actor("g", "B1"), world.ledger.rooms["g"].bot_count) == ("bot", 1)


def test_players_join_and_leave_a_room() -> None:
    world = World()
    world.tell(EventType.ROOM_CREATED, room="r")
    world.tell(EventType.PLAYER_JOINED, room="r", player="ann", is_bot=False)
    world.tell(EventType.PLAYER_JOINED, room="r", player="B1", is_bot=True)
    room = world.ledger.rooms["r"]
    assert (room.player_count, room.bot_count) == (2, 1)
    world.tell(EventType.PLAYER_LEFT, room="r", player="B1", is_bot=True)
    world.tell(EventType.PLAYER_LEFT, room="r", player="ann", is_bot=False)
    world.tell(EventType.PLAYER_LEFT, room="r", player="ann", is_bot=False)
    assert (room.player_count, room.bot_count) == (0, 0)


def test_actions_count_for_the_player_the_game_and_the_room() -> None:
    world = World()
    world.start()
    world.acted("ann", ms=4)
    world.acted("ann", ms=8, outcome="rejected")
    world.tell(EventType.PLAYER_ACTION, "g", player="ann", action_type="view_scores", duration_ms=0.0)
    assert world.ledger.games["g"].actions == 2
    assert world.ledger.rooms["g"].total_actions == 2
    assert reports.player_metrics(world.ledger, "ann") == {
        "games_played": 0,
        "games_won": 0,
        "total_score": 0,
        "actions_taken": 3,
        "avg_response_time": 4.0,
    }


def test_a_failed_action_is_an_error_of_its_games_phase_and_a_cancelled_one_is_not() -> None:
    world = World()
    world.start()
    world.moved("declaration", "turn", 1)
    facts = world.tell(
        EventType.ACTION_FAILED, "g", player="ann", action_type="declare", outcome="failed", error_type="KeyError"
    )
    assert facts.error_state == "turn"
    facts = world.tell(
        EventType.ACTION_FAILED,
        "g",
        player="ann",
        action_type="declare",
        outcome="cancelled",
        error_type="CancelledError",
    )
    assert facts.error_state is None
    assert world.ledger.errors_by_state == {"turn": 1}
    assert world.ledger.games["g"].actions == 2


def test_an_action_that_the_game_calls_failed_is_an_error_although_nothing_was_raised() -> None:
    world = World()
    world.start()
    assert world.acted("ann", outcome="failed").error_state == "waiting"


def test_a_rejected_action_is_no_error() -> None:
    world = World()
    world.start()
    assert world.acted("ann", outcome="invalid").error_state is None
    assert world.ledger.errors == {}


def test_errors_belong_to_the_games_phase_or_to_the_one_they_name() -> None:
    world = World()
    world.start()
    assert world.error().error_state == "waiting"
    assert world.error(game=None).error_state == "other"
    facts = world.tell(EventType.ERROR_OCCURRED, error_type="E", error_message="no", state="SCORING")
    assert facts.error_state == "scoring"
    assert world.tell(EventType.GAME_ERROR, "g", error_type="E", error_message="no").error_state == "waiting"


# --- rooms ----------------------------------------------------------------------------------------------------------


def test_a_room_known_only_from_its_game_vanishes_with_it_and_an_announced_one_stays() -> None:
    world = World()
    world.tell(EventType.ROOM_CREATED, room="announced")
    world.start("g1", room="announced")
    world.start("g2", room="implied")
    world.moved("waiting", "preparation", 1, game="g1")
    assert set(world.ledger.rooms) == {"announced", "implied"}
    assert reports.rooms_by_state(world.ledger)["preparation"] == 1
    world.end("g1", winner="ann")
    world.end("g2", winner="ann")
    assert set(world.ledger.rooms) == {"announced"}
    room = world.ledger.rooms["announced"]
    assert (room.game_id, room.state) == (None, "waiting")
    world.tell(EventType.ROOM_CLOSED, room="announced")
    assert world.ledger.rooms == {}
    assert sum(reports.rooms_by_state(world.ledger).values()) == 0


def test_a_room_closed_under_its_game_does_not_come_back() -> None:
    world = World()
    world.start("g", room="r")
    world.tell(EventType.ROOM_CLOSED, room="r")
    world.moved("waiting", "preparation", 1)
    world.acted("ann")
    world.end(winner="ann", abandoned=True)
    assert world.ledger.rooms == {}


def test_a_new_game_in_a_room_is_not_disturbed_by_the_end_of_the_old_one() -> None:
    world = World()
    world.start("old", room="r")
    world.start("new", room="r")
    world.moved("waiting", "preparation", 1, game="new")
    world.moved("scoring", "game_over", 2, game="old")
    assert world.ledger.rooms["r"].state == "preparation"
    world.end("old", winner="ann")
    assert world.ledger.rooms["r"].game_id == "new"


def test_an_event_that_names_only_its_game_counts_for_the_games_room() -> None:
    world = World()
    world.start("g", room="r")
    world.wait(200)
    world.error()
    world.wait(200)
    room = world.ledger.rooms["r"]
    assert room.error_count == 1
    assert reports.room_health(room, world.now_ns) == "healthy", "200 s after its last event it is not idle"


def test_a_late_event_does_not_make_a_room_older() -> None:
    world = World()
    world.tell(EventType.ROOM_CREATED, room="r")
    late = world.event(EventType.PLAYER_JOINED, room="r", player="ann", is_bot=False)
    world.wait(250)
    world.tell(EventType.PLAYER_JOINED, room="r", player="bea", is_bot=False)
    world.ledger.apply(late)
    world.wait(250)
    assert reports.rooms_by_health(world.ledger, world.now_ns) == {"healthy": 1, "idle": 0, "warning": 0, "critical": 0}


@pytest.mark.parametrize(
    ("errors", "quiet", "health"),
    [
        (0, 0, "healthy"),
        (5, 300, "healthy"),
        (5, 301, "idle"),
        (6, 301, "warning"),
        (10, 0, "warning"),
        (11, 301, "critical"),
    ],
)
def test_a_rooms_health(errors: int, quiet: float, health: str) -> None:
    world = World()
    world.start()
    for _ in range(errors):
        world.error()
    world.wait(quiet)
    assert reports.room_health(world.ledger.rooms["g"], world.now_ns) == health
    expected = dict.fromkeys(("healthy", "idle", "warning", "critical"), 0) | {health: 1}
    assert reports.rooms_by_health(world.ledger, world.now_ns) == expected


# --- sockets --------------------------------------------------------------------------------------------------------


def test_sockets_open_and_close() -> None:
    world = World()
    world.tell(EventType.CONNECTION_OPENED, connection="c1", room="lobby")
    world.wait(7)
    world.tell(EventType.CONNECTION_OPENED, connection="c2", room="lobby")
    assert reports.connections_active(world.ledger) == 2
    assert world.ledger.connection_seconds("c1") == 7
    assert world.tell(EventType.CONNECTION_CLOSED, connection="c1").irregular is None
    assert reports.connections_active(world.ledger) == 1
    assert world.ledger.connection_seconds("c1") is None


def test_a_socket_opened_twice_is_one_and_keeps_its_age() -> None:
    world = World()
    world.tell(EventType.CONNECTION_OPENED, connection="c")
    world.wait(7)
    facts = world.tell(EventType.CONNECTION_OPENED, connection="c")
    assert (facts.counted, facts.irregular) == (False, "connection_opened_twice")
    assert reports.connections_active(world.ledger) == 1
    assert world.ledger.connection_seconds("c") == 7


def test_an_unknown_socket_may_close_and_the_gauge_stays() -> None:
    world = World()
    world.tell(EventType.CONNECTION_OPENED, connection="c")
    facts = world.tell(EventType.CONNECTION_CLOSED, connection="never")
    assert facts.irregular == "unknown_connection_closed"
    assert reports.connections_active(world.ledger) == 1
