"""``python -m otel_setup tail``: events as they happen, a line each, for people or for programs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from otel_setup.catalogue import Severity
from otel_setup.cli import event_options
from otel_setup.cli.event_lines import is_noise, render_event
from otel_setup.cli.event_options import SOURCES, asked
from otel_setup.cli.sources import Placed, is_read, opened, run
from otel_setup.cli.table import terminal_width
from otel_setup.clients.lines import line_of
from otel_setup.hub.query import OLDEST

FIRST_EVENTS = 10
"""Events of the past that are shown first where nothing is said, as `tail` does."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where reading fails, 2 where there is nothing to read, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    return run(parser.prog, lambda: _tail(options, parser.prog))


async def _tail(options: argparse.Namespace, name: str) -> int:
    chatty = is_chatty(options)
    follow = options.follow if options.follow is not None else not options.file
    query = asked(
        options,
        since=OLDEST if options.file else None if options.kafka and follow else f"-{FIRST_EVENTS}",
        live=follow,
        severity=None if chatty else Severity.INFO.name,
    )
    screen = Printer(as_json=options.json, color=options.color, width=options.width)
    async with opened(options, query, lambda text: print(f"{name}: {text}", file=sys.stderr)) as source:
        async for placed in source.batches():
            screen.show([each for each in placed if chatty or options.json or not is_noise(each[0])])
    return 0


def is_chatty(options: argparse.Namespace) -> bool:
    """Whether events of severity DEBUG are wanted: all of them, or one by its whole name."""
    named = any("*" not in name and ">" not in name for name in options.type or ())
    return bool(options.debug or options.severity or named)


class Printer:
    """Prints events.

    Parameters:
        as_json: whether for programs.
        color: whether with colours; None where it is a terminal that has them, and NO_COLOR is not set.
        width: columns; None for the terminal's, as long as they get where it is none.
    """

    def __init__(self, *, as_json: bool, color: bool | None, width: int | None) -> None:
        self._as_json = as_json
        self._color = _has_colors() if color is None else color
        self._width = width

    def show(self, placed: Sequence[Placed], before: str = "") -> None:
        """Prints events, at once.

        Parameters:
            before: what each line for people begins with.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if not placed:
            if not is_read(sys.stdout.fileno()):
                raise BrokenPipeError
            return
        width = self._width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else terminal_width())
        lines = (self._line(each, before, width) for each in placed)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def _line(self, placed: Placed, before: str, width: int | None) -> str:
        event, cursor = placed
        if self._as_json:
            return line_of(event, cursor)
        return before + render_event(event, self._color, None if width is None else max(width - len(before), 20))


def _has_colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """How events are printed."""
    group = parser.add_argument_group("how they are printed")
    group.add_argument("--json", action="store_true", help="one JSON object a line, with the cursor to go on from")
    group.add_argument("--debug", action="store_true", help="events of severity DEBUG too: broadcasts, heartbeats")
    group.add_argument(
        "--color",
        action=argparse.BooleanOptionalAction,
        help="colours (default: where it is a terminal, and NO_COLOR is not set)",
    )
    group.add_argument("--width", metavar="N", type=int, help="columns of a line (default: the terminal's)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup tail",
        description="Shows events as they happen, a line each.",
        epilog=(
            f"{SOURCES}\n\n"
            "Events of severity DEBUG are left out unless --debug, --severity or --type with a whole\n"
            "name asks for them. What is missing is said in its place, between lines.\n"
            "Exit codes: 0 the source ended, 1 reading failed, 2 nothing to read, 130 Ctrl-C.\n\n"
            "examples:\n"
            "  python -m otel_setup tail\n"
            "  python -m otel_setup tail --process liap-tui --room room1 --debug\n"
            "  python -m otel_setup tail --hub http://127.0.0.1:4380 --type 'game.*' --since 30m\n"
            "  python -m otel_setup tail --severity ERROR --json | jq .data\n"
            "  python -m otel_setup tail --file games.ndjson --player player1"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    event_options.add_source_options(parser)
    event_options.add_filter_options(parser)
    event_options.add_since_options(parser, f"the last {FIRST_EVENTS}; of a file all; of Kafka none")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        help="go on with what happens next (default: yes, but of a file)",
    )
    add_output_options(parser)
    return parser
