"""Transitions: they overlap, fail, are cancelled, come late, and may be illegal."""

from __future__ import annotations

import pytest

from otel_setup.catalogue import EventType
from otel_setup.ledger import reports
from tests.otel_setup.ledger.builder import World

# One game of a recorded run of the real server, in the order its calls completed: seconds, from, to, seconds it took.
# The first transition's code ran for 2 s; the second was entered, and finished, inside it.
RECORDED = (
    (0.679570, "PREPARATION", "ROUND_START", 0.004470),
    (2.181773, "WAITING", "PREPARATION", 2.009180),
    (6.294626, "ROUND_START", "DECLARATION", 0.610016),
    (8.320869, "DECLARATION", "TURN", 0.005794),
    (113.557403, "TURN", "TURN_RESULTS", 0.005984),
    (120.572883, "TURN_RESULTS", "SCORING", 0.006501),
    (127.593281, "SCORING", "GAME_OVER", 0.015123),
)
RECORDED_START, RECORDED_END = 0.172532, 127.589352


def _ordinals() -> list[int]:
    """The place of each recorded transition in the order of entry, from 1."""
    entries = sorted(done - took for done, _, _, took in RECORDED)
    return [entries.index(done - took) + 1 for done, _, _, took in RECORDED]


def test_the_recorded_game_is_always_in_the_phase_entered_last() -> None:
    world = World()
    world.wait(RECORDED_START)
    world.start(humans="ann bea cid dan")
    ordinals = _ordinals()
    assert ordinals[:2] == [2, 1], "the recording no longer overlaps"
    states, now, ended = [], RECORDED_START, False
    for ordinal, (done, left, entered, took) in zip(ordinals, RECORDED, strict=True):
        if not ended and done > RECORDED_END:
            world.wait(RECORDED_END - now)
            now, ended = RECORDED_END, True
            assert world.end(winner="ann", scores={"ann": 7, "bea": -1, "cid": 6, "dan": -5}).counted
        world.wait(done - now)
        now = done
        assert world.moved(left, entered, ordinal, ms=took * 1000).irregular is None
        states.append(world.ledger.state_of("g"))
    assert states == ["round_start", "round_start", "declaration", "turn", "turn_results", "scoring", None]
    assert {pair: edge.count for pair, edge in world.ledger.edges.items()} == {
        (left.lower(), entered.lower()): 1 for _, left, entered, _ in RECORDED
    }
    assert world.ledger.edges["waiting", "preparation"].total_ms == pytest.approx(2009.18)
    assert sum(reports.games_by_state(world.ledger).values()) == 0
    assert reports.mean_game_minutes(world.ledger, world.now_ns) == pytest.approx(
        (RECORDED_END - RECORDED_START) / 60, abs=1e-6
    )


def test_an_edge_counts_whatever_the_order() -> None:
    world = World()
    world.start()
    world.moved("preparation", "round_start", 2)
    world.moved("waiting", "preparation", 1)
    assert world.ledger.state_of("g") == "round_start"
    assert [
        world.ledger.edges[pair].count for pair in (("waiting", "preparation"), ("preparation", "round_start"))
    ] == [
        1,
        1,
    ]


def test_game_over_that_completes_after_the_end_counts_its_edge_and_revives_nothing() -> None:
    world = World()
    world.start()
    world.moved("turn_results", "scoring", 1)
    world.end(winner="ann")
    facts = world.moved("scoring", "game_over", 2)
    assert facts.irregular is None
    assert facts.counted
    assert world.ledger.edges["scoring", "game_over"].count == 1
    assert reports.games_active(world.ledger) == 0
    assert set(reports.games_by_state(world.ledger).values()) == {0}


def test_a_transition_of_a_game_that_never_was_counts_its_edge_and_is_said() -> None:
    world = World()
    facts = world.moved("waiting", "preparation", 1, game="never")
    assert (facts.counted, facts.irregular) == (True, "unknown_game")
    assert world.ledger.edges["waiting", "preparation"].count == 1
    assert reports.games_active(world.ledger) == 0


def test_a_failed_transition_leaves_the_game_where_it_was_and_is_an_error_there() -> None:
    world = World()
    world.start()
    world.moved("waiting", "preparation", 1)
    before = reports.games_by_state(world.ledger)
    facts = world.failed("preparation", "round_start", 2, error="KeyError")
    assert reports.games_by_state(world.ledger) == before
    assert facts.error_state == "preparation"
    assert world.ledger.errors_by_state == {"preparation": 1}
    edge = world.ledger.edges["preparation", "round_start"]
    assert (edge.count, edge.failures) == (0, 1)
    assert list(world.ledger.errors) == [("preparation", "KeyError")]
    assert world.ledger.rooms["g"].error_count == 1


def test_a_cancelled_transition_fails_its_edge_and_is_nobodys_error() -> None:
    world = World()
    world.start()
    before = reports.games_by_state(world.ledger)
    facts = world.failed("waiting", "preparation", 1, error="CancelledError")
    assert reports.games_by_state(world.ledger) == before
    assert facts.error_state is None
    assert world.ledger.errors_by_state == {}
    assert world.ledger.rooms["g"].error_count == 0
    assert world.ledger.edges["waiting", "preparation"].failures == 1
    assert [sample.error for sample in world.ledger.performance] == [False]


def test_after_a_failure_the_next_attempt_moves_the_game() -> None:
    world = World()
    world.start()
    world.failed("waiting", "preparation", 1)
    world.moved("waiting", "preparation", 2)
    assert world.ledger.state_of("g") == "preparation"


def test_an_illegal_transition_that_was_executed_moves_the_game() -> None:
    world = World()
    world.start()
    world.moved("waiting", "scoring", 1)
    assert world.ledger.state_of("g") == "scoring"
    assert world.ledger.edges["waiting", "scoring"].count == 1


def test_an_illegal_transition_that_was_only_attempted_moves_nothing() -> None:
    world = World()
    world.start()
    world.tell(EventType.STATE_TRANSITION_ILLEGAL, "g", from_state="waiting", to_state="GAME_OVER")
    assert world.ledger.state_of("g") == "waiting"
    edge = world.ledger.edges["waiting", "game_over"]
    assert (edge.count, edge.failures, edge.illegal_attempts) == (0, 0, 1)


def test_phases_the_model_does_not_know_are_one_however_many_there_are() -> None:
    world = World()
    world.start()
    for ordinal in range(1, 500):
        world.moved(f"invented_{ordinal}", f"invented_{ordinal + 1}", ordinal)
        world.failed(f"invented_{ordinal}", "turn", ordinal)
        world.tell(EventType.PHASE_COMPLETED, "g", phase=f"invented_{ordinal}", duration_seconds=1.0)
    assert set(world.ledger.edges) == {("other", "other"), ("other", "turn")}
    assert set(world.ledger.phases) == {"other"}
    assert set(world.ledger.errors_by_state) == {"other"}
    by_state = reports.games_by_state(world.ledger)
    assert by_state["other"] == 1
    assert sum(by_state.values()) == reports.games_active(world.ledger) == 1
    world.end(winner="ann")
    assert reports.games_by_state(world.ledger)["other"] == 0, "a series that was begun does not vanish"


def test_spellings_of_a_phase_are_one_phase() -> None:
    world = World()
    world.start()
    world.moved("WAITING", " Preparation ", 1)
    world.moved("waiting", "preparation", 2)
    assert list(world.ledger.edges) == [("waiting", "preparation")]
