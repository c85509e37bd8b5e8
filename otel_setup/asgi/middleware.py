"""The ASGI middleware: puts every request and socket under observation, and ends telemetry when the server stops."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.trace import get_current_span

from otel_setup.asgi import native
from otel_setup.asgi.context import current_correlation
from otel_setup.asgi.http import ObservedRequest, Requests
from otel_setup.asgi.semconv import Describer
from otel_setup.asgi.totals import Payload, TypedMessages
from otel_setup.asgi.websocket import CONNECTION_KEY, ObservedSocket
from otel_setup.core import Core
from otel_setup.correlation import (
    CORRELATION_HEADER,
    ASGIApp,
    CorrelationMiddleware,
    Message,
    Receive,
    Scope,
    Send,
)
from otel_setup.lifespan import in_thread
from otel_setup.telemetry import current_core

SHUTDOWN_SECONDS = 3.0
"""How long the server waits for telemetry when it stops."""
_REQUEST_KEY = "otel_setup.request"
_LAST_WORDS = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"})


class ObservabilityMiddleware:
    """Observes an ASGI application: correlation, one server span and one duration per request, spans and counts of
    sockets.

    Wrap it around the whole application. An application that instruments its requests itself (FastAPI from 0.165 on,
    unless its ``telemetry=`` says otherwise) goes on doing so, and of requests only the correlation is added; sockets
    are told here all the same, in place of a span as long as the connection. A second middleware inside does nothing.

    Sockets are counted under ``websocket.server.*``, whatever the game reports. The message metrics with types
    (``websocket.messages``, ``websocket.io``) belong to the game, which calls ``record_socket_message``; a game that
    does not passes ``message_type`` instead. Never both, or they count twice.

    Parameters:
        app: the ASGI application.
        header_name: the header that carries correlation ids in and out.
        message_type: reads the type of a message's payload, to count messages by it; it may raise.
        user_agent: whether spans tell the client's User-Agent.
        client_address: whether spans tell the client's address; whatever redacts exported attributes still may hide it.
        on_shutdown: called in a thread when the application has shut down, e.g. ``telemetry.shutdown``.
        shutdown_timeout: seconds the server waits for that.
        core: what to observe with; the process's own where not given.

    Raises:
        ValueError: ``header_name`` is not a legal HTTP header name.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        header_name: str = CORRELATION_HEADER,
        message_type: Callable[[Payload], str] | None = None,
        user_agent: bool = False,
        client_address: bool = False,
        on_shutdown: Callable[[], object] | None = None,
        shutdown_timeout: float = SHUTDOWN_SECONDS,
        core: Callable[[], Core] = current_core,
    ) -> None:
        self.app = app
        self._core = core
        self._correlated = CorrelationMiddleware(self._observe, header_name)
        self._requests = Requests(Describer(user_agent=user_agent, client_address=client_address), core)
        self._typed = TypedMessages(core, message_type) if message_type is not None else None
        self._on_shutdown = on_shutdown
        self._shutdown_timeout = shutdown_timeout
        self._inside: native.Native | None = None
        self._looked_inside = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._correlated(scope, receive, send)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application under one correlation."""
        if scope["type"] == "http" and _REQUEST_KEY not in scope:
            scope[_REQUEST_KEY] = True
            request = ObservedRequest(self._requests, self._core(), self._told(scope), scope, send)
            await request.run(self.app, receive)
        elif scope["type"] == "websocket" and CONNECTION_KEY not in scope:
            await ObservedSocket(self._requests, self._core, self._typed, scope, receive, send).run(self.app)
        else:
            await self.app(scope, receive, send)

    def _told(self, scope: Scope) -> native.Native:
        """What others tell of this request. Where there are none, those further inside are kept from it."""
        with self._core().faults.guard("tracing"):
            outer = native.around(scope)
            if outer is not None:
                get_current_span().set_attributes(current_correlation())  # it began before the correlation did
                return outer
            if not self._looked_inside:
                self._inside, self._looked_inside = native.found_in(self.app), True
            if self._inside is not None:
                return self._inside
            native.leave_marks(scope)
        return native.Native()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_after_shutdown(message: Message) -> None:
            if message["type"] in _LAST_WORDS:
                await self._shut_down()
            await send(message)

        await self.app(scope, receive, send_after_shutdown)

    async def _shut_down(self) -> None:
        """Waits for the callback, but not for ever, and not in a thread that the interpreter waits for at exit."""
        if self._typed is not None:
            self._typed.flush()
        callback = self._on_shutdown
        if callback is None:
            return

        def guarded() -> None:
            with self._core().faults.guard("export"):
                callback()

        if not await in_thread(guarded, self._shutdown_timeout):
            self._core().faults.count("export", TimeoutError(f"shutdown took more than {self._shutdown_timeout} s"))
