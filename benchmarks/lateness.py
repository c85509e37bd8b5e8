"""How late an event loop is at 1,000 monitored actions a second: what players feel."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.processes import Figures, in_a_process, tell
from benchmarks.report import Result, Spread, Table
from benchmarks.sink import sinking
from benchmarks.ticking import lateness, percentile
from benchmarks.variants import VARIANTS, Variant

ROUNDS, SECONDS = 7, 6.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 2.0
WARM_UP_SECONDS = 1.0
ACTIONS_PER_SECOND = 1000
NOTHING, BASELINE = "no telemetry", "stock SDK"
_NAMES = (NOTHING, BASELINE, "stock SDK, batch 128", "monitor")


def run(*, quick: bool) -> Result:
    """Each variant by turns in a process of its own, several rounds."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    measured: dict[str, list[Figures]] = {name: [] for name in _NAMES}
    order = list(_NAMES)
    with sinking() as endpoint:
        for number in range(rounds):
            for name in order:
                figures = in_a_process(__name__, name, endpoint, str(seconds), timeout=seconds + 60)
                measured[name].append(figures)
            order.append(order.pop(0))
            print(f"\rlateness: round {number + 1} of {rounds}", end="", flush=True)
    print()
    return _result(measured, rounds, seconds)


def _result(measured: dict[str, list[Figures]], rounds: int, seconds: float) -> Result:
    rows, figures = [], {}
    for name, runs in measured.items():
        p50, p99, most, cpu = (Spread.of([run[key] for run in runs]) for key in ("p50", "p99", "max", "cpu"))
        added = Spread.of([run["p99"] - none["p99"] for run, none in zip(runs, measured[NOTHING], strict=True)])
        rows.append((name, str(p50), str(p99), str(added), str(most), f"{cpu.median:.0f} %"))
        figures[name] = {"p50_ms": p50, "p99_ms": p99, "p99_added_ms": added, "max_ms": most, "cpu_percent": cpu}
    columns = ("", "p50, ms", "p99, ms", "p99 added, ms", "most, ms", "CPU of a core")
    stock = figures[BASELINE]["p99_added_ms"].median
    share = figures["monitor"]["p99_added_ms"].median / stock if stock > 0 else float("nan")
    remarks = (
        f"Median (quartiles) of {rounds} rounds of {seconds:g} s. A tick is due each millisecond; how much later it "
        "runs is its lateness.",
        f"The monitor adds {share:.2f} of what the stock SDK's defaults add to the p99.",
    )
    title = f"Lateness of the event loop at {ACTIONS_PER_SECOND:,} actions a second"
    return Result("lateness", [Table(title, columns, rows, remarks)], {**figures, "share_of_stock": share})


async def _measure(variant: Variant, endpoint: str, seconds: float) -> Figures:
    await variant.open(endpoint)
    await asyncio.gather(_act(variant, WARM_UP_SECONDS), lateness(WARM_UP_SECONDS))
    process = time.process_time()
    _, late = await asyncio.gather(_act(variant, seconds), lateness(seconds))
    cpu = time.process_time() - process
    return {
        "p50": percentile(late, 0.5),
        "p99": percentile(late, 0.99),
        "max": late[-1],
        "cpu": cpu / seconds * 100,
    }


async def _act(variant: Variant, seconds: float) -> None:
    """Acts when it is due, and catches up when it is late, as a game's clients do not wait for one another."""
    started = time.perf_counter()
    for number in range(int(seconds * ACTIONS_PER_SECOND)):
        pause = started + number / ACTIONS_PER_SECOND - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        await variant.act(number)
        if number % ACTIONS_PER_SECOND == 0:
            await variant.drain()


def _main(name: str, endpoint: str, seconds: str) -> None:
    variant = VARIANTS[name]()
    tell(asyncio.run(_measure(variant, endpoint, float(seconds))))
    variant.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
