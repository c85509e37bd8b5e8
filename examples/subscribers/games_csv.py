"""Keeps a table of finished games: ``python -m examples.subscribers.games_csv --file games.csv``.

Each row ends with the cursor from which to go on after it, so that the file alone says where it stands: a row and its
cursor are written together or not at all. Started again, it goes on there, without a repeat and without a hole. Where
the stream itself has a hole, a row says so.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from examples.subscribers.source import Source, hub_events, make_parser, run
from otel_setup import Cursor, EventFilter, EventType, SystemEvent

COLUMNS = ("ended", "game", "room", "outcome", "winners", "scores", "seconds", "missing", "cursor")
WANTED = EventFilter(event_types={EventType.GAME_ENDED, EventType.STREAM_GAP, EventType.STREAM_RESET})
COMPLETED, ABANDONED, MISSING = "completed", "abandoned", "missing"
MAX_CELL = 32_000
"""Characters of a cell; spreadsheets take 32,767."""
TAIL_BYTES = 2**20
"""How much of the end of the file is looked at for its last row, which is much shorter."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def cell(value: object) -> str:
    """A value as it may stand in a table: one line, and no formula, whatever a player is called.

    OWASP, "CSV Injection": a cell that begins like a formula gets an apostrophe in front.
    """
    text = "".join(char if char.isprintable() else "�" for char in str(value))[:MAX_CELL]
    return f"'{text}" if text.lstrip(" '\"").startswith(_FORMULA) or str(value)[:1] in _FORMULA else text


def row_of(event: SystemEvent, cursor: Cursor | None) -> dict[str, str] | None:
    """The row that an event leads to; None where it leads to none."""
    told: dict[str, Any] = {"ended": event.timestamp.isoformat(), "cursor": cursor or ""}
    if event.event_type == EventType.GAME_ENDED:
        winners = event.data.get("winner_id")
        told |= {
            "game": event.game_id or "",
            "room": event.room_id or "",
            "outcome": ABANDONED if event.data.get("abandoned") else COMPLETED,
            "winners": json.dumps(winners if isinstance(winners, list) else [winners] if winners else []),
            "scores": json.dumps(event.data.get("final_scores") or {}),
            "seconds": event.data.get("game_seconds", ""),
        }
    elif event.event_type == EventType.STREAM_GAP:
        told |= {"outcome": MISSING, "missing": event.data.get("count", "")}
    elif event.event_type == EventType.STREAM_RESET:
        told |= {"outcome": MISSING, "missing": "unknown"}
    else:
        return None
    return {column: cell(told.get(column, "")) for column in COLUMNS}


class GamesFile:
    """The table, open for adding to it.

    Parameters:
        path: of the file; made where it does not exist.

    Attributes:
        cursor: where the last row ended; None in a new table.

    Raises:
        BlockingIOError: another process adds to it.
        ValueError: it is there, and no such table.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.cursor = self._last_cursor(path)
        except BaseException:
            os.close(self._file)
            raise

    def add(self, row: dict[str, str]) -> None:
        """Adds a row; it is on the disk when this returns."""
        self._write(_line(row.values()))

    def _write(self, line: str) -> None:
        data = line.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)

    def _last_cursor(self, path: Path) -> Cursor | None:
        size = os.fstat(self._file).st_size
        head, begin = _line(COLUMNS), max(0, size - TAIL_BYTES)
        tail = os.pread(self._file, TAIL_BYTES, begin)
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            os.ftruncate(self._file, size - torn)  # the process was killed while it wrote this row
            tail = tail[:-torn]
        if not tail:
            self._write(head)
            return None
        if os.pread(self._file, len(head.encode()), 0) != head.encode():
            raise ValueError(f"{path} is there and no table of games; name another file")
        last = next(csv.reader([tail.decode("utf-8", "replace").splitlines()[-1]]))
        if last == list(COLUMNS):
            return None
        try:
            return Cursor.parse(last[-1])
        except ValueError:
            raise ValueError(f"{path}: its last row has no cursor, so nobody knows where to go on") from None

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _line(cells: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


async def collect(source: Source, games: GamesFile) -> None:
    """Adds the games that end, until the source does."""
    async for event in source:
        if (row := row_of(event, source.cursor)) is not None:
            games.add(row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C."""
    parser = make_parser("examples.subscribers.games_csv", "Adds each finished game to a table, and every gap.")
    parser.add_argument("--file", type=Path, required=True, metavar="F", help="the table")
    options = parser.parse_args(arguments)

    async def work() -> None:
        with GamesFile(options.file) as games:
            async with hub_events(options, WANTED, games.cursor or "oldest") as events:
                await collect(events, games)

    return run(work)


if __name__ == "__main__":
    sys.exit(main())
