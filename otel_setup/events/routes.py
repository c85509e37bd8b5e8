"""Which readers an event may concern, found without asking every one of them.

Most readers watch one game, room or player, and most events are of another. So each reader whose filter names values
stands under these values, and an event looks up its own: what it costs does not grow with readers it does not concern.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import EventSubscriber
from otel_setup.text import clean_id


class Routes:
    """The readers of a stream at one moment. It never changes: for other readers there is another one.

    Parameters:
        readers: all of them.
    """

    __slots__ = ("_everywhere", "_fields", "_types")

    def __init__(self, readers: Iterable[EventSubscriber] = ()) -> None:
        self._everywhere: list[EventSubscriber] = []
        self._types: dict[str, list[EventSubscriber]] = {}
        fields: dict[str, dict[str, list[EventSubscriber]]] = {}
        for reader in readers:
            index = None if reader.filter is None else reader.filter.index
            if index is None:
                self._everywhere.append(reader)
                continue
            field, values = index
            under = self._types if field == "event_type" else fields.setdefault(field, {})
            for value in values:
                under.setdefault(value, []).append(reader)
        self._fields = tuple(fields.items())

    def of(self, event: SystemEvent) -> list[EventSubscriber]:
        """The readers that want an event."""
        candidates = self._everywhere
        if self._types:
            candidates = candidates + self._types.get(event.event_type, [])
        for field, by_value in self._fields:
            value = getattr(event, field)
            if value is not None and (found := by_value.get(clean_id(value))) is not None:
                candidates = candidates + found
        if not candidates:
            return []
        return [reader for reader in candidates if reader.filter is None or reader.filter.matches(event)]
