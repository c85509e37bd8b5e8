"""A game server without players for drills of the event stream: games without end, and its own plain record of them.

``python -m tests.drills.fleet_game --collector URL --record FILE --name NAME`` plays a few games at a time until it is
told to stop, and writes one line for each fact, unbuffered and before it is reported, so that what was done at most one
fact before a ``kill -9`` is in it. The record imports nothing of the product. At a clean end it says what the product's
own account is of what was exported and what was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import otel_setup

PLAYERS = [otel_setup.Seat("Ada"), otel_setup.Seat("Grace"), otel_setup.Seat("Bot 2", is_bot=True)]
PHASES = ("WAITING", "PREPARATION", "ROUND_START", "DECLARATION", "TURN", "TURN_RESULTS", "SCORING", "GAME_OVER")
HEARTBEAT_SECONDS = 1.0
SNAPSHOT_SECONDS = 2.0
ACCOUNT = "account:"
"""Precedes the account of exports in what it says."""


class Facts:
    """The record: a line of JSON for each fact, in the file as soon as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, fact: str, game: str) -> None:
        os.write(self._file, json.dumps([fact, game, time.monotonic()]).encode() + b"\n")


def facts_of(path: Path, noted: Callable[[float], bool] = lambda at: True) -> Counter[tuple[str, str]]:
    """How often each fact was noted, by name and game.

    :param noted: whether one counts that was noted then, by the clock of :func:`time.monotonic`
    """
    lines = map(json.loads, path.read_text().splitlines())
    return Counter((fact, game) for fact, game, at in lines if noted(at))


async def play(game: str, facts: Facts, pause: float) -> None:
    """One game, from its start to its decision."""
    monitor = otel_setup.get_enterprise_monitor()
    facts.note("game.started", game)
    await monitor.record_game_start(game, f"room-{game}", 3, 1, players=PLAYERS)
    for left, entered in itertools.pairwise(PHASES):
        for _ in range(3):
            facts.note("action.completed", game)
            async with monitor.monitor_action_processing(game, "play_pieces", "Ada"):
                pass
        facts.note("turn.completed", game)
        await monitor.record_turn_completed(game, winner_id="Ada")
        if entered == "GAME_OVER":
            facts.note("game.ended", game)
            await monitor.record_game_end(game, winner_id="Ada", final_scores={"Ada": 50, "Grace": 3, "Bot 2": 9})
        facts.note("state.transition.complete", game)
        async with monitor.monitor_state_transition(game, left, entered):
            pass
        await asyncio.sleep(pause)


async def play_on(table: str, facts: Facts, pause: float, over: asyncio.Event) -> None:
    """One game after another; the last one is played to its end."""
    number = 0
    while not over.is_set():
        await play(f"{table}-{number}", facts, pause)
        number += 1


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.fleet_game")
    parser.add_argument("--collector", required=True, metavar="URL")
    parser.add_argument("--record", type=Path, required=True, metavar="FILE")
    parser.add_argument("--name", required=True, help="what the names of its games begin with")
    parser.add_argument("--tables", type=int, default=5, help="games at a time (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds in each phase (default: %(default)s)")
    parser.add_argument("--queue", type=int, metavar="ITEMS", help="events, and spans, that wait for export at most")
    args = parser.parse_args()
    facts, over = Facts(args.record), asyncio.Event()
    telemetry = otel_setup.configure(
        collector=args.collector,
        service=args.name,
        heartbeat_interval=HEARTBEAT_SECONDS,
        snapshot_interval=SNAPSHOT_SECONDS,
        shutdown_timeout=30.0,
        queue_size=args.queue,
        log_level=False,  # so that all log records are events, and have numbers
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await otel_setup.get_enterprise_monitor().start()
    print("playing", flush=True)
    await asyncio.gather(*(play_on(f"{args.name}{table}", facts, args.pause, over) for table in range(args.tables)))
    await otel_setup.get_enterprise_monitor().stop()
    print("shut down" if telemetry.shutdown() else "gave up", flush=True)
    print(ACCOUNT, json.dumps({name: asdict(told) for name, told in telemetry.health().signals.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
