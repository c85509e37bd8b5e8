"""A game server with games that go on, for queries of what is so now, and its own plain record of them.

``python -m tests.drills.live_game --record FILE --games 4 --sockets 6`` begins so many games, ends one of them, and
waits until it is told to stop, by SIGTERM: then it ends in order, its games unfinished. Where to report, and how often,
it takes from the environment, as any server does.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import otel_setup
from tests.drills.fleet_game import Facts

BEGAN, ENDED, OPENED, CLOSED = "game.began", "game.ended", "socket.opened", "socket.closed"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.live_game")
    parser.add_argument("--record", type=Path, required=True, metavar="FILE")
    parser.add_argument("--games", type=int, required=True, help="that go on")
    parser.add_argument("--sockets", type=int, required=True, help="that stay open")
    args = parser.parse_args()
    facts, over = Facts(args.record), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    telemetry = otel_setup.configure(service="live")
    await play(facts, args.games, args.sockets)
    print("playing", flush=True)
    await over.wait()
    print("shut down" if telemetry.shutdown() else "gave up", flush=True)


async def play(facts: Facts, games: int, sockets: int) -> None:
    """Begin one more of each than stay, and end that one."""
    monitor = otel_setup.get_enterprise_monitor()
    for number in range(games + 1):
        await monitor.record_game_start(f"game-{number}", f"room-{number}", player_count=4, bot_count=1)
        facts.note(BEGAN, f"game-{number}")
    for number in range(sockets + 1):
        await monitor.record_websocket_event(f"socket-{number}", "connect", "room-0")
        facts.note(OPENED, f"socket-{number}")
    await monitor.record_game_end(f"game-{games}", abandoned=True)
    facts.note(ENDED, f"game-{games}")
    await monitor.record_websocket_event(f"socket-{sockets}", "disconnect", "room-0", {"code": 1000})
    facts.note(CLOSED, f"socket-{sockets}")


if __name__ == "__main__":
    asyncio.run(main())
