"""The hub itself: rebuilt from its log at the start, then log, accounts, stream and views as one, to an orderly end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from otel_setup import clock
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.hub import metrics as m
from otel_setup.hub.accounts import AccountBounds, Accounts
from otel_setup.hub.fleet import Fleet, FleetBounds
from otel_setup.hub.frames import Frames, frame
from otel_setup.hub.history import History
from otel_setup.hub.intake import Intake, NotTaken
from otel_setup.hub.metrics import Counters, Refused
from otel_setup.hub.otlp import Decoded, Limits, decode
from otel_setup.hub.pages import Views, completeness
from otel_setup.hub.segments import Entry, Kind, LogError, LogStatistics, SegmentLog
from otel_setup.hub.settings import MEBIBYTE, HubError, HubSettings
from otel_setup.hub.sse import Viewers

EPOCH_BYTES = 4
"""Random bytes that name the sequence of a hub that keeps nothing; one with a log goes by that log's epoch."""
SMALL_BODY = 64 * 1024
"""Bytes of a body that are decoded at once."""
SPARE_SUBSCRIBERS = 8
"""Streams that may end while as many new ones begin."""

_logger = logging.getLogger("otel_setup.hub")


class Phase(StrEnum):
    """Where in its life a hub is."""

    STARTING = "starting"
    """It reads its log; whoever sends or asks is told to come again."""
    RUNNING = "running"
    ENDING = "ending"


class Hub:
    """One hub: :meth:`open`, then :meth:`start`, at last :meth:`end` and :meth:`stop`.

    Parameters:
        settings: all of them.
        model: the game, for the views.

    Attributes:
        phase: where in its life it is.
        progress: what it does while it starts, for people.
        counters: what only this process counts.
        on_fault: called when the writer ended by a fault; ``fault`` then is what it was.
        stream, history, viewers: there from the phase ``running`` on.
    """

    stream: EventStream
    history: History
    viewers: Viewers

    def __init__(self, settings: HubSettings, model: GameModel = LIAP_TUI) -> None:
        self.settings = settings
        self.phase = Phase.STARTING
        self.progress = "starting: the log is being opened"
        self.counters = Counters()
        self.on_fault: Callable[[], None] = lambda: None
        self.fault: BaseException | None = None
        self.fleet = Fleet(
            model,
            FleetBounds(
                silent_heartbeats=settings.silent_heartbeats,
                forget_seconds=settings.forget_seconds,
                max_ledgers=settings.max_ledgers,
                max_unfinished_games=settings.max_unfinished_games,
            ),
        )
        self.accounts = Accounts(
            AccountBounds(
                hole_seconds=settings.hole_seconds,
                max_held=settings.max_held,
                max_producers=settings.max_producers,
                max_ranges=settings.max_ranges,
                max_foreign=settings.max_foreign,
            ),
            self.fleet.is_live,
        )
        self.fleet.waiting = self.accounts.waiting
        self.views = Views(self.fleet, settings.view_seconds)
        self.log = None if settings.memory else self._segment_log(settings)
        self._entries: Iterator[Entry] = iter(())
        self._intake: Intake | None = None
        self._writer: asyncio.Task[None] | None = None
        self._decoder = ThreadPoolExecutor(1, "otel_setup-hub-decode")
        self._limits = Limits(
            max_body_bytes=settings.max_body_bytes,
            max_decoded_bytes=settings.max_decoded_bytes,
            max_records=settings.max_records,
        )
        self._began = clock.monotonic()

    def _segment_log(self, settings: HubSettings) -> SegmentLog:
        return SegmentLog(
            settings.state_directory,
            lambda: json.dumps(self.accounts.state()).encode(),
            segment_bytes=settings.segment_bytes,
            total_bytes=settings.log_bytes,
            max_age_hours=settings.log_hours,
            rebuild_bytes=settings.rebuild_bytes,
            fsync=settings.fsync,
            fsync_seconds=settings.fsync_seconds,
        )

    # --- its life ---------------------------------------------------------------------------------------------------
    def open(self) -> None:
        """Opens the log, which no other hub may have open.

        Raises:
            HubError: that does not work; the text says what to do.
        """
        if self.log is None:
            return
        try:
            self._entries = self.log.open()
        except LogError as problem:
            raise HubError(str(problem)) from problem
        except OSError as problem:
            raise HubError(
                f"the log in {self.settings.state_directory} cannot be opened: {problem.strerror or problem}. Name "
                "another directory (--directory), or keep nothing on disk (--memory)"
            ) from problem

    async def start(self) -> None:
        """Rebuilds everything from the log, in a thread, and begins to take events in."""
        events = await asyncio.to_thread(self._rebuild)
        settings, log = self.settings, self.log
        last = log.last_sequence if log is not None else 0
        self.stream = EventStream(
            settings.history_size,
            settings.max_viewers + SPARE_SUBSCRIBERS,
            settings.viewer_events,
            history_bytes=settings.history_bytes,
            queue_bytes=settings.viewer_bytes,
            epoch=log.epoch if log is not None else clock.token_hex(EPOCH_BYTES),
            last_sequence=events[0][0].sequence - 1 if events else last,
        )
        frames = Frames(self.stream.epoch, settings.frame_bytes)
        for event, payload in events:
            frames.keep(event.sequence, frame(event, Cursor(self.stream.epoch, event.sequence), payload))
            self.stream.append(event)
        self.history = History(self.stream, log, frames, self.counters)
        self.viewers = Viewers(self.stream, self.history, settings, self.counters)
        self._intake = Intake(
            self.stream, log, self.accounts, self._apply, self._judge, frames, settings, self.counters
        )
        self._writer = asyncio.create_task(self._intake.run())
        self._writer.add_done_callback(self._writer_ended)
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING
        else:
            self._intake.end()

    def _rebuild(self) -> list[tuple[SystemEvent, bytes]]:
        """Reads the log; gives the newest events that follow each other, for the stream's memory."""
        newest: deque[tuple[SystemEvent, bytes]] = deque(maxlen=self.settings.history_size)
        for number, entry in enumerate(self._entries, start=1):
            if self.phase is not Phase.STARTING:
                break
            self.progress = f"starting: {number} entries of the log are read"
            if entry.kind is Kind.CHECKPOINT:
                self.accounts.restore(json.loads(entry.payload))
                continue
            event = self._event_in(entry)
            if event is None:
                continue
            if entry.kind is Kind.HELD:
                self.accounts.held(event)
                continue
            self.accounts.delivered(event)
            self.fleet.apply(event)
            if newest and newest[-1][0].sequence != event.sequence - 1:
                newest.clear()  # what is between them was damaged, and memory holds events that follow each other
            newest.append((event, entry.payload))
        self._entries = iter(())
        return list(newest)

    def _event_in(self, entry: Entry) -> SystemEvent | None:
        try:
            return SystemEvent.from_dict(json.loads(entry.payload))
        except (ValueError, KeyError, TypeError):
            self.counters.unreadable += 1
            _logger.exception("entry %d of the log is no event; it is left out", entry.sequence)
            return None

    def _writer_ended(self, writer: asyncio.Task[None]) -> None:
        if not writer.cancelled() and (fault := writer.exception()) is not None:
            self.fault = fault
            self.on_fault()

    def end(self) -> None:
        """Tells readers and senders that it is over; what waits is still written."""
        if self.phase is Phase.RUNNING:
            self.viewers.end()
        self.phase = Phase.ENDING

    async def stop(self) -> None:
        """Writes what waits and closes the log."""
        self.end()
        self._decoder.shutdown(wait=False, cancel_futures=True)
        if self._intake is not None and self._writer is not None:
            self._intake.end()
            await asyncio.wait([self._writer])
            self.history.close()
            self.stream.close()
        if self.log is not None:
            try:
                await asyncio.to_thread(self.log.close)
            except OSError as problem:
                _logger.error("the log could not be made safe at the end: %s", problem)  # noqa: TRY400 - the disk's, not ours

    # --- taking events in -------------------------------------------------------------------------------------------
    def check(self) -> Intake:
        """The intake, if it takes events.

        Raises:
            NotTaken: the hub starts, ends, or is full.
        """
        if self.phase is Phase.STARTING or self._intake is None:
            raise NotTaken(Refused.STARTING, self.progress)
        if self.phase is Phase.ENDING:
            raise NotTaken(Refused.ENDING, "the hub ends; send again to the next one")
        self._intake.check()
        return self._intake

    async def decode(self, body: bytes, content_type: str, content_encoding: str) -> Decoded:
        """What a body holds. A large one is decoded in a thread, one at a time: readers do not wait, and memory holds.

        Raises:
            otel_setup.hub.otlp.Refused: it cannot be read.
        """
        given = body, content_type, content_encoding, self._limits
        if len(body) <= SMALL_BODY:
            return decode(*given)
        return await asyncio.get_running_loop().run_in_executor(self._decoder, decode, *given)

    async def take(self, decoded: Decoded) -> None:
        """Takes what a request held; returns when the log has it.

        Raises:
            NotTaken: it is to be sent again.
        """
        if decoded.events:
            await self.check().take(decoded.events)
        self.counters.events += len(decoded.events)
        self.counters.ignored += decoded.ignored
        self.counters.rejected += decoded.rejected

    def _apply(self, event: SystemEvent) -> None:
        self.fleet.apply(event, clock.monotonic())

    def _judge(self, caught_up: bool) -> Iterable[SystemEvent]:
        return self.fleet.due(clock.monotonic(), caught_up=caught_up)

    # --- what is known ----------------------------------------------------------------------------------------------
    @property
    def status(self) -> str:
        """How it is, in one word: starting, ok, full, failing, ending."""
        if self.phase is not Phase.RUNNING or self._intake is None:
            return self.phase.value if self.phase is not Phase.RUNNING else Phase.STARTING.value
        if self._intake.problem:
            return "failing"
        return "full" if self._intake.full else "ok"

    @property
    def takes_events(self) -> bool:
        """Whether somebody who sends now need not come again, or soon may."""
        return self.status in ("ok", "full")

    def where(self) -> str:
        """Where the log is, for people."""
        if self.log is None:
            return "none: what the hub knows is gone when it ends (--memory)"
        return f"{self.settings.state_directory}, up to {self.settings.log_bytes / MEBIBYTE:g} MiB"

    def health(self) -> dict[str, Any]:
        """What a probe, or a person, wants to know."""
        health: dict[str, Any] = {"status": self.status, "uptime_seconds": round(clock.monotonic() - self._began, 1)}
        if self.phase is Phase.STARTING or self._intake is None:
            return health | {"progress": self.progress}
        return health | {
            "epoch": self.stream.epoch,
            "cursor": str(self.stream.cursor),
            "oldest_sequence": self.history.oldest,
            "problem": self._intake.problem,
            "waiting_batches": self._intake.batches,
            "waiting_bytes": self._intake.weight,
            "viewers": len(self.viewers),
            "producers": self.fleet.states(),
            **completeness(self.fleet),
        }

    def summary(self) -> str:
        """One line for the terminal."""
        if self.phase is Phase.STARTING or self._intake is None:
            return self.progress
        servers = ", ".join(f"{count} {state}" for state, count in self.fleet.states().items() if count) or "none yet"
        complete = "" if self.fleet.completeness().complete else " (not all is known of them)"
        return (
            f"{self.status}{f': {self._intake.problem}' if self._intake.problem else ''}; "
            f"events: {self.stream.cursor.sequence}, {self.accounts.totals().get('missing', 0)} missing; "
            f"servers: {servers}{complete}; readers: {len(self.viewers)}"
        )

    def producers(self) -> dict[str, Any]:
        """Each server's life: its account, how it is, and what of it is not known for sure."""
        accounts, fleet = self.accounts.report(), self.fleet.report(clock.monotonic())
        return {
            "producers": {name: fleet.get(name, {}) | accounts.get(name, {}) for name in fleet | accounts},
            "totals": self.accounts.totals(),
            **completeness(self.fleet),
        }

    def metrics(self) -> Mapping[m.Family, m.Values]:
        """The values of now."""
        counters = self.counters
        values: dict[m.Family, m.Values] = {
            m.REQUESTS: counters.requests,
            m.BYTES: counters.bytes,
            m.RECEIVED: counters.events,
            m.IGNORED: counters.ignored,
            m.REJECTED: counters.rejected,
            m.UNREADABLE: counters.unreadable,
            m.COMMITS: counters.commits,
            m.WRITE_FAILURES: counters.write_failures,
            m.REFUSED: counters.refused,
            m.DISCONNECTED: counters.disconnected,
            m.SENT_FRAMES: counters.frames,
            m.SENT_BYTES: counters.frame_bytes,
            m.READY: float(self.takes_events),
        }
        if self.phase is Phase.STARTING or self._intake is None:
            return values
        totals = self.accounts.totals()
        log = LogStatistics() if self.log is None else self.log.statistics()
        return values | {
            m.DELIVERED: totals.get("delivered", 0),
            m.DUPLICATES: totals.get("duplicates", 0),
            m.LATE: totals.get("late", 0),
            m.MISSING: totals.get("missing", 0),
            m.FILLED: totals.get("filled", 0),
            m.HELD: totals.get("held", 0),
            m.FORGOTTEN: self.accounts.producers_forgotten,
            m.PRODUCERS: self.fleet.states(),
            m.COMPLETE: float(self.fleet.completeness().complete),
            m.FAULTS: self.fleet.faults + self.stream.faults,
            m.WAITING_BATCHES: self._intake.batches,
            m.WAITING_BYTES: self._intake.weight,
            m.VIEWERS: len(self.viewers),
            m.MISSED: self.stream.dropped()["dropped_subscribers"],
            m.LOG_BYTES: log.bytes,
            m.SEGMENTS: log.segments,
            m.SEGMENTS_DROPPED: log.removed_segments,
            m.LAST_SEQUENCE: self.stream.cursor.sequence,
        }
