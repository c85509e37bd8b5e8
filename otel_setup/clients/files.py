"""Reads events from a file: lines that `record` wrote, or OTLP JSON that the Collector's file exporter wrote."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from otel_setup.clients.arriving import DEFAULT_QUEUE_SIZE, ArrivingEvents
from otel_setup.clients.lines import event_in
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter, concerns
from otel_setup.events.notices import is_notice
from otel_setup.events.pace import Pace
from otel_setup.events.past import Since, checked_since
from otel_setup.events.record import SystemEvent

POLL_SECONDS = 0.2
"""Time between two looks at a file that is followed."""
MAX_LINE_BYTES = 64 * 2**20
"""Bytes of one line; what is longer is no recording."""
OTLP_LOGS = "resourceLogs"

_GZIP = b"\x1f\x8b"
_LINES_AT_A_TIME = 200
_NS = 1_000_000_000
Placed = tuple[SystemEvent, Cursor | None]


class FileEvents(ArrivingEvents):
    """The events in a file, read as from ``EventStream.subscribe()``.

    Parameters:
        path: plain or gzip.
        event_filter: which events; None is all. What was recorded about the stream itself, such as gaps, always comes.
        since: where to begin; None is the file's beginning.
        live: whether to wait for what is appended to the file; gzip files are not followed.
        speed: gives them at the speed at which they happened, or so many times as fast; None: at once.
        queue_size: events that wait here.

    Attributes:
        unreadable: lines that hold no event.

    Raises:
        OSError: the file cannot be opened.
        ValueError: ``speed`` or ``since`` makes no sense, or a gzip file is to be followed.
    """

    def __init__(
        self,
        path: Path,
        event_filter: EventFilter | None = None,
        *,
        since: Since = None,
        live: bool = False,
        speed: float | None = None,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(queue_size)
        self.unreadable = 0
        self._filter = event_filter
        self._since = checked_since(since)
        self._live = live
        self._pace = None if speed is None else Pace(speed, monotonic)
        self._path = path
        self._file = _opened(path)
        if live and isinstance(self._file, gzip.GzipFile):
            self._file.close()
            raise ValueError(f"{path} is compressed; such a file is not followed")

    async def _fetch(self) -> None:
        self._connected()
        with self._file:
            if isinstance(self._since, int):
                latest = deque([placed async for placed in self._wanted(self._all())], self._since)
                for placed in latest:
                    await self._give(placed)
            else:
                async for placed in self._wanted(self._all()):
                    await self._give(placed)
            if self._live:
                async for placed in self._wanted(self._appended()):
                    await self._put(*placed)

    async def _give(self, placed: Placed) -> None:
        if self._pace is not None and (seconds := self._pace.wait(placed[0])) > 0:
            await asyncio.sleep(seconds)
        await self._put(*placed)

    async def _all(self) -> AsyncIterator[bytes]:
        for number, line in enumerate(_lines(self._file)):
            if number % _LINES_AT_A_TIME == 0:
                await asyncio.sleep(0)
            yield line

    async def _appended(self) -> AsyncIterator[bytes]:
        begun = b""
        while True:
            more = self._file.readline(MAX_LINE_BYTES)
            if not more:
                self._reopen_if_replaced()
                await asyncio.sleep(POLL_SECONDS)
                continue
            begun += more
            if begun.endswith(b"\n"):
                yield begun
                begun = b""

    def _reopen_if_replaced(self) -> None:
        """A file that was rotated, or begun anew, is read from its beginning."""
        try:
            there, ours = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return
        if there.st_ino != ours.st_ino or there.st_size < self._file.tell():
            self._file.close()
            self._file = _opened(self._path)

    async def _wanted(self, lines: AsyncIterator[bytes]) -> AsyncIterator[Placed]:
        async for line in lines:
            for event, cursor in self._events(line):
                if self._is_after(event, cursor) and (is_notice(event) or concerns(self._filter, event)):
                    yield event, cursor

    def _is_after(self, event: SystemEvent, cursor: Cursor | None) -> bool:
        since = self._since
        if isinstance(since, float):
            return event.timestamp_ns >= since * _NS
        if isinstance(since, Cursor) and cursor is not None and cursor.epoch == since.epoch:
            return cursor.sequence > since.sequence
        return True

    def _events(self, line: bytes) -> list[Placed]:
        try:
            return events_in(line)
        except ValueError:
            self.unreadable += bool(line.strip())
            return []


def events_in(line: bytes) -> list[Placed]:
    """The events in one line of a recording, or of a file of OTLP JSON.

    Raises:
        ValueError: it is neither.
    """
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("no event: nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("no event: not a map")
    if OTLP_LOGS in found:
        return [(event, None) for event in _otlp_events(line)]
    return [event_in(found)]


def _otlp_events(line: bytes) -> list[SystemEvent]:
    from otel_setup.hub.otlp import JSON, Limits, Refused, decode

    try:
        return decode(line, JSON, "", Limits(max_body_bytes=MAX_LINE_BYTES, max_decoded_bytes=MAX_LINE_BYTES)).events
    except Refused as problem:
        raise ValueError(problem.message) from problem


def _opened(path: Path) -> IO[bytes]:
    file = path.open("rb")
    if file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
        file.close()
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return file


def _lines(file: Any) -> Iterator[bytes]:
    """Whole lines; a last one that is still being written, or was cut off, is left out."""
    while True:
        try:
            line = file.readline(MAX_LINE_BYTES)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return  # the end of a compressed file that was cut off
        if not line.endswith(b"\n"):
            if line and not isinstance(file, gzip.GzipFile):
                file.seek(-len(line), os.SEEK_CUR)
            return
        yield line
