"""One round: connect, open a room, play a short game with bots; and how long the server took for each."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidHandshake

from alerts.canary import ANSWER, CONNECT, LOST, OK, REFUSED, TIMEOUT
from examples.common.chance import seeded
from examples.common.client import Client, Data, Gone, connected
from examples.common.pace import Pace
from examples.liap_tui.players import Fate, Player
from examples.liap_tui.rules import SEATS, Phase

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor

NAME = "Canary"
SHORT = 1
"""Points that end its game: a game that is left would count as abandoned, and there is one a minute."""


async def play_round(address: str, monitor: EnterpriseMonitor, number: int, seconds: float) -> str:
    """Play once.

    Parameters:
        address: the server's ``host:port``.
        monitor: to which the canary tells what it felt.
        number: of the round; the canary's choices follow from it.
        seconds: that it plays at most.

    Returns:
        The outcome, one of those of :data:`alerts.canary.OUTCOME`. A game that took longer than it may is left, and is
        ok where the server had answered an action.
    """
    witness = Witness(address, monitor, number)
    try:
        async with asyncio.timeout(seconds):
            began = time.monotonic()
            async with connected(address, "/ws/lobby"):
                await monitor.record_metric(CONNECT.name, time.monotonic() - began)
            await witness.host(SEATS - 1, asyncio.get_running_loop().create_future())
    except TimeoutError:
        return OK if witness.answers else TIMEOUT
    except Gone:
        return LOST
    except (OSError, InvalidHandshake):
        return REFUSED
    return OK if witness.answers else LOST


class Witness(Player):
    """A player who measures how long the server takes to show what came of an action.

    Attributes:
        answers: to how many actions something came.
    """

    def __init__(self, address: str, monitor: EnterpriseMonitor, number: int) -> None:
        super().__init__(address, NAME, seeded(NAME, number), Pace(), Fate(), SHORT)
        self._monitor = monitor
        self._acted_at: float | None = None
        self.answers = 0

    async def _send_action(self, table: Client, phase: Phase, mistaken: bool) -> None:
        self._acted_at = time.monotonic()
        await super()._send_action(table, phase, mistaken)

    async def _see(self, table: Client, data: Data) -> None:
        if self._acted_at is not None:
            await self._monitor.record_metric(ANSWER.name, time.monotonic() - self._acted_at)
            self._acted_at = None
            self.answers += 1
        await super()._see(table, data)
