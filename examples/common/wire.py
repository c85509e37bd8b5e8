"""The record's view of the sockets: what the server really read and wrote, counted between game and network.

This sits underneath everything the game does with its sockets, as ASGI middleware, and shares nothing with the code
that reports to the monitor above it.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.common.record import Record

OTHER = "other"
NO_STATUS, LOST = 1005, 1006


def close_code(disconnect: Message) -> int:
    """The close code of an ASGI ``websocket.disconnect`` message.

    RFC 6455 §7.1.5 has 1005 for a close frame without a code and 1006 for a connection lost without a close frame.
    uvicorn says 1005 for both, but gives a ``reason`` only where a frame arrived.
    """
    code = int(disconnect.get("code", NO_STATUS))
    return LOST if code == NO_STATUS and "reason" not in disconnect else code


class WireRecord:
    """ASGI middleware that records each socket's opening, messages (payload bytes) and closing.

    Parameters:
        app: the application below.
        record: where to write.
        received, transmitted: the message types known in each direction; any other is recorded as ``other``.
    """

    def __init__(self, app: ASGIApp, record: Record, received: Collection[str], transmitted: Collection[str]) -> None:
        self.app = app
        self.record = record
        self.known = {"receive": frozenset(received), "transmit": frozenset(transmitted)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await _RecordedSocket(self, scope["path"], receive, send).run(scope)
        else:
            await self.app(scope, receive, send)


class _RecordedSocket:
    def __init__(self, wire: WireRecord, path: str, receive: Receive, send: Send) -> None:
        self.wire, self.path, self._receive, self._send = wire, path, receive, send
        self.open = False

    async def run(self, scope: Scope) -> None:
        try:
            await self.wire.app(scope, self.receive, self.send)
        finally:
            self._closed(LOST)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._message("receive", message)
        elif message["type"] == "websocket.disconnect":
            self._closed(close_code(message))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self._closed(int(message.get("code", 1000)))
        await self._send(message)
        if message["type"] == "websocket.accept":
            self.open = True
            self.wire.record.socket_opened(self.path)
        elif message["type"] == "websocket.send":
            self._message("transmit", message)

    def _message(self, direction: str, message: Message) -> None:
        payload: bytes = message.get("bytes") or (message.get("text") or "").encode()
        try:
            event = json.loads(payload)["event"]
        except (ValueError, TypeError, KeyError, RecursionError):
            event = OTHER
        known = isinstance(event, str) and event in self.wire.known[direction]
        self.wire.record.socket_message(self.path, direction, event if known else OTHER, len(payload))

    def _closed(self, code: int) -> None:
        if self.open:
            self.open = False
            self.wire.record.socket_closed(self.path, code)
