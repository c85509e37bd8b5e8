"""Memory and series follow what is live, not what has been: in little what ``tests/drills/test_scale.py`` proves."""

from __future__ import annotations

import gc
import sys

import otel_setup
from otel_setup import Bounds, EnterpriseMonitor, Seat
from otel_setup.testing import Recorded

GAMES = 2_200
WARM_UP = 1_100
"""Games after which every store is as full as these small bounds let it become."""
SMALL = Bounds(max_live_games=100, max_players=100, max_rooms=100, max_connections=100)


async def play_to_the_end(monitor: EnterpriseMonitor, number: int) -> None:
    game, room, socket = f"game-{number}", f"room-{number}", f"socket-{number}"
    players = [f"player-{number}-{seat}" for seat in range(4)]
    await monitor.record_room_created(room)
    await monitor.record_websocket_event(socket, "connect", room)
    await monitor.record_game_start(game, room, 4, 0, players=[Seat(player) for player in players])
    async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
        pass
    async with monitor.monitor_action_processing(game, "declare", players[0]):
        pass
    await monitor.record_phase_duration(game, "PREPARATION", 2.5)
    await monitor.record_game_end(game, winner_id=players[0], final_scores=dict.fromkeys(players, 50))
    await monitor.record_websocket_event(socket, "disconnect", room, {"code": 1000})
    await monitor.record_room_closed(room, reason="empty")


def held() -> int:
    """Blocks of memory in use."""
    gc.collect()
    return sys.getallocatedblocks()


def series_of(telemetry: Recorded) -> set[object]:
    """All but the one that comes with time, whatever is played: an average, of which there is none at first."""
    return {series for series in telemetry.samples() if series[0] != "liap_tui_cpu_usage_percent"}


async def test_finished_games_leave_next_to_nothing(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False, bounds=SMALL, history_size=1_000)
    telemetry.samples()  # what the first scrape makes stays
    before = held()
    for number in range(WARM_UP):
        await play_to_the_end(telemetry.monitor, number)
    series = series_of(telemetry)
    warm = held()
    for number in range(WARM_UP, GAMES):
        await play_to_the_end(telemetry.monitor, number)
    after = held()
    assert telemetry.value("liap_tui_games_completed_total") == GAMES
    assert telemetry.monitor.core.ledger.dropped["max_players"] > 0, "the warm-up filled the stores"
    assert after - warm < 0.1 * (warm - before), "as many games again may add a tenth of what the first added"
    assert series_of(telemetry) == series


async def test_live_games_are_held_up_to_their_bound(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False, bounds=SMALL)
    before = series_of(telemetry)
    for number in range(2 * SMALL.max_live_games):
        await telemetry.monitor.record_game_start(f"game-{number}", f"room-{number}", 4, 0)
    assert telemetry.value("liap_tui_games_active") == SMALL.max_live_games
    assert telemetry.value("otel_setup_dropped_total", {"bound": "max_live_games"}) == SMALL.max_live_games
    assert series_of(telemetry) == before
