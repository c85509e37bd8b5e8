"""The monitor's background work: heartbeats, snapshots, samples of the process, housekeeping.

It runs as tasks of the loop that started it, does little at a time, and stops when told to. A fault in one round is
counted and the next round comes all the same. A thread beside it watches the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.config import Settings
from otel_setup.events.record import SystemEvent
from otel_setup.prometheus.forked import call_in_child
from otel_setup.recorder import Recorder
from otel_setup.runtime.watch import LoopWatch

SAMPLE_SECONDS = 30.0
"""Seconds between samples of the process's memory."""
TASK_COUNT_SECONDS = 10.0
"""Seconds between counts of the loop's tasks, each of which takes about 130 ns a task."""
SWEEP_SECONDS = 60.0
"""Seconds between searches for games that were given up."""
CLEANUP_SECONDS = 3600.0
"""Seconds between removals of subscribers that stopped reading."""
_SNAPSHOTS_AT_ONCE = 50
_WATCH_ENDS_SECONDS = 1.0


class Background:
    """Periodic tasks around a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: LoopWatch | None = None
        call_in_child(self._after_fork)

    @property
    def running(self) -> bool:
        """Whether the tasks run."""
        return any(task.get_loop().is_running() and not task.done() for task in self._tasks)

    def start(self) -> None:
        """Starts the tasks on the running loop. Where they run already, it does nothing.

        Raises:
            RuntimeError: no loop runs.
        """
        loop = asyncio.get_running_loop()
        if self.running:
            return
        self._cancel()  # what a loop that has stopped left behind
        rounds: list[tuple[str, Callable[[Settings], float], Callable[[], Awaitable[None]]]] = [
            ("heartbeat", lambda settings: settings.heartbeat_interval, self._heartbeat),
            ("snapshots", lambda settings: settings.snapshot_interval, self._snapshots),
            ("tasks", lambda _: TASK_COUNT_SECONDS, self._count_tasks),
            ("sample", lambda _: SAMPLE_SECONDS, self._sample),
            ("sweep", lambda _: SWEEP_SECONDS, self._sweep),
            ("cleanup", lambda _: CLEANUP_SECONDS, self._cleanup),
        ]
        self._tasks = [
            # In an empty context: that of the caller may be a request's, with its correlation and its span.
            loop.create_task(self._repeat(work, seconds), name=f"otel_setup-{name}", context=Context())
            for name, seconds, work in rounds
        ]
        slow_callback = self._recorder.core.settings.slow_callback
        self._watch = LoopWatch(lambda: self._recorder.core, loop, slow_callback=slow_callback)
        self._watch.start()

    async def stop(self) -> None:
        """Cancels the tasks and waits until they are gone; those of another loop end when that one comes to it."""
        watch, tasks = self._watch, self._cancel()
        self._recorder.core.system.note_asyncio_tasks(None)
        own = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]
        if own:
            await asyncio.wait(own)
        if watch is not None:
            await asyncio.to_thread(watch.join, _WATCH_ENDS_SECONDS)

    def _cancel(self) -> list[asyncio.Task[None]]:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            with contextlib.suppress(RuntimeError):  # its loop is closed, so it is gone
                task.get_loop().call_soon_threadsafe(task.cancel)
        return tasks

    def _after_fork(self) -> None:
        """Begins afresh in a forked child. The loop is the parent's: a word to it would wake the parent up."""
        if self._watch is not None:
            self._watch.abandon()
        self._watch, self._tasks = None, []

    async def _repeat(self, work: Callable[[], Awaitable[None]], seconds: Callable[[Settings], float]) -> None:
        while True:
            with self._recorder.core.faults.guard("runtime"):
                await work()
            await asyncio.sleep(seconds(self._recorder.core.settings))

    async def _heartbeat(self) -> None:
        core = self._recorder.core

        def describe() -> SystemEvent:
            beat = {
                a.PRODUCER_EPOCH.data_key: core.epoch,
                a.LAST_SEQUENCE.data_key: core.sent,
                a.LIVE_GAMES.data_key: len(core.ledger.games),
                a.HEARTBEAT_SECONDS.data_key: core.settings.heartbeat_interval,
                a.SNAPSHOT_SECONDS.data_key: core.settings.snapshot_interval,
            }
            return SystemEvent(event_type=EventType.PRODUCER_HEARTBEAT, data=beat)

        core.publish_state(EventType.PRODUCER_HEARTBEAT, describe)

    async def _snapshots(self) -> None:
        core = self._recorder.core
        with core.lock:
            games = list(core.ledger.games)
        for number, game_id in enumerate(games, start=1):
            self._recorder.publish_snapshot(game_id)
            if number % _SNAPSHOTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _count_tasks(self) -> None:
        self._recorder.core.system.note_asyncio_tasks(len(asyncio.all_tasks()))

    async def _sample(self) -> None:
        core = self._recorder.core
        await asyncio.to_thread(core.system.sample)
        limits = core.settings.memory_limit_mb, core.settings.memory_growth_limit
        for error_type, message in core.system.memory_alerts(*limits):
            data = {"error_type": error_type, "error_message": message}
            core.publish(SystemEvent(event_type=EventType.ERROR_OCCURRED, data=data))

    async def _sweep(self) -> None:
        self._recorder.core.ledger.sweep()

    async def _cleanup(self) -> None:
        await self._recorder.core.stream.cleanup_inactive_subscribers()
