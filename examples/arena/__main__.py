"""``python -m examples.arena serve|play``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import otel_setup
from examples.arena.match import Settings
from examples.arena.model import ARENA, BUSINESS_METRICS
from examples.arena.players import Crowd, simulate
from examples.arena.record import ArenaRecord
from examples.arena.server import build_app
from examples.arena.summary import summary
from examples.common.cli import make_parser, reconciled_with_metrics
from examples.common.pace import MAX_SPEED
from examples.common.serving import observed, running, serve

SERVICE = "arena"
PREFIX = "arena_"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser, _, _ = make_parser("python -m examples.arena", "Arena")
    args = parser.parse_args(arguments)
    if args.command == "play":
        return asyncio.run(_play(args))
    app = build_app(_monitor(args), ArenaRecord(args.record), _settings(args))
    serve(observed(app), args.host, args.port)
    return 0


async def _play(args: argparse.Namespace) -> int:
    crowd = Crowd(args.games, args.speed, args.seed, args.drop, args.abandon, args.concurrency)
    began = time.monotonic()
    if args.server:
        await simulate(args.server, crowd)
        print(f"{crowd.games} matches on http://{args.server} in {time.monotonic() - began:.1f} s")
        return 0
    record = ArenaRecord(args.record)
    app = build_app(_monitor(args), record, _settings(args))
    async with running(observed(app)) as address:
        await simulate(address, crowd)
        await app.state.arena.wait_quiet()
        speed = "max" if crowd.speed == MAX_SPEED else f"{crowd.speed:g}"
        print(f"{crowd.games} matches in {time.monotonic() - began:.1f} s (speed {speed}, seed {crowd.seed})")
        print(summary(record))
        equal = not args.reconcile or await reconciled_with_metrics(address, record, PREFIX)
    return 0 if equal and not app.state.arena.services.failures else 1


def _monitor(args: argparse.Namespace) -> otel_setup.EnterpriseMonitor:
    otel_setup.configure(
        service=SERVICE, model=ARENA, business_metrics=BUSINESS_METRICS, collector=args.collector or False
    )
    return otel_setup.get_enterprise_monitor()


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(args.speed, args.seed, args.illegal)


if __name__ == "__main__":
    sys.exit(main())
