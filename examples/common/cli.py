"""The command line that both example games share: ``serve`` and ``play`` with their common options."""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.common.client import get_text
from examples.common.pace import parse_speed
from examples.common.record import Record, expected
from examples.reconcile import from_exposition, reconcile

Parser = argparse.ArgumentParser


def make_parser(prog: str, game: str) -> tuple[Parser, Parser, Parser]:
    """The whole parser, and those of ``serve`` and ``play`` to which a game adds its own options."""
    parser = Parser(prog=prog, description=f"{game}: an example game server that is observed.")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="run the server until it is stopped")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")

    play = commands.add_parser("play", help="play games with simulated people over real sockets")
    play.add_argument("--games", type=int, default=5, help="how many games (default: %(default)s)")
    play.add_argument("--concurrency", type=int, default=8, help="games at the same time (default: %(default)s)")
    play.add_argument("--drop", type=share, default=0.1, metavar="P", help="share of players who lose the connection")
    play.add_argument("--abandon", type=share, default=0.1, metavar="P", help="share of games that are abandoned")
    play.add_argument("--server", metavar="HOST:PORT", help="play on this running server instead of one of our own")
    play.add_argument(
        "--reconcile", action="store_true", help="compare /metrics with the record afterwards; exit 1 if they differ"
    )

    for command, speed in ((serve, "1"), (play, "max")):
        command.add_argument(
            "--speed", type=parse_speed, default=speed, metavar="X|max", help=f"times real time (default: {speed})"
        )
        command.add_argument("--seed", type=int, default=0, help="for every random choice (default: %(default)s)")
        command.add_argument("--illegal", type=share, default=0.0, metavar="P", help="share of illegal transitions")
        command.add_argument("--record", type=Path, metavar="FILE", help="write the game's own record here")
        command.add_argument("--collector", metavar="URL", help="export to this Collector (default: export nothing)")
    return parser, serve, play


def share(text: str) -> float:
    """An argument from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


async def reconciled_with_metrics(address: str, record: Record, prefix: str) -> bool:
    """Print the comparison of the record with the server's ``/metrics``; whether they agree."""
    exposition = await get_text(address, "/metrics")
    result = reconcile(expected(record), {"/metrics": from_exposition(exposition, prefix)})
    print(result.render())
    return result.equal
