"""The block a game handles one received socket message in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType

from opentelemetry import context as context_api
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode

from otel_setup.asgi.context import from_message
from otel_setup.asgi.totals import known_type
from otel_setup.asgi.websocket import Connection, connection_of
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import SOCKET_MESSAGE_SPAN
from otel_setup.core import Core
from otel_setup.correlation import correlated, extract_correlation_header, generate_correlation_id
from otel_setup.telemetry import current_core
from otel_setup.text import clean_text
from otel_setup.tracing import Current

_MESSAGE_LENGTH = 500


class MessageBlock:
    """``with message_span(...) as span:``. Make one for each message."""

    def __init__(
        self, core: Callable[[], Core], connection: Connection | None, message_type: object, carrier: object
    ) -> None:
        self._core = core()
        self._connection = connection
        self._type = message_type
        self._carrier = carrier
        self._span: Span = INVALID_SPAN
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Span:
        with self._core.faults.guard("tracing"), contextlib.ExitStack() as resources:
            self._span = self._begin(resources)
            self._resources = resources.pop_all()
        return self._span

    def _begin(self, resources: contextlib.ExitStack) -> Span:
        given = self._carrier if isinstance(self._carrier, Mapping) else {}
        correlation_id = extract_correlation_header(given) or generate_correlation_id()
        resources.enter_context(correlated(correlation_id))
        parent = from_message(self._carrier)
        resources.callback(context_api.detach, context_api.attach(parent))
        message_type = known_type(self._core, self._type)
        attributes = {a.SOCKET_MESSAGE_TYPE.name: message_type, a.CORRELATION_ID.name: correlation_id}
        if self._connection is not None:
            attributes[a.CONNECTION_ID.name] = self._connection.id
        span = self._core.tracer.start_span(
            SOCKET_MESSAGE_SPAN.name.format(type=message_type),
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=self._connection.links if self._connection is not None else (),
        )
        resources.callback(span.end)
        resources.callback(Current(span).leave)
        return span

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._core.faults.guard("tracing"):
            if isinstance(error, Exception):
                self._span.set_attribute(a.ERROR_TYPE.name, type(error).__qualname__)
                if self._span.is_recording():
                    text = self._core.pseudonyms.text(clean_text(error, _MESSAGE_LENGTH))
                    self._span.set_status(Status(StatusCode.ERROR, text))
            self._resources.close()


def message_span(scope_or_connection: object, message_type: str, carrier: object = None) -> MessageBlock:
    """A block around the handling of one received message: a short span, and a correlation id of the message's own.

    The span starts a trace and is linked to the connection's handshake. Actions that are captured inside continue it.

    Parameters:
        scope_or_connection: the ASGI scope of the socket, an object that has it (Starlette's ``WebSocket``), or what
            :func:`~otel_setup.asgi.bare.socket_connection` yields.
        message_type: the message's type; one outside the game's set counts as ``other``.
        carrier: what the message brought along from another service, as
            :func:`~otel_setup.asgi.context.inject_context` writes it: then the span continues that trace, still linked
            to the connection, and the correlation id is that service's. It may be anything a client sent: what is
            malformed is ignored. Give it only where the sender may choose its trace.
    """
    connection = connection_of(scope_or_connection)
    return MessageBlock(connection.core if connection is not None else current_core, connection, message_type, carrier)
