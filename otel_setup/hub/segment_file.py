"""One file of the hub's log: a header, then entries, each with a checksum of its own.

All numbers are little-endian. The header says which log the file belongs to and where it begins in it. An entry is a
marker, its kind, the length of its payload, its sequence, the time it was written, a checksum, and the payload. The
marker's bytes occur in no UTF-8 text: so the next entry is found behind one that is damaged.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

SUFFIX = ".log"
VERSION = 1
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Of one entry. A longer one is refused, and a length beyond it is damage."""
EPOCH_BYTES = 4
INDEX_BYTES = 64 * 1024
"""How much of a file is read at most to find an entry in it."""

_MAGIC = b"otelevlg"
_HEADER = struct.Struct("<8sH8sQQQ")  # magic, version, epoch, number, first sequence, time
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
_MARKER = b"\xff\xfe"
_ENTRY = struct.Struct("<2sBIQQ")  # marker, kind, length of the payload, sequence, time
ENTRY_BYTES = _ENTRY.size + _CHECKSUM.size
"""What an entry takes beside its payload."""


class Kind(IntEnum):
    """What an entry is."""

    EVENT = 1
    """An event that was delivered; entries of this kind are in the order of the stream."""
    HELD = 2
    """An event that was received and waits for those before it. It has the sequence 0."""
    CHECKPOINT = 3
    """What is known when a file begins: with it nothing before this file is needed to go on. Its sequence is 0."""


class Entry(NamedTuple):
    """One entry of the log.

    Parameters:
        kind: what it is.
        sequence: of an event its place in the stream, from 1; else 0.
        time_ns: when it was written, nanoseconds since 1970; never less than the entry's before.
        payload: what the writer gave.
    """

    kind: Kind
    sequence: int
    time_ns: int
    payload: bytes


class Damaged(Exception):
    """A file holds at this offset, in bytes, what no entry is."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"no valid entry at byte {offset}")
        self.offset = offset


class LogError(Exception):
    """The log cannot be used; the text says what to do."""


class Mark(NamedTuple):
    """A place in a file where an entry begins, with the event and the time before it."""

    sequence: int
    time_ns: int
    offset: int


class Segment:
    """One file, and where things are in it.

    Parameters:
        path: of the file.
        epoch: of the sequences of its events; eight hexadecimal digits.
        number: of the file, counted from 1.
        first_sequence: that its first event has, or would have.
        created_ns: when it was begun, nanoseconds since 1970.
        size: bytes of it that are whole entries; what is behind them is not looked at.
    """

    def __init__(self, path: Path, epoch: str, number: int, first_sequence: int, created_ns: int, size: int) -> None:
        self.path = path
        self.epoch = epoch
        self.number = number
        self.first_sequence = first_sequence
        self.created_ns = created_ns
        self.size = size
        self._marks = [Mark(first_sequence - 1, 0, HEADER_BYTES)]
        self._mutex = Lock()

    @classmethod
    def read_header(cls, path: Path) -> Segment:
        """The segment in a file, of the size that the file has.

        Raises:
            Damaged: the header is none.
            LogError: it is one of another version.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
        if len(header) < HEADER_BYTES or not header.startswith(_MAGIC):
            raise Damaged(0)
        if _checksum(header[: _HEADER.size]) != header[_HEADER.size :]:
            raise Damaged(0)
        _, version, epoch, number, first_sequence, created_ns = _HEADER.unpack_from(header)
        if version != VERSION:
            raise LogError(
                f"{path} has format {version}, and this version reads {VERSION}; "
                "move it away, or name another directory"
            )
        return cls(path, epoch.decode("ascii"), number, first_sequence, created_ns, size)

    def header(self) -> bytes:
        """What the file begins with."""
        fields = (_MAGIC, VERSION, self.epoch.encode("ascii"), self.number, self.first_sequence, self.created_ns)
        packed = _HEADER.pack(*fields)
        return packed + _checksum(packed)

    def entries(self, after_sequence: int = 0, since_ns: int = 0) -> Iterator[Entry]:
        """Its entries, in their order, beginning somewhere before what is asked for.

        Parameters:
            after_sequence: no event after this one is left out.
            since_ns: no entry written then or later is left out; 0 asks for no time.

        Raises:
            Damaged: when an entry is none.
            OSError: the file cannot be read; FileNotFoundError when it was removed.
        """
        mark, end = self._nearest(after_sequence, since_ns), self.size
        with self.path.open("rb") as file:
            file.seek(mark.offset)
            sequence, time_ns, offset = mark
            while offset < end:
                self.passed(Mark(sequence, time_ns, offset))
                entry = _read_entry(file, offset, end)
                if entry.kind is Kind.EVENT:
                    sequence = entry.sequence
                time_ns = entry.time_ns
                offset += ENTRY_BYTES + len(entry.payload)
                yield entry

    def passed(self, mark: Mark) -> None:
        """Remembers a place, if none near it is known."""
        if mark.offset >= self._marks[-1].offset + INDEX_BYTES:
            with self._mutex:
                if mark.offset >= self._marks[-1].offset + INDEX_BYTES:
                    self._marks.append(mark)

    def _nearest(self, after_sequence: int, since_ns: int) -> Mark:
        with self._mutex:
            if since_ns:
                # Several entries have one time: what was written then may begin before the mark that says so.
                found = bisect_right(self._marks, since_ns - 1, key=lambda mark: mark.time_ns)
            else:
                found = bisect_right(self._marks, after_sequence, key=lambda mark: mark.sequence)
            return self._marks[max(found - 1, 0)]


def encode_entry(kind: Kind, sequence: int, time_ns: int, payload: bytes) -> bytes:
    """An entry as it stands in a file.

    Raises:
        ValueError: its payload is too long.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"the payload of an entry has {len(payload)} bytes; {MAX_PAYLOAD_BYTES} is the most")
    head = _ENTRY.pack(_MARKER, kind, len(payload), sequence, time_ns)
    return b"".join((head, _checksum(head, payload), payload))


def entry_follows(rest: bytes) -> bool:
    """Whether a whole entry begins anywhere behind the first byte."""
    offset = rest.find(_MARKER, 1)
    while offset >= 0:
        head = rest[offset : offset + ENTRY_BYTES]
        length = _payload_length(head)
        if length is not None and _decoded(head, rest[offset + ENTRY_BYTES : offset + ENTRY_BYTES + length]):
            return True
        offset = rest.find(_MARKER, offset + 1)
    return False


def write_fully(file: int, content: bytes, offset: int) -> None:
    """Writes all of it to a place of an open file.

    Raises:
        OSError: the disk is full, or fails; some of it may have been written.
    """
    written, view = 0, memoryview(content)
    while written < len(content):
        written += os.pwrite(file, view[written:], offset + written)


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory safe against a power cut.

    Raises:
        OSError: the disk fails.
    """
    file = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _read_entry(file: BinaryIO, offset: int, end: int) -> Entry:
    head = file.read(ENTRY_BYTES)
    length = _payload_length(head)
    if length is None or length > end - offset - ENTRY_BYTES:
        raise Damaged(offset)
    entry = _decoded(head, file.read(length))
    if entry is None:
        raise Damaged(offset)
    return entry


def _payload_length(head: bytes) -> int | None:
    """How long the payload behind this head is, or None where it is the head of no entry."""
    if len(head) < ENTRY_BYTES or not head.startswith(_MARKER) or head[len(_MARKER)] not in _KINDS:
        return None
    length: int = _ENTRY.unpack_from(head)[2]
    return length if length <= MAX_PAYLOAD_BYTES else None


def _decoded(head: bytes, payload: bytes) -> Entry | None:
    _, kind, length, sequence, time_ns = _ENTRY.unpack_from(head)
    if len(payload) < length or _checksum(head[: _ENTRY.size], payload) != head[_ENTRY.size :]:
        return None
    return Entry(_KINDS[kind], sequence, time_ns, payload)


def _checksum(head: bytes, payload: bytes = b"") -> bytes:
    return _CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(head)))


_KINDS = {kind.value: kind for kind in Kind}
