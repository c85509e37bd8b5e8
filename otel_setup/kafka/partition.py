"""One partition of a topic: whose events it brought, and up to where its reader is done with them.

Pure: it does no I/O, and the caller passes the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import Accounts, Kind


@dataclass(slots=True)
class _Message:
    """A message, or several in a row of which the later ones brought nothing to wait for.

    Parameters:
        offset: of the last of them.
        held: how many of its events wait for others that come before them.
        last: the highest place in the local stream that one of its events has.
        whole: whether all of its events were taken.
    """

    offset: int
    held: int = 0
    last: int = 0
    whole: bool = False


class Partition:
    """What a reader has of one partition.

    Parameters:
        accounts: of the servers whose events come by this partition, and of no others: whoever gets the partition
            next begins with accounts of its own.
        begin: the offset from which it is read. Unless that is 0, nothing is said of events that came before what is
            read: they were for whoever read it earlier.

    Attributes:
        fetched: the offset of the message to be fetched next.
        committed: the offset up to which the broker knows that the reader is done.
        duplicates: events that came again, and were left out.
    """

    def __init__(self, accounts: Accounts, begin: int) -> None:
        self.accounts = accounts
        self._from_start = begin == 0
        self.fetched = begin
        self.committed = 0
        self.duplicates = 0
        self._done = 0
        self._messages: deque[_Message] = deque()
        self._held: dict[str, _Message] = {}

    def take(self, offset: int, events: Iterable[SystemEvent], now: float) -> Iterator[SystemEvent]:
        """A message's events in the order in which they are to be published; call :meth:`published` for each.

        Parameters:
            offset: the message's.
            now: monotonic seconds.
        """
        message = _Message(offset)
        self._messages.append(message)
        for event, kind in self.accounts.take_all(events, now):
            if kind is Kind.HOLD:
                message.held += 1
                self._held[event.event_id] = message
            elif kind is Kind.DUPLICATE:
                self.duplicates += 1
            elif self._is_told(event):
                yield event
        message.whole = True
        self._merge()

    def due(self, now: float) -> Iterator[SystemEvent]:
        """Events that have waited long enough for others, and the gaps before them; as :meth:`take`."""
        for event, kind in self.accounts.due(now):
            if kind is Kind.DELIVER and self._is_told(event):
                yield event

    def published(self, event: SystemEvent, place: int) -> None:
        """An event that :meth:`take` or :meth:`due` gave has this place in the local stream.

        Parameters:
            place: 0 where the reader does not want it.
        """
        message = self._held.pop(event.event_id, None)
        if message is not None:
            message.held -= 1
        elif self._messages:
            message = self._messages[-1]
        if message is not None:
            message.last = max(message.last, place)

    def done(self, place: int) -> int | None:
        """The offset to commit where the reader is done with everything up to this place in the local stream.

        None where the broker knows it already.
        """
        messages = self._messages
        while messages and messages[0].whole and not messages[0].held and messages[0].last <= place:
            self._done = messages.popleft().offset + 1
        return self._done if self._done > self.committed else None

    def _merge(self) -> None:
        """Let a message that brought nothing to wait for be done with the one before it: so their number is bounded."""
        *_, last = self._messages
        if len(self._messages) > 1 and not last.held and last.last <= self._messages[-2].last:
            self._messages.pop()
            self._messages[-1].offset = last.offset

    def _is_told(self, event: SystemEvent) -> bool:
        if self._from_start or event.event_type is not EventType.STREAM_GAP:
            return True
        return event.data.get(a.GAP_REASON.data_key) != GapReason.BEFORE
