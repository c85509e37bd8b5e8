"""A game server at a steady load, which notes of each of its traces whether it was marked to be kept.

``python -m tests.drills.steady_game --record FILE --rate 100 --seconds 60`` begins so many actions a second, whatever
they take. A few fail, a few are slow, and some are transitions that the rules forbid. Where to report it takes from the
environment; everything else is as it is without being configured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from contextlib import suppress
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

import otel_setup
from otel_setup.catalogue import attributes as a

SERVICE = "steady"
FAILED, SLOW, ILLEGAL = 0.01, 0.002, 0.002
"""Shares of actions that fail, that are slow, and of forbidden transitions in place of one."""
SLOW_SECONDS = 0.4
"""More than the game's model allows for a declaration."""


class WrongMove(Exception):
    """What the game's own code raises."""


class Steady:
    """The game, and its record.

    :ivar marked: every trace by its id, and whether its one span was marked
    """

    def __init__(self) -> None:
        self.marked: dict[str, bool] = {}
        self._monitor = otel_setup.get_enterprise_monitor()
        self._chance = random.Random(7)  # noqa: S311 - which action fails is no secret

    async def step(self) -> None:
        """One action, or a forbidden transition."""
        chance, spans = self._chance.random(), list[trace.Span]()
        with suppress(WrongMove):
            if chance < ILLEGAL:
                async with self._monitor.monitor_state_transition("g", "WAITING", "SCORING"):
                    spans.append(trace.get_current_span())
            else:
                async with self._monitor.monitor_action_processing("g", "declare", "Ada"):
                    spans.append(trace.get_current_span())
                    if chance < ILLEGAL + SLOW:
                        await asyncio.sleep(SLOW_SECONDS)
                    elif chance < ILLEGAL + SLOW + FAILED:
                        raise WrongMove
        for span in spans:
            assert isinstance(span, ReadableSpan)
            self.marked[f"{span.get_span_context().trace_id:032x}"] = a.TRACE_KEPT.name in (span.attributes or {})

    async def play(self, rate: float, seconds: float) -> None:
        """Begin steps at a steady rate."""
        began, steps = time.monotonic(), round(rate * seconds)
        async with asyncio.TaskGroup() as under_way:
            for number in range(steps):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                under_way.create_task(self.step())


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.steady_game")
    parser.add_argument("--record", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rate", type=float, required=True, help="actions a second")
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    telemetry, game = otel_setup.configure(service=SERVICE), Steady()
    began = time.monotonic()
    await game.play(args.rate, args.seconds)
    took = time.monotonic() - began
    args.record.write_text(json.dumps({"seconds": took, "marked": game.marked}))
    print("shut down" if telemetry.shutdown(30) else "gave up", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
