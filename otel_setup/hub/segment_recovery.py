"""What is done about the hub's log when it is opened: find its files, cut what is half written, set damage aside."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from otel_setup.hub.segment_file import SUFFIX, Damaged, Kind, Segment, entry_follows

DAMAGED = ".damaged"
_logger = logging.getLogger(__name__)


class Repair(NamedTuple):
    """What was found broken.

    Parameters:
        path: of the file it was found in.
        bytes: how much was taken out of it.
        kept_as: where that is now. None: it is gone; it was the beginning of what was never written whole.
    """

    path: Path
    bytes: int
    kept_as: Path | None


class Aside(NamedTuple):
    """A file of damaged bytes, and the number of the segment they were in."""

    number: int
    path: Path
    bytes: int


@dataclass
class Recovered:
    """What :func:`recover` found.

    Parameters:
        segments: the files, oldest first.
        aside: what was set aside, now and before.
        repairs: what was done now.
        first: index of the file to rebuild from.
        idle: the last file, where it holds nothing beyond its checkpoint.
        last_number: of any file.
        last_sequence, last_time_ns: of the newest event and entry.
        end_is_lost: events at the end of the log are damaged.
    """

    segments: list[Segment] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    first: int = 0
    idle: Segment | None = None
    last_number: int = 0
    last_sequence: int = 0
    last_time_ns: int = 0
    end_is_lost: bool = False


def recover(directory: Path, rebuild_bytes: int) -> Recovered:
    """Finds the files of a log, and repairs those at its end.

    Parameters:
        rebuild_bytes: how much is looked through: whole files, back to one that begins with a checkpoint.

    Raises:
        LogError: a file is of another version.
        OSError: a file cannot be read, or the disk has no room to set something aside.
    """
    found = Recovered()
    found.aside = [
        Aside(_number(path), path, path.stat().st_size) for path in sorted(directory.glob(f"*{DAMAGED}"), key=_number)
    ]
    paths = sorted(directory.glob(f"*{SUFFIX}"), key=_number)
    found.last_number = max((_number(path) for path in (*paths, *(aside.path for aside in found.aside))), default=0)
    for path in paths:
        try:
            found.segments.append(Segment.read_header(path))
        except Damaged:
            _without_header(path, found, last=path is paths[-1])
    left = rebuild_bytes
    found.first = len(found.segments)
    begins_with_checkpoint = False
    while found.first > 0 and (left > 0 or not begins_with_checkpoint):
        found.first -= 1
        left -= found.segments[found.first].size
        begins_with_checkpoint = _look_through(found, found.segments[found.first])
    # Also what an earlier start set aside, if it ended before it began a new file.
    newest = found.segments[-1].number if found.segments else 0
    found.end_is_lost = any(aside.number >= newest for aside in found.aside)
    return found


def set_aside(segment: Segment, offset: int) -> tuple[Repair, Aside]:
    """Moves what is behind a place of a segment into a file of its own.

    Raises:
        OSError: the disk has no room for it. Nothing has changed then.
    """
    rest = _read_from(segment.path, offset)
    kept_as = segment.path.with_name(f"{segment.path.name}.{offset}{DAMAGED}")
    try:
        with open(os.open(kept_as, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(rest)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        kept_as.unlink(missing_ok=True)
        raise
    os.truncate(segment.path, offset)
    segment.size = offset
    return _set_aside(segment.path, kept_as, len(rest), segment.number)


def _look_through(found: Recovered, segment: Segment) -> bool:
    """Repairs a segment; says whether it begins with a checkpoint."""
    last = segment is found.segments[-1]
    kinds: list[Kind] = []
    found.last_sequence = max(found.last_sequence, segment.first_sequence - 1)
    found.last_time_ns = max(found.last_time_ns, segment.created_ns)
    try:
        for entry in segment.entries():
            if not kinds or entry.kind is not Kind.CHECKPOINT:
                kinds = [*kinds[:1], entry.kind]
            found.last_sequence = max(found.last_sequence, entry.sequence)
            found.last_time_ns = max(found.last_time_ns, entry.time_ns)
    except Damaged as damaged:
        rest = _read_from(segment.path, damaged.offset)
        if last and not entry_follows(rest):
            os.truncate(segment.path, damaged.offset)
            segment.size = damaged.offset
            found.repairs.append(_cut(segment.path, len(rest)))
        else:
            repair, aside = set_aside(segment, damaged.offset)
            found.repairs.append(repair)
            found.aside.append(aside)
    if last and len(kinds) <= 1:
        found.idle = segment
    return kinds[:1] == [Kind.CHECKPOINT]


def _without_header(path: Path, found: Recovered, *, last: bool) -> None:
    content = path.read_bytes()
    if last and not entry_follows(content):
        path.unlink()
        found.repairs.append(_cut(path, len(content)))
        return
    kept_as = path.with_name(f"{path.name}.0{DAMAGED}")
    path.rename(kept_as)
    repair, aside = _set_aside(path, kept_as, len(content), _number(path))
    found.repairs.append(repair)
    found.aside.append(aside)


def _cut(path: Path, count: int) -> Repair:
    _logger.warning("%s: its last %d bytes were never written whole; cut off", path, count)
    return Repair(path, count, None)


def _set_aside(path: Path, kept_as: Path, count: int, number: int) -> tuple[Repair, Aside]:
    _logger.error("%s is damaged: %d bytes of it are now in %s, and the log goes on without them", path, count, kept_as)
    return Repair(path, count, kept_as), Aside(number, kept_as, count)


def _read_from(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def _number(path: Path) -> int:
    digits = path.name.partition(".")[0]
    return int(digits) if digits.isdecimal() and digits.isascii() else 0
