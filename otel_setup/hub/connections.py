"""The hub's connections: how many there may be, how long they may idle, and how one is cut that takes nothing."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_setup.hub.metrics import Refused

STATE = "connection"
"""Under which name requests find their :class:`Connection` in ``scope["state"]``."""


class Connection:
    """What a request can do to its connection that ASGI has no message for.

    Parameters:
        transport: None where there is no socket, as in tests.
    """

    def __init__(self, transport: asyncio.Transport | None = None) -> None:
        self._transport = transport

    def abort(self) -> None:
        """Cuts it at once, whatever has not been sent yet."""
        if self._transport is not None:
            self._transport.abort()


class Limits:
    """The bounds of connections, and their count.

    Parameters:
        max_connections: open at a time.
        idle_seconds: without a request, or while its head comes.
        refused: the count of refusals by reason.
    """

    def __init__(self, max_connections: int, idle_seconds: float, refused: dict[str, int]) -> None:
        self.max_connections = max_connections
        self.idle_seconds = idle_seconds
        self.refused = refused


def protocol_with(limits: Limits) -> type[H11Protocol]:
    """The HTTP protocol of the hub's server."""

    class HubProtocol(H11Protocol):
        """Adds what the server leaves open: a bound, and a time for a request's head."""

        idle: asyncio.TimerHandle | None = None
        since = 0.0
        """When the last request was answered, or the connection made."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
            if len(self.connections) >= limits.max_connections:
                limits.refused[Refused.CONNECTIONS] += 1
                transport.abort()
                return
            super().connection_made(transport)
            self.app_state = {**self.app_state, STATE: Connection(transport)}
            self.since = self.loop.time()
            self.idle = self.loop.call_later(limits.idle_seconds, self._look)

        def data_received(self, data: bytes) -> None:
            if self.transport is not None:
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.idle is not None:
                self.idle.cancel()
                super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        def _look(self) -> None:
            """Whether a request is under way, whose body has a time of its own; or one may still come."""
            left = self.since + limits.idle_seconds - self.loop.time()
            is_idle = self.cycle is None or self.cycle.response_complete
            if is_idle and left <= 0:
                self.transport.abort()
                return
            self.idle = self.loop.call_later(left if is_idle else limits.idle_seconds, self._look)

        def send_400_response(self, msg: str) -> None:
            """What is no request, or has too large a head, is answered as everything else is: in JSON."""
            body = json.dumps(
                {"error": {"status": HTTPStatus.BAD_REQUEST, "message": f"{msg} Perhaps its head is too large."}}
            ).encode()
            limits.refused[Refused.MALFORMED] += 1
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"connection", b"close"),
            ]
            events: tuple[Any, ...] = (
                h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            try:
                for event in events:
                    self.transport.write(self.conn.send(event))
            except h11.LocalProtocolError:  # an answer to this connection's last request is under way
                pass
            self.transport.close()

    return HubProtocol
