"""A server that has been up for weeks: what a hundred thousand games leave behind, and what a scrape costs then.

What ended leaves nothing but counts: memory grows until the bounded stores are full (the warm-up), then no more. Games
that never end are held, and a scrape reads them without holding the game up.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

import otel_setup
from otel_setup import Bounds, EnterpriseMonitor, Seat
from otel_setup.prometheus import Exposition, default_exposition
from otel_setup.testing import fresh_telemetry
from tests.drills.proof import Finding, write_proof

pytestmark = [pytest.mark.drill, pytest.mark.timeout(540)]

GAMES = 100_000
WARM_UP = 15_000
"""Games after which every bounded store is full: the largest ones hold 10,000 of a kind."""
SEATS = 4
ENDLESS_GAMES = Bounds().max_live_games
SCRAPES = 20

GROWTH_MB = 10.0
PROCESS_MB = 100.0
"""The interpreter with all that is imported is half of it."""
SCRAPE_SECONDS = 0.050
LATENESS_SECONDS = 0.005
_MB = 1024 * 1024


async def play_to_the_end(monitor: EnterpriseMonitor, number: int) -> None:
    """A game with a room, a socket and players of its own, whom nobody will see again."""
    game, room, socket = f"game-{number}", f"room-{number}", f"socket-{number}"
    players = [f"player-{number}-{seat}" for seat in range(SEATS)]
    await monitor.record_room_created(room)
    await monitor.record_websocket_event(socket, "connect", room)
    await monitor.record_game_start(game, room, SEATS, 0, players=[Seat(player) for player in players])
    async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
        pass
    async with monitor.monitor_action_processing(game, "declare", players[0]):
        pass
    await monitor.record_phase_duration(game, "PREPARATION", 2.5)
    await monitor.record_websocket_event("", "broadcast", room, {"recipient_count": SEATS, "broadcast_time_ms": 0.06})
    await monitor.record_game_end(game, winner_id=players[0], final_scores=dict.fromkeys(players, 50))
    await monitor.record_websocket_event(socket, "disconnect", room, {"code": 1000})
    await monitor.record_room_closed(room, reason="empty")


async def begin_without_end(monitor: EnterpriseMonitor, number: int) -> None:
    game = f"endless-{number}"
    players = [Seat(f"endless-{number}-{seat}") for seat in range(SEATS)]
    await monitor.record_room_created(game)
    await monitor.record_game_start(game, game, SEATS, 0, players=players)
    async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
        pass


def resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / _MB


@contextmanager
def monitored() -> Iterator[tuple[EnterpriseMonitor, Exposition]]:
    """Monitoring as by default, without an export, and every scrape a collection of its own."""
    with fresh_telemetry() as recorded:
        otel_setup.configure(collector=False)
        exposition = default_exposition()
        exposition.ttl = 0
        yield recorded.monitor, exposition


def series_in(body: bytes) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    families = text_string_to_metric_families(body.decode())
    return {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}


async def all_series(exposition: Exposition) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Those of a scrape once CPU use is among them, which is known after a second."""
    while b"\nliap_tui_cpu_usage_percent" not in (body := (await exposition.scrape(None))[0]):
        await asyncio.sleep(0.1)
    return series_in(body)


async def test_finished_games_leave_nothing(pytestconfig: pytest.Config) -> None:
    with monitored() as (monitor, exposition):
        await monitor.subscribe_to_events("stalled")
        before = resident_mb()
        for number in range(WARM_UP):
            await play_to_the_end(monitor, number)
        series = await all_series(exposition)
        warm = resident_mb()
        began = time.monotonic()
        for number in range(WARM_UP, GAMES):
            await play_to_the_end(monitor, number)
        seconds = time.monotonic() - began
        after = resident_mb()
        new_series = series_in((await exposition.scrape(None))[0]) - series
        analytics = monitor.game_metrics.get_game_analytics()
        events = monitor.event_stream.get_statistics()["total_events"]
    findings = [
        Finding("games completed", f"{GAMES}", f"{analytics['completed_games']}"),
        Finding("players who ever played", f"{GAMES * SEATS}", f"{GAMES * SEATS} distinct names, {events} events"),
        Finding("memory before the first game", None, f"{before:.1f} MB"),
        Finding(f"memory after {WARM_UP} games, stores full", None, f"{warm:.1f} MB"),
        Finding(f"growth by the {GAMES - WARM_UP} games after that", f"< {GROWTH_MB:g} MB", f"{after - warm:.1f} MB"),
        Finding("memory of the whole process", f"< {PROCESS_MB:g} MB", f"{after:.1f} MB"),
        Finding("series on /metrics", f"{len(series)}", f"{len(series) + len(new_series)}"),
        Finding("time of a game's calls", None, f"{seconds / (GAMES - WARM_UP) * 1e6:.0f} µs"),
    ]
    what = f"{GAMES} games with {SEATS} players each, all different, played to their end in one process."
    write_proof(pytestconfig, "scale-finished-games", what, findings)
    assert analytics["completed_games"] == GAMES
    assert analytics["active_games"] == 0
    assert after - warm < GROWTH_MB
    assert after < PROCESS_MB
    assert new_series == set()


class Scrape(NamedTuple):
    """Seconds that a scrape took, seconds of CPU, and by how much the loop was late at worst meanwhile."""

    took: float
    cpu: float
    late: float


async def watched(work: float | Exposition) -> Scrape:
    """A scrape, or as many seconds of nothing, while a task looks how punctual the event loop is."""
    late = 0.0

    async def look() -> None:
        nonlocal late
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late = max(late, time.perf_counter() - due)

    looking = asyncio.create_task(look())
    await asyncio.sleep(0.01)
    late, began, used = 0.0, time.perf_counter(), time.process_time()
    if isinstance(work, Exposition):
        await work.scrape(None)
    else:
        await asyncio.sleep(work)
    scrape = Scrape(time.perf_counter() - began, time.process_time() - used, late)
    looking.cancel()
    return scrape


async def test_a_scrape_does_not_hold_up_ten_thousand_live_games(pytestconfig: pytest.Config) -> None:
    with monitored() as (monitor, exposition):
        await begin_without_end(monitor, 0)
        series = await all_series(exposition)
        before = resident_mb()
        for number in range(1, ENDLESS_GAMES):
            await begin_without_end(monitor, number)
        held = resident_mb()
        body, _ = await exposition.scrape(None)
        new_series = series_in(body) - series
        scrapes, idle = [], []
        for _ in range(SCRAPES):
            scrapes.append(await watched(exposition))
            idle.append(await watched(scrapes[-1].took))
        await begin_without_end(monitor, ENDLESS_GAMES)
        active = monitor.game_metrics.get_game_analytics()["active_games"]
        dropped = monitor.core.ledger.dropped
    took = statistics.median(scrape.took for scrape in scrapes)
    late, usual = (statistics.median(scrape.late for scrape in group) for group in (scrapes, idle))
    findings = [
        Finding("games held when one more begins", f"{ENDLESS_GAMES}", f"{active}; given up: {dropped}"),
        Finding(
            "memory they hold", None, f"{held - before:.1f} MB, {(held - before) * 1024 / ENDLESS_GAMES:.1f} kB a game"
        ),
        Finding("memory of the whole process", f"< {PROCESS_MB:g} MB", f"{held:.1f} MB"),
        Finding("a scrape, median", f"< {SCRAPE_SECONDS * 1e3:g} ms", f"{took * 1e3:.1f} ms"),
        Finding("a scrape, longest", None, f"{max(scrape.took for scrape in scrapes) * 1e3:.1f} ms"),
        Finding("CPU of a scrape, median", None, f"{statistics.median(scrape.cpu for scrape in scrapes) * 1e3:.1f} ms"),
        Finding("series on /metrics", f"{len(series)}", f"{len(series) + len(new_series)}, {len(body) / 1024:.0f} kB"),
        Finding("lateness of the loop during a scrape, median", None, f"{late * 1e3:.2f} ms"),
        Finding("its longest", None, f"{max(scrape.late for scrape in scrapes) * 1e3:.2f} ms"),
        Finding("lateness of the loop without, median", None, f"{usual * 1e3:.2f} ms"),
        Finding("its longest", None, f"{max(scrape.late for scrape in idle) * 1e3:.2f} ms"),
        Finding("lateness caused by a scrape", f"< {LATENESS_SECONDS * 1e3:g} ms", f"{(late - usual) * 1e3:.2f} ms"),
    ]
    what = f"{ENDLESS_GAMES} games that never end, {SCRAPES} scrapes of /metrics from the event loop, nothing cached."
    write_proof(pytestconfig, "scale-live-games", what, findings)
    assert active == ENDLESS_GAMES
    assert dropped["max_live_games"] == 1
    assert held < PROCESS_MB
    assert took < SCRAPE_SECONDS
    assert late - usual < LATENESS_SECONDS
    assert new_series == set()
