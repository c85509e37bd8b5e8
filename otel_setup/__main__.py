"""Command line: ``python -m otel_setup COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import NamedTuple


class Command(NamedTuple):
    """A command: the module whose ``main(arguments)`` runs it, one line of help, one example."""

    module: str
    help: str
    example: str


COMMANDS = {
    "demo": Command(
        "otel_setup.cli.demo",
        "games are played, and one watches how they are observed",
        "demo --duration 30",
    ),
    "catalogue": Command(
        "otel_setup.cli.catalogue",
        "every metric, span, event and attribute of a game",
        "catalogue --kind metrics",
    ),
    "check": Command(
        "otel_setup.cli.check",
        "sends one of each signal to the Collector, and tells why nothing arrives",
        "check --collector http://localhost:4318",
    ),
    "report": Command(
        "otel_setup.cli.report",
        "every option with its value and where it comes from",
        "report --format json",
    ),
    "debug": Command(
        "otel_setup.cli.debug",
        "more events and all traces of one room, game or player, for a while",
        "debug --room room1 --for 10m",
    ),
    "hub": Command(
        "otel_setup.cli.hub",
        "takes, keeps and shows the events of a whole fleet",
        "hub --directory events",
    ),
    "tail": Command(
        "otel_setup.cli.tail",
        "events as they happen, a line each",
        "tail --room room1",
    ),
    "replay": Command(
        "otel_setup.cli.replay",
        "what happened, again at the speed at which it did",
        "replay --room room1 --since 30m --speed 10",
    ),
    "record": Command(
        "otel_setup.cli.record",
        "writes events to a file, and goes on where it stopped",
        "record games.ndjson",
    ),
    "bundle": Command(
        "otel_setup.cli.bundle",
        "one file with all that is known of a room, without names",
        "bundle --room room1 --since 30m",
    ),
    "whois": Command(
        "otel_setup.cli.whois",
        "the pseudonym a player's name has in what is exported",
        "whois player1",
    ),
}
"""Every command. A module is imported when its command is used, so that none costs the others their start-up."""

BROKEN_PIPE = 141
"""Exit code after the reader of the output went away: 128 + SIGPIPE, as shells report it."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command, or print what there is; returns the exit code (2: the arguments make no sense)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a character shows its number, where Python would stop the command.
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.command is None:
            parser.print_help()
            code = 0
        else:
            code = int(importlib.import_module(COMMANDS[options.command].module).main(options.arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at exit; that one must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = ["commands:", *(f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items())]
    lines += ["", "examples:", *(f"  python -m otel_setup {command.example}" for command in COMMANDS.values())]
    lines += ["", "python -m otel_setup COMMAND --help says what a command takes."]
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup",
        description="Observability for multiplayer game servers.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what the command takes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
