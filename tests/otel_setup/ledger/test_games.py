"""Games: their beginning, their end, and who has won them."""

from __future__ import annotations

import pytest

from otel_setup.catalogue import EventType
from otel_setup.ledger import reports
from tests.otel_setup.ledger.builder import World


def test_a_started_game_is_active_in_the_initial_phase() -> None:
    world = World()
    facts = world.start()
    assert facts.counted
    assert facts.irregular is None
    assert reports.games_active(world.ledger) == 1
    assert reports.games_by_state(world.ledger) == {
        "waiting": 1,
        "preparation": 0,
        "round_start": 0,
        "declaration": 0,
        "turn": 0,
        "turn_results": 0,
        "scoring": 0,
        "game_over": 0,
    }


def test_an_ended_game_leaves_the_phase_it_was_in() -> None:
    world = World()
    world.start()
    world.moved("waiting", "preparation", 1)
    facts = world.end(winner="ann")
    assert facts.counted
    assert reports.games_active(world.ledger) == 0
    assert set(reports.games_by_state(world.ledger).values()) == {0}
    assert (world.ledger.completed, world.ledger.abandoned) == (1, 0)


def test_started_twice_counts_once_and_keeps_the_first() -> None:
    world = World()
    world.start()
    world.moved("waiting", "preparation", 1)
    facts = world.start()
    assert (facts.counted, facts.irregular) == (False, "game_started_twice")
    assert world.ledger.started == 1
    assert world.ledger.state_of("g") == "preparation"
    assert sum(reports.games_by_state(world.ledger).values()) == 1


def test_ended_twice_counts_once() -> None:
    world = World()
    world.start()
    world.end(winner="ann", scores={"ann": 50})
    facts = world.end(winner="bea", scores={"bea": 50})
    assert (facts.counted, facts.irregular) == (False, "game_ended_twice")
    assert world.ledger.completed == 1
    assert reports.player_metrics(world.ledger, "ann")["games_won"] == 1
    assert reports.player_metrics(world.ledger, "bea")["games_won"] == 0
    assert (facts.wins, facts.seats, facts.unattributed_wins) == ({}, {}, 0)


def test_the_end_of_an_unknown_game_counts_nothing() -> None:
    world = World()
    facts = world.end("never")
    assert (facts.counted, facts.irregular) == (False, "unknown_game_ended")
    assert (world.ledger.completed, world.ledger.abandoned) == (0, 0)
    assert reports.games_active(world.ledger) == 0


def test_a_game_may_start_again_under_its_old_id() -> None:
    world = World()
    world.start()
    world.end(winner="ann")
    assert world.start().counted
    assert world.end(winner="bea").counted
    assert (world.ledger.started, world.ledger.completed) == (2, 2)


def test_abandoned_games_are_counted_apart_and_enter_no_average() -> None:
    world = World()
    for game, abandoned in (("a", False), ("b", True)):
        world.start(game)
        world.wait(600 if game == "a" else 60)
        world.end(game, winner="ann", scores={"ann": 50}, abandoned=abandoned)
    assert (world.ledger.completed, world.ledger.abandoned) == (1, 1)
    assert reports.mean_game_minutes(world.ledger, world.now_ns) == 10
    assert reports.games_per_hour(world.ledger, world.now_ns) == 1
    assert reports.win_rates(world.ledger) == {"human": 0.25}
    assert reports.player_metrics(world.ledger, "ann")["games_played"] == 1


# --- winners --------------------------------------------------------------------------------------------------------


def test_win_rates_are_absent_without_data() -> None:
    world = World()
    assert reports.win_rates(world.ledger) == {}
    world.start()
    world.end(winner="ann")
    assert reports.win_rates(world.ledger) == {"human": 0.25}, "no bot has played: their rate is not 0 but unknown"


def test_each_winner_of_a_tie_has_a_win() -> None:
    world = World()
    world.start(humans="ann bea", bots="B1 B2")
    facts = world.end(winner=["ann", "B2", "bea"], scores={"ann": 50, "bea": 50, "B1": 3, "B2": 50})
    assert facts.wins == {"human": 2, "bot": 1}
    assert facts.seat_wins == (0, 3, 1)
    assert facts.unattributed_wins == 0
    assert reports.win_rates(world.ledger) == {"human": 1.0, "bot": 0.5}
    won = {name: reports.player_metrics(world.ledger, name)["games_won"] for name in ("ann", "bea", "B1", "B2")}
    assert won == {"ann": 1, "bea": 1, "B1": 0, "B2": 1}


def test_a_winner_named_twice_wins_once() -> None:
    world = World()
    world.start(humans="ann bea")
    assert world.end(winner=["ann", "ann"]).wins == {"human": 1}


def test_bots_are_told_by_their_flag_and_never_by_their_name() -> None:
    world = World()
    world.start(humans="bot_7 Bot", bots="ann")
    assert world.end(winner="bot_7").wins == {"human": 1}
    world.start(humans="bot_7 Bot", bots="ann")
    assert world.end(winner="ann").wins == {"bot": 1}
    assert reports.win_rates(world.ledger) == {"human": 1 / 4, "bot": 1 / 2}


def test_a_seat_keeps_its_type_while_a_bot_plays_it() -> None:
    world = World()
    world.start(humans="ann bea")
    world.tell(EventType.PLAYER_DISCONNECTED, "g", player="ann")
    world.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    assert world.end(winner="ann").wins == {"human": 1}


def test_counts_alone_do_not_say_who_won() -> None:
    world = World()
    world.start_by_counts(players=4, bots=2)
    facts = world.end(winner="Bot 2", scores={"Bot 2": 50, "ann": 10})
    assert (facts.wins, facts.unattributed_wins) == ({}, 1)
    assert reports.win_rates(world.ledger) == {}, "seats without their wins would make every rate 0"
    assert facts.seats == {}
    assert reports.player_metrics(world.ledger, "Bot 2")["games_won"] == 1, "who won is known, only not what they are"


def test_counts_alone_do_say_it_where_all_are_alike() -> None:
    world = World()
    world.start_by_counts("humans", players=4, bots=0)
    world.start_by_counts("bots", players=3, bots=3)
    assert world.end("humans", winner="ann").wins == {"human": 1}
    assert world.end("bots", winner="Bot 2").wins == {"bot": 1}
    assert reports.win_rates(world.ledger) == {"human": 1 / 4, "bot": 1 / 3}


def test_a_winner_who_has_no_seat_is_said_and_counts_in_no_rate() -> None:
    world = World()
    world.start(humans="ann bea")
    facts = world.end(winner=["ann", "ghost"])
    assert facts.irregular == "unknown_winner"
    assert (facts.wins, facts.seats, facts.unattributed_wins) == ({}, {}, 2)
    assert reports.win_rates(world.ledger) == {}


@pytest.mark.parametrize("winner", [None, "", []])
def test_a_game_may_have_no_winner(winner: object) -> None:
    world = World()
    world.start(humans="ann bea")
    facts = world.end(winner=winner)
    assert (facts.wins, facts.unattributed_wins, facts.irregular) == ({}, 0, None)
    assert reports.win_rates(world.ledger) == {"human": 0.0}


def test_named_seats_are_believed_before_counts() -> None:
    world = World()
    facts = world.tell(
        EventType.GAME_STARTED,
        "g",
        "g",
        player_count=4,
        bot_count=3,
        players=[{"player": "ann", "is_bot": False}, {"player": "B", "is_bot": True}],
    )
    assert facts.irregular == "seats_contradict_counts"
    assert world.end(winner="ann").seats == {"human": 1, "bot": 1}


def test_more_bots_than_players_is_said() -> None:
    world = World()
    assert world.start_by_counts(players=2, bots=5).irregular == "seats_contradict_counts"
    assert world.end(winner="x").seats == {"human": 0, "bot": 2}


def test_the_duration_of_a_game_is_what_its_end_says_or_what_the_clock_says() -> None:
    world = World()
    world.start("a")
    world.start("b")
    world.wait(300)
    world.tell(EventType.GAME_ENDED, "a", winner_id="ann", game_seconds=120.0)
    world.tell(EventType.GAME_ENDED, "b", winner_id="ann")
    assert reports.mean_game_minutes(world.ledger, world.now_ns) == (2 + 5) / 2


# --- rounds and turns -----------------------------------------------------------------------------------------------


def test_rounds_and_turns_of_a_live_game() -> None:
    world = World()
    world.start()
    world.tell(EventType.ROUND_STARTED, "g")
    world.tell(EventType.TURN_COMPLETED, "g")
    world.tell(EventType.TURN_COMPLETED, "g")
    assert (world.ledger.games["g"].round_number, world.ledger.games["g"].turns) == (1, 2)
    world.tell(EventType.ROUND_STARTED, "g", round_number=7)
    world.tell(EventType.ROUND_STARTED, "g")
    assert world.ledger.games["g"].round_number == 8


def test_what_happens_in_a_game_that_never_was_is_said_and_in_one_that_is_over_is_not() -> None:
    world = World()
    assert world.tell(EventType.ROUND_STARTED, "never").irregular == "unknown_game"
    world.start()
    world.end(winner="ann")
    assert world.tell(EventType.TURN_COMPLETED, "g").irregular is None
