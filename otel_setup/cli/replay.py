"""``python -m otel_setup replay``: what happened, again at the speed at which it did, or faster."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from otel_setup.catalogue import Severity
from otel_setup.cli import event_options
from otel_setup.cli.event_lines import is_noise
from otel_setup.cli.event_options import SOURCES, asked
from otel_setup.cli.sources import NO_SENSE, SourceError, opened, run
from otel_setup.cli.tail import Printer, add_output_options, is_chatty
from otel_setup.events.notices import is_notice
from otel_setup.hub.query import OLDEST

MAX = "max"
"""The speed of a replay that does not wait at all."""

_NS_PER_MS = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where reading fails, 2 where there is nothing to read, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    return run(parser.prog, lambda: _replay(options, parser.prog))


async def _replay(options: argparse.Namespace, name: str) -> int:
    if options.kafka and options.speed is not None:
        raise SourceError("Kafka is replayed with --speed max; record it first, and replay the file", NO_SENSE)
    chatty = is_chatty(options)
    severity = None if chatty else Severity.INFO.name
    query = asked(options, since=OLDEST, live=False, speed=options.speed, severity=severity)
    screen = Printer(as_json=options.json, color=options.color, width=options.width)
    begin: int | None = None
    async with opened(options, query, lambda text: print(f"{name}: {text}", file=sys.stderr)) as source:
        async for placed in source.batches():
            if not placed:
                screen.show(placed)
            for event, cursor in placed:
                # What is said of the stream is said now; games have their own time.
                if begin is None and not is_notice(event):
                    begin = event.timestamp_ns
                if chatty or options.json or not is_noise(event):
                    time = "" if is_notice(event) or begin is None else _elapsed(event.timestamp_ns - begin)
                    screen.show([(event, cursor)], f"{time:>{len(_elapsed(0))}} ")
    return 0


def _elapsed(nanoseconds: int) -> str:
    """``+0:12:03.120``: the time that has passed in the games."""
    sign = "-" if nanoseconds < 0 else "+"
    seconds, milliseconds = divmod(abs(nanoseconds) // _NS_PER_MS, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _speed(text: str) -> float | None:
    if text == MAX:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not (math.isfinite(speed) and speed > 0):
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no speed such as 1, 0.5, 10 or {MAX}")
    return speed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup replay",
        description=(
            "Shows what happened once more, at the speed at which it happened or so many times as\n"
            "fast. In front of each line stands the time that has passed in the games."
        ),
        epilog=(
            f"{SOURCES}\n\n"
            "Exit codes: 0 it is over, 1 reading failed, 2 nothing to read, 130 Ctrl-C.\n\n"
            "examples:\n"
            "  python -m otel_setup replay --room room1 --since 30m\n"
            "  python -m otel_setup replay --game game1 --speed 10\n"
            "  python -m otel_setup replay --file games.ndjson --room room1 --speed max --json"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--speed", metavar="X", type=_speed, default=1.0, help=f"1 is the original speed, {MAX} at once (default: 1)"
    )
    event_options.add_source_options(parser)
    event_options.add_filter_options(parser)
    event_options.add_since_options(parser, "the oldest there is")
    add_output_options(parser)
    return parser
