"""A socket of a server without ASGI, such as the websockets library's own: its two short spans, and its correlation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_setup import clock
from otel_setup.asgi.context import from_headers
from otel_setup.asgi.semconv import Describer
from otel_setup.asgi.websocket import NORMAL, SWITCHING_PROTOCOLS, Connection, start_close_span, tell_of_failure
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import SOCKET_CONNECT_SPAN
from otel_setup.core import Core
from otel_setup.correlation import correlated, extract_correlation_header, generate_correlation_id
from otel_setup.telemetry import current_core

INTERNAL_ERROR = 1011
_DESCRIBER = Describer(user_agent=False, client_address=False)


@contextlib.contextmanager
def socket_connection(websocket: object, core: Callable[[], Core] = current_core) -> Iterator[Connection]:
    """A block around the whole handler of one socket, for servers that are not ASGI; those have the middleware.

    It begins with the connect span and ends with the close span, both short and linked. In between no span is current,
    so that whatever the handler does begins a trace of its own, under the correlation id that the handshake brought or
    a new one. Give what it yields to :func:`~otel_setup.asgi.messages.message_span`, and the messages' spans are
    linked to the connect span as well. It measures nothing: sockets and messages are the game's to report
    (``record_websocket_event``, ``record_socket_message``).

    Parameters:
        websocket: a ``ServerConnection`` of the websockets library, or whatever else has a ``request`` with ``path``
            and ``headers``, and a ``close_code`` once it is closed.
        core: what to observe with; the process's own where not given.
    """
    socket = _BareSocket(websocket, core)
    token = context_api.attach(Context())
    try:
        with correlated(socket.correlation_id):
            socket.begin()
            try:
                yield socket.connection
            except BaseException as error:
                socket.end(error)
                raise
            socket.end(None)
    finally:
        context_api.detach(token)


class _BareSocket:
    def __init__(self, websocket: object, core: Callable[[], Core]) -> None:
        self._websocket = websocket
        self._core = core
        self._since = clock.monotonic()
        self._headers: list[tuple[bytes, bytes]] = []
        self.connection = Connection(core)
        self.correlation_id = generate_correlation_id()
        with core().faults.guard("tracing"):
            self._headers = _headers_of(websocket)
            self.correlation_id = extract_correlation_header(self._headers) or self.correlation_id

    def begin(self) -> None:
        """The handshake is over when a handler begins, so its span is too."""
        core = self._core()
        with core.faults.guard("tracing"):
            request = getattr(self._websocket, "request", None)
            path = str(getattr(request, "path", "")).partition("?")[0]
            attributes = _DESCRIBER.handshake({"path": path, "headers": self._headers})
            attributes |= {
                a.CONNECTION_ID.name: self.connection.id,
                a.CORRELATION_ID.name: self.correlation_id,
                a.HTTP_STATUS.name: SWITCHING_PROTOCOLS,
            }
            span = core.tracer.start_span(
                SOCKET_CONNECT_SPAN.name,
                context=from_headers(self._headers),
                kind=SpanKind.SERVER,
                attributes=attributes,
            )
            self.connection.span = span.get_span_context()
            span.end()

    def end(self, error: BaseException | None) -> None:
        """The handler has ended, and the socket is closed or about to be."""
        core = self._core()
        with core.faults.guard("tracing"):
            code: Any = getattr(self._websocket, "close_code", None)
            if code is None:  # the server is about to close it: 1011 after a failure, says RFC 6455, 7.4.1
                code = NORMAL if error is None else INTERNAL_ERROR
            span = start_close_span(core, self.connection, int(code), clock.monotonic() - self._since)
            tell_of_failure(span, error)
            span.end()


def _headers_of(websocket: object) -> list[tuple[bytes, bytes]]:
    """The handshake's headers as ASGI has them, each as often as it came."""
    headers = getattr(getattr(websocket, "request", None), "headers", None)
    if headers is None:
        return []
    pairs = headers.raw_items() if hasattr(headers, "raw_items") else headers.items()
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs]
