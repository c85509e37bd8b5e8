"""Every span, declared once."""

from __future__ import annotations

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Span, SpanKind

TRANSITION_SPAN = Span(
    name="state_transition.{from}_to_{to}",
    description="A game's move from one phase to the next.",
    attributes=(a.GAME_ID, a.CORRELATION_ID, a.STATE_FROM, a.STATE_TO, a.STATE_LEGAL, a.ERROR_TYPE, a.TRACE_KEPT),
)
ACTION_SPAN = Span(
    name="action.{type}",
    description="The execution of one action.",
    attributes=(
        a.GAME_ID,
        a.CORRELATION_ID,
        a.PLAYER_ID,
        a.ACTION_TYPE,
        a.ACTION_OUTCOME,
        a.ACTION_ACTOR,
        a.QUEUE_WAIT_MS,
        a.ERROR_TYPE,
        a.TRACE_KEPT,
    ),
)
PHASE_SPAN = Span(
    name="phase.{phase}",
    description="One phase of a game.",
    attributes=(a.GAME_ID, a.CORRELATION_ID, a.PHASE_NAME, a.ERROR_TYPE, a.TRACE_KEPT),
)
OPERATION_SPAN = Span(
    name="{operation}",
    description="An operation the game names itself, by ``trace_async_operation``.",
    attributes=(a.CORRELATION_ID, a.ERROR_TYPE, a.TRACE_KEPT),
)
HTTP_SPAN = Span(
    name="{method} {route}",
    kind=SpanKind.SERVER,
    description="One HTTP request, to its last byte (kind SERVER); the route is left out where none was matched.",
    attributes=(
        a.HTTP_METHOD,
        a.HTTP_METHOD_ORIGINAL,
        a.HTTP_ROUTE,
        a.HTTP_STATUS,
        a.URL_PATH,
        a.URL_SCHEME,
        a.SERVER_ADDRESS,
        a.SERVER_PORT,
        a.PROTOCOL_VERSION,
        a.USER_AGENT,
        a.CLIENT_ADDRESS,
        a.CORRELATION_ID,
        a.ERROR_TYPE,
        a.TRACE_KEPT,
    ),
)
SOCKET_CONNECT_SPAN = Span(
    name="websocket.connect",
    kind=SpanKind.SERVER,
    description="A socket's handshake, from the request to its answer (kind SERVER). Over before the first message.",
    attributes=(
        a.CONNECTION_ID,
        a.HTTP_ROUTE,
        a.HTTP_STATUS,
        a.URL_PATH,
        a.URL_SCHEME,
        a.SERVER_ADDRESS,
        a.SERVER_PORT,
        a.PROTOCOL_NAME,
        a.USER_AGENT,
        a.CLIENT_ADDRESS,
        a.CORRELATION_ID,
        a.ERROR_TYPE,
        a.TRACE_KEPT,
    ),
)
SOCKET_MESSAGE_SPAN = Span(
    name="websocket.message.{type}",
    kind=SpanKind.CONSUMER,
    description="What one received message caused (kind CONSUMER): a trace of its own, linked to the connect span.",
    attributes=(a.CONNECTION_ID, a.SOCKET_MESSAGE_TYPE, a.CORRELATION_ID, a.ERROR_TYPE, a.TRACE_KEPT),
)
SOCKET_CLOSE_SPAN = Span(
    name="websocket.close",
    description="The end of a socket, in a trace of its own, linked to the connect span.",
    attributes=(
        a.CONNECTION_ID,
        a.CONNECTION_CODE,
        a.CONNECTION_SECONDS,
        a.SOCKET_RECEIVED,
        a.SOCKET_TRANSMITTED,
        a.CORRELATION_ID,
        a.ERROR_TYPE,
        a.TRACE_KEPT,
    ),
)
SPANS = (
    TRANSITION_SPAN,
    ACTION_SPAN,
    PHASE_SPAN,
    OPERATION_SPAN,
    HTTP_SPAN,
    SOCKET_CONNECT_SPAN,
    SOCKET_MESSAGE_SPAN,
    SOCKET_CLOSE_SPAN,
)
