"""What the history of a game keeps in memory: 10,000 events as the example game makes them."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.processes import Figures, in_a_process, tell
from benchmarks.report import Spread, Table
from benchmarks.stream.goals import Found, at_most
from examples.replay import Call, load, replay
from otel_setup import configure, get_enterprise_monitor
from otel_setup.events.ring import size_of

EVENTS = 10_000
_TRACE = Path(__file__).parents[2] / "tests" / "data" / "liap_tui_trace.jsonl.gz"
_IDS = ("game_id", "room_id", "player_id", "connection_id")
_LIMIT_MB = 6.0
_MEGABYTE = 1e6


def run(*, quick: bool) -> Found:
    """In a process of its own; memory does not vary from round to round, so there is one, quick or not."""
    found = in_a_process(__name__, timeout=300)
    megabytes = Spread.of([found["bytes_each"] * EVENTS / _MEGABYTE])
    rows = [
        ("an event, with what only history holds of it", f"{found['bytes_each']:,.0f}"),
        ("what the bounds in bytes take it for", f"{found['weighed_each']:,.0f}"),
    ]
    remarks = (
        f"{found['events']:,.0f} events of a recorded game, played again and again with other ids; what tracemalloc "
        "counts less when history is dropped.",
    )
    verdicts = [at_most(f"a history of {EVENTS:,} events", _LIMIT_MB, megabytes, " MB")]
    return Found(Table("An event in history", ("", "bytes"), rows, remarks), verdicts, dict(found))


async def _measure() -> Figures:
    tracemalloc.start()
    configure(collector=False, service="benchmark", history_size=EVENTS)
    monitor = get_enterprise_monitor()
    stream, number = monitor.event_stream, 0
    while stream.total_events < EVENTS:
        await replay([_of_another_game(call, number) for call in load(_TRACE)], monitor, speed=0)
        number += 1
    kept = stream.get_history()
    weighed, count = sum(map(size_of, kept)), len(kept)
    del kept
    held = _held()
    stream.after_fork()  # begins afresh: drops all it has
    return {"events": count, "bytes_each": (held - _held()) / count, "weighed_each": weighed / count}


def _of_another_game(call: Call, number: int) -> Call:
    ids = {name: f"{call.arguments[name]}-{number}" for name in _IDS if call.arguments.get(name)}
    return replace(call, arguments=_with_constants({**call.arguments, **ids}))


def _with_constants(value: Any) -> Any:
    """What a game's code says in constants, which are there once, a recording says in texts of its own each time."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {sys.intern(key): _with_constants(entry) for key, entry in value.items()}
    return value


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


if __name__ == "__main__":
    tell(asyncio.run(_measure()))
