"""A game server whose players send values that nobody declared, wherever a value becomes a label.

``python -m tests.drills.hostile_labels`` reads numbers, one a line, and has so many further values go through every
such call in turn, and through a counter of the application's own. After each line it says ``sent``.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterator

from opentelemetry import metrics

import otel_setup
from otel_setup.catalogue import M

APPLICATION = "application.hits"
Call = Callable[[str], Awaitable[None]]
LABELS = (
    (M.STATE_TRANSITIONS, "from"),
    (M.PHASE_DURATION, "phase"),
    (M.STATE_ILLEGAL_TRANSITIONS, "to"),
    (M.REDEALS, "outcome"),
    (M.ACTION_TIMEOUTS, "action_type"),
    (M.MESSAGES, "message_type"),
    (M.ACTIONS, "action_type"),
)
"""The label that the value of each call is meant for, in their order."""


def calls() -> list[Call]:
    """Each takes a value that is to become a label."""
    monitor = otel_setup.get_enterprise_monitor()

    async def transition(value: str) -> None:
        async with monitor.monitor_state_transition("g", value, "PREPARATION"):
            pass

    return [
        transition,
        lambda value: monitor.record_phase_duration("g", value, 1.0),
        lambda value: monitor.record_illegal_transition("g", "WAITING", value),
        lambda value: monitor.record_redeal("g", "Ada", value),
        lambda value: monitor.record_timeout("g", "Ada", value),
        lambda value: monitor.record_socket_message("socket", "receive", value, 10),
        lambda value: monitor.game_metrics.record_player_action("Ada", value, 1.0, "g"),
    ]


def values() -> Iterator[str]:
    """None like another, and some of them with what breaks formats."""
    return (f'hostile-{number}"}}\n{{' for number in itertools.count())


async def main() -> None:
    otel_setup.configure(service="hostile", traces=False, logs=False)
    counter = metrics.get_meter("application").create_counter(APPLICATION)
    further = zip(values(), itertools.cycle(calls()), strict=False)
    print("ready", flush=True)
    for line in sys.stdin:
        for value, call in itertools.islice(further, int(line)):
            await call(value)
            counter.add(1, {"who": value})
        print("sent", line.strip(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
