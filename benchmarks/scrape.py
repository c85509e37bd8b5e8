"""What a scrape of /metrics costs a server with many live games: its time, and the lateness of the loop beside it."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.processes import Figures, in_a_process, tell
from benchmarks.report import Result, Spread, Table
from benchmarks.ticking import lateness, percentile
from otel_setup import Seat, configure, get_enterprise_monitor
from otel_setup.prometheus import default_exposition

GAMES = (100, 1_000, 10_000)
ROUNDS, SECONDS = 5, 5.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 2.0
PAUSE_SECONDS = 0.25
"""Between two scrapes: sixty times as often as Prometheus asks by default, so that there is something to measure."""
SEATS = 4
_MS = 1000


def run(*, quick: bool) -> Result:
    """A process for each number of games, several rounds."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    measured: dict[int, list[Figures]] = {games: [] for games in GAMES}
    for number in range(rounds):
        for games in GAMES:
            figures = in_a_process(__name__, str(games), str(seconds), timeout=2 * seconds + 120)
            measured[games].append(figures)
        print(f"\rscrape: round {number + 1} of {rounds}", end="", flush=True)
    print()
    rows, found = [], {}
    for games, runs in measured.items():
        spreads = {key: Spread.of([run[key] for run in runs]) for key in runs[0]}
        shown = (spreads[key] for key in ("scrape_ms", "size_kb", "p99_quiet_ms", "p99_ms"))
        rows.append((f"{games:,} live games", *map(str, shown)))
        found[str(games)] = spreads
    columns = ("", "one scrape, ms", "size, kB", "p99 lateness without, ms", "p99 lateness while scraping, ms")
    remarks = (
        f"Median (quartiles) of {rounds} rounds of {seconds:g} s with a scrape every {PAUSE_SECONDS:g} s, none from "
        "memory.",
    )
    return Result("scrape", [Table("A scrape of /metrics", columns, rows, remarks)], found)


async def _measure(games: int, seconds: float) -> Figures:
    configure(collector=False, service="benchmark", scrape_ttl=0)
    monitor = get_enterprise_monitor()
    for number in range(games):
        seats = [Seat(f"player-{number}-{seat}") for seat in range(SEATS)]
        await monitor.record_game_start(f"game-{number}", f"room-{number}", SEATS, 0, players=seats)
    quiet = await lateness(seconds)
    scraping = asyncio.create_task(_scrape(seconds))
    late = await lateness(seconds)
    times, size = await scraping
    return {
        "scrape_ms": percentile(sorted(times), 0.5),
        "size_kb": size / 1000,
        "p99_quiet_ms": percentile(quiet, 0.99),
        "p99_ms": percentile(late, 0.99),
    }


async def _scrape(seconds: float) -> tuple[list[float], int]:
    """Milliseconds of each scrape, and the bytes of the last."""
    exposition, times, size = default_exposition(), [], 0
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        body, _ = await exposition.scrape(None)
        times.append((time.perf_counter() - started) * _MS)
        size = len(body)
        await asyncio.sleep(PAUSE_SECONDS)
    return times, size


if __name__ == "__main__":
    tell(asyncio.run(_measure(int(sys.argv[1]), float(sys.argv[2]))))
