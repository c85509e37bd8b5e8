"""Each assertion passes on what is so, fails on what is not, and says what there was instead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from unittest.mock import ANY

import pytest
from opentelemetry import trace

import otel_setup
from otel_setup import EventType
from otel_setup.testing import Recording


@pytest.fixture
async def played(telemetry: Recording) -> Recording:
    monitor = telemetry.monitor
    await monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
    telemetry.clock.advance(2)
    async with (
        monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"),
        monitor.monitor_action_processing("g1", "declare", "Ann"),
    ):
        telemetry.clock.advance(0.1)
    with pytest.raises(KeyError):
        async with monitor.monitor_action_processing("g1", "declare", "Ben"):
            raise KeyError
    return telemetry


HOLDS: dict[str, Callable[[Recording], object]] = {
    "an event": lambda t: t.assert_event("game.started"),
    "an event by its id and data": lambda t: t.assert_event("game.started", game_id="g1", player_count=2),
    "an event by an attribute's name": lambda t: t.assert_event("game.started", {"game.id": "g1"}),
    "an event by its severity": lambda t: t.assert_event("action.failed", severity="ERROR"),
    "an event that lacks something": lambda t: t.assert_event("game.started", winner_id=None),
    "anything": lambda t: t.assert_event("action.completed", duration_ms=ANY),
    "nearly": lambda t: t.assert_event("action.completed", duration_ms=pytest.approx(101, abs=2)),
    "a float": lambda t: t.assert_event("action.completed", duration_ms=0.1 * 1000 + 1e-9),
    "no event": lambda t: t.assert_no_event("game.ended"),
    "no event with": lambda t: t.assert_no_event("game.started", room_id="r2"),
    "no event of the game's own": lambda t: t.assert_no_event(EventType("chess.castled")),
    "events in order": lambda t: t.assert_events("game.started", "action.completed", "action.failed"),
    "a span": lambda t: t.assert_span("action.declare", player_id="Ann"),
    "a span by its parent": lambda t: t.assert_span(
        "action.declare", parent=t.assert_span("state_transition.waiting_to_preparation", parent=None)
    ),
    "a span by its parent's name": lambda t: t.assert_span(
        "action.declare", parent="state_transition.waiting_to_preparation"
    ),
    "a failed span": lambda t: t.assert_span("action.declare", {"player.id": "Ben"}, status="error", parent=None),
    "spans in order": lambda t: t.assert_spans("state_transition.waiting_to_preparation", "action.declare"),
    "a metric without its prefix": lambda t: t.assert_metric("games_started_total", 1),
    "a metric": lambda t: t.assert_metric("liap_tui_games_started_total", 1),
    "a sum over labels": lambda t: t.assert_metric("actions_total", 2, action_type="declare"),
    "a label": lambda t: t.assert_metric("actions_total", 1, action_type="declare", outcome="accepted"),
    "about": lambda t: t.assert_metric("action_duration_seconds_sum", pytest.approx(0.1), action_type="declare"),
}


@pytest.mark.parametrize("what", HOLDS)
async def test_it_holds(played: Recording, what: str) -> None:
    HOLDS[what](played)


FAILS: dict[str, tuple[Callable[[Recording], object], list[str]]] = {
    "no event of the type": (
        lambda t: t.assert_event("game.ended"),
        ["no event 'game.ended'", "there were: game.started, game.snapshot, state.transition.start, 2 × action.queued"],
    ),
    "a misspelt event": (lambda t: t.assert_event("game.startd"), ["did you mean 'game.started'?"]),
    "another player": (
        lambda t: t.assert_event("action.completed", player_id="Ben", outcome="accepted"),
        [
            "no event 'action.completed' has player_id='Ben' outcome='accepted'; the nearest:",
            "action.completed at 12:00:02.100000: player_id='Ann'",
        ],
    ),
    "a misspelt field": (
        lambda t: t.assert_event("game.started", player_cuont=2),
        ["game.started at 12:00:00.000000: no player_cuont; did you mean 'player_count'?"],
    ),
    "a truth for a number": (lambda t: t.assert_event("game.started", player_count=True), ["player_count=2"]),
    "an event that is": (
        lambda t: t.assert_no_event("game.started", game_id="g1"),
        ["there is an event game.started at 12:00:00.000000", "room_id='r1'"],
    ),
    "another order": (
        lambda t: t.assert_events("action.failed", "action.completed"),
        ["no event 'action.completed' after 'action.failed', though there is one before; in order: game.started, "],
    ),
    "one event for two": (lambda t: t.assert_events(*["game.started"] * 2), ["no event 'game.started' after"]),
    "a misspelt span": (
        lambda t: t.assert_span("action.declar"),
        ["did you mean 'action.declare'?", "state_transition.waiting_to_preparation, 2 × action.declare"],
    ),
    "another parent": (
        lambda t: t.assert_span("action.declare", parent=None, status="unset"),
        [
            "no span 'action.declare' has parent=None status='unset'; the nearest:",
            "action.declare at 2.000 s: parent='state_transition.waiting_to_preparation'",
            "action.declare at 2.100 s: status='error'",
        ],
    ),
    "another order of spans": (
        lambda t: t.assert_spans("action.declare", "state_transition.waiting_to_preparation"),
        ["no span 'state_transition.waiting_to_preparation' after 'action.declare', though there is one before"],
    ),
    "a misspelt metric": (
        lambda t: t.assert_metric("games_startd_total", 1),
        ["there is no series 'games_startd_total' at /metrics; did you mean 'liap_tui_games_started_total'?"],
    ),
    "another value": (
        lambda t: t.assert_metric("actions_total", 3, action_type="declare"),
        [
            "liap_tui_actions_total action_type='declare' is 2, not 3; its series:",
            'liap_tui_actions_total{action_type="declare",actor="human",outcome="accepted"} 1',
        ],
    ),
    "zero": (lambda t: t.assert_metric("games_completed_total", 1), ["is 0, not 1", "nothing but zeros"]),
    "a misspelt label": (
        lambda t: t.assert_metric("actions_total", 1, action_typ="declare"),
        ["no series of liap_tui_actions_total has action_typ='declare'", "did you mean 'action_type'?"],
    ),
}


@pytest.mark.parametrize("what", FAILS)
async def test_it_fails_and_says_why(played: Recording, what: str) -> None:
    claim, told = FAILS[what]
    with pytest.raises(AssertionError) as failure:
        claim(played)
    for text in told:
        assert text in str(failure.value)


def test_a_parent_is_one_span_and_not_all_of_its_name(telemetry: Recording) -> None:
    tracer = trace.get_tracer("game")
    for name in ("child", "only"):
        with tracer.start_as_current_span("round"), tracer.start_as_current_span(name):
            pass
    first, second = telemetry.spans("round")
    telemetry.assert_span("child", parent=first)
    telemetry.assert_span("only", parent=second)
    with pytest.raises(AssertionError, match=r"parent_span_id='0{15}3'; the nearest:\n.*parent_span_id='0{15}1'"):
        telemetry.assert_span("child", parent=second)


async def test_that_nothing_misspelt_happened_is_no_claim(played: Recording) -> None:
    with pytest.raises(ValueError, match=r"'game\.endd' is no event of the catalogue.*did you mean 'game\.ended'\?"):
        played.assert_no_event("game.endd")


async def test_the_first_of_several_is_returned(played: Recording) -> None:
    assert played.assert_event("action.queued").player_id == "Ann"
    assert played.assert_span("action.declare").attributes["player.id"] == "Ann"
    assert [event.event_type for event in played.assert_events("game.started", "action.failed")] == [
        "game.started",
        "action.failed",
    ]


async def test_nothing_is_judged_by_a_part_of_the_events(telemetry: Recording) -> None:
    otel_setup.configure(history_size=2)
    for _ in range(3):
        await telemetry.monitor.record_room_created("r1")
    with pytest.raises(AssertionError, match="only the newest 2 events are kept"):
        telemetry.assert_no_event("game.started")


async def test_what_players_make_up_stays_on_its_line(telemetry: Recording) -> None:
    hostile = "\x1b[31m\u202e\n" + "x" * 10_000
    with trace.get_tracer(__name__).start_as_current_span(f"chat.{hostile}", attributes={"text": hostile}):
        pass
    async with telemetry.monitor.monitor_action_processing("g1", "declare", hostile):
        pass
    with pytest.raises(AssertionError) as failure:
        telemetry.assert_event("action.completed", player_id=hostile + "?")
    told = telemetry.story()
    assert len(told.splitlines()) == 1 + 1 + 3
    for text in (told, str(failure.value)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert max(map(len, text.splitlines())) < 500


async def test_the_story_says_who_caused_whom(played: Recording) -> None:
    other = threading.Thread(target=trace.get_tracer("game").start_span("alone").end)
    other.start()
    other.join()
    assert played.story(attributes=False) == (
        "    0.000  · game.started\n"
        "    0.000  · game.snapshot\n"
        "    2.000  ▸ state_transition.waiting_to_preparation (0.100 s)\n"
        "    2.000      · state.transition.start\n"
        "    2.000      ▸ action.declare (0.100 s)\n"
        "    2.000          · action.queued\n"
        "    2.000          · action.processing\n"
        "    2.100          · action.completed\n"
        "    2.100      · state.transition.complete\n"
        "    2.100  ▸ action.declare (0.000 s, failed)\n"
        "    2.100      · action.queued\n"
        "    2.100      · action.processing\n"
        "    2.100      · action.failed\n"
        "    2.100      · error.occurred\n"
        "    2.100  ▸ alone (0.000 s)"
    )
    assert "      ▸ action.declare player_id='Ann' action_type='declare'" in played.story().splitlines()[4]
