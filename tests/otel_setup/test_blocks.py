"""The two blocks: what their bodies do is unchanged, and what happened is recorded."""

from __future__ import annotations

import asyncio

import pytest

from otel_setup import EventType, Seat, get_correlation_id, set_correlation_id
from otel_setup.testing import Recorded

WAITING, PREPARATION, ROUND_START = "WAITING", "PREPARATION", "ROUND_START"


async def started(telemetry: Recorded, game: str = "g1") -> None:
    seats = [Seat("ann"), Seat("bo"), Seat("cy"), Seat("Bot 4", is_bot=True)]
    await telemetry.monitor.record_game_start(game, f"room-{game}", 4, 1, players=seats)


def names(telemetry: Recorded, prefix: str) -> list[str]:
    return [event.event_type.value for event in telemetry.events() if event.event_type.startswith(prefix)]


def state_of(telemetry: Recorded, game: str = "g1") -> str | None:
    return telemetry.monitor.core.ledger.state_of(game)


async def test_a_transition_moves_its_game(telemetry: Recorded) -> None:
    await started(telemetry)
    async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
        assert state_of(telemetry) == "waiting"
    assert state_of(telemetry) == "preparation"
    assert telemetry.value("liap_tui_state_active_games", {"state": "preparation"}) == 1
    assert telemetry.value("liap_tui_state_active_games", {"state": "waiting"}) == 0


async def test_results_and_exceptions_of_the_body_are_its_own(telemetry: Recorded) -> None:
    await started(telemetry)
    error = ValueError("the game's own")
    with pytest.raises(ValueError, match="the game's own") as raised:
        async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
            raise error
    assert raised.value is error


async def test_a_failed_transition_leaves_the_game_where_it_was(telemetry: Recorded) -> None:
    await started(telemetry)
    with pytest.raises(ValueError, match="broken"):
        async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
            raise ValueError("broken")
    assert state_of(telemetry) == "waiting"
    failed = telemetry.events(EventType.STATE_TRANSITION_FAILED)[0]
    assert (failed.data["error"], failed.data["error_type"], failed.room_id) == ("broken", "ValueError", "room-g1")
    assert telemetry.value("liap_tui_state_errors_total", {"state": "waiting"}) == 1
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "waiting", "to": "preparation"}) == 0


@pytest.mark.parametrize("kind", ["transition", "action"])
async def test_a_failure_is_an_error_event_with_its_stack_and_counts_once(telemetry: Recorded, kind: str) -> None:
    await started(telemetry)
    monitor = telemetry.monitor
    blocks = {
        "transition": monitor.monitor_state_transition("g1", WAITING, PREPARATION),
        "action": monitor.monitor_action_processing("g1", "declare", "ann"),
    }
    with pytest.raises(ValueError, match="broken"):
        async with blocks[kind]:
            raise ValueError("broken")
    (error,) = telemetry.events(EventType.ERROR_OCCURRED)
    assert (error.data["error_type"], error.data["error_message"]) == ("ValueError", "broken")
    assert 'raise ValueError("broken")' in error.data["stack_trace"]
    assert (error.game_id, error.room_id) == ("g1", "room-g1")
    assert telemetry.value("liap_tui_state_errors_total", {"state": "waiting"}) == 1
    (heat,) = monitor.get_visualization_data("errors")["data"]
    assert (heat["state"], heat["error_type"], heat["count"]) == ("waiting", "ValueError", 1)


async def test_a_cancelled_transition_is_no_error(telemetry: Recorded) -> None:
    await started(telemetry)

    async def cancels_itself() -> None:
        async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancels_itself())
    assert state_of(telemetry) == "waiting"
    assert telemetry.events(EventType.STATE_TRANSITION_FAILED)[0].data["outcome"] == "cancelled"
    assert telemetry.events(EventType.ERROR_OCCURRED) == []
    assert telemetry.value("liap_tui_state_errors_total", {"state": "waiting"}) == 0
    labels = {"from": "waiting", "to": "preparation", "outcome": "cancelled"}
    assert telemetry.value("liap_tui_state_transition_duration_seconds_count", labels) == 1


async def test_a_task_that_cancels_itself_before_the_end_of_the_block_still_records(telemetry: Recorded) -> None:
    """In the last transition the game cancels the very task that runs it; leaving the block must await nothing."""
    await started(telemetry)

    async def last_transition() -> None:
        async with telemetry.monitor.monitor_state_transition("g1", "SCORING", "GAME_OVER"):
            await telemetry.monitor.record_game_end("g1", "ann", {"ann": 50})
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    task = asyncio.create_task(last_transition())
    await asyncio.wait([task])
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "scoring", "to": "game_over"}) == 1
    assert telemetry.value("liap_tui_games_active") == 0


async def test_an_overtaken_transition_counts_but_does_not_move_the_game_back(telemetry: Recorded) -> None:
    await started(telemetry)
    async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
        async with telemetry.monitor.monitor_state_transition("g1", PREPARATION, ROUND_START):
            pass
        assert state_of(telemetry) == "round_start"
    assert state_of(telemetry) == "round_start"
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "waiting", "to": "preparation"}) == 1


async def test_an_action_is_queued_then_processed_then_completed_under_one_correlation_id(telemetry: Recorded) -> None:
    await started(telemetry)
    async with telemetry.monitor.monitor_action_processing("g1", "play_piece", "ann"):
        inside = get_correlation_id()
    actions = [event for event in telemetry.events() if event.event_type.startswith("action.")]
    assert [event.event_type.value for event in actions] == ["action.queued", "action.processing", "action.completed"]
    assert {event.correlation_id for event in actions} == {inside}
    assert actions[-1].data["duration_ms"] > 0
    assert get_correlation_id() is None


@pytest.mark.parametrize("outcome", ["accepted", "rejected", "invalid"])
async def test_the_game_says_how_an_action_ended(telemetry: Recorded, outcome: str) -> None:
    await started(telemetry)
    async with telemetry.monitor.monitor_action_processing("g1", "declare", "ann") as action:
        action.outcome(outcome)
    labels = {"action_type": "declare", "outcome": outcome, "actor": "human"}
    assert telemetry.value("liap_tui_actions_total", labels) == 1


async def test_a_failing_action_is_an_error_of_the_games_phase(telemetry: Recorded) -> None:
    await started(telemetry)
    async with telemetry.monitor.monitor_state_transition("g1", WAITING, PREPARATION):
        pass
    with pytest.raises(KeyError):
        async with telemetry.monitor.monitor_action_processing("g1", "declare", "ann"):
            raise KeyError("x")
    assert telemetry.value("liap_tui_state_errors_total", {"state": "preparation"}) == 1
    labels = {"action_type": "declare", "outcome": "failed", "actor": "human"}
    assert telemetry.value("liap_tui_actions_total", labels) == 1
    assert names(telemetry, "action.")[-1] == "action.failed"


async def test_the_actor_is_told_by_the_seat_and_not_by_the_name(telemetry: Recorded) -> None:
    seats = [Seat("Bot 2", is_bot=False), Seat("ann", is_bot=True)]
    await telemetry.monitor.record_game_start("g1", "r1", 2, 1, players=seats)
    for player in ("Bot 2", "ann", "stranger"):
        async with telemetry.monitor.monitor_action_processing("g1", "declare", player):
            pass
    by_actor = {
        actor: telemetry.value(
            "liap_tui_actions_total", {"action_type": "declare", "outcome": "accepted", "actor": actor}
        )
        for actor in ("human", "bot", "unknown")
    }
    assert by_actor == {"human": 1, "bot": 1, "unknown": 1}


async def test_a_bot_acts_while_it_plays_a_disconnected_players_seat(telemetry: Recorded) -> None:
    await started(telemetry)
    monitor = telemetry.monitor
    await monitor.record_player_disconnected("g1", "ann")
    await monitor.record_bot_takeover("g1", "ann")
    async with monitor.monitor_action_processing("g1", "declare", "ann"):
        pass
    await monitor.record_player_reconnected("g1", "ann")
    async with monitor.monitor_action_processing("g1", "declare", "ann"):
        pass
    actors = [event.data["actor"] for event in telemetry.events(EventType.ACTION_COMPLETED)]
    assert actors == ["bot", "human"]
    assert telemetry.value("liap_tui_player_rejoin_duration_seconds_count") == 1


async def test_a_token_carries_correlation_and_measures_the_wait(telemetry: Recorded) -> None:
    await started(telemetry)
    monitor = telemetry.monitor
    wanted = set_correlation_id()
    token = monitor.capture()
    assert telemetry.value("liap_tui_action_queue_depth") == 1

    async def loop() -> None:
        set_correlation_id("the-loops-own")
        async with monitor.monitor_action_processing("g1", "declare", "ann", token=token):
            assert get_correlation_id() == wanted
        assert get_correlation_id() == "the-loops-own"

    await asyncio.create_task(loop())
    assert telemetry.value("liap_tui_action_queue_depth") == 0
    assert telemetry.value("liap_tui_action_queue_wait_seconds_count", {"action_type": "declare"}) == 1
    assert telemetry.events(EventType.ACTION_COMPLETED)[0].correlation_id == wanted


async def test_a_token_that_the_game_drops_waits_no_longer(telemetry: Recorded) -> None:
    token = telemetry.monitor.capture()
    assert telemetry.value("liap_tui_action_queue_depth") == 1
    del token
    assert telemetry.value("liap_tui_action_queue_depth") == 0


async def test_blocks_work_without_a_started_game_and_say_so(telemetry: Recorded) -> None:
    async with telemetry.monitor.monitor_state_transition("nobody", WAITING, PREPARATION):
        pass
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "waiting", "to": "preparation"}) == 1
    assert telemetry.value("otel_setup_input_irregular_total", {"kind": "unknown_game"}) == 1
    assert telemetry.value("liap_tui_games_active") == 0
