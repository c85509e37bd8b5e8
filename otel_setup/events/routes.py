"""Which readers an event may concern, found without asking every one of them.

Most readers watch one game, room or player, and most events are of another. So each reader whose filter names values
stands under these values, and an event looks up its own: what it costs does not grow with readers it does not concern.
Readers that look at names are found once for each name.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from otel_setup.events.filter import OF_MISSING, EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import EventSubscriber
from otel_setup.text import clean_id

MAX_NAMES = 256
"""Names of events whose readers are remembered; those of further names are looked for each time."""

_Entry = tuple[EventSubscriber, EventFilter | None]
"""A reader, and the filter that has the last word; None where it is certain."""


class Routes:
    """The readers of a stream at one moment. It never changes: for other readers there is another one.

    Parameters:
        readers: those that have a queue of their own.
    """

    __slots__ = ("_all", "_by_name", "_fields", "_others", "lead_somewhere")

    def __init__(self, readers: Iterable[EventSubscriber] = ()) -> None:
        self._all = tuple(readers)
        self.lead_somewhere = bool(self._all)
        self._others: list[EventSubscriber] = []  # whose name alone tells whether an event may be for them
        self._by_name: dict[str, list[_Entry]] = {}
        fields: dict[str, dict[str, list[_Entry]]] = {}
        for reader in self._all:
            wanted = reader.filter
            if wanted is None or wanted.index is None:
                self._others.append(reader)
                continue
            field, values = wanted.index
            entry = (reader, None if wanted.only_index else wanted)
            for value in values:
                fields.setdefault(field, {}).setdefault(value, []).append(entry)
        self._fields = tuple((attrgetter(field), by_value) for field, by_value in fields.items())

    def of(self, event: SystemEvent) -> list[EventSubscriber]:
        """The readers that want an event."""
        if event.event_type in OF_MISSING:
            return list(self._all)
        found: list[EventSubscriber] = []
        if self._others:
            name = event.event_type
            entries = self._by_name.get(name)
            for reader, wanted in self._looked_up(name) if entries is None else entries:
                if wanted is None or wanted.matches(event):
                    found.append(reader)
        for value_of, by_value in self._fields:
            value = value_of(event)
            if value and (entries := by_value.get(clean_id(value))) is not None:
                for reader, wanted in entries:
                    if wanted is None or wanted.matches(event):
                        found.append(reader)
        return found

    def _looked_up(self, name: str) -> list[_Entry]:
        entries: list[_Entry] = []
        for reader in self._others:
            wanted = reader.filter
            if wanted is None or wanted.matches_type(name):
                entries.append((reader, None if wanted is None or wanted.only_types else wanted))
        if len(self._by_name) < MAX_NAMES:
            self._by_name[name] = entries
        return entries
