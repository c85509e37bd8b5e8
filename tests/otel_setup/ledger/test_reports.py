"""Reports: hours, averages, percentiles, and what each player has done."""

from __future__ import annotations

import pytest

from otel_setup.catalogue import EventType
from otel_setup.ledger import reports
from tests.otel_setup.ledger.builder import World, as_json

HOUR = 3600

# --- by the hour ----------------------------------------------------------------------------------------------------


def test_hours_have_their_own_counts() -> None:
    world = World()
    world.start("a", humans="ann bea cid")
    world.tell(EventType.TURN_COMPLETED, "a")
    world.wait(HOUR - 1)
    world.end("a", winner="ann")
    world.wait(1)
    world.start("b", humans="ann bea")
    world.end("b", abandoned=True)
    assert reports.hourly_metrics(world.ledger, now_ns=world.now_ns) == {
        "2026-03-01-12": {
            "games_started": 1,
            "games_completed": 1,
            "games_abandoned": 0,
            "total_players": 3,
            "total_turns": 1,
        },
        "2026-03-01-13": {
            "games_started": 1,
            "games_completed": 0,
            "games_abandoned": 1,
            "total_players": 2,
            "total_turns": 0,
        },
    }


def test_only_the_last_hours_are_reported_this_one_included() -> None:
    world = World()
    for hour in range(5):
        world.start(f"g{hour}")
        world.wait(HOUR)
    world.wait(-1)  # one second before 17:00
    assert list(reports.hourly_metrics(world.ledger, 2, world.now_ns)) == ["2026-03-01-15", "2026-03-01-16"]
    assert reports.hourly_metrics(world.ledger, 0, world.now_ns) == {}
    assert reports.hourly_metrics(world.ledger, -3, world.now_ns) == {}


def test_old_hours_expire_without_any_new_event() -> None:
    world = World(retention_hours=3)
    world.start()
    world.wait(2 * HOUR + HOUR - 1)
    assert "2026-03-01-12" in reports.hourly_metrics(world.ledger, 24, world.now_ns)
    world.wait(1)
    assert reports.hourly_metrics(world.ledger, 24, world.now_ns) == {}, "no more hours than are kept"


def test_games_per_hour_looks_back_60_minutes_to_the_second() -> None:
    world = World()
    world.wait(1234)
    world.start()
    world.end(winner="ann")
    world.wait(3599.999)
    assert reports.games_per_hour(world.ledger, world.now_ns) == 1
    world.wait(0.001)
    assert reports.games_per_hour(world.ledger, world.now_ns) == 0


def test_games_per_hour_counts_every_completion_of_the_hour() -> None:
    world = World()
    for number in range(200):
        world.start(f"g{number}")
        world.end(f"g{number}", winner="ann")
        world.wait(36)
    assert reports.games_per_hour(world.ledger, world.now_ns) == 99  # at 36 s, 72 s … 3,564 s ago
    assert world.ledger.completed == 200


def test_the_mean_duration_forgets_what_is_older_than_the_retention() -> None:
    world = World(retention_hours=2)
    assert reports.mean_game_minutes(world.ledger, world.now_ns) is None
    for game, minutes in (("long", 30), ("short", 10)):
        world.start(game)
        world.wait(minutes * 60)
        world.end(game, winner="ann")
    assert reports.mean_game_minutes(world.ledger, world.now_ns) == 20
    world.wait(2 * HOUR - 9 * 60)
    assert reports.mean_game_minutes(world.ledger, world.now_ns) == 10
    world.wait(10 * 60)
    assert reports.mean_game_minutes(world.ledger, world.now_ns) is None


# --- phases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "p95"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0], 2.0),
        (list(range(1, 20)), 19),  # rank 18.05, so the 19th
        (list(range(1, 21)), 19),  # rank 19
        (list(range(1, 22)), 20),  # rank 19.95
        (list(range(100, 0, -1)), 95),  # unsorted
    ],
)
def test_p95_is_the_nearest_rank(samples: list[float], p95: float) -> None:
    world = World()
    for seconds in samples:
        world.tell(EventType.PHASE_COMPLETED, phase="TURN", duration_seconds=float(seconds))
    assert reports.phase_metrics(world.ledger) == {
        "turn": {
            "avg_seconds": pytest.approx(sum(samples) / len(samples)),
            "min_seconds": min(samples),
            "max_seconds": max(samples),
            "p95_seconds": p95,
        }
    }


def test_p95_is_of_the_last_thousand() -> None:
    world = World()
    for seconds in [500.0] * 1000 + [1.0] * 1000:
        world.tell(EventType.PHASE_COMPLETED, phase="turn", duration_seconds=seconds)
    metrics = reports.phase_metrics(world.ledger)["turn"]
    assert (metrics["p95_seconds"], metrics["max_seconds"], metrics["avg_seconds"]) == (1.0, 500.0, 250.5)


def test_there_is_no_percentile_of_nothing() -> None:
    assert reports.phase_metrics(World().ledger) == {}
    with pytest.raises(ValueError, match="no samples"):
        reports.percentile([], 95)


def test_a_duration_that_is_none_is_not_recorded() -> None:
    world = World()
    for seconds in (float("nan"), float("inf"), -1.0, "12", None, True):
        world.tell(EventType.PHASE_COMPLETED, phase="turn", duration_seconds=seconds)
    assert reports.phase_metrics(world.ledger) == {}


# --- players and games ----------------------------------------------------------------------------------------------


def test_a_players_own_statistics() -> None:
    world = World()
    for winner, score in (("ann", 52), ("bea", -3)):
        world.start(humans="ann bea")
        world.acted("ann", ms=3)
        world.end(winner=winner, scores={"ann": score, "bea": 50})
    assert reports.player_metrics(world.ledger, "ann") == {
        "games_played": 2,
        "games_won": 1,
        "total_score": 49,
        "actions_taken": 2,
        "avg_response_time": 3.0,
    }
    assert reports.player_metrics(world.ledger, "nobody") == {}


def test_a_winner_without_a_score_has_played_where_no_seats_were_told() -> None:
    world = World()
    world.start_by_counts()
    world.end(winner="ann", scores={"bea": 7})
    games = {name: reports.player_metrics(world.ledger, name) for name in ("ann", "bea")}
    assert {name: (stats["games_played"], stats["games_won"]) for name, stats in games.items()} == {
        "ann": (1, 1),
        "bea": (1, 0),
    }


def test_a_player_is_found_by_the_name_as_it_was_given() -> None:
    world = World()
    world.start(humans="ev\u202eil")
    world.end(winner="ev\u202eil", scores={"ev\u202eil": 3})
    assert reports.player_metrics(world.ledger, "ev\u202eil")["games_won"] == 1
    assert all(name.isprintable() for name in world.ledger.players)


def test_all_players_together() -> None:
    world = World()
    assert reports.player_metrics(world.ledger) == {}
    world.start(humans="ann bea", bots="B1 B2")
    world.end(winner=["ann", "B1"])
    world.start(humans="ann bea")
    world.end(winner="ann")
    assert reports.player_metrics(world.ledger) == {
        "total_players": 4,
        "average_games_per_player": 6 / 4,
        "overall_win_rate": 3 / 6,
        "bot_win_rate": 1 / 2,
        "human_win_rate": 2 / 4,
    }


def test_rates_nobody_can_know_are_none() -> None:
    world = World()
    world.acted("ann")
    assert reports.player_metrics(world.ledger) == {
        "total_players": 1,
        "average_games_per_player": 0.0,
        "overall_win_rate": None,
        "bot_win_rate": None,
        "human_win_rate": None,
    }


def test_analytics_before_any_game_has_ended() -> None:
    world = World()
    world.start("a")
    world.start("b")
    assert reports.game_analytics(world.ledger, world.now_ns) == {
        "total_games": 2,
        "active_games": 2,
        "avg_duration": 0.0,
        "avg_players": 0.0,
        "completion_rate": 0.0,
    }


def test_analytics() -> None:
    world = World()
    for game in "abcd":
        world.start(game, humans="ann bea cid dan" if game != "b" else "ann bea")
    world.wait(600)
    world.end("a", winner="ann")
    world.wait(600)
    world.end("b", winner="ann")
    world.end("c", abandoned=True)
    analytics = reports.game_analytics(world.ledger, world.now_ns)
    assert analytics == {
        "total_games": 4,
        "active_games": 1,
        "completed_games": 2,
        "abandoned_games": 1,
        "avg_duration_minutes": 15.0,
        "avg_players": 3.0,
        "completion_rate": 2 / 3,
        "games_per_hour": 2,
    }
    assert as_json(analytics) == analytics
    world.wait(25 * HOUR)
    analytics = reports.game_analytics(world.ledger, world.now_ns)
    assert (analytics["completed_games"], analytics["avg_duration_minutes"], analytics["games_per_hour"]) == (
        2,
        None,
        0,
    )


def test_analytics_when_all_games_were_abandoned() -> None:
    world = World()
    world.start()
    world.end(abandoned=True)
    analytics = reports.game_analytics(world.ledger, world.now_ns)
    assert (analytics["abandoned_games"], analytics["completion_rate"]) == (1, 0.0)
    assert (analytics["avg_duration_minutes"], analytics["avg_players"]) == (None, None)


def test_without_being_told_the_time_reports_are_of_now() -> None:
    world = World()
    world.start()
    world.end(winner="ann")
    assert reports.games_per_hour(world.ledger) == 0, "that game ended in another year"
    assert reports.mean_game_minutes(world.ledger) is None
    assert reports.hourly_metrics(world.ledger) == {}
