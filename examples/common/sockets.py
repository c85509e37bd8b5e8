"""Sockets as a game sees them: JSON ``{event, data}`` in and out, each reported to the monitor.

Each message received is handled in a block of its own, so that what it causes is one short trace under one correlation
id, and the next message begins another.

Sending only queues: a slow client costs its own queue, never the game's time. A queue that is full loses its client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.websockets import WebSocket, WebSocketDisconnect

from examples.common.record import Record
from examples.common.wire import LOST, close_code
from otel_setup import message_span

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor
    from otel_setup.asgi import MessageBlock

MAX_QUEUED_MESSAGES = 1000
"""Messages queued for one client before it counts as too slow and is let go."""

NORMAL, GOING_AWAY, REFUSED, INTERNAL_ERROR = 1000, 1001, 1008, 1011


class Refused(Exception):
    """What a client asked for is not possible; the text says why, to the player."""


class Outgoing(NamedTuple):
    """A message ready to be sent, made once however many clients get it."""

    event: str
    text: str
    size: int

    @classmethod
    def make(cls, event: str, data: dict[str, Any]) -> Outgoing:
        text = json.dumps({"event": event, "data": data}, separators=(",", ":"))
        return cls(event, text, len(text.encode()))


class Incoming(NamedTuple):
    """A message received; ``event`` is empty where the text was not a message at all."""

    event: str
    data: dict[str, Any]


class Connection:
    """One client's socket, from its acceptance to its close.

    Parameters:
        websocket: the socket, not yet accepted.
        room_id: what the path named.
        monitor: told of the opening, every message and the closing with its code.
    """

    def __init__(self, websocket: WebSocket, room_id: str, monitor: EnterpriseMonitor) -> None:
        self.id = uuid.uuid4().hex
        self.room_id = room_id
        self._websocket = websocket
        self._monitor = monitor
        self._outbox: asyncio.Queue[Outgoing | int] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._code: int | None = None
        self._closing = False

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """Accept the socket; on the way out send what is queued, close it and report its close code."""
        await self._websocket.accept()
        await self._monitor.record_websocket_event(self.id, "connect", self.room_id)
        writer = asyncio.create_task(self._write())
        leave_with = GOING_AWAY  # what the client hears if this task is cancelled
        try:
            yield self
            leave_with = NORMAL
        except Exception:
            leave_with = INTERNAL_ERROR
            raise
        finally:
            self.close(leave_with)
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            code = LOST if self._code is None else self._code
            await self._monitor.record_websocket_event(self.id, "disconnect", self.room_id, {"code": code})

    async def messages(self) -> AsyncIterator[Incoming]:
        """The messages received until the socket closes."""
        while (message := await self.receive()) is not None:
            yield message

    async def receive(self) -> Incoming | None:
        """The next message; None once the socket is closed."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._closed(close_code(message))
            return None
        payload: bytes = message.get("bytes") or (message.get("text") or "").encode()
        incoming = _parse(payload)
        await self._monitor.record_socket_message(self.id, "receive", incoming.event, len(payload))
        return incoming

    def handling(self, message: Incoming) -> MessageBlock:
        """A block around all that a message leads to."""
        return message_span(self._websocket, message.event)

    def send(self, event: str, data: dict[str, Any]) -> bool:
        """Queue a message for this client alone. False if the client can take no more."""
        return self.post(Outgoing.make(event, data))

    def post(self, message: Outgoing) -> bool:
        """Queue a message. False if the socket is closing or its client too slow, who then loses the connection."""
        if self._closing:
            return False
        if self._outbox.qsize() >= MAX_QUEUED_MESSAGES - 1:  # the last place is the close request's
            self.close(REFUSED)
            return False
        self._outbox.put_nowait(message)
        return True

    def refuse(self, refused: Refused) -> None:
        """Say why, and close the socket."""
        self.send("error", {"message": str(refused)})
        self.close(REFUSED)

    def close(self, code: int) -> None:
        """Close the socket with this code once everything queued has been sent."""
        if not self._closing:
            self._closing = True
            self._outbox.put_nowait(code)

    def _closed(self, code: int) -> None:
        """The socket is closed: the first code stands, and nothing more is written."""
        if self._code is None:
            self._code = code
        self.close(code)

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                if isinstance(message, int):
                    if self._code is None:
                        self._code = message
                        await self._websocket.close(message)
                    return
                await self._websocket.send_text(message.text)
            except (WebSocketDisconnect, RuntimeError):  # gone: the reader learns the code
                return
            await self._monitor.record_socket_message(self.id, "transmit", message.event, message.size)


class Broadcaster:
    """Sends one message to many sockets, tells the record how many queues it reached and the monitor how fast."""

    def __init__(self, record: Record, monitor: EnterpriseMonitor) -> None:
        self._record = record
        self._monitor = monitor

    async def send(self, room_id: str, connections: Collection[Connection], event: str, data: dict[str, Any]) -> None:
        started = time.perf_counter()
        message = Outgoing.make(event, data)
        reached = _post_to_all(connections, message)
        milliseconds = (time.perf_counter() - started) * 1000
        success = reached == len(connections)
        self._record.broadcast(room_id, reached, success)
        report = {
            "recipient_count": reached,
            "broadcast_time_ms": milliseconds,
            "success": success,
            "event": event,
        }
        await self._monitor.record_websocket_event("", "broadcast", room_id, report)


def _post_to_all(connections: Iterable[Connection], message: Outgoing) -> int:
    return sum(connection.post(message) for connection in connections)


def _parse(payload: bytes) -> Incoming:
    try:
        message = json.loads(payload)
        event, data = message["event"], message.get("data")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Incoming("", {})
    if not isinstance(event, str):
        return Incoming("", {})
    return Incoming(event, data if isinstance(data, dict) else {})
