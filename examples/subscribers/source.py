"""Where the example subscribers read: a hub, by the options they share; or anything that is read in the same way."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, Self

from otel_setup import Cursor, EventFilter, SystemEvent
from otel_setup.clients.hub import HubError, HubEvents

DEFAULT_HUB = "http://127.0.0.1:4380"
TOKEN_VARIABLE = "EVENTS_HUB_READER_TOKEN"  # noqa: S105 - its name


class Source(Protocol):
    """Events in their order: an ``EventSubscriber`` of the own process, or ``HubEvents`` of a fleet."""

    @property
    def cursor(self) -> Cursor | None:
        """Where to go on after the event that was read last."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> SystemEvent: ...


def make_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that say where to read."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--hub", metavar="URL", default=DEFAULT_HUB, help="the hub to read (default: %(default)s)")
    parser.add_argument(
        "--token-file", metavar="F", type=Path, help=f"file with its token (default: the variable {TOKEN_VARIABLE})"
    )
    return parser


def hub_events(options: argparse.Namespace, wanted: EventFilter, since: Cursor | str | None) -> HubEvents:
    """The events of the hub that the options name; what happens to the connection is said on standard error."""
    token = options.token_file.read_text().strip() if options.token_file else os.environ.get(TOKEN_VARIABLE)
    return HubEvents(options.hub, wanted, token=token, since=since, on_status=lambda text: print(text, file=sys.stderr))


def run(work: Callable[[], Awaitable[None]]) -> int:
    """Runs a program to its end or to Ctrl-C; its exit code."""

    async def main() -> None:
        await work()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return 130
    except (HubError, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0
