"""All that is known of a room in a span of time: its events, and the log records and spans that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otel_setup.catalogue import Attribute, EventType
from otel_setup.catalogue import attributes as a
from otel_setup.cli.otlp_files import Item, OtlpFiles
from otel_setup.events.notices import GapReason, is_notice
from otel_setup.events.record import SystemEvent

MAX_EVENTS = 200_000
"""Events in one bundle; further ones are left out, and the summary says how many."""
MAX_ITEMS = 200_000
"""Log records and spans in one bundle; further ones are left out, and the summary says how many."""
GAPS = (EventType.STREAM_GAP, EventType.STREAM_GAP_FILLED)


@dataclass
class Evidence:
    """What was found.

    Parameters:
        rooms, games: whom it is about; ``games`` grows by those found in the rooms.
        begin_ns, end_ns: the span of time, nanoseconds since 1970.

    Attributes:
        events: of the rooms, and what was told of the reading itself, in their order.
        stream: what the source says of itself in that time: gaps, servers that fell silent or ended.
        items: log records and spans.
        traces, correlations: by which these were found.
        oldest_ns: the oldest event that the source has; 0 where nobody knows.
        left_out: events, log records and spans beyond the bounds.
        otlp_events: ids of the events that the Collector's files have of these rooms.
    """

    rooms: set[str]
    games: set[str]
    begin_ns: int
    end_ns: int
    events: list[SystemEvent] = field(default_factory=list)
    stream: list[SystemEvent] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    traces: set[str] = field(default_factory=set)
    correlations: set[str] = field(default_factory=set)
    oldest_ns: int = 0
    left_out: int = 0
    unreadable: int = 0
    otlp_events: set[str] = field(default_factory=set)

    def add_event(self, event: SystemEvent) -> None:
        """Takes an event of the rooms, or a notice of the reading."""
        if not is_notice(event):
            if not self.begin_ns <= event.timestamp_ns <= self.end_ns:
                return
            self._note(event.game_id, event.trace_id, event.correlation_id)
        elif event.event_type == EventType.STREAM_BOOKMARK:
            return
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)
        else:
            self.left_out += 1

    def add_stream(self, event: SystemEvent) -> None:
        """Takes what the source says of itself; heartbeats say nothing that matters here."""
        matters = event.event_type not in (EventType.STREAM_BOOKMARK, EventType.PRODUCER_HEARTBEAT)
        if matters and not is_notice(event) and self.begin_ns <= event.timestamp_ns <= self.end_ns:
            self.stream.append(event)

    def _note(self, game: str | None, trace: str | None, correlation: str | None) -> None:
        for found, value in ((self.games, game), (self.traces, trace), (self.correlations, correlation)):
            if value:
                found.add(value)

    # --- log records and spans ----------------------------------------------------------------------------------------
    def search(self, files: OtlpFiles, tell: Callable[[int], object] = lambda count: None) -> None:
        """Takes the log records and spans that name the rooms or games, and those of their traces and requests.

        Parameters:
            tell: called at times with the number of items looked at.
        """
        for number, item in enumerate(self._in_time(files.items())):
            if self._is_named(item):
                self._note(_text(item, a.GAME_ID), item.trace_id, _text(item, a.CORRELATION_ID))
            _tell_at_times(tell, number)
        for number, item in enumerate(self._in_time(files.items())):
            if self._is_named(item) or self._is_linked(item):
                self._take(item)
            _tell_at_times(tell, number)
        self.items.sort(key=lambda item: item.begins)
        self.unreadable += files.unreadable

    def _in_time(self, items: Iterable[Item]) -> Iterable[Item]:
        return (item for item in items if item.ends >= self.begin_ns and item.begins <= self.end_ns)

    def _is_named(self, item: Item) -> bool:
        return _text(item, a.ROOM_ID) in self.rooms or _text(item, a.GAME_ID) in self.games

    def _is_linked(self, item: Item) -> bool:
        return item.trace_id in self.traces or _text(item, a.CORRELATION_ID) in self.correlations

    def _take(self, item: Item) -> None:
        if item.kind == "log" and item.fields.get("eventName"):
            if self._is_named(item) and (uid := _text(item, a.RECORD_UID)):
                self.otlp_events.add(uid)
            return  # an event: those come from the source, in their order
        if len(self.items) < MAX_ITEMS:
            self.items.append(item)
        else:
            self.left_out += 1

    # --- how complete it is -------------------------------------------------------------------------------------------
    @property
    def servers(self) -> set[str]:
        """``instance-epoch`` of the servers whose events are here."""
        return {event.event_id.rpartition("-")[0] for event in self.events if event.event_id.count("-") > 1}

    def missing(self, *, of_these_servers: bool) -> int:
        """Events that gaps tell of, without those that came after all: of these servers, or of others."""
        count = 0
        for event in self.stream:
            if event.event_type in GAPS and event.data.get(a.GAP_REASON.data_key) != GapReason.BEFORE:
                is_theirs = event.data.get(a.PRODUCER_ID.data_key) in self.servers
                number = event.data.get(a.GAP_COUNT.data_key)
                if is_theirs == of_these_servers and isinstance(number, int):
                    count += number if event.event_type == EventType.STREAM_GAP else -number
        return count

    @property
    def lost_in_reading(self) -> int:
        """Events that left the source before they were read."""
        counts = (event.data.get(a.GAP_COUNT.data_key) for event in self.events if is_notice(event))
        return sum(count for count in counts if isinstance(count, int))

    @property
    def only_in_files(self) -> int:
        """Events of the rooms that the Collector's files have and the source has not."""
        return len(self.otlp_events - {event.event_id for event in self.events})


def _text(item: Item, attribute: Attribute) -> str | None:
    value = item.attributes.get(attribute.name)
    return value if isinstance(value, str) and value else None


def _tell_at_times(tell: Callable[[int], object], number: int) -> None:
    if number % 1000 == 0:
        tell(number)
