"""Games played at a number of tables: each table takes the next game when its last one is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def play_all(games: int, tables: int, play: Callable[[int], Awaitable[None]]) -> None:
    """Plays games 0 to ``games - 1``, at most ``tables`` at a time; only those being played take up memory.

    Raises:
        ExceptionGroup: with what ``play`` raised; the other games are cancelled.
    """
    numbers = iter(range(games))

    async def table() -> None:
        for number in numbers:  # shared by all tables, so that each game is played once
            await play(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(tables, games)):
            group.create_task(table())
