"""Which series each event moves, and by how much: a table made by hand from what the metrics are said to mean.

A case names an event of a game "g" in room "r", which "ann" plays against the bot "Bot 2", and everything on /metrics
that is different afterwards. What is not named must not have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from otel_setup import EventType, Seat
from otel_setup.catalogue import EVENTS
from otel_setup.testing import Recorded

# What moves by itself, or says the same as another series: buckets, the process, the account of monitoring itself.
UNRELATED = ("_bucket", "_created", "target_info", "liap_tui_room_health", "liap_tui_rooms_active")
PROCESS = (
    "memory_",
    "cpu_",
    "gc_",
    "threads_",
    "asyncio_",
    "file_descriptors_",
    "process_",
    "cpython_",
    "asyncio_",
    "http_server_",
)
OWN = ("otel_setup_events_published", "otel_setup_scrape", "otel_setup_export", "otel_setup_dropped")


class Case(NamedTuple):
    event: str
    data: Mapping[str, Any]
    moves: Mapping[str, float]
    given: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Events before, which do not count."""
    ids: Mapping[str, str | None] = {"game_id": "g"}


NOTHING: Mapping[str, float] = {}
ANN = {"game_id": "g", "player_id": "ann"}
EDGE = {"from_state": "waiting", "to_state": "preparation"}
PAIR = "from=waiting,to=preparation"
DISCONNECTED = ("player.disconnected", ANN)
OPENED = ("connection.opened", {"connection_id": "c"})

CASES = [
    # --- games --------------------------------------------------------------------------------------------------
    Case("game.created", {}, NOTHING),
    Case(
        "game.started",
        {"player_count": 4, "bot_count": 0},
        {"games_started_total": 1, "games_active": 1, "state_active_games{state=waiting}": 1},
        ids={"game_id": "g2", "room_id": "r2"},
    ),
    Case("game.started", {"player_count": 2}, {"otel_setup_input_irregular_total{kind=game_started_twice}": 1}),
    Case(
        "game.ended",
        {"winner_id": "ann", "final_scores": {"ann": 50, "Bot 2": 12}, "abandoned": False, "game_seconds": 600.0},
        {
            "games_completed_total": 1,
            "games_active": -1,
            "state_active_games{state=waiting}": -1,
            "games_per_hour": 1,
            "game_duration_minutes": 10.0,
            "game_lifetime_seconds_count{outcome=completed}": 1,
            "game_lifetime_seconds_sum{outcome=completed}": 600.0,
            "seats_total{type=human}": 1,
            "seats_total{type=bot}": 1,
            "player_wins_total{type=human}": 1,
            "player_win_rate{type=human}": 1.0,
            "player_win_rate{type=bot}": 0.0,
            "seat_wins_total{seat=0}": 1,
        },
    ),
    Case(
        "game.ended",
        {"winner_id": ["ann", "Bot 2"], "abandoned": False, "game_seconds": 60.0},
        {
            "games_completed_total": 1,
            "games_active": -1,
            "state_active_games{state=waiting}": -1,
            "games_per_hour": 1,
            "game_duration_minutes": 1.0,
            "game_lifetime_seconds_count{outcome=completed}": 1,
            "game_lifetime_seconds_sum{outcome=completed}": 60.0,
            "seats_total{type=human}": 1,
            "seats_total{type=bot}": 1,
            "player_wins_total{type=human}": 1,
            "player_wins_total{type=bot}": 1,
            "player_win_rate{type=human}": 1.0,
            "player_win_rate{type=bot}": 1.0,
            "seat_wins_total{seat=0}": 1,
            "seat_wins_total{seat=1}": 1,
        },
    ),
    Case(
        "game.ended",
        {"winner_id": "nobody here", "game_seconds": 60.0},
        {
            "games_completed_total": 1,
            "games_active": -1,
            "state_active_games{state=waiting}": -1,
            "games_per_hour": 1,
            "game_duration_minutes": 1.0,
            "game_lifetime_seconds_count{outcome=completed}": 1,
            "game_lifetime_seconds_sum{outcome=completed}": 60.0,
            "player_wins_unattributed_total": 1,
            "otel_setup_input_irregular_total{kind=unknown_winner}": 1,
        },
    ),
    Case(
        "game.ended",
        {"abandoned": True, "game_seconds": 30.0},
        {
            "games_abandoned_total": 1,
            "games_active": -1,
            "state_active_games{state=waiting}": -1,
            "game_lifetime_seconds_count{outcome=abandoned}": 1,
            "game_lifetime_seconds_sum{outcome=abandoned}": 30.0,
        },
    ),
    Case(
        "game.ended",
        {"winner_id": "ann"},
        {"otel_setup_input_irregular_total{kind=unknown_game_ended}": 1},
        ids={"game_id": "never"},
    ),
    Case("game.error", {"error_type": "ValueError"}, {"state_errors_total{state=waiting}": 1}),
    Case("game.snapshot", {"state": "turn", "turns": 5}, NOTHING),
    # --- states -------------------------------------------------------------------------------------------------
    Case("state.transition.start", EDGE, NOTHING),
    Case(
        "state.transition.complete",
        {**EDGE, "duration_ms": 250.0},
        {
            f"state_transitions_total{{{PAIR}}}": 1,
            f"state_transition_duration_seconds_count{{{PAIR[:12]},outcome=success,{PAIR[13:]}}}": 1,
            f"state_transition_duration_seconds_sum{{{PAIR[:12]},outcome=success,{PAIR[13:]}}}": 0.25,
            "state_active_games{state=waiting}": -1,
            "state_active_games{state=preparation}": 1,
        },
    ),
    Case(
        "state.transition.failed",
        {**EDGE, "duration_ms": 500.0, "error_type": "ValueError"},
        {
            f"state_transition_duration_seconds_count{{{PAIR[:12]},outcome=failed,{PAIR[13:]}}}": 1,
            f"state_transition_duration_seconds_sum{{{PAIR[:12]},outcome=failed,{PAIR[13:]}}}": 0.5,
            "state_errors_total{state=waiting}": 1,
        },
    ),
    Case(
        "state.transition.failed",
        {**EDGE, "duration_ms": 500.0, "outcome": "cancelled"},
        {
            f"state_transition_duration_seconds_count{{{PAIR[:12]},outcome=cancelled,{PAIR[13:]}}}": 1,
            f"state_transition_duration_seconds_sum{{{PAIR[:12]},outcome=cancelled,{PAIR[13:]}}}": 0.5,
        },
    ),
    Case(
        "state.transition.illegal",
        {"from_state": "TURN", "to_state": "WAITING"},
        {"state_illegal_transitions_total{from=turn,to=waiting}": 1},
    ),
    Case("phase.started", {"phase": "turn"}, NOTHING),
    Case(
        "phase.completed",
        {"phase": "TURN", "duration_seconds": 105.5},
        {"phase_duration_seconds_count{phase=turn}": 1, "phase_duration_seconds_sum{phase=turn}": 105.5},
    ),
    Case("phase.timeout", {"phase": "turn"}, NOTHING),
    Case("round.started", {"round_number": 1, "starter": "ann"}, NOTHING),
    Case("round.completed", {"round_number": 1}, {"rounds_total": 1}),
    Case("turn.completed", {"turn_winner": "ann"}, {"turns_total": 1}),
    Case("redeal", {"outcome": "declined"}, {"redeals_total{outcome=declined}": 1}, ids=ANN),
    Case(
        "declaration.scored",
        {"declared": 0, "captured": 0, "outcome": "zero_kept"},
        {"declarations_total{outcome=zero_kept}": 1},
        ids=ANN,
    ),
    # --- actions ------------------------------------------------------------------------------------------------
    Case("action.queued", {"action_type": "declare"}, NOTHING, ids=ANN),
    Case("action.processing", {"action_type": "declare"}, NOTHING, ids=ANN),
    Case(
        "action.processing",
        {"action_type": "declare", "queue_wait_ms": 40.0},
        {
            "action_queue_wait_seconds_count{action_type=declare}": 1,
            "action_queue_wait_seconds_sum{action_type=declare}": 0.04,
        },
        ids=ANN,
    ),
    Case(
        "action.completed",
        {"action_type": "play_piece", "duration_ms": 5000.0, "outcome": "rejected", "actor": "bot"},
        {
            "actions_total{action_type=play_pieces,actor=bot,outcome=rejected}": 1,
            "action_duration_seconds_count{action_type=play_pieces,outcome=rejected}": 1,
            "action_duration_seconds_sum{action_type=play_pieces,outcome=rejected}": 5.0,
        },
        ids=ANN,
    ),
    Case(
        "action.completed",  # as told by hand, through the event logger
        {"action_type": "declare"},
        {"actions_total{action_type=declare,actor=unknown,outcome=accepted}": 1},
        ids=ANN,
    ),
    Case(
        "action.failed",
        {"action_type": "declare", "duration_ms": 2.0, "outcome": "failed", "actor": "human", "error_type": "KeyError"},
        {
            "actions_total{action_type=declare,actor=human,outcome=failed}": 1,
            "action_duration_seconds_count{action_type=declare,outcome=failed}": 1,
            "action_duration_seconds_sum{action_type=declare,outcome=failed}": 0.002,
            "state_errors_total{state=waiting}": 1,
        },
        ids=ANN,
    ),
    Case(
        "action.failed",
        {"action_type": "declare", "error_type": "CancelledError"},
        {"actions_total{action_type=declare,actor=unknown,outcome=cancelled}": 1},
        ids=ANN,
    ),
    # --- players ------------------------------------------------------------------------------------------------
    Case("player.joined", {"is_bot": False}, {"players_joined_total{actor=human}": 1}, ids={"room_id": "r"}),
    Case("player.joined", {"is_bot": True}, {"players_joined_total{actor=bot}": 1}, ids={"room_id": "r"}),
    Case("player.left", {"is_bot": False}, {"players_left_total{actor=human}": 1}, ids={"room_id": "r"}),
    Case("player.left", {"is_bot": True}, {"players_left_total{actor=bot}": 1}, ids={"room_id": "r"}),
    Case(
        "player.action",
        {"action_type": "view_scores", "duration_ms": 3.0, "actor": "human"},
        {
            "actions_total{action_type=view_scores,actor=human,outcome=accepted}": 1,
            "action_duration_seconds_count{action_type=view_scores,outcome=accepted}": 1,
            "action_duration_seconds_sum{action_type=view_scores,outcome=accepted}": 0.003,
        },
        ids=ANN,
    ),
    Case("player.timeout", {"action_type": "declare"}, {"action_timeouts_total{action_type=declare}": 1}, ids=ANN),
    Case("player.disconnected", {}, {"players_disconnected_total": 1}, ids=ANN),
    Case("bot.takeover", {}, {"bot_takeovers_total": 1}, given=(DISCONNECTED,), ids=ANN),
    Case(
        "player.reconnected",
        {"away_seconds": 12.5},
        {
            "players_reconnected_total": 1,
            "player_rejoin_duration_seconds_count": 1,
            "player_rejoin_duration_seconds_sum": 12.5,
        },
        given=(DISCONNECTED,),
        ids=ANN,
    ),
    Case("player.reconnected", {}, {"players_reconnected_total": 1}, ids=ANN),  # who never was away
    # --- rooms and sockets --------------------------------------------------------------------------------------
    Case("room.created", {}, {"rooms_created_total": 1}, ids={"room_id": "r2"}),
    Case("room.closed", {"reason": "empty"}, {"rooms_closed_total": 1}, ids={"room_id": "r"}),
    Case(
        "connection.opened",
        {},
        {"websocket_connections_opened_total": 1, "websocket_connections_active": 1},
        ids={"connection_id": "c"},
    ),
    Case(
        "connection.opened",
        {},
        {"otel_setup_input_irregular_total{kind=connection_opened_twice}": 1},
        given=(OPENED,),
        ids={"connection_id": "c"},
    ),
    Case(
        "connection.closed",
        {"code": 1001},
        {
            "websocket_connections_closed_total": 1,
            "websocket_closes_total{code=1001}": 1,
            "websocket_connections_active": -1,
        },
        given=(OPENED,),
        ids={"connection_id": "c"},
    ),
    Case(
        "connection.closed",
        {},
        {
            "websocket_connections_closed_total": 1,
            "websocket_closes_total{code=other}": 1,
            "otel_setup_input_irregular_total{kind=unknown_connection_closed}": 1,
        },
        ids={"connection_id": "never opened"},
    ),
    Case(
        "broadcast.sent",
        {"recipient_count": 4, "broadcast_time_ms": 0.06},
        {
            "websocket_broadcasts_total{outcome=success}": 1,
            "websocket_broadcast_recipients_total": 4,
            "websocket_broadcast_time_count": 1,
            "websocket_broadcast_time_sum": 0.06,
        },
        ids={"room_id": "r"},
    ),
    Case(
        "broadcast.failed",
        {"recipient_count": 3},
        {"websocket_broadcasts_total{outcome=failure}": 1, "websocket_broadcast_recipients_total": 3},
        ids={"room_id": "r"},
    ),
    # --- errors and the product itself --------------------------------------------------------------------------
    Case("error.occurred", {"error_type": "HighMemoryUsage"}, {"state_errors_total{state=other}": 1}, ids={}),
    Case("error.occurred", {"error_type": "E", "state": "TURN"}, {"state_errors_total{state=turn}": 1}, ids={}),
    Case("event_loop.blocked", {"blocked_seconds": 0.2}, NOTHING, ids={}),  # counted where it is noticed
    Case("event_loop.slow", {"blocked_seconds": 0.03}, NOTHING, ids={}),
    Case("connection.message", {"direction": "receive", "message_type": "play", "size_bytes": 3}, NOTHING, ids={}),
    Case("action.dequeued", {"action_type": "play", "queue_wait_ms": 3.0}, NOTHING),
    Case("state.transition.step", {"from_state": "WAITING", "to_state": "TURN", "step": "entered"}, NOTHING),
    Case("action.step", {"action_type": "play_pieces", "step": "cards dealt"}, NOTHING),
    Case("producer.debug.started", {}, NOTHING, ids={}),
    Case("producer.debug.ended", {}, NOTHING, ids={}),
    Case("producer.heartbeat", {"epoch": "x", "last_sequence": 3, "live_games": 1}, NOTHING, ids={}),
    Case("producer.stopped", {"epoch": "x", "last_sequence": 3, "live_games": 1}, NOTHING, ids={}),
    # --- said of the stream itself, by whoever reads it: the games they tell of are counted by their own server ---
    Case("producer.lost", {"producer": "i-x", "last_sequence": 3}, NOTHING, ids={}),
    Case("producer.returned", {"producer": "i-x", "last_sequence": 3}, NOTHING, ids={}),
    Case("game.lost", {"producer": "i-x"}, NOTHING),
    Case("game.returned", {"producer": "i-x"}, NOTHING),
    Case("stream.gap", {"first": 1, "last": 2, "count": 2, "reason": "upstream"}, NOTHING, ids={}),
    Case("stream.gap.filled", {"first": 1, "last": 2, "count": 2}, NOTHING, ids={}),
    Case("stream.bookmark", {"cursor": "x-2"}, NOTHING, ids={}),
    Case("stream.reset", {"cursor": "x-2"}, NOTHING, ids={}),
]


def shown(telemetry: Recorded) -> dict[str, float]:
    """/metrics as ``name{label=value,...}``, without what is unrelated."""
    series = {}
    for (name, labels), value in telemetry.samples().items():
        short = name.removeprefix("liap_tui_")
        if not (name.endswith(UNRELATED) or name.startswith((*UNRELATED, *OWN)) or short.startswith(PROCESS)):
            text = ",".join(f"{label}={labelled}" for label, labelled in sorted(labels))
            series[f"{short}{{{text}}}" if text else short] = value
    return series


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.event)
async def test_an_event_moves_what_it_means_and_nothing_else(telemetry: Recorded, case: Case) -> None:
    monitor = telemetry.monitor
    await monitor.record_game_start("g", "r", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])
    for event_type, ids in case.given:
        await monitor.record_event(event_type, **ids)
    before = shown(telemetry)
    await monitor.record_event(case.event, **case.ids, **case.data)
    after = shown(telemetry)
    moved = {
        name: pytest.approx(after[name] - before.get(name, 0))
        for name in after
        if name not in before or after[name] != before[name]
    }
    zeros = {name for name in moved if name not in before and after[name] == 0}
    assert {name: delta for name, delta in moved.items() if name not in zeros or name in case.moves} == case.moves
    assert before.keys() <= after.keys()


def test_every_event_is_in_the_table() -> None:
    assert {case.event for case in CASES} == {str(event.name) for event in EVENTS}


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0, "fast", None, [1], 10**400, 1e300, object()])
async def test_a_number_that_is_none_moves_no_histogram_and_hides_no_count(telemetry: Recorded, odd: Any) -> None:
    """Events published by others have not passed the recorder, which refuses such numbers."""
    published = {
        EventType.STATE_TRANSITION_COMPLETE: {**EDGE, "duration_ms": odd},
        EventType.PHASE_COMPLETED: {"phase": "turn", "duration_seconds": odd},
        EventType.ACTION_PROCESSING: {"action_type": "declare", "queue_wait_ms": odd},
        EventType.ACTION_COMPLETED: {"action_type": "declare", "duration_ms": odd},
        EventType.BROADCAST_SENT: {"recipient_count": odd, "broadcast_time_ms": odd},
    }
    for event_type, data in published.items():
        await telemetry.monitor.record_event(event_type, **data)
    after = shown(telemetry)
    assert not [name for name, value in after.items() if ("_count" in name or "_sum" in name) and value]
    assert after["state_transitions_total{from=waiting,to=preparation}"] == 1
    assert after["actions_total{action_type=declare,actor=unknown,outcome=accepted}"] == 1
    assert after["websocket_broadcasts_total{outcome=success}"] == 1
    assert after["websocket_broadcast_recipients_total"] == 0
    assert sum(telemetry.monitor.get_monitoring_status()["internal_errors"].values()) == 0
