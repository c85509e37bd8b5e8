"""A short game that calls everything the monitor has, so that every metric, span and event has something to say."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from otel_setup import EnterpriseMonitor, Seat

PLAYERS = [Seat("Ada"), Seat("Grace"), Seat("Bot 2", is_bot=True), Seat("Bot 3", is_bot=True)]
BUSINESS_METRIC = "piece.points_captured"


class WrongMove(Exception):
    """What the game's own code raises."""


async def play_everything(monitor: EnterpriseMonitor, game: str = "game1", room: str = "room1") -> None:
    """One game that is completed with two winners, and one that is abandoned."""
    await monitor.record_room_created(room)
    for connection in ("conn1", "conn2"):
        await monitor.record_websocket_event(connection, "connect", room)
        await monitor.record_socket_message(connection, "receive", "join_room", 61)
    for seat in PLAYERS:
        await monitor.record_player_joined(room, seat.player_id, is_bot=seat.is_bot)
    await monitor.record_game_created(game, room)
    await monitor.record_game_start(game, room, player_count=4, bot_count=2, players=PLAYERS)
    await _play_a_round(monitor, game)
    await _lose_and_regain_a_player(monitor, game, room)
    await monitor.record_game_end(game, winner_id=["Ada", "Bot 2"], final_scores={"Ada": 51, "Bot 2": 51, "Grace": 7})
    await monitor.record_game_start(f"{game}-again", room, player_count=4, bot_count=2, players=PLAYERS)
    await monitor.record_game_end(f"{game}-again", abandoned=True)
    for seat in PLAYERS:
        await monitor.record_player_left(room, seat.player_id, is_bot=seat.is_bot)
    await monitor.record_websocket_event("conn2", "disconnect", room, {"code": 1001})
    await monitor.record_room_closed(room, reason="empty")
    await monitor.record_room_created(f"{room}-next")


async def _play_a_round(monitor: EnterpriseMonitor, game: str) -> None:
    await monitor.record_round_started(game, 1, starter="Ada")
    async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
        await monitor.record_websocket_event("", "broadcast", "room1", broadcast(success=True))
    await monitor.record_websocket_event("", "broadcast", "room1", broadcast(success=False))
    await monitor.record_redeal(game, "Grace", "requested")
    await monitor.record_timeout(game, "Grace", "redeal_response")
    await monitor.record_phase_duration(game, "PREPARATION", 2.5)
    async with monitor.monitor_action_processing(game, "play_pieces", "Ada", token=monitor.capture()) as action:
        action.outcome("accepted")
    await monitor.game_metrics.record_player_action("Grace", "view_scores", 3.5, game)
    await monitor.record_metric(BUSINESS_METRIC, 12)
    with suppress(WrongMove):
        async with monitor.monitor_action_processing(game, "declare", "Bot 2"):
            raise WrongMove("nine piles")
    with suppress(WrongMove):
        async with monitor.monitor_state_transition(game, "PREPARATION", "ROUND_START"):
            raise WrongMove("no cards")
    await monitor.record_illegal_transition(game, "PREPARATION", "GAME_OVER", "nobody has won")
    with monitor.tracer.trace_phase_execution(game, "PREPARATION"):
        await monitor.tracer.trace_async_operation("save", asyncio.sleep(0), size=3)
    await monitor.record_turn_completed(game, winner_id="Ada")
    await monitor.record_declaration(game, "Ada", declared=2, captured=2)
    await monitor.record_round_completed(game, 1)


async def _lose_and_regain_a_player(monitor: EnterpriseMonitor, game: str, room: str) -> None:
    await monitor.record_player_disconnected(game, "Grace")
    await monitor.record_bot_takeover(game, "Grace")
    await monitor.record_player_reconnected(game, "Grace")
    await monitor.event_logger.log_error("OutOfPieces", "the box was empty", game_id=game)


def broadcast(*, success: bool) -> dict[str, object]:
    return {"recipient_count": 4, "broadcast_time_ms": 0.06, "success": success, "event": "phase_change"}
