"""One WebSocket: two short spans, its counts, and a handler that no span of the connection is current in.

A span as long as the connection shows up when everything is over, and whatever the handler does would be one trace of
hours. So the handshake has a short span, the end has another, linked to it, and each message may have one of its own
(:func:`~otel_setup.asgi.messages.message_span`), linked to the handshake's as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, StatusCode, get_current_span

from otel_setup import clock
from otel_setup.asgi import native
from otel_setup.asgi.context import current_correlation, from_headers
from otel_setup.asgi.http import Requests
from otel_setup.asgi.totals import SOCKETS, SocketCounts, TypedMessages, size_of
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.attributes import RECEIVE, TRANSMIT
from otel_setup.catalogue.spans import SOCKET_CLOSE_SPAN, SOCKET_CONNECT_SPAN
from otel_setup.core import Core
from otel_setup.correlation import ASGIApp, Message, Receive, Scope, Send
from otel_setup.faults import Guard
from otel_setup.tracing import hide_names

CONNECTION_KEY = "otel_setup.connection"
"""Where in the scope a socket's :class:`Connection` is."""
NORMAL, NO_STATUS, LOST = 1000, 1005, 1006
SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403
_GOODBYES = frozenset({"WebSocketDisconnect", "ConnectionClosedOK", "ConnectionClosedError"})
"""Starlette's and websockets' way to tell a handler that its client has gone; most let it pass. No failure of the
server."""


class Connection:
    """What messages and close of a socket say of it. ``span`` is the handshake's."""

    __slots__ = ("core", "id", "span")

    def __init__(self, core: Callable[[], Core]) -> None:
        self.core = core
        self.id = clock.token_hex(16)
        self.span: SpanContext = INVALID_SPAN.get_span_context()

    @property
    def links(self) -> tuple[Link, ...]:
        """A link to the handshake's span, if there is one."""
        return (Link(self.span),) if self.span.is_valid else ()


def connection_of(scope_or_connection: object) -> Connection | None:
    """The connection of an ASGI scope, or of whatever has one as its ``scope``; None outside the middleware."""
    if isinstance(scope_or_connection, Connection):
        return scope_or_connection
    scope = getattr(scope_or_connection, "scope", scope_or_connection)
    found = scope.get(CONNECTION_KEY) if isinstance(scope, Mapping) else None
    return found if isinstance(found, Connection) else None


def close_code(disconnect: Message) -> int:
    """The close code of an ASGI ``websocket.disconnect`` message.

    RFC 6455, 7.1.5: 1005 for a close frame without a code, 1006 for a connection lost without a close frame. uvicorn
    says 1005 for both, but gives a ``reason`` only where a frame arrived.
    """
    code = int(disconnect.get("code") or NO_STATUS)
    return LOST if code == NO_STATUS and "reason" not in disconnect else code


class ObservedSocket:
    """One socket, from the request for it to its end.

    Parameters:
        requests: what it shares with requests of the application: how they are described, and routes.
        core: gives what the process observes with, as ``configure()`` may change it.
        typed: counts messages by type; None where the game does.
    """

    def __init__(
        self,
        requests: Requests,
        core: Callable[[], Core],
        typed: TypedMessages | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._requests = requests
        self._core = core
        self._typed = typed
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connection = Connection(core)
        self._span: Span = INVALID_SPAN
        self._counts = SocketCounts()
        self._accepted: float | None = None
        self._answered = False
        self._code: int | None = None
        self._reading_since: float | None = None
        scope[CONNECTION_KEY] = self._connection

    async def run(self, app: ASGIApp) -> None:
        """Runs the application. Whatever it raises passes."""
        with self._guard("tracing"):
            self._ask()
        error: BaseException | None = None
        token = context_api.attach(Context())
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            context_api.detach(token)
            with self._guard("tracing"):
                self._end(error)

    async def receive(self) -> Message:
        """The next message. Asking for it says that the one before is handled."""
        self._handled()
        message = await self._receive()
        with self._guard("measures"):
            if message["type"] == "websocket.receive":
                payload = _payload(message)
                size = size_of(payload)
                self._counts.received += 1
                self._counts.received_bytes += size
                self._reading_since = clock.monotonic()
                if self._typed is not None:
                    self._typed.count(RECEIVE, payload, size)
            elif message["type"] == "websocket.disconnect":
                self._closing(close_code(message))
        return message

    async def send(self, message: Message) -> None:
        """Passes a message on."""
        if message.get("type") == "websocket.send":
            await self._transmit(message)
            return
        with self._guard("measures"):
            if message["type"] == "websocket.close" and self._accepted is not None:
                self._closing(int(message.get("code") or NORMAL))
        await self._send(message)
        with self._guard("tracing"):
            self._answer(message)

    async def _transmit(self, message: Message) -> None:
        self._counts.pending += 1
        try:
            await self._send(message)
        finally:
            self._counts.pending -= 1
        with self._guard("measures"):
            payload = _payload(message)
            size = size_of(payload)
            self._counts.transmitted += 1
            self._counts.transmitted_bytes += size
            if self._typed is not None:
                self._typed.count(TRANSMIT, payload, size)

    # --- handshake and end --------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        outer = native.around(self._scope)
        if outer is None:
            parent, kind = from_headers(self._scope.get("headers") or ()), SpanKind.SERVER
        else:  # theirs is the server span of this request
            parent, kind = context_api.get_current(), SpanKind.INTERNAL
            get_current_span().set_attributes(current_correlation())  # it began before the correlation did
        native.leave_marks(self._scope)
        attributes = self._requests.describer.handshake(self._scope)
        attributes |= {a.CONNECTION_ID.name: self._connection.id, **current_correlation()}
        self._span = self._core().tracer.start_span(
            SOCKET_CONNECT_SPAN.name, context=parent, kind=kind, attributes=attributes
        )
        hide_names(self._core(), self._span, attributes)
        self._connection.span = self._span.get_span_context()

    def _answer(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept" if self._accepted is None:
                self._accepted = clock.monotonic()
                SOCKETS.opened(self._counts)
                self._answer_is(SWITCHING_PROTOCOLS, None)
            case "websocket.close" if self._accepted is None:
                self._answer_is(FORBIDDEN, None)
            case "websocket.http.response.start":
                self._answer_is(int(message["status"]), None)

    def _answer_is(self, status: int | None, error: BaseException | None) -> None:
        """Ends the connect span."""
        if self._answered:
            return
        self._answered = True
        if self._accepted is None:
            SOCKETS.refused()
        error_type = self._requests.error_type(error, status)
        route = self._requests.route(self._scope)
        known = {a.HTTP_STATUS.name: status, a.HTTP_ROUTE.name: route, a.ERROR_TYPE.name: error_type}
        self._span.set_attributes({key: value for key, value in known.items() if value})
        if error_type:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _closing(self, code: int) -> None:
        """The first word about the end stands: what comes after only answers it."""
        if self._code is None:
            self._code = code

    def _end(self, error: BaseException | None) -> None:
        self._handled()
        if self._accepted is None:
            self._answer_is(None, error)
            return
        code = LOST if self._code is None else self._code  # left without a word: the server cuts the connection
        SOCKETS.closed(self._counts, code)
        if self._typed is not None:
            self._typed.flush()
        span = start_close_span(
            self._core(),
            self._connection,
            code,
            clock.monotonic() - self._accepted,
            {
                a.SOCKET_RECEIVED.name: self._counts.received,
                a.SOCKET_TRANSMITTED.name: self._counts.transmitted,
            },
        )
        tell_of_failure(span, error)
        span.end()

    def _handled(self) -> None:
        if self._reading_since is not None:
            self._counts.handling += clock.monotonic() - self._reading_since
            self._reading_since = None

    def _guard(self, component: str) -> Guard:
        return self._core().faults.guard(component)


def _payload(message: Message) -> str | bytes:
    payload: str | bytes | None = message.get("bytes")
    if payload is None:
        payload = message.get("text") or ""
    return payload


def start_close_span(
    core: Core, connection: Connection, code: int, seconds: float, more: Mapping[str, Any] | None = None
) -> Span:
    """A close span, in a trace of its own, linked to the handshake's.

    Parameters:
        seconds: how long the socket was open.
        more: further attributes.
    """
    return core.tracer.start_span(
        SOCKET_CLOSE_SPAN.name,
        context=Context(),
        attributes={
            a.CONNECTION_ID.name: connection.id,
            a.CONNECTION_CODE.name: code,
            a.CONNECTION_SECONDS.name: seconds,
            **(more or {}),
            **current_correlation(),
        },
        links=connection.links,
    )


def tell_of_failure(span: Span, error: BaseException | None) -> None:
    """Marks a close span with the exception that ended the handler, if it was a failure."""
    if isinstance(error, Exception) and type(error).__name__ not in _GOODBYES:
        span.set_attribute(a.ERROR_TYPE.name, type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
