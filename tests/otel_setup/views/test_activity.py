"""Who plays, who is away, and what they did last."""

from __future__ import annotations

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.views import player_activity
from otel_setup.views.activity import GAMES_SHOWN, PLAYERS_SHOWN
from tests.otel_setup.ledger.builder import World, as_json


def test_players_of_a_live_game() -> None:
    world = World()
    world.start("g", humans="ann bea", bots="B1", room="r")
    world.moved("waiting", "turn", 1)
    world.tell(EventType.ROUND_STARTED, "g", round_number=2)
    world.tell(EventType.PLAYER_DISCONNECTED, "g", player="bea")
    world.tell(EventType.BOT_TAKEOVER, "g", player="bea")
    events = []
    for action, player in (("declare", "ann"), ("play_pieces", "ann"), ("declare", "B1")):
        world.wait(10)
        events.append(
            world.event(
                EventType.ACTION_COMPLETED,
                "g",
                player=player,
                action_type=action,
                outcome="accepted",
                duration_ms=3.5,
            )
        )
        world.ledger.apply(events[-1])
    world.wait(5)
    view = player_activity(world.ledger, events, world.now_ns)
    assert as_json(view) == {
        "type": "player_activity",
        "games": [
            {
                "game_id": "g",
                "room_id": "r",
                "state": "turn",
                "round": 2,
                "turns": 0,
                "actions": 3,
                "quiet_seconds": 5.0,
                "away": ["bea"],
                "players": [
                    {
                        "player_id": "ann",
                        "is_bot": False,
                        "played_by": "human",
                        "away_seconds": None,
                        "recent_actions": 2,
                        "last_action": {
                            "action_type": "play_pieces",
                            "outcome": "accepted",
                            "duration_ms": 3.5,
                            "timestamp": "2026-03-01T12:00:20+00:00",
                        },
                    },
                    {
                        "player_id": "bea",
                        "is_bot": False,
                        "played_by": "bot",
                        "away_seconds": 35.0,
                        "recent_actions": 0,
                        "last_action": None,
                    },
                    {
                        "player_id": "B1",
                        "is_bot": True,
                        "played_by": "bot",
                        "away_seconds": None,
                        "recent_actions": 1,
                        "last_action": {
                            "action_type": "declare",
                            "outcome": "accepted",
                            "duration_ms": 3.5,
                            "timestamp": "2026-03-01T12:00:30+00:00",
                        },
                    },
                ],
                "players_hidden": 0,
            }
        ],
        "games_hidden": 0,
        "events_considered": 3,
        "timestamp": "2026-03-01T12:00:35+00:00",
    }


def test_only_what_players_do_is_an_action() -> None:
    world = World()
    world.start(humans="ann")
    events = [
        world.event(EventType.ACTION_QUEUED, "g", player="ann", action_type="declare"),
        world.event(EventType.PLAYER_DISCONNECTED, "g", player="ann"),
        world.event(EventType.PLAYER_ACTION, "g", player="ann", action_type="view_scores"),
        world.event(EventType.ACTION_COMPLETED, "another game", player="ann", action_type="declare"),
        world.event(EventType.ACTION_COMPLETED, player="ann", action_type="declare"),
    ]
    (player,) = player_activity(world.ledger, events)["games"][0]["players"]
    assert player["recent_actions"] == 1
    assert player["last_action"]["action_type"] == "view_scores"


def test_where_no_seats_were_told_whoever_acts_is_a_player() -> None:
    world = World()
    world.start_by_counts(players=4, bots=2)
    event = world.event(EventType.ACTION_COMPLETED, "g", player="ann", action_type="declare", actor="unknown")
    (player,) = player_activity(world.ledger, [event])["games"][0]["players"]
    assert (player["player_id"], player["is_bot"], player["played_by"]) == ("ann", None, "unknown")


def test_the_view_is_bounded_and_says_what_it_hides() -> None:
    world = World()
    for number in range(GAMES_SHOWN + 5):
        world.start_by_counts(f"g{number}")
    world.acted("ann", game="g0")
    events: list[SystemEvent] = [
        world.event(EventType.ACTION_COMPLETED, "g0", player=f"p{number}", action_type="declare")
        for number in range(PLAYERS_SHOWN + 7)
    ]
    view = player_activity(world.ledger, events)
    assert len(view["games"]) == GAMES_SHOWN
    assert view["games_hidden"] == 5
    assert view["games"][0]["game_id"] == "g0", "the most recently active one comes first"
    assert view["games"][1]["game_id"] == f"g{GAMES_SHOWN + 4}"
    assert len(view["games"][0]["players"]) == PLAYERS_SHOWN
    assert view["games"][0]["players_hidden"] == 7


def test_a_finished_game_is_gone() -> None:
    world = World()
    world.start()
    world.end(winner="ann")
    assert player_activity(world.ledger, [])["games"] == []
