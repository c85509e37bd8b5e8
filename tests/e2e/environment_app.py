"""A small game server whose environment says how it is monitored.

``python -m tests.e2e.environment_app`` plays, prints what it was configured with and what it remembers, says
``played`` and then does what it is told: a line ``more`` on its standard input plays on, the end of the input ends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from contextlib import suppress
from urllib.request import Request, urlopen

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import otel_setup
from otel_setup import EnterpriseMonitor, Seat, SystemMetricsCollector

PLAYER = "Zarniwoop-41"
ACTIONS = 60
SAID = "the bag of pieces is nearly empty"
REPORT, REMEMBERED, PLAYED = "report: ", "remembered: ", "played"
LOBBY = "LOBBY_URL"
"""Variable with the address of another server, which is asked for something."""
OWN_PROVIDER, BUSY = "--own-provider", "--busy"
GROWTH = 100_000_000
"""Bytes; 750 MB per hour."""
EIGHT_MINUTES = 480.0


class WrongMove(Exception):
    """What the game's own code raises."""


def main() -> None:
    if OWN_PROVIDER in sys.argv:
        trace.set_tracer_provider(TracerProvider())
    telemetry = otel_setup.configure()
    monitor = otel_setup.get_enterprise_monitor()
    asyncio.run(play(monitor))
    if BUSY in sys.argv:
        asyncio.run(be_busy(monitor))
    for line in telemetry.report().splitlines():
        tell(REPORT + line)
    tell(REMEMBERED + json.dumps(asyncio.run(remembered(monitor))))
    tell(PLAYED)
    for line in sys.stdin:
        asyncio.run(act(monitor))
        tell(line.strip())
    telemetry.shutdown()


def tell(line: str) -> None:
    """Prints a line in one piece, whatever console exporters print meanwhile."""
    os.write(sys.stdout.fileno(), f"\n{line}\n".encode())


async def play(monitor: EnterpriseMonitor) -> None:
    await monitor.record_game_start("game1", "room1", 2, 0, players=[Seat(PLAYER), Seat("Slartibart-42")])
    for _ in range(ACTIONS):
        await act(monitor)
    with suppress(WrongMove):
        async with monitor.monitor_action_processing("game1", "declare", PLAYER):
            raise WrongMove("nine piles")
    logging.getLogger("game").warning(SAID)
    if lobby := os.environ.get(LOBBY):
        async with monitor.monitor_action_processing("game1", "play_pieces", PLAYER):
            urlopen(Request(lobby, headers=otel_setup.inject_context({}))).close()  # noqa: S310


async def be_busy(monitor: EnterpriseMonitor) -> None:
    """Eight minutes by the clock of the process metrics, in which memory grows; then something holds the loop."""
    past = EIGHT_MINUTES
    monitor.core.system = SystemMetricsCollector(clock=lambda: time.monotonic() - past)
    monitor.system_metrics.sample()
    past, held = 0.0, b"x" * GROWTH
    await monitor.start()
    while monitor.system_metrics.get_memory_summary()["samples"] < 2:
        await asyncio.sleep(0.01)
    for _ in range(3):
        await asyncio.sleep(0.1)
        time.sleep(0.5)
    await monitor.stop()
    del held


async def act(monitor: EnterpriseMonitor) -> None:
    async with monitor.monitor_action_processing("game1", "play_pieces", PLAYER):
        pass


async def remembered(monitor: EnterpriseMonitor) -> dict[str, int]:
    """What somebody who asks this process gets to know."""
    readers = 0
    with suppress(otel_setup.SubscriberLimitError):
        for number in range(1000):
            await monitor.subscribe_to_events(f"reader{number}")
            readers += 1
    return {
        "history": len(monitor.event_stream.get_history()),
        "readers": readers,
        "hours": len(monitor.get_visualization_data("errors")["hours"]),
    }


if __name__ == "__main__":
    main()
