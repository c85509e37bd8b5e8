"""What one monitored action costs: the game's own thread, and the whole process with encoding and export."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.report import Result, Spread, Table
from benchmarks.sink import sinking
from benchmarks.variants import VARIANTS, Variant

ROUNDS, BURSTS, ACTIONS = 30, 10, 40
QUICK_ROUNDS = 8
BASELINE = "stock SDK"
_NAMES = ("stock SDK", "stock SDK, batch 128", "monitor")
_MICRO = 1e6


@dataclass
class Measured:
    """Microseconds an action takes in each round, of the game's thread and of the whole process."""

    thread: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)


def run(*, quick: bool) -> Result:
    """Runs all variants in one process, a round of each by turns."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return _result(interleaved(rounds), rounds)


def interleaved(rounds: int) -> dict[str, Measured]:
    """What each round took, by variant."""
    with sinking() as endpoint:
        return asyncio.run(_measure(endpoint, rounds))


async def _measure(endpoint: str, rounds: int) -> dict[str, Measured]:
    variants: dict[str, Variant] = {name: VARIANTS[name]() for name in _NAMES}
    for variant in variants.values():
        await variant.open(endpoint)
        await _round(variant)  # warms up caches and connections
    measured = {name: Measured() for name in variants}
    order = list(variants)
    for number in range(rounds):
        for name in order:
            thread, process = await _round(variants[name])
            measured[name].thread.append(thread)
            measured[name].process.append(process)
        order.append(order.pop(0))  # nobody always comes after the same one
        print(f"\raction: round {number + 1} of {rounds}", end="", flush=True)
    print()
    for variant in variants.values():
        variant.close()
    return measured


async def _round(variant: Variant) -> tuple[float, float]:
    """Microseconds an action takes of this thread and, until it is exported, of the whole process."""
    thread = 0.0
    for _ in range(BURSTS):
        started = time.thread_time()
        for number in range(ACTIONS):
            await variant.act(number)
        thread += time.thread_time() - started
        # Exported after each burst, so that no thread competes with this one while it is measured: what such
        # competition does to a game is the lateness benchmark's.
        variant.flush()
    process = time.process_time()
    for number in range(BURSTS * ACTIONS):
        await variant.act(number)
    variant.flush()
    process = time.process_time() - process
    await variant.drain()
    return thread / (BURSTS * ACTIONS) * _MICRO, process / (BURSTS * ACTIONS) * _MICRO


def _result(measured: dict[str, Measured], rounds: int) -> Result:
    rows, figures = [], {}
    baseline = measured[BASELINE]
    for name, times in measured.items():
        # Of each round by itself, because rounds differ more than variants do on a busy machine.
        thread_ratio = Spread.of([mine / theirs for mine, theirs in zip(times.thread, baseline.thread, strict=True)])
        process_ratio = Spread.of([mine / theirs for mine, theirs in zip(times.process, baseline.process, strict=True)])
        thread, process = Spread.of(times.thread), Spread.of(times.process)
        rows.append((name, str(thread), str(thread_ratio), str(process), str(process_ratio)))
        figures[name] = {
            "thread_us": thread,
            "thread_ratio": thread_ratio,
            "process_us": process,
            "process_ratio": process_ratio,
        }
    columns = ("", "game's thread, µs", "ratio", "whole process, µs", "ratio")
    remarks = (
        f"Median (quartiles) of {rounds} rounds of {BURSTS * ACTIONS} actions each; CPU time, not elapsed time.",
    )
    return Result("action", [Table("One monitored action", columns, rows, remarks)], figures)
