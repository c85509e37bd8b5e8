"""Readers of the event stream at the command socket: a few at a time, served by its one thread without ever waiting.

Nothing here can hold up the game or another reader: what a reader does not take is lost to it, which the stream counts
and tells it by a ``stream.gap``, and one that takes nothing for a while is disconnected.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from otel_setup import clock
from otel_setup.events.boxes import Policy
from otel_setup.events.reader import EventReader
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, SubscriberLimitError
from otel_setup.events.subscriber import StreamClosed
from otel_setup.sdk.pacing import in_portions

MAX_STREAMS = 8
"""Readers at a time; a further one is refused, and counted in ``refused``."""
STALL_SECONDS = 10.0
"""How long a reader may take nothing of what is there; past it it is disconnected, and counted in ``stalled``."""
TICK_SECONDS = 0.05
"""Time between two looks at the stream while somebody reads."""
EVENTS_AT_A_TIME = 1_000
"""Events one reader gets at most at each look, so that requests and other readers have their turn."""
BOOKMARK_SECONDS = 15.0
"""Where nothing a reader wants has happened for so long, it is told from where it may go on."""

_PORTION = 64
_NS = 1e9


class EventStreams:
    """The readers.

    Parameters:
        stream: what they read.
        monotonic: seconds.

    Attributes:
        refused: readers that were turned away because there were MAX_STREAMS.
        stalled: readers that were disconnected because they took nothing.
    """

    def __init__(self, stream: EventStream, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._monotonic = monotonic
        self._clients: list[_Client] = []
        self.refused = 0
        self.stalled = 0

    def __len__(self) -> int:
        return len(self._clients)

    def open(self, query: str) -> EventReader:
        """A reader of what a query asks for, to be given to :meth:`serve`.

        Parameters:
            query: in the language of the hub's ``/events/stream``.

        Raises:
            ValueError: the query makes no sense, or there are too many readers.
        """
        from otel_setup.hub.query import From, Last, parse

        asked = parse(query, clock.time_ns(), default_policy=Policy.DROP_OLDEST, default_limit=1, max_limit=1)
        since: Any = asked.since
        if isinstance(since, Last):
            since = since.count
        elif isinstance(since, From):
            since = since.time_ns / _NS
        if len(self._clients) >= MAX_STREAMS:
            self.refused += 1
            raise ValueError(f"{MAX_STREAMS} others read here already; end one of them")
        try:
            return self._stream.reader(
                None,
                asked.event_filter,
                since=since,
                live=asked.live,
                speed=asked.speed,
                policy=asked.policy,
                bookmark_seconds=BOOKMARK_SECONDS,
            )
        except SubscriberLimitError as full:
            self.refused += 1
            raise ValueError(str(full)) from None

    def serve(self, connection: socket.socket, reader: EventReader) -> None:
        """Hands the reader's events to a connection, from the next :meth:`step` on; both are closed at the end."""
        connection.setblocking(False)
        self._clients.append(_Client(connection, reader))

    @property
    def pause(self) -> float | None:
        """Seconds until the next :meth:`step`; None where nobody reads."""
        if not self._clients:
            return None
        return 0.0 if any(client.has_more for client in self._clients) else TICK_SECONDS

    @property
    def full(self) -> list[socket.socket]:
        """The connections that take no more now: one that can be written to again is worth a step at once."""
        return [client.connection for client in self._clients if client.waits_since is not None]

    def step(self) -> None:
        """Gives each reader what there is, as far as it takes it; forgets those that are gone."""
        now = self._monotonic()
        for client in tuple(self._clients):
            try:
                is_there = client.step(now)
            except OSError:
                is_there = False  # it went away
            if is_there and client.waits_since is not None and now - client.waits_since > STALL_SECONDS:
                self.stalled += 1
                is_there = False
            if not is_there:
                client.close()
                self._clients.remove(client)

    def close(self) -> None:
        """Ends them all."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close_in_child(self) -> None:
        """In a forked child: the connections are the parent's, and so were the readers."""
        for client in self._clients:
            client.connection.close()
        self._clients.clear()


class _Client:
    """One reader.

    Attributes:
        waits_since: when it last took something, while it does not take what is there; else None.
        has_more: whether the last step did not come to the end of what is there.
    """

    def __init__(self, connection: socket.socket, reader: EventReader) -> None:
        self.connection = connection
        self.waits_since: float | None = None
        self.has_more = False
        self._reader = reader
        self._left = b""

    def step(self, now: float) -> bool:
        """Sends what there is; False once it is all over."""
        self.has_more = False
        if not self._is_connected():
            return False
        for _ in range(0, EVENTS_AT_A_TIME, _PORTION):
            if not self._left:
                try:
                    events = self._reader.get_events(_PORTION, 0)
                except StreamClosed:
                    return False
                self._left = b"".join(map(_line, in_portions(events)))
                if not self._left:
                    return True
            if not self._send(now):
                return True
        self.has_more = True
        return True

    def _is_connected(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(self.connection.recv(4096))  # whatever it says further means nothing
        return True

    def _send(self, now: float) -> bool:
        """False where it does not take all of it now."""
        try:
            sent = self.connection.send(self._left)
        except BlockingIOError:
            sent = 0
        self._left = self._left[sent:]
        if not self._left:
            self.waits_since = None
        elif sent or self.waits_since is None:
            self.waits_since = now
        return not self._left

    def close(self) -> None:
        self._reader.close()
        self.connection.close()


def _line(event: SystemEvent) -> bytes:
    return event.to_json().encode("utf-8", "replace") + b"\n"
