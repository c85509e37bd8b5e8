"""How fast a game's pauses pass."""

from __future__ import annotations

import asyncio

MAX_SPEED = 1000.0
"""The speed that ``--speed max`` stands for: a pause of 12 s takes 12 ms."""

LEAST_GRACE = 0.25
"""Seconds. A real socket needs some time to come back and a player to answer, at whatever speed the game runs."""


class Pace:
    """Scales the game's pauses.

    Parameters:
        speed: how many times faster than real time the game runs; 1 is the real game.

    Raises:
        ValueError: if the speed is not above 0.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed

    def seconds(self, pause: float) -> float:
        """Real seconds for a pause of the game."""
        return pause / self.speed

    def grace(self, pause: float, least: float = LEAST_GRACE) -> float:
        """Real seconds for a pause that waits for people: scaled, but never under ``least``."""
        return max(pause / self.speed, least)

    async def pause(self, pause: float, cut_short: asyncio.Event | None = None) -> None:
        """Wait for a pause of the game; ``cut_short`` ends it early once set."""
        await wait(self.seconds(pause), cut_short)


async def wait(seconds: float, cut_short: asyncio.Event | None = None) -> None:
    """Wait for real seconds, or until ``cut_short`` is set."""
    if cut_short is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await cut_short.wait()
    except TimeoutError:
        pass


def parse_speed(text: str) -> float:
    """A ``--speed`` argument: a number above 0, or ``max``.

    Raises:
        ValueError: if it is neither.
    """
    speed = MAX_SPEED if text == "max" else float(text)
    return Pace(speed).speed
