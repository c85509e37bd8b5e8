"""``python -m otel_setup record``: writes events to a file, and goes on where it stopped."""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Sequence
from pathlib import Path

from otel_setup.cli import event_options
from otel_setup.cli.event_options import SOURCES, asked
from otel_setup.cli.progress import Progress
from otel_setup.cli.sources import NO_SENSE, Source, SourceError, opened, run
from otel_setup.clients.recording import Recording, RecordingError
from otel_setup.hub.query import OLDEST, Query

GZIP_SECONDS = 5.0
"""How often a compressed recording is written: as much a kill can make it read anew."""

REPEATED_EVENTS = 20_000
"""Kafka gives events again that a reader had when it was killed; this many at the end of the file are known by id."""

_SIZE = re.compile(r"(\d{1,12})([kMG]?)B?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where reading fails, 2 where nothing can be read or written, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    return run(parser.prog, lambda: _record(options, parser.prog))


async def _record(options: argparse.Namespace, name: str) -> int:
    progress = Progress(name)
    query = asked(options, since=OLDEST, live=options.follow)
    try:
        with Recording(options.out, compress=options.gzip, max_bytes=options.max_size) as recording:
            begun = _resumed(recording, query, progress)
            try:
                async with opened(options, begun, progress.say) as source:
                    await _write(source, recording, progress)
            finally:
                recording.flush()
                progress.show(_state(recording))
                progress.end()
    except RecordingError as problem:
        raise SourceError(str(problem), NO_SENSE) from problem
    return 0


def _resumed(recording: Recording, query: Query, progress: Progress) -> Query:
    """The query, from where the file ends."""
    if recording.last is None or recording.last[1] is None:
        return query
    cursor = recording.last[1]
    progress.say(f"{recording.path} goes on after {cursor}")
    return dataclasses.replace(query, since=cursor)


async def _write(source: Source, recording: Recording, progress: Progress) -> None:
    known = set(recording.newest_ids(REPEATED_EVENTS)) if source.kind == "kafka" else set()
    written = time.monotonic()
    async for placed in source.batches():
        for event, cursor in placed:
            if event.event_id in known:
                continue
            if not recording.add(event, cursor):
                progress.say(f"{recording.path} is as large as --max-size allows")
                return
        # A member of a few lines compresses badly, so a compressed recording is written less often; but what was read
        # from Kafka counts as done there once the next is asked for.
        if not recording.compress or source.kind == "kafka" or time.monotonic() - written >= GZIP_SECONDS:
            recording.flush()
            written = time.monotonic()
        progress.show(_state(recording))


def _state(recording: Recording) -> str:
    last = "" if recording.last is None else f", up to {recording.last[0].timestamp:%Y-%m-%d %H:%M:%S} UTC"
    return f"{recording.written} events written to {recording.path} ({_size(recording.bytes)}){last}"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no size such as 500k, 100M or 2G")
    return int(found[1]) * _UNITS[found[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup record",
        description=(
            "Writes events to a file, one JSON object a line, each with the cursor to go on from.\n"
            "Whatever ends it, the same command goes on where it stopped: no event is lost that\n"
            "is still there to be read, and none comes twice."
        ),
        epilog=(
            f"{SOURCES}\n\n"
            "`tail --file` and `replay --file` read the file. Recorded from a process it holds\n"
            "players' own names.\n"
            "Exit codes: 0 the source ended or the file is full, 1 reading failed, 2 nothing to\n"
            "read or no file to write to, 130 Ctrl-C; what was written is whole in any case.\n\n"
            "examples:\n"
            "  python -m otel_setup record games.ndjson\n"
            "  python -m otel_setup record room1.ndjson --room room1 --since 2h --no-follow\n"
            "  python -m otel_setup record all.ndjson.gz --gzip --max-size 2G --hub http://127.0.0.1:4380"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="FILE", type=Path, help="the recording; it is begun, or gone on with")
    parser.add_argument("--gzip", action="store_true", help="compress it")
    parser.add_argument("--max-size", metavar="SIZE", type=_bytes, help="end where the file would grow past this")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with what happens next (default: yes)",
    )
    event_options.add_source_options(parser)
    event_options.add_filter_options(parser)
    event_options.add_since_options(parser, "the oldest there is; of Kafka what its group has not read")
    return parser
