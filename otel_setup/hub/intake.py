"""The one writer: takes batches in, puts them into the log, and only then shows them and answers.

Batches that come while the log is written to wait, and the next write takes all of them. What the log could not take
is kept and written first the next time; until then nothing of it is shown, and its senders are told to send again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from otel_setup import clock
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import size_of
from otel_setup.events.stream import EventStream
from otel_setup.hub.accounts import Accounts, Delivery
from otel_setup.hub.accounts import Kind as Fate
from otel_setup.hub.frames import Frames, frame, payload_of
from otel_setup.hub.metrics import Counters, Refused
from otel_setup.hub.segments import Kind, SegmentLog
from otel_setup.hub.settings import HubSettings

EVENTS_AT_A_TIME = 200
"""Events taken in, or shown, before readers and other requests have their turn."""
TICK_SECONDS = 1.0
"""How often, at least, servers are judged by their silence and the log by its age."""

Apply = Callable[[SystemEvent], object]
Judge = Callable[[bool], Iterable[SystemEvent]]
"""Gives what the hub has found out by itself; it is told whether everything that has come is taken in."""

_logger = logging.getLogger("otel_setup.hub")


class NotTaken(Exception):
    """A batch that is to be sent again later.

    Parameters:
        reason: for the count.
        message: for people.
    """

    def __init__(self, reason: Refused, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(slots=True)
class _Batch:
    events: Sequence[SystemEvent]
    weight: int
    came: float
    answer: asyncio.Future[None]

    def taken(self) -> None:
        if not self.answer.done():
            self.answer.set_result(None)

    def refused(self, reason: Refused, message: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(NotTaken(reason, message))


@dataclass(slots=True)
class _Entry:
    kind: Kind
    sequence: int
    event: SystemEvent
    payload: bytes = b""
    frame: bytes = b""


class Intake:
    """Takes events in, one batch after the other.

    Parameters:
        stream: shows what is in the log.
        log: None where nothing is kept on disk.
        accounts: say which events are new, and in which order they go.
        apply: what else an event is told to, once it is shown.
        judge: what the hub finds out by itself at each tick.
        frames: kept for readers.
        settings: bounds and times.
        counters: what is counted.
    """

    def __init__(
        self,
        stream: EventStream,
        log: SegmentLog | None,
        accounts: Accounts,
        apply: Apply,
        judge: Judge,
        frames: Frames,
        settings: HubSettings,
        counters: Counters,
    ) -> None:
        self._stream = stream
        self._log = log
        self._accounts = accounts
        self._apply = apply
        self._judge = judge
        self._frames = frames
        self._settings = settings
        self._counters = counters
        self._thread = ThreadPoolExecutor(1, "otel_setup-hub-log")
        self._sequence = stream.cursor.sequence
        self._waiting: deque[_Batch] = deque()
        self._pending: list[_Entry] = []
        self._work = asyncio.Event()
        self._end = asyncio.Event()
        self._ticked = clock.monotonic()
        self._refused_at = -math.inf
        self.weight = 0
        """What the batches weigh that wait or are being written."""
        self.problem = ""
        """Why the log cannot be written to; empty where it can."""

    # --- who sends --------------------------------------------------------------------------------------------------
    @property
    def batches(self) -> int:
        """Batches that wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a further batch would be refused."""
        return len(self._waiting) >= self._settings.intake_batches or self.weight >= self._settings.intake_bytes

    def check(self, weight: int = 0) -> None:
        """Says no before anything is read or decoded.

        Parameters:
            weight: of the batch, where it is known.

        Raises:
            NotTaken: there is no room, or the hub ends.
        """
        if self._end.is_set():
            raise NotTaken(Refused.ENDING, "the hub ends; send again to the next one")
        if self.full or (self.weight and self.weight + weight > self._settings.intake_bytes):
            self._refused_at = clock.monotonic()
            raise NotTaken(Refused.FULL, "as much waits for the log as may; send again")

    async def take(self, events: Sequence[SystemEvent]) -> None:
        """Takes a batch in; returns when the log has it.

        Raises:
            NotTaken: it is to be sent again.
        """
        weight = sum(map(size_of, events))
        self.check(weight)
        batch = _Batch(events, weight, clock.monotonic(), asyncio.get_running_loop().create_future())
        self._waiting.append(batch)
        self.weight += weight
        self._work.set()
        await batch.answer

    # --- the writer -------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Writes until :meth:`end`, and then what waits."""
        try:
            while not self._end.is_set():
                await self._until_work()
                await self._round()
            await self._round()
            if self._pending:
                _logger.error("%d events are not in the log; their senders will send them again", len(self._pending))
        finally:
            for batch in self._waiting:
                batch.refused(Refused.ENDING, "the hub ends; send again to the next one")
            self._thread.shutdown(wait=True)

    def end(self) -> None:
        """Has :meth:`run` come to its end."""
        self._end.set()
        self._work.set()

    async def _until_work(self) -> None:
        if self.problem:
            # Once in a while is enough: each try that fails makes every sender send again.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.retry_after_seconds):
                    await self._end.wait()
            return
        now = clock.monotonic()
        seconds = self._ticked + self._tick_seconds - now
        if (due := self._accounts.next_due()) is not None:
            seconds = min(seconds, due - now)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._work.wait()

    @property
    def _tick_seconds(self) -> float:
        return min(TICK_SECONDS, self._settings.fsync_seconds)

    async def _round(self) -> None:
        """One write, with everything that waits."""
        self._work.clear()
        if self._pending and not await self._write():
            self._refuse_waiting()
            return
        batches = list(self._waiting)
        self._waiting.clear()
        now = clock.monotonic()
        for batch in batches:
            await self._take_in(batch.events, now)
        self._add(self._accounts.due(now))
        if now - self._ticked >= self._tick_seconds:
            self._ticked = now
            for event in self._judge(self._has_caught_up(now)):
                self._add_event(event)
            await self._upkeep()
        written = not self._pending or await self._write()
        for batch in batches:
            self.weight -= batch.weight
            if written:
                batch.taken()
            else:
                batch.refused(Refused.LOG, f"the log cannot be written to ({self.problem}); send again")

    def _refuse_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting.popleft()
            self.weight -= batch.weight
            batch.refused(Refused.LOG, f"the log cannot be written to ({self.problem}); send again")

    async def _take_in(self, events: Sequence[SystemEvent], now: float) -> None:
        for start in range(0, len(events), EVENTS_AT_A_TIME):
            self._add(self._accounts.take_all(events[start : start + EVENTS_AT_A_TIME], now))
            await asyncio.sleep(0)

    def _add(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.kind is Fate.DELIVER:
                self._add_event(delivery.event)
            elif delivery.kind is Fate.HOLD:
                self._pending.append(_Entry(Kind.HELD, 0, delivery.event))

    def _add_event(self, event: SystemEvent) -> None:
        self._sequence += 1
        self._pending.append(_Entry(Kind.EVENT, self._sequence, event))

    def _has_caught_up(self, now: float) -> bool:
        """Whether what servers send is taken in as it comes: else their silence says nothing."""
        if now - self._refused_at < self._settings.retry_after_seconds + TICK_SECONDS:
            return False
        return not self._waiting or now - self._waiting[0].came < TICK_SECONDS

    # --- the log ----------------------------------------------------------------------------------------------------
    async def _write(self) -> bool:
        """Puts everything pending into the log and shows it; False where the log did not take it."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._append, self._pending)
        except OSError as problem:
            self._counters.write_failures += 1
            if not self.problem:
                _logger.error("the log cannot be written to: %s; senders are told to send again", problem)  # noqa: TRY400
            self.problem = problem.strerror or str(problem)
            return False
        if self.problem:
            _logger.info("the log can be written to again")
            self.problem = ""
        self._counters.commits += 1
        entries, self._pending = self._pending, []
        await self._show(entries)
        return True

    def _append(self, entries: Sequence[_Entry]) -> None:
        """In the log's thread."""
        epoch = self._stream.epoch
        for entry in entries:
            if not entry.payload:
                entry.payload = payload_of(entry.event, entry.sequence)
                if entry.kind is Kind.EVENT:
                    entry.frame = frame(entry.event, Cursor(epoch, entry.sequence), entry.payload)
        if self._log is not None:
            self._log.append([(entry.kind, entry.sequence, entry.payload) for entry in entries])

    async def _show(self, entries: Sequence[_Entry]) -> None:
        for number, entry in enumerate(entries, start=1):
            if entry.kind is Kind.EVENT:
                self._frames.keep(entry.sequence, entry.frame)
                if self._stream.append(entry.event).sequence != entry.sequence:
                    raise RuntimeError(f"the stream and the log disagree on the place of event {entry.sequence}")
                self._apply(entry.event)
            if number % EVENTS_AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _upkeep(self) -> None:
        """Safe against a power cut, and not older than the settings say."""
        if self._log is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._log.sync)
            await loop.run_in_executor(self._thread, self._log.prune)
        except OSError as problem:
            self._counters.write_failures += 1
            _logger.error("the log's disk fails: %s", problem)  # noqa: TRY400
