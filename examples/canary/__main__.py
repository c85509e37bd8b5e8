"""``python -m examples.canary HOST:PORT``: play, tell, wait, and again."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time

import otel_setup
from alerts.canary import ATTEMPTS, METRICS, MODEL, OUTCOME
from examples.canary.round import play_round

SERVICE = "canary"


def main(arguments: list[str] | None = None) -> int:
    """Play until told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.canary", description=__doc__)
    parser.add_argument("server", metavar="HOST:PORT", help="the game server")
    parser.add_argument(
        "--every", type=float, default=60.0, metavar="S", help="seconds from a round to the next (%(default)g)"
    )
    parser.add_argument("--seconds", type=float, default=300.0, metavar="S", help="of a round, at most (%(default)g)")
    parser.add_argument("--rounds", type=int, metavar="N", help="and no more; exit code 1 where the last one failed")
    parser.add_argument("--collector", metavar="URL", help="OTLP/HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT)")
    args = parser.parse_args(arguments)
    telemetry = otel_setup.configure(service=SERVICE, model=MODEL, business_metrics=METRICS, collector=args.collector)
    try:
        return asyncio.run(_play(args))
    finally:
        telemetry.shutdown()


async def _play(args: argparse.Namespace) -> int:
    monitor, stop, played, outcome = otel_setup.get_enterprise_monitor(), asyncio.Event(), 0, ""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set() and played != args.rounds:
        began = time.monotonic()
        outcome = await play_round(args.server, monitor, played, args.seconds)
        await monitor.record_metric(ATTEMPTS.name, 1, **{OUTCOME.name: outcome})
        print(f"round {played + 1}: {outcome}", flush=True)
        played += 1
        if played != args.rounds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, began + args.every - time.monotonic()))
    return 0 if stop.is_set() or outcome == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
