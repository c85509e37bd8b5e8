"""A game server whose exports are the Collector's load: ``python -m benchmarks.collector.game URL``.

A trace is a message's handling with two actions and a move to another phase; there are as many lines of the game's own
log as there are events. Batches are full, as those of a busy server are.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from benchmarks.variants import GAME, PLAYERS, PSEUDONYM_KEY, ROOM, whose
from otel_setup import EnterpriseMonitor, Seat, configure, get_enterprise_monitor
from otel_setup.config import Options
from otel_setup.game_model import LIAP_TUI

MESSAGES = 128
_ROUND = ("preparation", "round_start", "declaration", "turn", "turn_results", "scoring")
_NEVER_SECONDS = 3600.0
_FLUSH_SECONDS = 30.0

_log = logging.getLogger("game")


async def play(monitor: EnterpriseMonitor, messages: int) -> None:
    """A game in which so many messages are handled."""
    await monitor.record_game_start(GAME, ROOM, len(PLAYERS), 0, players=[Seat(player) for player in PLAYERS])
    for number in range(messages):
        await monitor.tracer.trace_async_operation("handle_message", _handle(monitor, number))
    await monitor.record_game_end(GAME, winner_id=PLAYERS[0])


async def _handle(monitor: EnterpriseMonitor, number: int) -> None:
    _log.info("message %d came into %s", number, ROOM)
    for action_number in (2 * number, 2 * number + 1):
        player, action = whose(action_number)
        _log.info("message %d: %s was asked for in %s", number, action, ROOM)
        async with monitor.monitor_action_processing(GAME, action, player, token=monitor.capture()):
            _log.info("message %d: %s is allowed", number, action)
        _log.info("message %d: %s is done, nobody else waits in %s", number, action, ROOM)
    after = _ROUND[number % len(_ROUND)]
    before = _ROUND[number % len(_ROUND) - 1] if number else LIAP_TUI.initial
    async with monitor.monitor_state_transition(GAME, before, after):
        _log.info("message %d: from %s to %s", number, before, after)


def main(endpoint: str) -> None:
    """Plays, exports and ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    who = Options(collector=endpoint, service="benchmark", pseudonym_key=PSEUDONYM_KEY)
    telemetry = configure(who, metric_interval=_NEVER_SECONDS, batch_delay=_NEVER_SECONDS)
    asyncio.run(play(get_enterprise_monitor(), MESSAGES))
    if not telemetry.shutdown(_FLUSH_SECONDS):
        raise SystemExit("not everything was exported")


if __name__ == "__main__":
    main(sys.argv[1])
