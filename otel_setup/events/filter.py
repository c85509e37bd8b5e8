"""Which events a reader wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from typing import Any

from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_id

_ANY = "*"
_BELOW = ".*"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """An event matches where every set that is given holds its value.

    ``None`` stands for any value, the *empty* set for none at all: whoever narrows a set down to nothing gets nothing.

    Parameters:
        event_types: names of events, as ``EventType`` or text. ``"game.*"`` stands for every name that begins with
            ``game.``, at any depth; ``"*"`` for every name.
        game_ids, room_ids, player_ids, correlation_ids: ids, compared in the form in which events keep them
            (:func:`otel_setup.text.clean_id`). An event that lacks the id is in no set.

    Raises:
        TypeError: an argument is not a set, such as a single string, or holds what cannot be a name or an id.
        ValueError: a name has its ``*`` where it means nothing.
    """

    event_types: AbstractSet[str] | None = None
    game_ids: AbstractSet[str] | None = None
    room_ids: AbstractSet[str] | None = None
    player_ids: AbstractSet[str] | None = None
    correlation_ids: AbstractSet[str] | None = None
    _prefixes: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for argument in fields(self):
            given = getattr(self, argument.name)
            if argument.init and given is not None:
                freeze = _names if argument.name == "event_types" else _ids
                object.__setattr__(self, argument.name, freeze(argument.name, given))
        prefixes = {_prefix(name) for name in self.event_types or () if _ANY in name}
        object.__setattr__(self, "_prefixes", tuple(sorted(prefixes)))

    def matches(self, event: SystemEvent) -> bool:
        """Whether the event is wanted."""
        return (
            (self.event_types is None or self._has_type(event.event_type))
            and (self.game_ids is None or _has_id(self.game_ids, event.game_id))
            and (self.room_ids is None or _has_id(self.room_ids, event.room_id))
            and (self.player_ids is None or _has_id(self.player_ids, event.player_id))
            and (self.correlation_ids is None or _has_id(self.correlation_ids, event.correlation_id))
        )

    @property
    def index(self) -> tuple[str, AbstractSet[str]] | None:
        """The field of an event that tells most about whether it can match, and the values it then has.

        None where no field does.
        """
        for field_of_event, wanted in (
            ("correlation_id", self.correlation_ids),
            ("player_id", self.player_ids),
            ("game_id", self.game_ids),
            ("room_id", self.room_ids),
        ):
            if wanted is not None:
                return field_of_event, wanted
        return None if self.event_types is None or self._prefixes else ("event_type", self.event_types)

    def _has_type(self, name: str) -> bool:
        return name in (self.event_types or ()) or name.startswith(self._prefixes)


def _has_id(wanted: AbstractSet[str], value: str | None) -> bool:
    return value is not None and clean_id(value) in wanted


def _names(argument: str, given: object) -> frozenset[str]:
    names = _values(argument, given, 'names, such as {"game.started", "action.*"}')
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{argument} holds {name!r:.80}; a name is an EventType or text")
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


def _prefix(name: str) -> str:
    """What a name with a ``*`` in it begins with."""
    prefix = name.removesuffix(_ANY)
    if _ANY in prefix or (prefix and not name.endswith(_BELOW)):
        raise ValueError(f'event_types holds {name!r:.80}; "*" goes alone or at the end after a dot, as in "game.*"')
    return prefix
