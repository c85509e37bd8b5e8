"""``python -m examples.liap_tui serve|play``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import otel_setup
from examples.common.cli import make_parser, reconciled_with_metrics
from examples.common.pace import MAX_SPEED
from examples.common.serving import observed, running, serve
from examples.liap_tui.players import Crowd, simulate
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.rules import SEATS, TARGET
from examples.liap_tui.server import build_app
from examples.liap_tui.services import Settings
from examples.liap_tui.summary import summary

SERVICE = "liap-tui"
PREFIX = "liap_tui_"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser, serve_options, play_options = make_parser("python -m examples.liap_tui", "Liap Tui")
    for options in (serve_options, play_options):
        options.add_argument("--target", type=int, default=TARGET, help="points that end a game (default: %(default)s)")
    play_options.add_argument("--bots", type=int, choices=range(SEATS), help="bots in each game (default: a mixture)")
    args = parser.parse_args(arguments)
    if args.command == "play":
        return asyncio.run(_play(args))
    app = build_app(_monitor(args), LiapTuiRecord(args.record), _settings(args))
    serve(observed(app), args.host, args.port)
    return 0


async def _play(args: argparse.Namespace) -> int:
    crowd = Crowd(
        games=args.games,
        speed=args.speed,
        seed=args.seed,
        drop=args.drop,
        abandon=args.abandon,
        bots=args.bots,
        concurrency=args.concurrency,
    )
    began = time.monotonic()
    if args.server:
        await simulate(args.server, crowd)
        print(f"{crowd.games} games on http://{args.server} in {time.monotonic() - began:.1f} s")
        return 0
    record = LiapTuiRecord(args.record)
    app = build_app(_monitor(args), record, _settings(args))
    async with running(observed(app)) as address:
        await simulate(address, crowd)
        await app.state.lobby.wait_quiet()
        speed = "max" if crowd.speed == MAX_SPEED else f"{crowd.speed:g}"
        print(f"{crowd.games} games in {time.monotonic() - began:.1f} s (speed {speed}, seed {crowd.seed})")
        print(summary(record))
        equal = not args.reconcile or await reconciled_with_metrics(address, record, PREFIX)
    broken = app.state.lobby.services.failures
    return 0 if equal and not broken else 1


def _monitor(args: argparse.Namespace) -> otel_setup.EnterpriseMonitor:
    otel_setup.configure(service=SERVICE, collector=args.collector or False)
    return otel_setup.get_enterprise_monitor()


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(speed=args.speed, seed=args.seed, target=args.target, illegal=args.illegal)


if __name__ == "__main__":
    sys.exit(main())
