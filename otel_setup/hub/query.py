"""What a reader asks for: the query of /events and /events/stream, understood or refused with what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from otel_setup.catalogue import Severity
from otel_setup.events.boxes import Policy
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter

MAX_VALUES = 200
"""Values in one query; with more it is refused."""
OLDEST = "oldest"
FINISHED = ".end"
"""What follows the cursor in the id of the last frame of a stream that is finished."""
SETS = {
    "type": "event_types",
    "game": "game_ids",
    "room": "room_ids",
    "player": "player_ids",
    "correlation": "correlation_ids",
    "trace": "trace_ids",
}
"""Parameters of the query that may be given more than once, and the sets of an ``EventFilter`` that they fill."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")
_LAST = re.compile(r"-(\d{1,9})")
_NS = 1_000_000_000
_MIN_SPEED, _MAX_SPEED = 0.01, 10_000.0
_SINCE = "a cursor, oldest, -100 (the last hundred), 30m (ago), or a time such as 2030-01-31T20:00:00Z"

T = TypeVar("T")


class QueryError(ValueError):
    """The query makes no sense; the text says what would."""


@dataclass(frozen=True)
class Last:
    """From the last so many events on that match."""

    count: int


@dataclass(frozen=True)
class From:
    """From a time on; nanoseconds since 1970."""

    time_ns: int


Since = Cursor | Last | From | str | None
"""Where to begin: after a cursor, at a time, with the last few, with the oldest kept (``"oldest"``), or now (None)."""


@dataclass(frozen=True)
class Query:
    """A query, understood.

    Parameters:
        event_filter: what is wanted; None is everything.
        since: where to begin.
        live: whether to go on with what happens from now on.
        speed: of a replay, against the original; None for as fast as it goes.
        policy: what happens when the reader is slow.
        limit: events in one answer.
        finished: whether what Last-Event-ID names was the end of a stream that was not to go on.
    """

    event_filter: EventFilter | None
    since: Since
    live: bool
    speed: float | None
    policy: Policy
    limit: int
    finished: bool = False


def parse(
    text: str,
    now_ns: int,
    *,
    default_policy: str,
    default_limit: int,
    max_limit: int,
    last_event_id: str = "",
) -> Query:
    """A request's query.

    Parameters:
        text: what follows the question mark.
        now_ns: the time of day, from which ``30m`` counts.
        last_event_id: the header of that name, which wins over ``since``.

    Raises:
        QueryError: saying what to write instead.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_VALUES)
    except ValueError as error:
        raise QueryError(f"at most {MAX_VALUES} parameters, please") from error
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    known = {*SETS, "severity", "attr", "since", "live", "speed", "policy", "limit"}
    if unknown := given.keys() - known:
        raise QueryError(f"there is no parameter {min(unknown)!r:.80}; there are {', '.join(sorted(known))}")
    place = last_event_id.strip() or _one(given, "since", "")
    return Query(
        event_filter=_filter(given),
        since=_named("since", place.removesuffix(FINISHED), lambda value: _since(value, now_ns)) if place else None,
        live=_named("live", _one(given, "live", "1"), _switch),
        speed=_named("speed", _one(given, "speed", ""), _speed),
        policy=_named("policy", _one(given, "policy", default_policy), _policy),
        limit=_named("limit", _one(given, "limit", str(default_limit)), lambda value: _limit(value, max_limit)),
        finished=place.endswith(FINISHED),
    )


def _filter(given: Mapping[str, list[str]]) -> EventFilter | None:
    wanted: dict[str, Any] = {}
    for name, field in SETS.items():
        if name in given:
            wanted[field] = _values(given[name])
    if "severity" in given:
        wanted["severity_at_least"] = _named("severity", _one(given, "severity", ""), _severity)
    if "attr" in given:
        wanted["attributes"] = _attributes(given["attr"])
    if not wanted:
        return None
    try:
        return EventFilter(**wanted)
    except (TypeError, ValueError) as error:
        raise QueryError(str(error)) from error


def _values(texts: Iterable[str]) -> Set[str]:
    """Given several times, or once with commas between."""
    found = {value.strip() for text in texts for value in text.split(",") if value.strip()}
    if len(found) > MAX_VALUES:
        raise QueryError(f"at most {MAX_VALUES} values, please")
    return found


def _attributes(texts: Iterable[str]) -> dict[str, set[str | float | bool]]:
    """``key:value``, each in a parameter of its own, because a value may hold commas; numbers and switches as both."""
    found: dict[str, set[str | float | bool]] = {}
    for text in texts:
        key, colon, value = text.partition(":")
        if not colon or not key:
            raise QueryError(f"attr is {text!r:.80}; write attr=key:value, such as attr=phase_name:scoring")
        found.setdefault(key, set()).update((value, *_as_json(value)))
    return found


def _as_json(text: str) -> list[float | bool]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [value] if isinstance(value, bool | int | float) else []


def _one(given: Mapping[str, list[str]], name: str, default: str) -> str:
    values = given.get(name, [default])
    if len(values) > 1:
        raise QueryError(f"{name} is given {len(values)} times; give it once")
    return values[0].strip()


def _named(name: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise QueryError(f"{name} is {text!r:.80}; {error}") from error


def _since(text: str, now_ns: int) -> Since:
    if text == OLDEST:
        return OLDEST
    if found := _LAST.fullmatch(text):
        return Last(int(found[1]))
    if found := _AGO.fullmatch(text):
        return From(now_ns - int(float(found[1]) * _UNITS[found[2]] * _NS))
    try:
        return Cursor.parse(text)
    except ValueError:
        pass
    try:
        # A plus sign that nobody encoded has become a space on the way.
        moment = datetime.fromisoformat(text.replace(" ", "+") if text.count(":") > 1 else text)
    except ValueError:
        raise ValueError(f"write {_SINCE}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return From(int(moment.timestamp() * 1_000_000) * 1000)


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("write 0 or 1")
    return text == "1"


def _speed(text: str) -> float | None:
    if not text:
        return None
    wanted = f"write a number from {_MIN_SPEED:g} to {_MAX_SPEED:g}, such as 1.0 for the original speed"
    try:
        speed = float(text)
    except ValueError:
        raise ValueError(wanted) from None
    if not _MIN_SPEED <= speed <= _MAX_SPEED:
        raise ValueError(wanted)
    return speed


def _policy(text: str) -> Policy:
    try:
        return Policy(text)
    except ValueError:
        raise ValueError(f"write one of {', '.join(Policy)}") from None


def _severity(text: str) -> Severity:
    try:
        return Severity[text.upper()]
    except KeyError:
        raise ValueError(f"write one of {', '.join(severity.name for severity in Severity)}") from None


def _limit(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= most:
        raise ValueError(f"write a number from 1 to {most}")
    return int(text)
