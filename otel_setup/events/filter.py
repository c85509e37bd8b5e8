"""Which events a reader wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_data, clean_id

_ANY = "*"
_BELOW = ">"
_WILD = frozenset((_ANY, _BELOW))

OF_MISSING = frozenset({EventType.STREAM_GAP, EventType.STREAM_GAP_FILLED})
"""Events that say that others are missing, or have come after all: they concern every reader."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """An event matches where every set that is given holds its value.

    ``None`` stands for any value, the *empty* set for none at all: whoever narrows a set down to nothing gets nothing.

    Parameters:
        event_types: names of events, as ``EventType`` or text. ``"game.*"`` (or ``"game.>"``) stands for every name
            that begins with ``game.``, at any depth; a ``*`` before the end for one word, as in
            ``"*.transition.failed"``; ``"*"`` alone for every name.
        game_ids, room_ids, player_ids, correlation_ids: ids, compared in the form in which events keep them
            (:func:`otel_setup.text.clean_id`). An event that lacks the id is in no set.
        trace_ids: hexadecimal, upper or lower case.
        severity_at_least: a ``Severity`` or its name; events below it do not match.
        attributes: values by the names they have in an event's data; each has to be among the given ones. One value
            may be given without a set.

    Raises:
        TypeError: an argument is not a set, such as a single string, or holds what cannot be a name or an id.
        ValueError: a name has its wildcard where it means nothing, or there is no such severity.
    """

    event_types: AbstractSet[str] | None = None
    game_ids: AbstractSet[str] | None = None
    room_ids: AbstractSet[str] | None = None
    player_ids: AbstractSet[str] | None = None
    correlation_ids: AbstractSet[str] | None = None
    trace_ids: AbstractSet[str] | None = None
    severity_at_least: Severity | str | None = None
    attributes: Mapping[str, Any] | None = None
    _pattern: re.Pattern[str] | None = field(default=None, init=False, repr=False, compare=False)
    _wanted: tuple[tuple[str, AbstractSet[str]], ...] = field(default=(), init=False, repr=False, compare=False)
    _data: tuple[tuple[str, tuple[Any, ...]], ...] = field(default=(), init=False, repr=False, compare=False)
    _least: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = None if self.event_types is None else _names(self.event_types)
        ids = {
            argument: None if given is None else _ids(argument, given)
            for argument, given in (
                ("correlation_ids", self.correlation_ids),
                ("trace_ids", self.trace_ids),
                ("player_ids", self.player_ids),
                ("game_ids", self.game_ids),
                ("room_ids", self.room_ids),
            )
        }
        if ids["trace_ids"] is not None:
            ids["trace_ids"] = frozenset(map(str.lower, ids["trace_ids"]))
        severity = _severity(self.severity_at_least)
        data = _attributes(self.attributes)
        wild = [_pattern(name) for name in names or () if not _WILD.isdisjoint(name)]
        for name, value in {
            **ids,
            "event_types": names,
            "severity_at_least": severity,
            # A map cannot be hashed, and filters are compared and kept in sets.
            "attributes": None if data is None else _Attributes(data),
            "_pattern": re.compile("|".join(sorted(wild)), re.DOTALL) if wild else None,
            "_wanted": tuple((name.removesuffix("s"), wanted) for name, wanted in ids.items() if wanted is not None),
            "_data": data or (),
            "_least": 0 if severity is None else severity.value,
        }.items():
            object.__setattr__(self, name, value)

    def matches(self, event: SystemEvent) -> bool:
        """Whether the event is wanted."""
        for name, wanted in self._wanted:
            value = getattr(event, name)
            if not value or clean_id(value) not in wanted:
                return False
        return (
            (self.event_types is None or self.matches_type(event.event_type))
            and event.severity.value >= self._least
            and all(_plain(event.data.get(key)) in wanted for key, wanted in self._data)
        )

    def matches_type(self, name: str) -> bool:
        """Whether events of this name are wanted, as far as the name tells."""
        if self.event_types is None or name in self.event_types:
            return True
        return self._pattern is not None and self._pattern.fullmatch(name) is not None

    @property
    def index(self) -> tuple[str, AbstractSet[str]] | None:
        """The field of an event that tells most about whether it can match, and the values it then has.

        None where only its name, or nothing, can tell.
        """
        return self._wanted[0] if self._wanted else None

    @property
    def only_index(self) -> bool:
        """Whether an event that has one of the values of :attr:`index` matches, whatever else it is."""
        others = self.event_types is not None or self._least or self._data
        return len(self._wanted) == 1 and not others and type(self) is EventFilter

    @property
    def only_types(self) -> bool:
        """Whether the name alone decides."""
        return not (self._wanted or self._least or self._data) and type(self) is EventFilter


def concerns(event_filter: EventFilter | None, event: SystemEvent) -> bool:
    """Whether a reader with this filter gets an event: one it wants, or word of others that are missing."""
    return event_filter is None or event.event_type in OF_MISSING or event_filter.matches(event)


class _Attributes(dict[str, Any]):
    """The values wanted of an event's data. Equal ones hash alike."""

    def __init__(self, wanted: tuple[tuple[str, tuple[Any, ...]], ...]) -> None:
        super().__init__(wanted)
        self._hash = hash(tuple(name for name, _ in wanted))  # equal values need not be written alike: 1 and 1.0

    def __hash__(self) -> int:  # type: ignore[override]
        return self._hash


def _names(given: object) -> frozenset[str]:
    names = _values("event_types", given, 'names, such as {"game.started", "action.*"}')
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"event_types holds {name!r:.80}; a name is an EventType or text")
    return frozenset(names)


def _ids(argument: str, given: object) -> frozenset[str]:
    ids = _values(argument, given, 'ids, such as {"first", "second"}')
    if None in ids:
        raise TypeError(f"{argument} holds None, which no id is; for any, pass None in place of the set")
    return frozenset(map(clean_id, ids))


def _values(argument: str, given: object, wanted: str) -> list[Any]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"{argument} is {given!r:.80}; pass a set of {wanted}, or None for any")
    return list(given)


def _severity(given: object) -> Severity | None:
    if given is None or isinstance(given, Severity):
        return given
    try:
        return Severity[str(given).upper()]
    except KeyError:
        names = ", ".join(severity.name for severity in Severity)
        raise ValueError(f"severity_at_least is {given!r:.80}; it is one of {names}, or None for any") from None


def _attributes(given: object) -> tuple[tuple[str, tuple[Any, ...]], ...] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"attributes is {given!r:.80}; pass a map of names to sets of values, or None for any")
    several = (set, frozenset, list, tuple)
    return tuple(
        sorted(
            (clean_id(name), tuple(sorted(map(_plain, values if isinstance(values, several) else (values,)), key=repr)))
            for name, values in given.items()
        )
    )


def _plain(value: object) -> object:
    """A value in the form in which two of them are compared: as events keep it."""
    return value if isinstance(value, bool | int | float) or value is None else clean_data(value)


def _pattern(name: str) -> str:
    """What a name with wildcards in it matches."""
    words = name.split(".")
    *before, last = words
    if any(word != _ANY and not _WILD.isdisjoint(word) for word in before) or (
        last not in _WILD and not _WILD.isdisjoint(last)
    ):
        raise ValueError(
            f'event_types holds {name!r:.80}; "*" stands for one whole word, or at the end for all that follow, as in '
            '"game.*" or "*.transition.failed"'
        )
    begin = "".join((r"[^.]+" if word == _ANY else re.escape(word)) + r"\." for word in before)
    return begin + (".+" if last in _WILD else re.escape(last))
