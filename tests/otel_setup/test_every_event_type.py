"""Each of the 23 event types of the API this product succeeds is published by a public call, with all that is known.

The table says which call publishes what, and whom the event must name: written down from the play below, in which one
game is on in one room, one socket is open in it, and everything happens under one correlation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from otel_setup import EnterpriseMonitor, Seat, set_correlation_id
from otel_setup.testing import Recording, recording
from tests.otel_setup.catalogue.test_events import PROMISED

CORRELATION = "corr_0123456789abcdef"
WHERE = {"game_id": "g1", "room_id": "r1", "correlation_id": CORRELATION}
ADA = {**WHERE, "player_id": "Ada"}
SOCKET = {**WHERE, "connection_id": "c1"}
IDS = ("game_id", "room_id", "player_id", "connection_id", "correlation_id")


class Row(NamedTuple):
    """An event: its type, what publishes it, and what it must say."""

    event_type: str
    publish: Callable[[EnterpriseMonitor], Awaitable[None]]
    ids: dict[str, str]
    data: dict[str, Any]


async def transition(monitor: EnterpriseMonitor) -> None:
    async with monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
        pass


async def failing_transition(monitor: EnterpriseMonitor) -> None:
    with suppress(ValueError):
        async with monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
            raise ValueError("no cards")


async def action(monitor: EnterpriseMonitor) -> None:
    async with monitor.monitor_action_processing("g1", "declare", "Ada") as handle:
        handle.outcome("rejected")


async def failing_action(monitor: EnterpriseMonitor) -> None:
    with suppress(ValueError):
        async with monitor.monitor_action_processing("g1", "declare", "Ada"):
            raise ValueError("nine piles")


def broadcast(*, success: bool) -> Callable[[EnterpriseMonitor], Awaitable[None]]:
    told = {"recipient_count": 4, "broadcast_time_ms": 0.5, "success": success, "event": "phase_change"}
    return lambda monitor: monitor.record_websocket_event("c1", "broadcast", "r1", told)


EDGE = {"from_state": "waiting", "to_state": "preparation", "legal": True}
DECLARE = {"action_type": "declare"}
SENT = {"recipient_count": 4, "broadcast_time_ms": 0.5, "event": "phase_change"}

TABLE = [
    Row("state.transition.start", transition, WHERE, EDGE),
    Row("state.transition.complete", transition, WHERE, {**EDGE, "success": True}),
    Row(
        "state.transition.failed",
        failing_transition,
        WHERE,
        {**EDGE, "success": False, "error": "no cards", "error_type": "ValueError", "outcome": "failed"},
    ),
    Row("action.queued", action, ADA, {**DECLARE, "status": "queued"}),
    Row("action.processing", action, ADA, {**DECLARE, "status": "processing"}),
    Row("action.completed", action, ADA, {**DECLARE, "status": "completed", "outcome": "rejected", "actor": "human"}),
    Row("action.failed", failing_action, ADA, {**DECLARE, "status": "failed", "error": "nine piles"}),
    Row("phase.started", lambda m: m.record_phase_started("g1", "TURN"), WHERE, {"phase": "turn"}),
    Row(
        "phase.completed",
        lambda m: m.record_phase_duration("g1", "TURN", 12.5),
        WHERE,
        {"phase": "turn", "duration_seconds": 12.5},
    ),
    Row("phase.timeout", lambda m: m.record_phase_timeout("g1", "PREPARATION"), WHERE, {"phase": "preparation"}),
    Row(
        "game.created",
        lambda m: m.record_game_created("g2", "r2"),
        {**WHERE, "game_id": "g2", "room_id": "r2"},
        {},
    ),
    Row(
        "game.started",
        lambda m: m.record_game_start("g3", "r3", player_count=4, bot_count=1),
        {**WHERE, "game_id": "g3", "room_id": "r3"},
        {"player_count": 4, "bot_count": 1},
    ),
    Row(
        "game.ended",
        lambda m: m.record_game_end("g1", "Ada", {"Ada": 50}),
        WHERE,
        {"winner_id": "Ada", "final_scores": {"Ada": 50}, "abandoned": False, "game_seconds": 5.0},
    ),
    Row(
        "game.error",
        lambda m: m.record_game_error("g1", KeyError("deck"), player_id="Ada"),
        ADA,
        {"error_type": "KeyError", "error_message": "'deck'", "stack_trace": "KeyError: 'deck'\n"},
    ),
    Row(
        "game.error",
        lambda m: m.record_game_error("g1", "the deck has 33 cards", "BadDeck"),
        WHERE,
        {"error_type": "BadDeck", "error_message": "the deck has 33 cards"},
    ),
    Row("player.joined", lambda m: m.record_player_joined("r1", "Ada"), ADA, {"is_bot": False}),
    Row("player.left", lambda m: m.record_player_left("r1", "Ada", is_bot=True), ADA, {"is_bot": True}),
    Row(
        "player.action",
        lambda m: m.game_metrics.record_player_action("Ada", "view_scores", 3.5, "g1"),
        ADA,
        {"action_type": "view_scores", "duration_ms": 3.5, "actor": "human"},
    ),
    Row("player.timeout", lambda m: m.record_timeout("g1", "Ada", "declare"), ADA, DECLARE),
    Row("broadcast.sent", broadcast(success=True), SOCKET, {**SENT, "success": True}),
    Row("broadcast.failed", broadcast(success=False), SOCKET, {**SENT, "success": False}),
    Row(
        "connection.opened",
        lambda m: m.record_websocket_event("c2", "connect", "r1"),
        {**SOCKET, "connection_id": "c2"},
        {},
    ),
    Row(
        "connection.closed",
        lambda m: m.record_websocket_event("c1", "disconnect", data={"code": 1001}),
        SOCKET,
        {"code": 1001, "connection_seconds": 5.0},
    ),
    Row(
        "error.occurred",
        lambda m: m.event_logger.log_error("OutOfPieces", "the box was empty", game_id="g1", player_id="Ada"),
        ADA,
        {"error_type": "OutOfPieces", "error_message": "the box was empty"},
    ),
]


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


def test_the_table_has_them_all() -> None:
    assert len(PROMISED) == 23
    assert {row.event_type for row in TABLE} == PROMISED


@pytest.mark.parametrize("row", TABLE, ids=[row.event_type for row in TABLE])
async def test_it_is_published_with_all_that_is_known(recorded: Recording, row: Row) -> None:
    monitor = recorded.monitor
    await monitor.record_room_created("r1")
    await monitor.record_websocket_event("c1", "connect", "r1")
    await monitor.record_game_start("g1", "r1", 2, 0, players=[Seat("Ada"), Seat("Ben")])
    recorded.clock.advance(5)
    before = len(recorded.events())
    set_correlation_id(CORRELATION)
    await row.publish(monitor)
    (event,) = [event for event in recorded.events()[before:] if event.event_type == row.event_type]
    assert {name: value for name in IDS if (value := getattr(event, name)) is not None} == row.ids
    assert {key: event.data.get(key) for key in row.data} == row.data
    if row.event_type.startswith(("state.", "action.")):
        assert event.trace_id


async def test_what_is_over_is_not_known_any_more(recorded: Recording) -> None:
    monitor = recorded.monitor
    await monitor.record_room_created("r1")
    await monitor.record_game_start("g1", "r1", 2, 0)
    await monitor.record_game_end("g1", "Ada", {})
    await monitor.record_player_left("r1", "Ada")
    await monitor.record_websocket_event("c1", "disconnect")
    recorded.assert_event("player.left", game_id=None, room_id="r1")
    recorded.assert_event("connection.closed", game_id=None, room_id=None)


async def test_an_exception_counts_once_though_a_block_and_the_game_report_it(recorded: Recording) -> None:
    await recorded.monitor.record_game_start("g1", "r1", 2, 0)
    failure = ValueError("nine piles")
    with pytest.raises(ValueError, match="nine piles"):
        async with recorded.monitor.monitor_action_processing("g1", "declare", "Ada"):
            raise failure
    await recorded.monitor.record_game_error("g1", failure)
    recorded.assert_event("game.error", reported_by="action.failed")
    recorded.assert_metric("state_errors_total", 1)
    await recorded.monitor.record_game_error("g1", ValueError("ten piles"))
    recorded.assert_metric("state_errors_total", 2)


async def test_odd_errors_and_phases_are_said_safely(recorded: Recording) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    await recorded.monitor.record_game_error("g1", Odd())
    await recorded.monitor.record_game_error("g1", None)  # type: ignore[arg-type]
    await recorded.monitor.record_phase_started("g1", "NO SUCH PHASE")
    told = [event.data["error_message"] for event in recorded.events("game.error")]
    assert told == ["<unprintable Odd>", "None"]
    recorded.assert_event("phase.started", phase="other")
    assert recorded.monitor.get_monitoring_status()["internal_errors"]["monitor"] == 0
