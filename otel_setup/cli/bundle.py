"""``python -m otel_setup bundle``: one file with all that is known of a room, without players' names."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from otel_setup import clock
from otel_setup.cli import event_options
from otel_setup.cli.event_lines import render_event
from otel_setup.cli.event_options import SOURCES, parsed
from otel_setup.cli.evidence import Evidence
from otel_setup.cli.otlp_files import OtlpFiles
from otel_setup.cli.progress import Progress
from otel_setup.cli.sources import NO_SENSE, SourceError, opened, run
from otel_setup.cli.summary import EVENT_LINES, EVENTS, LOGS, SPANS, STREAM, SUMMARY, summary
from otel_setup.cli.without_names import WithoutNames
from otel_setup.clients.lines import line_of
from otel_setup.hub.query import OLDEST, From, QueryError

DEFAULT_SINCE = "30m"
ABOUT_THE_STREAM = "stream.*,producer.*"
"""What a source says of itself, whichever room is asked for."""

_UNSAFE = re.compile(r"[^\w-]")
_NAME_LENGTH = 40


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where reading fails, 2 where it makes no sense or nothing was found."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not (options.room or options.game):
        parser.error("say which room (--room) or game (--game)")
    return run(parser.prog, lambda: _bundle(options, parser.prog))


async def _bundle(options: argparse.Namespace, name: str) -> int:
    progress = Progress(name)
    out = options.out or _default_name(options)
    if out.exists():
        raise SourceError(f"{out} exists; name another file with --out", NO_SENSE)
    evidence = Evidence(set(options.room or ()), set(options.game or ()), *_window(options))
    source = await _events(options, evidence, progress)
    if options.otlp_dir is not None:
        await asyncio.to_thread(_files, options.otlp_dir, evidence, progress)
    if not evidence.events and not evidence.items:
        whom = ", ".join([*(options.room or ()), *(options.game or ())])
        raise SourceError(f"nothing is known of {whom} in that time: neither in {source} nor in files", NO_SENSE)
    safe = _without_names(options, evidence)
    progress.show(f"writing {out}")
    texts = {SUMMARY: [summary(evidence, source, safe, names_kept=options.names)], **_contents(evidence, safe)}
    size = _write(out, texts)
    progress.show(
        f"{out}: {len(evidence.events)} events, {len(evidence.items)} log records and spans, {size / 1000:.1f} kB"
    )
    progress.end()
    return 0


def _window(options: argparse.Namespace) -> tuple[int, int]:
    """The span of time, nanoseconds since 1970."""
    begin, end = (
        _moment("--since", options.since or DEFAULT_SINCE, 0),
        _moment("--until", options.until, clock.time_ns()),
    )
    if begin >= end:
        raise SourceError("--until is not after --since", NO_SENSE)
    return begin, end


def _moment(option: str, text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if text == OLDEST:
        return 0
    try:
        found = parsed([("since", text)], live=False).since
    except QueryError:
        found = None
    if not isinstance(found, From):
        raise SourceError(f"{option} {text!r:.80}: write 30m (ago), or a time such as 2030-01-31T20:00:00Z", NO_SENSE)
    return found.time_ns


# --- reading ----------------------------------------------------------------------------------------------------------


async def _events(options: argparse.Namespace, evidence: Evidence, progress: Progress) -> str:
    """Reads the events; returns what they were read from."""
    since = OLDEST if evidence.begin_ns == 0 else _iso(evidence.begin_ns)
    for wanted, take in (
        (_wanted(options), evidence.add_event),
        ([("type", ABOUT_THE_STREAM)], evidence.add_stream),
    ):
        query = parsed([*wanted, ("since", since)], live=False)
        async with opened(options, query, progress.say) as source:
            title, count = source.title, 0
            async for placed in source.batches():
                for event, _ in placed:
                    take(event)
                count += len(placed)
                progress.show(f"reading {title}: {count} events")
            evidence.unreadable += getattr(source.reader, "unreadable", 0)
            options.trusted = source.kind in ("hub", "kafka")
    await _find_oldest(options, evidence, progress)
    return title


def _wanted(options: argparse.Namespace) -> list[tuple[str, str]]:
    named = [(key, value) for key in ("room", "game") for value in getattr(options, key) or ()]
    if options.room and options.game:
        raise SourceError("--room and --game: one of them is enough", NO_SENSE)
    return named


async def _find_oldest(options: argparse.Namespace, evidence: Evidence, progress: Progress) -> None:
    """The oldest event there is tells whether the source reaches back far enough."""
    if options.kafka:
        return  # to read there moves the group's place
    async with opened(options, parsed([("since", OLDEST)], live=False), progress.say) as source:
        async for placed in source.batches():
            if placed:
                evidence.oldest_ns = placed[0][0].timestamp_ns
                return


def _files(folder: Path, evidence: Evidence, progress: Progress) -> None:
    try:
        files = OtlpFiles(folder)
    except OSError as problem:
        raise SourceError(f"{folder} cannot be read: {problem.strerror}", NO_SENSE) from problem
    if not files.files:
        raise SourceError(f"{folder} holds no files of OTLP JSON (*.jsonl)", NO_SENSE)
    evidence.search(files, lambda count: progress.show(f"searching {folder}: {count} log records and spans"))


# --- writing ----------------------------------------------------------------------------------------------------------


def _without_names(options: argparse.Namespace, evidence: Evidence) -> WithoutNames:
    try:
        safe = WithoutNames(options.key_file, trusting=options.trusted or options.names)
    except ValueError as problem:
        raise SourceError(str(problem), NO_SENSE) from problem
    for event in (*evidence.events, *evidence.stream):
        safe.learn_event(event)
    for item in evidence.items:
        safe.learn_item(item)
    if options.names:
        if safe.names:
            raise SourceError(
                f"--names is refused: {safe.names} names in the data are no pseudonyms; without it they are replaced",
                NO_SENSE,
            )
        safe.keep_names()
    return safe


def _contents(evidence: Evidence, safe: WithoutNames) -> dict[str, Iterable[str]]:
    """The files of the bundle, made while they are written."""
    kinds = {kind: [item for item in evidence.items if item.kind == kind] for kind in ("log", "span")}
    return {
        EVENTS: (line_of(safe.event(event), None) for event in evidence.events),
        EVENT_LINES: (render_event(safe.event(event), False, None) for event in evidence.events),
        STREAM: (line_of(safe.event(event), None) for event in evidence.stream),
        LOGS: (safe.item(item).line() for item in kinds["log"]),
        SPANS: (safe.item(item).line() for item in kinds["span"]),
    }


def _write(out: Path, texts: dict[str, Iterable[str]]) -> int:
    """Writes the bundle in one step: whoever sees it sees all of it. Returns its size in bytes."""
    try:
        handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")  # readable by its owner alone
    except OSError as problem:
        raise SourceError(f"{out} cannot be written: {problem.strerror}", NO_SENSE) from problem
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, lines in texts.items():
                    with archive.open(name, "w") as entry:
                        for line in lines:
                            entry.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.link(temporary, out)
    except FileExistsError:
        raise SourceError(f"{out} exists; name another file with --out", NO_SENSE) from None
    finally:
        os.unlink(temporary)
    return size


def _default_name(options: argparse.Namespace) -> Path:
    whom = _UNSAFE.sub("_", "-".join([*(options.room or ()), *(options.game or ())]))[:_NAME_LENGTH]
    return Path(f"{whom}-{_iso(clock.time_ns())[:19].replace('-', '').replace(':', '')}Z.zip")


def _iso(time_ns: int) -> str:
    from datetime import UTC, datetime

    seconds, nanoseconds = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000).isoformat()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup bundle",
        description=(
            "Puts all that is known of a room into one .zip that may be given away: its events, the\n"
            "log records and spans that belong to it, and how complete they are. Players' names\n"
            "are replaced with pseudonyms, and secrets are taken out."
        ),
        epilog=(
            f"{SOURCES}\n\n"
            "Log records and spans are looked for in the files that a Collector writes as OTLP\n"
            "JSON (--otlp-dir), by room and game, and then by the traces and requests found.\n"
            "The key of the pseudonyms is the game server's own, as for `whois`; without it a new\n"
            "one is made, and nobody can tell whose the pseudonyms are.\n"
            "Exit codes: 0 written, 1 reading failed, 2 nothing to read or to write, 130 Ctrl-C.\n\n"
            "examples:\n"
            "  python -m otel_setup bundle --room room1 --since 30m\n"
            "  python -m otel_setup bundle --room room1 --hub http://127.0.0.1:4380 --otlp-dir collector-data\n"
            "  python -m otel_setup bundle --game game1 --file games.ndjson --since oldest --out game1.zip"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--room", metavar="R", action="append", help="the room")
    parser.add_argument("--game", metavar="G", action="append", help="the game, in place of a room")
    parser.add_argument("--since", metavar="WHEN", help=f"30m (ago), a time, or oldest (default: {DEFAULT_SINCE})")
    parser.add_argument("--until", metavar="WHEN", help="up to then (default: now)")
    parser.add_argument("--otlp-dir", metavar="DIR", type=Path, help="folder of the Collector's files of OTLP JSON")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the bundle (default: named after room and time)")
    parser.add_argument("--key-file", metavar="F", type=Path, help="file with the key of the pseudonyms")
    parser.add_argument(
        "--names", action="store_true", help="leave names as they are; refused unless all are pseudonyms already"
    )
    event_options.add_source_options(parser)
    return parser
