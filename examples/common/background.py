"""The tasks behind one game: its loop and its timers, which end with it.

They are born while a player's message or a request is handled, and outlive it by far. So they are detached: what they
do later is neither that player's doing nor part of that request's trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from examples.common.pace import wait
from otel_setup import create_detached_task


class Background:
    """Runs a game's tasks; what breaks in one is handed on instead of being lost.

    Parameters:
        on_failure: called with the exception that ended a task.
    """

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        self.ending = asyncio.Event()
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run this now, beside everything else."""
        task = create_detached_task(self._supervised(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def later(self, seconds: float, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run this after a while, unless the game ends before."""
        return self.start(self._after(seconds, work))

    async def pause(self, seconds: float) -> None:
        """Wait; less when the game ends."""
        await wait(seconds, cut_short=self.ending)

    async def finish(self) -> None:
        """Cut pauses short, drop what has not begun, and wait until the rest is done."""
        self.ending.set()
        while others := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(others)

    def cancel(self) -> None:
        """Cancel every task, the one that calls this included: that one ends at its next wait."""
        for task in self._tasks:
            task.cancel()

    async def _after(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        await self.pause(seconds)
        if not self.ending.is_set():
            await work()

    async def _supervised(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as broken:  # noqa: BLE001 - the game decides
            self._on_failure(broken)
