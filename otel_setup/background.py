"""The monitor's background work: heartbeats, snapshots, samples of the process, housekeeping.

It runs as tasks of the loop that started it, does little at a time, and stops when told to. A fault in one round is
counted and the next round comes all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.recorder import Recorder

SAMPLE_SECONDS = 30.0
"""Seconds between samples of the process's memory."""
SWEEP_SECONDS = 60.0
"""Seconds between searches for games that were given up."""
CLEANUP_SECONDS = 3600.0
"""Seconds between removals of subscribers that stopped reading."""
_SNAPSHOTS_AT_ONCE = 50


class Background:
    """Periodic tasks around a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Whether the tasks run."""
        return any(not task.done() for task in self._tasks)

    def start(self) -> None:
        """Starts the tasks on the running loop; started already, it does nothing."""
        if self.running:
            return
        settings = self._recorder.core.settings
        rounds: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
            ("heartbeat", settings.heartbeat_interval, self._heartbeat),
            ("snapshots", settings.snapshot_interval, self._snapshots),
            ("sample", SAMPLE_SECONDS, self._sample),
            ("sweep", SWEEP_SECONDS, self._sweep),
            ("cleanup", CLEANUP_SECONDS, self._cleanup),
        ]
        self._tasks = [
            asyncio.create_task(self._repeat(work, seconds), name=f"otel_setup-{name}")
            for name, seconds, work in rounds
        ]

    async def stop(self) -> None:
        """Cancels the tasks and waits until they are gone."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await task

    async def _repeat(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            with self._recorder.core.faults.guard("runtime"):
                await work()
            await asyncio.sleep(seconds)

    async def _heartbeat(self) -> None:
        core = self._recorder.core
        with core.lock:
            beat = {"epoch": core.epoch, "last_sequence": core.sent, "live_games": len(core.ledger.games)}
            core.publish(SystemEvent(event_type=EventType.PRODUCER_HEARTBEAT, data=beat))

    async def _snapshots(self) -> None:
        games = list(self._recorder.core.ledger.games)
        for number, game_id in enumerate(games, start=1):
            self._recorder.publish_snapshot(game_id)
            if number % _SNAPSHOTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _sample(self) -> None:
        core = self._recorder.core
        core.system.note_asyncio_tasks(len(asyncio.all_tasks()))
        await asyncio.to_thread(core.system.sample)
        for error_type, message in core.system.memory_alerts():
            data = {"error_type": error_type, "error_message": message}
            core.publish(SystemEvent(event_type=EventType.ERROR_OCCURRED, data=data))

    async def _sweep(self) -> None:
        self._recorder.core.ledger.sweep()

    async def _cleanup(self) -> None:
        await self._recorder.core.stream.cleanup_inactive_subscribers()
