"""Options that the commands about events share: where to read, which events, and from when on."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from urllib.parse import urlencode

from otel_setup import clock
from otel_setup.events.boxes import Policy
from otel_setup.events.past import Since
from otel_setup.hub.query import From, Last, Query, QueryError, parse

HUB_VARIABLE = "OTEL_SETUP_HUB_URL"
"""The hub to read from where nothing else is said."""
SOURCES = (
    "Events are read from the hub that --hub or the variable OTEL_SETUP_HUB_URL names, else\n"
    "from the one game process of this user on this machine. Its token: --token-file, else\n"
    "EVENTS_HUB_READER_TOKEN or EVENTS_HUB_TOKEN. A process has players' own names; hub,\n"
    "Kafka and the Collector's files have their pseudonyms."
)
"""For the help of the commands."""

_FILTERS = (
    ("type", "NAME", "events of this name; game.* stands for all below game"),
    ("game", "G", "of this game"),
    ("room", "R", "of this room"),
    ("player", "P", "of this player: the name, or its pseudonym"),
    ("correlation", "ID", "of this request or message"),
    ("trace", "ID", "of this trace"),
)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Where to read."""
    group = parser.add_argument_group("where to read")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--process", metavar="PID|NAME", help="a game process of this machine, by number or service")
    one.add_argument("--hub", metavar="URL", help=f"a hub (default: the variable {HUB_VARIABLE})")
    one.add_argument("--kafka", metavar="BROKERS", help="host:port, several with commas; with --topic and --group")
    one.add_argument("--file", metavar="F", help="a recording, or a Collector's file of OTLP JSON; may be gzip")
    group.add_argument("--token-file", metavar="F", help="file with the hub's token")
    group.add_argument("--topic", metavar="T", help="Kafka topic")
    group.add_argument("--group", metavar="G", help="Kafka consumer group: it keeps the place in the topic")


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Which events. Each option may be given several times."""
    group = parser.add_argument_group("which events", "Options given several times mean any of the values.")
    for name, value, about in _FILTERS:
        group.add_argument(f"--{name}", metavar=value, action="append", help=about)
    group.add_argument("--severity", metavar="S", help="at least this: DEBUG, INFO, WARN or ERROR")
    group.add_argument("--attr", metavar="KEY=VALUE", action="append", help="with this value in its data")


def add_since_options(parser: argparse.ArgumentParser, default: str) -> None:
    """From when on."""
    one = parser.add_argument_group("from when on").add_mutually_exclusive_group()
    one.add_argument(
        "--since",
        metavar="WHEN",
        help=f"30m (ago), a time such as 2030-01-31T20:00:00Z, oldest, or a cursor: after it (default: {default})",
    )
    one.add_argument("--last", metavar="N", type=_count, help="the last N events that match")


def asked(
    options: argparse.Namespace,
    *,
    since: str | None,
    live: bool,
    speed: float | None = None,
    severity: str | None = None,
) -> Query:
    """What the options ask for.

    Parameters:
        since: where neither --since nor --last says when; None is now.
        live: whether to go on with what happens from now on.
        speed: of a replay.
        severity: where --severity says none.

    Raises:
        QueryError: they make no sense.
    """
    pairs = [(name, value) for name, _, _ in _FILTERS for value in getattr(options, name, None) or ()]
    pairs += [("attr", _key_and_value(text)) for text in getattr(options, "attr", None) or ()]
    if severity := getattr(options, "severity", None) or severity:
        pairs.append(("severity", severity))
    when = f"-{options.last}" if getattr(options, "last", None) is not None else options.since or since
    if when is not None:
        pairs.append(("since", when))
    return parsed(pairs, live=live, speed=speed)


def parsed(pairs: Iterable[tuple[str, str]], *, live: bool, speed: float | None = None) -> Query:
    """A query of these parameters.

    Raises:
        QueryError: they make no sense.
    """
    given = [*pairs, ("live", "1" if live else "0"), *([] if speed is None else [("speed", f"{speed:g}")])]
    return parse(urlencode(given), clock.time_ns(), default_policy=Policy.DROP_OLDEST, default_limit=1, max_limit=1)


def since_of(query: Query) -> Since:
    """Where a query begins, as ``EventStream.subscribe()`` takes it."""
    match query.since:
        case Last(count):
            return count
        case From(time_ns):
            return time_ns / 1e9
        case since:
            return since


def _key_and_value(text: str) -> str:
    key, equals, value = text.partition("=")
    if not equals or not key or ":" in key:
        raise QueryError(f"--attr {text!r:.80}: write KEY=VALUE, such as phase=scoring")
    return f"{key}:{value}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # noqa: PLR2004 - as the hub takes it
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no number of events")
    return int(text)
