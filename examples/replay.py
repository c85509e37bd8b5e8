"""Replays a recorded trace of monitor calls: ``python -m examples.replay tests/data/liap_tui_trace.jsonl.gz``.

A trace is JSON lines, one call a line, ``t`` being the seconds at which it completed. Transitions and actions last
``seconds``: they began at ``t - seconds``, others may have begun or ended meanwhile, and what was open at the same
time is open at the same time again. Each runs in a task of its own, as in a game server.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import otel_setup
from otel_setup import EnterpriseMonitor

SERVICE = "liap-tui"
_MICROSECONDS = 1_000_000

Arguments = Mapping[str, Any]
Moment = Callable[[EnterpriseMonitor, Arguments], Awaitable[None]]
Block = Callable[[EnterpriseMonitor, Arguments], AbstractAsyncContextManager[object]]

MOMENTS: dict[str, Moment] = {
    "game_start": lambda monitor, given: monitor.record_game_start(**given),
    "game_end": lambda monitor, given: monitor.record_game_end(**given),
    "phase_duration": lambda monitor, given: monitor.record_phase_duration(**given),
    "websocket": lambda monitor, given: monitor.record_websocket_event(**given),
}
BLOCKS: dict[str, Block] = {
    "state_transition": lambda monitor, given: monitor.monitor_state_transition(**given),
    "action": lambda monitor, given: monitor.monitor_action_processing(**given),
}


class RecordedError(Exception):
    """An error that a recorded transition or action ended with; a subclass bears the name it had."""


@dataclass(frozen=True)
class Call:
    """One recorded call.

    Parameters:
        name: which one.
        began, ended: microseconds since the recording began; whole ones, so that their order is exact.
        arguments: what it was called with.
        error: what its body raised, ``Name: text``; None on success.
    """

    name: str
    began: int
    ended: int
    arguments: Arguments
    error: str | None = None


def load(path: Path) -> list[Call]:
    """The calls of a trace file, in the order of its lines.

    Parameters:
        path: JSON lines; compressed where the name ends in ``.gz``.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no call; the error says which.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [_call(f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def _call(where: str, line: str) -> Call:
    try:
        fields: dict[str, Any] = json.loads(line)
        name, ended = str(fields.pop("call")), round(fields.pop("t") * _MICROSECONDS)
        took, error = round(fields.pop("seconds", 0) * _MICROSECONDS), fields.pop("error", None)
    except (ValueError, TypeError, AttributeError, KeyError) as wrong:
        raise ValueError(f"{where} is no recorded call: {wrong!r}") from wrong
    if name not in MOMENTS and name not in BLOCKS:
        raise ValueError(f"{where}: call {name!r} is none of {', '.join((*MOMENTS, *BLOCKS))}")
    return Call(name, ended - took, ended, fields, error)


async def replay(calls: Iterable[Call], monitor: EnterpriseMonitor, speed: float = 1.0) -> None:
    """Make all calls, with their starts and ends in the recorded order.

    Parameters:
        calls: as :func:`load` gives them; of two that happen in the same microsecond the earlier call's comes first.
        monitor: what is called.
        speed: how many times faster than recorded; 0 for as fast as possible.

    Raises:
        ValueError: the speed is below 0.
        ExceptionGroup: a call raised, which none does unless its arguments are not the monitor's.
    """
    if not speed >= 0:
        raise ValueError(f"speed must be 0 or more, not {speed}")
    async with asyncio.TaskGroup() as tasks:
        schedule = _schedule(calls, monitor, tasks)
        began = time.monotonic()
        for microseconds, _, happen in schedule:
            if speed:
                due = began + (microseconds - schedule[0][0]) / _MICROSECONDS / speed
                await asyncio.sleep(due - time.monotonic())
            await happen()


def _schedule(
    calls: Iterable[Call], monitor: EnterpriseMonitor, tasks: asyncio.TaskGroup
) -> list[tuple[int, int, Callable[[], Awaitable[None]]]]:
    """What happens, in order: when (microseconds), in which call, and how."""
    schedule: list[tuple[int, int, Callable[[], Awaitable[None]]]] = []
    for number, call in enumerate(calls):
        if call.name in MOMENTS:
            schedule.append((call.ended, number, partial(MOMENTS[call.name], monitor, call.arguments)))
        else:
            block = _OpenBlock(call, monitor, tasks)
            schedule += [(call.began, number, block.begin), (call.ended, number, block.end)]
    # Sorting is stable: of one call the start stays before the end.
    return sorted(schedule, key=lambda entry: entry[:2])


class _OpenBlock:
    """A transition or action, in a task of its own between its start and its end."""

    def __init__(self, call: Call, monitor: EnterpriseMonitor, tasks: asyncio.TaskGroup) -> None:
        self._call, self._monitor, self._tasks = call, monitor, tasks
        self._begun, self._due = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._task = self._tasks.create_task(self._run())
        await self._begun.wait()

    async def end(self) -> None:
        self._due.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        error = _error(self._call.error)
        try:
            async with BLOCKS[self._call.name](self._monitor, self._call.arguments):
                await self._body(error)
        except BaseException as raised:
            if raised is not error:
                raise

    async def _body(self, error: BaseException | None) -> None:
        self._begun.set()
        await self._due.wait()
        if error is not None:
            raise error


def _error(recorded: str | None) -> BaseException | None:
    """The error a body raised, by its recorded ``Name: text``."""
    if recorded is None:
        return None
    name, _, text = recorded.partition(": ")
    if name == asyncio.CancelledError.__name__:
        return asyncio.CancelledError(text)
    if not name.isidentifier():
        return RecordedError(recorded)
    named: type[RecordedError] = type(name, (RecordedError,), {})
    return named(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 where the file is no trace, 1 where not everything reached the Collector."""
    parser = argparse.ArgumentParser(prog="python -m examples.replay", description="Replay recorded monitor calls.")
    parser.add_argument("file", type=Path, metavar="FILE", help="a recorded trace, JSON lines, .gz or not")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="times as fast as recorded; 0 for no waiting at all"
    )
    parser.add_argument("--collector", metavar="URL", help="export to this Collector (default: export nothing)")
    args = parser.parse_args(arguments)
    try:
        calls = load(args.file)
    except (OSError, ValueError) as unreadable:
        parser.error(str(unreadable))
    telemetry = otel_setup.configure(service=SERVICE, collector=args.collector or False)
    monitor = otel_setup.get_enterprise_monitor()
    began = time.monotonic()
    asyncio.run(replay(calls, monitor, args.speed))
    games = monitor.game_metrics.get_game_analytics()
    print(
        f"{len(calls)} calls in {time.monotonic() - began:.1f} s: {games['total_games']} games, "
        f"{games['active_games']} of them still on, {monitor.event_stream.get_statistics()['total_events']} events"
    )
    if telemetry.shutdown():
        return 0
    print("not everything reached the Collector in time")
    return 1


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 or more")
    return speed


if __name__ == "__main__":
    sys.exit(main())
