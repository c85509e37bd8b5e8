"""A file of events that is written as they come: whole lines only, and after any end it goes on where it stopped."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import zlib
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from otel_setup.clients.lines import BEGINS, event_in, line_of
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent

PORTION_BYTES = 256 * 1024
"""Bytes of lines that wait to be written together; with gzip they become one member."""

_TAIL_BYTES = 64 * 1024


class RecordingError(Exception):
    """The file cannot be written, or is none of ours; the text says what to do."""


class Recording:
    """The file. Each write appends whole lines, or a whole gzip member of them.

    What a killed recorder left unfinished at the end is cut off when the file is opened again: it is read anew from the
    cursor of the last whole line.

    Parameters:
        path: the file; made where there is none.
        compress: whether it is gzip.
        max_bytes: the file grows no larger; None for no bound.

    Attributes:
        last: the last event in it, and its cursor; None in a new file.
        written: events written since it was opened.
        bytes: its size.

    Raises:
        RecordingError: it is no recording, another recorder writes it, or it cannot be opened.
    """

    def __init__(self, path: Path, *, compress: bool = False, max_bytes: int | None = None) -> None:
        self.path = path
        self.written = 0
        self.last: tuple[SystemEvent, Cursor | None] | None = None
        self.compress = compress
        self._max_bytes = max_bytes
        self._lines: list[bytes] = []
        self._waiting = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise RecordingError(f"{path} cannot be written: {problem.strerror}") from problem
        try:
            self._lock()
            self.bytes = self._find_end()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise RecordingError(f"another recorder writes {self.path}") from problem

    # --- where it stopped ---------------------------------------------------------------------------------------------
    def _find_end(self) -> int:
        size = os.fstat(self._descriptor).st_size
        if not size:
            return 0
        is_gzip = os.pread(self._descriptor, 2, 0) == b"\x1f\x8b"
        if is_gzip != self.compress:
            there, wanted = ("compressed", "without --gzip") if is_gzip else ("not compressed", "with --gzip")
            raise RecordingError(f"{self.path} is {there}, so it cannot go on {wanted}")
        end, line = self._end_of_gzip(size) if is_gzip else self._end_of_lines(size)
        if line:
            try:
                self.last = event_in(json.loads(line))
            except (ValueError, RecursionError) as problem:
                raise RecordingError(f"{self.path} is no recording of events; name another file") from problem
        if end < size:
            os.ftruncate(self._descriptor, end)
        return end

    def _end_of_lines(self, size: int) -> tuple[int, bytes]:
        """Where the last whole line ends, and that line."""
        if not self._begins(os.pread(self._descriptor, len(BEGINS), 0)):
            raise RecordingError(f"{self.path} is no recording of events; name another file")
        tail, position = b"", size
        while position and tail.count(b"\n") < 2:  # noqa: PLR2004 - the end of the last line, and of the one before
            step = min(_TAIL_BYTES, position)
            position -= step
            tail = os.pread(self._descriptor, step, position) + tail
        whole, newline, unfinished = tail.rpartition(b"\n")
        return size - len(unfinished), whole.rpartition(b"\n")[2] if newline else b""

    def _end_of_gzip(self, size: int) -> tuple[int, bytes]:
        """Where the last whole member ends, and the last line in it."""
        end, last = 0, b""
        while (member := self._gzip_member(end, size)) is not None:
            end, last = member
        return end, last

    def _gzip_member(self, position: int, size: int) -> tuple[int, bytes] | None:
        """The end of the member that begins there, and its last line; None where it is not whole."""
        inflater, lines = zlib.decompressobj(16 + zlib.MAX_WBITS), b""
        while position < size:
            chunk = os.pread(self._descriptor, _TAIL_BYTES, position)
            position += len(chunk)
            try:
                lines += inflater.decompress(chunk)
            except zlib.error:
                return None
            lines = b"\n".join(lines.split(b"\n")[-2:])
            if inflater.eof:
                return position - len(inflater.unused_data), lines.removesuffix(b"\n")
        return None

    @staticmethod
    def _begins(start: bytes) -> bool:
        """Whether it begins as ours do, as far as it goes."""
        return start[: len(BEGINS)] == BEGINS[: len(start)]

    def newest_ids(self, count: int) -> list[str]:
        """Ids of the last events in the file, at most so many."""
        with gzip.open(self.path) if self.compress else self.path.open("rb") as lines:
            newest = deque(lines, count)
        return [json.loads(line)["event_id"] for line in newest]

    # --- writing ------------------------------------------------------------------------------------------------------
    def add(self, event: SystemEvent, cursor: Cursor | None) -> bool:
        """Adds an event; False where the file is as large as it may be, and this one is not in it."""
        line = line_of(event, cursor).encode() + b"\n"
        if self._max_bytes is not None and self.bytes + self._waiting + len(line) > self._max_bytes:
            if self.compress:
                self.flush()
            if self.bytes + self._waiting + len(line) > self._max_bytes:
                return False
        self._lines.append(line)
        self._waiting += len(line)
        self.last = event, cursor
        self.written += 1
        if self._waiting >= PORTION_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Writes what waits.

        Raises:
            RecordingError: the disk is full, or gone.
        """
        if not self._lines:
            return
        data = b"".join(self._lines)
        if self.compress:
            data = gzip.compress(data, 6, mtime=0)
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as problem:
            raise RecordingError(f"{self.path} cannot be written: {problem.strerror}") from problem
        self.bytes += len(data)
        self._lines.clear()
        self._waiting = 0

    def close(self) -> None:
        """Writes what waits, and makes it safe against a power cut."""
        if self._descriptor < 0:
            return
        try:
            self.flush()
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
