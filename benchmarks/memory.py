"""How much memory monitoring holds: for what waits to be exported, for history, and for each live game."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable

from benchmarks.processes import Figures, in_a_process, tell
from benchmarks.report import Result, Table
from benchmarks.sink import sinking
from benchmarks.variants import Facade, Stock, Variant
from otel_setup import Seat, configure, get_enterprise_monitor

ACTIONS, QUICK_ACTIONS = 4000, 1000
GAMES, QUICK_GAMES = 4000, 1000
WARM_UP = 200
SEATS = 4
_EVENTS = 3
"""Of each action, beside its span."""
_ENOUGH = 4 * (ACTIONS + WARM_UP)
_NEVER_SECONDS = 60.0
_STOCK, _MONITOR, _HISTORY, _GAME = "stock SDK", "monitor", "history", "game"


def run(*, quick: bool) -> Result:
    """A process for each figure. Memory does not vary from round to round, so there is one."""
    measured: dict[str, float] = {}
    with sinking() as endpoint:
        for what in (_STOCK, _MONITOR, _HISTORY, _GAME):
            print(f"\rmemory: {what:20}", end="", flush=True)
            measured |= in_a_process(__name__, what, endpoint, "quick" if quick else "", timeout=300)
    print()
    rows = [
        ("an action that waits for export (a span and 3 events), by hand on the stock SDK", _bytes(measured[_STOCK])),
        ("an action that waits for export, with the monitor", _bytes(measured[_MONITOR])),
        ("an event in history, exported", _bytes(measured[_HISTORY])),
        ("a live game with 4 seats and its room", _bytes(measured[_GAME])),
    ]
    remarks = ("As Python's tracemalloc counts it.",)
    return Result("memory", [Table("Memory", ("", "bytes each"), rows, remarks)], dict(measured))


def _bytes(value: float) -> str:
    return f"{value:,.0f}"


async def _measure(what: str, endpoint: str, *, quick: bool) -> Figures:
    actions = QUICK_ACTIONS if quick else ACTIONS
    if what == _GAME:
        configure(collector=False, service="benchmark", history_size=1)
        return {what: await _each(_start_game, QUICK_GAMES if quick else GAMES)}
    if what == _STOCK:
        never = _NEVER_SECONDS * 1000
        variant: Variant = Stock(max_queue_size=_ENOUGH, max_export_batch_size=_ENOUGH, schedule_delay_millis=never)
    elif what == _MONITOR:
        variant = Facade(
            queue_size=_ENOUGH,
            batch_size=_ENOUGH,
            batch_delay=_NEVER_SECONDS,
            span_queue_size=_ENOUGH,
            span_batch_size=_ENOUGH,
            span_batch_delay=_NEVER_SECONDS,
            history_size=1,
        )
    else:
        variant = Facade(traces=False, logs=False, history_size=_ENOUGH)
    await variant.open(endpoint)
    each = await _each(variant.act, actions)
    return {what: each / _EVENTS if what == _HISTORY else each}


async def _each(act: Callable[[int], Awaitable[None]], times: int) -> float:
    """Bytes that one call leaves behind."""
    for number in range(WARM_UP):
        await act(number)
    gc.collect()
    tracemalloc.start()
    for number in range(WARM_UP, WARM_UP + times):
        await act(number)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    return held / times


async def _start_game(number: int) -> None:
    seats = [Seat(f"player-{number}-{seat}") for seat in range(SEATS)]
    await get_enterprise_monitor().record_game_start(f"game-{number}", f"room-{number}", SEATS, 0, players=seats)


if __name__ == "__main__":
    tell(asyncio.run(_measure(sys.argv[1], sys.argv[2], quick=sys.argv[3] == "quick")))
