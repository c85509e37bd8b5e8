"""Counts of sockets and their messages.

A socket's messages are counted in plain numbers that only its own loop changes, so a message costs two additions and
no call of a metrics API; whoever collects metrics adds the numbers up, and so sees every message until that moment.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping

from otel_setup.catalogue import M, Metric
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.attributes import RECEIVE, TRANSMIT
from otel_setup.core import Core
from otel_setup.game_model import OTHER
from otel_setup.instruments import Reading, Readings

FLUSH_SECONDS = 0.1
"""How long messages counted by type wait at most for the next, to be recorded together."""
ACCEPTED, REFUSED = "accepted", "refused"

Payload = str | bytes


def size_of(payload: Payload) -> int:
    """Bytes of a message's payload; a text's are those of its UTF-8, as RFC 6455 sends it."""
    if isinstance(payload, str) and not payload.isascii():
        return len(payload.encode("utf-8", "surrogatepass"))
    return len(payload)


class SocketCounts:
    """What one socket did so far. Messages and bytes by direction, seconds spent on handling, sends under way."""

    __slots__ = ("handling", "pending", "received", "received_bytes", "transmitted", "transmitted_bytes")

    def __init__(self) -> None:
        self.received = self.received_bytes = 0
        self.transmitted = self.transmitted_bytes = 0
        self.handling = 0.0
        self.pending = 0


class SocketTotals:
    """All sockets of this process, open and gone. Safe for concurrent use."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins at zero, as in a forked child: its parent's sockets are not its own, and its lock may be held."""
        self._lock = threading.Lock()
        self._open: set[SocketCounts] = set()
        self._gone = SocketCounts()
        self._handshakes = {ACCEPTED: 0, REFUSED: 0}
        self._closes = dict.fromkeys((*a.CLOSE_CODES, OTHER), 0)
        self._reading: _Reading | None = None

    def opened(self, counts: SocketCounts) -> None:
        """A handshake made a socket."""
        with self._lock:
            self._handshakes[ACCEPTED] += 1
            self._open.add(counts)

    def refused(self) -> None:
        """A handshake made none."""
        with self._lock:
            self._handshakes[REFUSED] += 1

    def closed(self, counts: SocketCounts, code: int) -> None:
        """A socket is closed; its counts stay in the totals."""
        with self._lock:
            self._open.discard(counts)
            for name in SocketCounts.__slots__:
                setattr(self._gone, name, getattr(self._gone, name) + getattr(counts, name))
            self._closes[str(code) if str(code) in self._closes else OTHER] += 1

    def active(self) -> int:
        """Sockets that are open."""
        return len(self._open)

    def total(self, name: str) -> float:
        """One of the counts, summed over all sockets."""
        with self._lock:
            return float(sum((getattr(counts, name) for counts in self._open), start=getattr(self._gone, name)))

    def handshakes(self) -> dict[str, float]:
        """Handshakes by outcome."""
        with self._lock:
            return dict(self._handshakes)

    def closes(self) -> dict[str, float]:
        """Closed sockets by code."""
        with self._lock:
            return dict(self._closes)

    def readings(self) -> Readings:
        """Callbacks of the observable metrics, whose counters begin at zero now.

        The counters of the callbacks given before stop where they are: each new configuration counts for itself, and
        what is drained of the old one must not count the same message again.
        """
        if self._reading is not None:
            self._reading.stop()
        self._reading = reading = _Reading(self)
        return {
            M.SOCKET_HANDSHAKES.name: lambda: reading.grown(M.SOCKET_HANDSHAKES),
            M.SOCKET_CLOSES.name: lambda: reading.grown(M.SOCKET_CLOSES),
            M.SOCKET_MESSAGES.name: lambda: reading.grown(M.SOCKET_MESSAGES),
            M.SOCKET_BYTES.name: lambda: reading.grown(M.SOCKET_BYTES),
            M.SOCKET_HANDLING.name: lambda: reading.grown(M.SOCKET_HANDLING),
            M.SOCKETS_OPEN.name: lambda: [(self.active(), {})],
            M.SOCKET_SENDS_PENDING.name: lambda: [(self.total("pending"), {})],
        }


_COUNTERS: Mapping[Metric, Callable[[SocketTotals], dict[str, float]]] = {
    M.SOCKET_HANDSHAKES: SocketTotals.handshakes,
    M.SOCKET_CLOSES: SocketTotals.closes,
    M.SOCKET_MESSAGES: lambda all_: {RECEIVE: all_.total("received"), TRANSMIT: all_.total("transmitted")},
    M.SOCKET_BYTES: lambda all_: {RECEIVE: all_.total("received_bytes"), TRANSMIT: all_.total("transmitted_bytes")},
    M.SOCKET_HANDLING: lambda all_: {"": all_.total("handling")},
}
"""Each counter's values by that of its one label."""


class _Reading:
    """What the totals grew by from one moment on, until it is stopped."""

    def __init__(self, totals: SocketTotals) -> None:
        self._totals = totals
        self._since = {metric: read(totals) for metric, read in _COUNTERS.items()}
        self._until: dict[Metric, dict[str, float]] | None = None

    def stop(self) -> None:
        self._until = {metric: read(self._totals) for metric, read in _COUNTERS.items()}

    def grown(self, metric: Metric) -> Reading:
        now = _COUNTERS[metric](self._totals) if self._until is None else self._until[metric]
        label = next((attribute.name for attribute in metric.attributes), None)
        return [
            (value - self._since[metric][key], {label: key} if label is not None else {}) for key, value in now.items()
        ]


SOCKETS = SocketTotals()
"""This process's sockets."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SOCKETS.reset)


def socket_readings() -> Readings:
    """Callbacks of the sockets' observable metrics, for the one place that reads all such metrics."""
    return SOCKETS.readings()


class TypedMessages:
    """Counts messages by type, for a game that does not report them itself; recorded together, some times a second.

    Parameters:
        core: what the process observes with.
        type_of: reads a message's type; what it raises on, and a type outside the game's set, counts as ``other``.
    """

    def __init__(self, core: Callable[[], Core], type_of: Callable[[Payload], str]) -> None:
        self._core = core
        self._type_of = type_of
        self._waiting: dict[tuple[str, str], list[int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def count(self, direction: str, payload: Payload, size: int) -> None:
        """Counts one message of ``size`` bytes."""
        counted = self._waiting.setdefault((direction, self._type(payload)), [0, 0])
        counted[0] += 1
        counted[1] += size
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Records what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        core = self._core()
        for (direction, message_type), (messages, size) in waiting.items():
            with core.faults.guard("measures"):
                labels = {a.DIRECTION.name: direction, a.MESSAGE_TYPE.name: message_type}
                core.instruments.add(M.MESSAGES, messages, **labels)
                core.instruments.add(M.MESSAGE_BYTES, size, **labels)

    def _type(self, payload: Payload) -> str:
        try:
            return known_type(self._core(), self._type_of(payload))
        except Exception:  # noqa: BLE001 - whatever a player sends may not be readable
            return OTHER


def known_type(core: Core, message_type: object) -> str:
    """A message's type if the game has it, else ``other``: types end up in labels and span names."""
    model = core.settings.model
    if isinstance(message_type, str) and (message_type in model.messages_in or message_type in model.messages_out):
        return message_type
    return OTHER
