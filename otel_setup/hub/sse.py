"""One open stream: what was, from memory or from the log, then what happens, in frames that all readers share.

Writes are coalesced: the first event after a pause goes at once, then one write per ``write_seconds`` takes all there
is. So what a hundred open pages cost follows from their number, and hardly from how busy the games are. A reader that
takes nothing is disconnected; it never holds up the hub or another reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import concerns
from otel_setup.events.notices import GapReason, bookmark, gap, reset
from otel_setup.events.pace import Pace
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.events.subscriber import EventSubscriber, SlowSubscriber, StreamClosed
from otel_setup.hub import frames as f
from otel_setup.hub.connections import Connection
from otel_setup.hub.history import History, Stored
from otel_setup.hub.metrics import Counters, Disconnected
from otel_setup.hub.query import FINISHED, OLDEST, From, Last, Query
from otel_setup.hub.security import Receive, Send
from otel_setup.hub.settings import HubSettings

MAX_WRITE_BYTES = 256 * 1024
"""Bytes handed to a socket at a time: what a reader that takes nothing can keep of this process's memory, about."""
RUN_BYTES = 1024 * 1024
"""What is remembered for other readers of what was written to one."""
EVENTS_AT_A_TIME = 2000
"""Events taken for one reader before others have their turn."""

_logger = logging.getLogger("otel_setup.hub")


class _Ended(Exception):
    def __init__(self, reason: Disconnected) -> None:
        super().__init__(reason)
        self.reason = reason


class Viewer:
    """A reader of the stream over HTTP.

    Parameters:
        query: what it wants.
        stream: what happens.
        history: what was.
        runs: what is written to several readers.
        settings: bounds and times.
        counters: where its end and what it was sent are counted.
        connection: its socket.
    """

    def __init__(
        self,
        query: Query,
        stream: EventStream,
        history: History,
        runs: f.Runs,
        settings: HubSettings,
        counters: Counters,
        connection: Connection,
    ) -> None:
        self._query = query
        self._stream = stream
        self._history = history
        self._runs = runs
        self._settings = settings
        self._counters = counters
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._subscriber: EventSubscriber | None = None
        self._closed = asyncio.Event()
        self._reason: Disconnected | None = None
        self._last_write = -settings.write_seconds
        self._send: Send
        self._position = stream.cursor.sequence

    def close(self, reason: Disconnected) -> None:
        """Ends the stream; the first reason counts."""
        self._reason = self._reason or reason
        self._closed.set()
        if self._subscriber is not None:
            self._subscriber.close()

    def cut(self) -> None:
        """Ends it at once, whatever has not been sent yet."""
        self._connection.abort()

    async def run(self, receive: Receive, send: Send) -> None:
        """Serves the body of the answer to the end; its head has been sent."""
        self._send = send
        watch = asyncio.create_task(self._until_gone(receive))
        reason = Disconnected.FAULT
        try:
            reason = await self._serve()
        except _Ended as ended:
            reason = ended.reason
        except asyncio.CancelledError:
            reason = self._reason or Disconnected.SHUTDOWN
            raise
        except Exception:
            _logger.exception("an open stream ended by a fault of the hub")
        finally:
            watch.cancel()
            self.close(reason)
            self._counters.disconnected[reason] += 1
            if reason in (Disconnected.STALLED, Disconnected.FAULT):
                # An orderly end would wait for the reader to take what is under way, which it does not.
                self.cut()
        with suppress(OSError):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.close(Disconnected.CLIENT)

    # --- the course of a stream -------------------------------------------------------------------------------------
    async def _serve(self) -> Disconnected:
        await self._write(f.retry(self._settings.reconnect_ms))
        until = None if self._query.live else self._stream.cursor.sequence
        try:
            await self._begin()
            await self._replay(until)
            if until is None:
                await self._follow()
            await self._end(Disconnected.FINISHED, FINISHED)
        except SlowSubscriber as slow:
            self._position = slow.cursor.sequence
            await self._end(Disconnected.SLOW)
            return Disconnected.SLOW
        except StreamClosed:
            pass
        except _Ended as ended:
            if ended.reason is not Disconnected.SHUTDOWN:
                raise
        if self._reason is Disconnected.SHUTDOWN:
            await self._end(Disconnected.SHUTDOWN)
        return self._reason or Disconnected.FINISHED

    async def _begin(self) -> None:
        """Finds the place to begin at; what is not there any more is told first."""
        since, oldest = self._query.since, self._history.oldest
        match since:
            case None:
                return
            case Cursor():
                await self._begin_after(since, oldest)
            case Last(count):
                found = self._stream.get_history(count, self._query.event_filter)
                self._position = found[0].sequence - 1 if found else self._position
            case From(time_ns):
                self._position = await self._history.before(time_ns)
            case _:
                assert since == OLDEST  # noqa: S101 - there is nothing else
                self._position = oldest - 1

    async def _begin_after(self, cursor: Cursor, oldest: int) -> None:
        now = self._stream.cursor
        if cursor.epoch != now.epoch or cursor.sequence > now.sequence:
            self._position = oldest - 1
            await self._write_events([reset(cursor, self._position)])
            return
        self._position = cursor.sequence
        if cursor.sequence < oldest - 1:
            await self._tell_gap(oldest)

    async def _tell_gap(self, oldest: int) -> None:
        first, last = self._position + 1, oldest - 1
        self._position = last
        await self._write_events([gap(first, last, last - first + 1, GapReason.OVERWRITTEN)])

    async def _replay(self, until: int | None) -> None:
        """What was: up to ``until``, or for as long as the stream's own history does not reach back far enough."""
        speed = self._query.speed
        pace = None if speed is None else Pace(speed, self._loop.time)
        while self._is_behind(until):
            found = await self._history.after(self._position, EVENTS_AT_A_TIME)
            await asyncio.sleep(0)  # what memory has comes without a pause, and others want their turn
            self._check()
            if not found:
                # What the log had has left it by now, or cannot be read.
                await self._tell_gap(max(self._stream.oldest, self._position + 2))
                continue
            await self._send_past([stored for stored in found if until is None or stored.event.sequence <= until], pace)

    def _is_behind(self, until: int | None) -> bool:
        if until is not None:
            return self._position < until
        if self._query.speed is not None:
            return self._position < self._stream.cursor.sequence
        return self._position < self._stream.oldest - 1

    async def _send_past(self, found: Iterable[Stored], pace: Pace | None) -> None:
        wanted = self._query.event_filter
        ready: list[bytes] = []
        for stored in found:
            if stored.event.sequence > self._position + 1:
                await self._write_frames(ready)
                ready = []
                await self._tell_gap(stored.event.sequence)
            if concerns(wanted, stored.event):
                if pace is not None and pace.wait(stored.event) > 0:
                    await self._write_frames(ready)
                    ready = []
                    await self._wait_until_due(stored.event, pace)
                ready.append(self._history.frame(stored))
            self._position = stored.event.sequence
        await self._write_frames(ready)
        if self._loop.time() - self._last_write > self._settings.heartbeat_seconds:
            await self._write_events([bookmark(self._cursor)])

    async def _wait_until_due(self, event: SystemEvent, pace: Pace) -> None:
        """Events that are due within one interval of writing go together."""
        while True:
            coalesced = self._last_write + self._settings.write_seconds - self._loop.time()
            seconds = max(pace.wait(event), min(coalesced, self._settings.write_seconds))
            if seconds <= 0:
                return
            await self._sleep(min(seconds, self._settings.heartbeat_seconds))
            self._check()
            if self._loop.time() - self._last_write >= self._settings.heartbeat_seconds:
                await self._write_events([bookmark(self._cursor)])

    async def _follow(self) -> None:
        """What happens from the position on."""
        settings, query = self._settings, self._query
        self._subscriber = await self._stream.subscribe(
            event_filter=query.event_filter,
            since=self._cursor,
            policy=query.policy,
            queue_size=settings.viewer_events,
            max_bytes=settings.viewer_bytes,
            bookmark_seconds=settings.heartbeat_seconds,
        )
        self._check()
        events: list[SystemEvent] = []
        while True:
            pause = self._last_write + settings.write_seconds - self._loop.time()
            if pause > 0 and len(events) < EVENTS_AT_A_TIME:
                await self._sleep(pause)
            quiet = self._last_write + settings.heartbeat_seconds - self._loop.time()
            events = await self._subscriber.get_events(EVENTS_AT_A_TIME, max(quiet, 0.0))
            if events:
                await self._write_events(events)
                self._position = events[-1].sequence
            elif quiet <= 0 or self._loop.time() - self._last_write >= settings.heartbeat_seconds:
                await self._write(f.SIGN_OF_LIFE)

    async def _end(self, reason: Disconnected, place: str = "") -> None:
        data = {"reason": str(reason), "cursor": str(self._cursor)}
        await self._write(f.end(data, f"{self._cursor}{place}" if place else ""))

    # --- writing ----------------------------------------------------------------------------------------------------
    @property
    def _cursor(self) -> Cursor:
        return Cursor(self._stream.epoch, self._position)

    async def _write_events(self, events: Sequence[SystemEvent]) -> None:
        await self._write(self._runs.of(events))
        self._counters.frames += len(events)

    async def _write_frames(self, made: list[bytes]) -> None:
        if made:
            await self._write(b"".join(made))
            self._counters.frames += len(made)

    async def _write(self, data: bytes) -> None:
        """In portions that are not too large for one write; a frame may be cut."""
        for start in range(0, len(data), MAX_WRITE_BYTES):
            if self._reason is Disconnected.CLIENT:
                raise _Ended(Disconnected.CLIENT)
            portion = data[start : start + MAX_WRITE_BYTES]
            try:
                async with asyncio.timeout(self._settings.stall_seconds):
                    await self._send({"type": "http.response.body", "body": portion, "more_body": True})
            except TimeoutError:
                raise _Ended(Disconnected.STALLED) from None
        self._counters.frame_bytes += len(data)
        self._last_write = self._loop.time()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def _check(self) -> None:
        if self._reason is not None:
            raise _Ended(self._reason)


class Viewers:
    """The open streams.

    Parameters:
        stream, history, settings, counters: as for each of them.
    """

    def __init__(self, stream: EventStream, history: History, settings: HubSettings, counters: Counters) -> None:
        self._stream = stream
        self._history = history
        self._runs = f.Runs(history.frames, RUN_BYTES)
        self._settings = settings
        self._counters = counters
        self._open: set[Viewer] = set()
        self._ending = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether a further one is to be refused."""
        return len(self._open) >= self._settings.max_viewers

    async def serve(self, query: Query, connection: Connection, receive: Receive, send: Send) -> None:
        """Serves one stream to its end."""
        viewer = Viewer(query, self._stream, self._history, self._runs, self._settings, self._counters, connection)
        self._open.add(viewer)
        try:
            if self._ending:
                viewer.close(Disconnected.SHUTDOWN)
            await viewer.run(receive, send)
        finally:
            self._open.discard(viewer)

    def end(self) -> None:
        """Tells all of them that the hub ends; those that take nothing are cut before that holds the end up."""
        if self._ending:
            return
        self._ending = True
        for viewer in self._open:
            viewer.close(Disconnected.SHUTDOWN)
        asyncio.get_running_loop().call_later(self._settings.shutdown_seconds / 2, self._cut)

    def _cut(self) -> None:
        for viewer in self._open:
            viewer.cut()
