"""The hub's log on disk: what was received, in files of bounded size, kept for as long as there is room and time.

A batch is one write at the end of the newest file. What a kill or a power cut leaves half written is cut off when the
log is opened again. What is damaged otherwise is set aside under another name, and told: it is never passed over in
silence. Every file begins with a checkpoint, so that the oldest ones can go.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from otel_setup import clock
from otel_setup.hub.directory_lock import DirectoryLock
from otel_setup.hub.segment_file import (
    EPOCH_BYTES,
    SUFFIX,
    Damaged,
    Entry,
    Kind,
    LogError,
    Mark,
    Segment,
    encode_entry,
    sync_directory,
    write_fully,
)
from otel_setup.hub.segment_recovery import Aside, Recovered, Repair, recover, set_aside

__all__ = ["ALWAYS", "INTERVAL", "NEVER", "Entry", "Kind", "LogError", "LogStatistics", "Repair", "SegmentLog"]

ALWAYS, INTERVAL, NEVER = "always", "interval", "never"
PAGE_BYTES = 4 * 1024 * 1024
"""Payload that one page read from the log holds, unless its first entry is larger."""
DIGITS = 12
"""Of the number in a file's name, so that names sort."""

_MEBIBYTE = 1024 * 1024
_HOUR_NS = 3600 * 1_000_000_000
_FILES_IN_AGE = 12
"""A file is closed after this part of the log's age: else a quiet log would keep its oldest events for ever."""


@dataclass(frozen=True, kw_only=True)
class LogStatistics:
    """What the log holds, and what it did since it was opened.

    Parameters:
        segments: its files.
        bytes: their size, and that of what was set aside.
        first_sequence, last_sequence: the events in it; none are where the first is above the last.
        appended_entries, appended_bytes: written.
        syncs: how often it was made safe against a power cut.
        removed_segments, removed_events, removed_bytes: gone, because they were the oldest.
        torn_bytes: cut off behind the last whole entry.
        damaged_parts, damaged_bytes: set aside.
    """

    segments: int = 0
    bytes: int = 0
    first_sequence: int = 1
    last_sequence: int = 0
    appended_entries: int = 0
    appended_bytes: int = 0
    syncs: int = 0
    removed_segments: int = 0
    removed_events: int = 0
    removed_bytes: int = 0
    torn_bytes: int = 0
    damaged_parts: int = 0
    damaged_bytes: int = 0


class SegmentLog:
    """An append-only log in one directory.

    It is synchronous: :meth:`append` and :meth:`sync` wait for the disk, so an event loop calls them in a thread. One
    caller writes at a time; others may read meanwhile, from any thread.

    Parameters:
        directory: its own; made, for this user alone, where it does not exist.
        checkpoint: gives the payload that a new file begins with: all that must be known to go on from there. It is
            asked when :meth:`open` has given its last entry and at the end of an :meth:`append`, in the same thread,
            and says what is known then, the entries of that append included.
        segment_bytes: size at which a file is closed and a new one begun.
        total_bytes: size of all files together; past it the oldest go.
        max_age_hours: how far the log reaches back; files of older entries go.
        rebuild_bytes: how far :meth:`open` reads back, up to the beginning of a file.
        fsync: ``always`` (before an append returns), ``interval`` (by :meth:`sync`), or ``never``. It is about power
            cuts alone; what an append has written outlives the process in any case.
        fsync_seconds: least time between two syncs where ``fsync`` is ``interval``.
    """

    def __init__(
        self,
        directory: Path,
        checkpoint: Callable[[], bytes],
        *,
        segment_bytes: int = 16 * _MEBIBYTE,
        total_bytes: int = 256 * _MEBIBYTE,
        max_age_hours: float = 72.0,
        rebuild_bytes: int = 64 * _MEBIBYTE,
        fsync: str = INTERVAL,
        fsync_seconds: float = 1.0,
    ) -> None:
        if fsync not in {ALWAYS, INTERVAL, NEVER}:
            raise ValueError(f"fsync is {fsync!r}; it is one of {ALWAYS}, {INTERVAL}, {NEVER}")
        self.repairs: list[Repair] = []
        self._directory = directory
        self._checkpoint = checkpoint
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._max_age_ns = int(max_age_hours * _HOUR_NS)
        self._rebuild_bytes = rebuild_bytes
        self._fsync = fsync
        self._fsync_seconds = fsync_seconds
        self._writing = Lock()  # held by whoever changes a file
        self._lock = DirectoryLock(directory)
        self._file = -1
        self._segments: list[Segment] = []
        self._aside: list[Aside] = []
        self._epoch = ""
        self._last_sequence = 0
        self._last_time_ns = 0
        self._last_number = 0
        self._next_checkpoint: bytes | None = None
        self._more_behind_the_end = False
        self._unsynced = False
        self._synced_at = 0.0
        self._counts: Counter[str] = Counter()

    # --- opening and closing ----------------------------------------------------------------------------------------

    def open(self) -> Iterator[Entry]:
        """Opens the log, repairs it, and gives the entries to go on from, oldest first, a checkpoint before all others.

        Further checkpoints stand between the entries. Each says all there is to know at its place, even where entries
        before it were damaged. All entries must be taken before the first :meth:`append`.

        The epoch stays, unless events that readers may have seen are gone from the end of the log: by damage, or
        because the machine went down with ``fsync`` not ``always``. Their sequences will be those of other events.

        Raises:
            LogError: another process has it open, or the directory holds what this version cannot read.
            OSError: the directory cannot be made, read or written.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take()
        try:
            found = recover(self._directory, self._rebuild_bytes)
        except BaseException:
            self._lock.release(clean=False)
            raise
        self.repairs += found.repairs
        self._segments, self._aside = found.segments, found.aside
        self._last_number = found.last_number
        self._last_sequence, self._last_time_ns = found.last_sequence, found.last_time_ns
        if not found.segments or found.end_is_lost or self._lock.machine_went_down:
            self._epoch = clock.token_hex(EPOCH_BYTES)
        else:
            self._epoch = found.segments[-1].epoch
        return self._rebuilt(found)

    def _rebuilt(self, found: Recovered) -> Iterator[Entry]:
        for segment in found.segments[found.first :]:
            yield from self._sound_entries(segment)
        # A file of its own for every start: its checkpoint says exactly what is known now.
        with self._writing:
            self._begin_segment(self._checkpoint())
            self._lock.settle(safe=self._fsync == ALWAYS)
            if found.idle is not None:
                self._remove(found.idle, [])
            self._prune()

    def close(self) -> None:
        """Makes everything safe and lets another process have the log. Closed twice is closed once."""
        with self._writing:
            clean = False
            try:
                if self._file >= 0 and self._fsync != NEVER:
                    self._sync()
                    clean = True
            finally:
                if self._file >= 0:
                    os.close(self._file)
                    self._file = -1
                self._lock.release(clean=clean)

    # --- writing ----------------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[tuple[Kind, int, bytes]]) -> None:
        """Writes a batch: all of it, or nothing where it raises.

        Parameters:
            entries: each its kind, its sequence (above the last one for an event, else 0), its payload.

        Raises:
            OSError: the disk is full, or fails. The log is as it was before, and can be tried again.
            ValueError: sequences do not ascend, or a payload is too long.
            LogError: the log is not open, or not all entries were taken that it was opened with.
        """
        with self._writing:
            if self._file < 0:
                raise LogError("append() to a log that is not open, or whose open() was not read to the end")
            if self._next_checkpoint is not None:
                self._begin_segment(self._next_checkpoint)
            segment = self._segments[-1]
            now_ns = max(clock.time_ns(), self._last_time_ns)
            batch, last_sequence = self._encoded(entries, now_ns)
            self._write_at_end(segment, batch)
            segment.passed(Mark(self._last_sequence, self._last_time_ns, segment.size))
            segment.size += len(batch)
            self._last_sequence, self._last_time_ns = last_sequence, now_ns
            self._counts.update(appended_entries=len(entries), appended_bytes=len(batch))
            if segment.size >= self._segment_bytes or now_ns >= segment.created_ns + self._max_age_ns // _FILES_IN_AGE:
                # Now: the checkpoint is to say what is known after this batch and before the next.
                self._next_checkpoint = self._checkpoint()
                with suppress(OSError):  # this batch is written; the next one tries again, and raises
                    self._begin_segment(self._next_checkpoint)
            self._prune()

    def sync(self) -> bool:
        """Makes what was appended safe against a power cut, if it is time for it; says whether it did.

        Raises:
            OSError: the disk fails.
        """
        with self._writing:
            due = self._fsync == INTERVAL and time.monotonic() >= self._synced_at + self._fsync_seconds
            if self._file < 0 or not self._unsynced or not due:
                return False
            self._sync()
            return True

    def prune(self) -> None:
        """Removes what is too old, also where nothing is appended."""
        with self._writing:
            self._prune()

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """Eight hexadecimal digits: a sequence means the same event only where this is the same, too."""
        return self._epoch

    @property
    def first_sequence(self) -> int:
        """Of the oldest event in the log; one above the last where it holds none."""
        return self._segments[0].first_sequence if self._segments else 1

    @property
    def last_sequence(self) -> int:
        """Of the newest event that was ever in the log; 0 before the first one."""
        return self._last_sequence

    def read(self, after_sequence: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[Entry]:
        """The delivered events after one of them, oldest first; none where there are none after it.

        An event is missing where it was removed or damaged: its sequence then is, too.

        Parameters:
            limit: events, at most.
            max_bytes: of their payloads, at most, beyond the first event.

        Raises:
            OSError: a file cannot be read.
        """
        page: list[Entry] = []
        left = max_bytes
        segments = list(self._segments)
        first = bisect_right(segments, after_sequence + 1, key=lambda segment: segment.first_sequence)
        for segment in segments[max(first - 1, 0) :]:
            for entry in self._sound_entries(segment, after_sequence=after_sequence):
                if entry.kind is not Kind.EVENT or entry.sequence <= after_sequence:
                    continue
                left -= len(entry.payload)
                if len(page) >= limit or (page and left < 0):
                    return page
                page.append(entry)
        return page

    def find_time(self, time_ns: int) -> int:
        """The sequence to read after for all events that were written at a time or later.

        An event is written after it happened: what happened since then is among them, as far as clocks agree.

        Parameters:
            time_ns: nanoseconds since 1970, UTC.

        Raises:
            OSError: a file cannot be read.
        """
        segments = list(self._segments)
        first = bisect_right(segments, time_ns - 1, key=lambda segment: segment.created_ns)
        for segment in segments[max(first - 1, 0) :]:
            for entry in self._sound_entries(segment, since_ns=time_ns):
                if entry.kind is Kind.EVENT and entry.time_ns >= time_ns:
                    return entry.sequence - 1
        return self._last_sequence

    def statistics(self) -> LogStatistics:
        """What the log holds, and what it did."""
        torn = [repair.bytes for repair in list(self.repairs) if repair.kept_as is None]
        damaged = [repair.bytes for repair in list(self.repairs) if repair.kept_as is not None]
        return LogStatistics(
            segments=len(self._segments),
            bytes=self._bytes(),
            first_sequence=self.first_sequence,
            last_sequence=self._last_sequence,
            torn_bytes=sum(torn),
            damaged_parts=len(damaged),
            damaged_bytes=sum(damaged),
            **self._counts,
        )

    def _sound_entries(self, segment: Segment, after_sequence: int = 0, since_ns: int = 0) -> Iterator[Entry]:
        """A segment's entries; what is damaged behind them is set aside, and what was removed meanwhile is left out."""
        try:
            yield from segment.entries(after_sequence, since_ns)
        except FileNotFoundError:
            return
        except Damaged as damaged:
            with self._writing:
                if damaged.offset < segment.size and segment in self._segments:
                    repair, aside = set_aside(segment, damaged.offset)
                    self.repairs.append(repair)
                    self._aside.append(aside)

    # --- what a writer does, under the lock -------------------------------------------------------------------------

    def _encoded(self, entries: Sequence[tuple[Kind, int, bytes]], now_ns: int) -> tuple[bytes, int]:
        """A batch as it is written, and the sequence of its last event."""
        last = self._last_sequence
        encoded = []
        for kind, sequence, payload in entries:
            if kind is Kind.EVENT:
                if sequence <= last:
                    raise ValueError(f"the event after {last} has the sequence {sequence}")
                last = sequence
            encoded.append(encode_entry(kind, sequence, now_ns, payload))
        return b"".join(encoded), last

    def _write_at_end(self, segment: Segment, batch: bytes) -> None:
        if self._more_behind_the_end:
            os.ftruncate(self._file, segment.size)
        self._more_behind_the_end = True
        try:
            write_fully(self._file, batch, segment.size)
            self._unsynced = True
            if self._fsync == ALWAYS:
                self._sync()
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._file, segment.size)
                self._more_behind_the_end = False
            raise
        self._more_behind_the_end = False

    def _begin_segment(self, checkpoint: bytes) -> None:
        """Begins a new file with a checkpoint, and closes the one before it; both are safe against a power cut."""
        self._last_number += 1  # one that is in the way is none of this log
        now_ns = max(clock.time_ns(), self._last_time_ns)
        path = self._directory / f"{self._last_number:0{DIGITS}}{SUFFIX}"
        segment = Segment(path, self._epoch, self._last_number, self._last_sequence + 1, now_ns, 0)
        content = segment.header() + encode_entry(Kind.CHECKPOINT, 0, now_ns, checkpoint)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_fully(file, content, 0)
            if self._fsync != NEVER:
                os.fsync(file)
                sync_directory(self._directory)
                if self._file >= 0:
                    self._sync()
        except BaseException:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        if self._file >= 0:
            os.close(self._file)
        segment.size = len(content)
        self._file = file
        self._unsynced = self._more_behind_the_end = False
        self._last_time_ns = now_ns
        self._next_checkpoint = None
        self._segments = [*self._segments, segment]

    def _sync(self) -> None:
        os.fsync(self._file)
        self._unsynced = False
        self._synced_at = time.monotonic()
        self._counts["syncs"] += 1

    def _prune(self) -> None:
        oldest_ns = clock.time_ns() - self._max_age_ns
        # Nothing in a file is younger than the next one.
        while len(self._segments) > 1 and (
            self._segments[1].created_ns < oldest_ns or self._bytes() > self._total_bytes
        ):
            segment, following = self._segments[:2]
            self._counts.update(
                removed_segments=1,
                removed_events=following.first_sequence - segment.first_sequence,
                removed_bytes=segment.size,
            )
            self._remove(segment, [aside for aside in self._aside if aside.number <= segment.number])

    def _remove(self, segment: Segment, aside: list[Aside]) -> None:
        self._segments = [kept for kept in self._segments if kept is not segment]
        self._aside = [kept for kept in self._aside if kept not in aside]
        for path in (segment.path, *(part.path for part in aside)):
            with suppress(OSError):  # it is found again when the log is opened
                path.unlink()

    def _bytes(self) -> int:
        return sum(segment.size for segment in self._segments) + sum(aside.bytes for aside in self._aside)
