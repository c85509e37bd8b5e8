"""One HTTP request: its server span and its duration, once, whoever else might tell them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry.metrics import Histogram
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode

from otel_setup import clock
from otel_setup.asgi import native
from otel_setup.asgi.context import current_correlation, from_headers
from otel_setup.asgi.routes import Routes
from otel_setup.asgi.semconv import OTHER_VALUE, Describer
from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.metrics import HTTP_SERVER_DURATION
from otel_setup.core import Core
from otel_setup.correlation import ASGIApp, Message, Receive, Scope, Send
from otel_setup.game_model import OTHER
from otel_setup.tracing import Current, hide_names

METER = "otel_setup.asgi"
"""Name of the instrumentation scope of the requests' duration."""
MAX_ERROR_TYPES = 100
"""Different classes of exceptions told apart by the requests' duration; beyond, they count as ``_OTHER``."""
SERVER_ERROR = 500


class Requests:
    """What the requests of one application share.

    Parameters:
        describer: says what is told of a request.
        core: gives what the process observes with.
    """

    def __init__(self, describer: Describer, core: Callable[[], Core]) -> None:
        self.describer = describer
        self._routes = Routes(lambda: core().instruments.add(M.LABELS_REPLACED), OTHER)
        self._error_types: set[str] = set()
        self._duration: Histogram | None = None

    def route(self, scope: Scope) -> str | None:
        """The declared route that handled a request."""
        return self._routes.of(scope)

    def error_type(self, error: BaseException | None, status: int | None) -> str:
        """``error.type``: the exception's class, or the status of a server error; empty where nothing failed."""
        if isinstance(error, Exception):
            return type(error).__qualname__
        return str(status) if status is not None and status >= SERVER_ERROR else ""

    def measure(self, seconds: float, labels: dict[str, Any], span: Span) -> None:
        """Records a request's duration, with its span as the exemplar."""
        error = labels.get(a.ERROR_TYPE.name)
        if error is not None and error not in self._error_types:
            if len(self._error_types) < MAX_ERROR_TYPES:
                self._error_types.add(error)
            else:
                labels[a.ERROR_TYPE.name] = OTHER_VALUE
        if self._duration is None:
            # From the global provider, as FastAPI does: then it does not matter which of the two records.
            declared = HTTP_SERVER_DURATION
            self._duration = metrics_api.get_meter(METER).create_histogram(
                declared.name,
                unit=declared.unit,
                description=declared.description,
                explicit_bucket_boundaries_advisory=declared.buckets,
            )
        self._duration.record(seconds, labels, trace_api.set_span_in_context(span))


class ObservedRequest:
    """One request, from its arrival to the last byte of its answer.

    Parameters:
        requests: what it shares with others.
        core: what the process observes with.
        told: what somebody else tells of it.
    """

    def __init__(self, requests: Requests, core: Core, told: native.Native, scope: Scope, send: Send) -> None:
        self._requests = requests
        self._core = core
        self._told = told
        self._scope = scope
        self._send = send
        self._span: Span = INVALID_SPAN
        self._started = clock.monotonic()
        self._status: int | None = None
        self._trailers = False
        self._ended = False

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        """Runs the application. Whatever it raises passes."""
        error: BaseException | None = None
        with self._current():
            try:
                await app(self._scope, receive, self.send)
            except BaseException as raised:
                error = raised
                raise
            finally:
                with self._core.faults.guard("tracing"):
                    self._end(error)

    @contextlib.contextmanager
    def _current(self) -> Any:
        """The span, current for the application."""
        with contextlib.ExitStack() as resources:
            if not self._told.spans:
                with self._core.faults.guard("tracing"):
                    self._start(resources)
            yield

    def _start(self, resources: contextlib.ExitStack) -> None:
        incoming = from_headers(self._scope.get("headers") or ())
        resources.callback(context_api.detach, context_api.attach(incoming))
        describer = self._requests.describer
        attributes = describer.request(self._scope) | current_correlation()
        self._span = self._core.tracer.start_span(
            describer.span_name(attributes[a.HTTP_METHOD.name], None),
            context=incoming,
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        hide_names(self._core, self._span, attributes)
        resources.callback(Current(self._span).leave)

    async def send(self, message: Message) -> None:
        """Passes a message on; the last one of the answer ends the request."""
        await self._send(message)
        with self._core.faults.guard("tracing"):
            self._sent(message)

    def _sent(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                self._status = int(message["status"])
                self._trailers = bool(message.get("trailers"))
            case "http.response.body" if not message.get("more_body") and not self._trailers:
                self._end(None)
            case "http.response.trailers" if not message.get("more_trailers"):
                self._end(None)
            case "http.response.pathsend":
                self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        route = self._requests.route(self._scope)
        error_type = self._requests.error_type(error, self._status)
        if not self._told.metrics:
            labels = self._requests.describer.measurement(self._scope, self._status, route, error_type)
            self._requests.measure(clock.monotonic() - self._started, labels, self._span)
        if self._told.spans:
            return
        known = {a.HTTP_ROUTE.name: route, a.HTTP_STATUS.name: self._status, a.ERROR_TYPE.name: error_type}
        self._span.set_attributes({key: value for key, value in known.items() if value})
        if route:
            describer = self._requests.describer
            self._span.update_name(describer.span_name(describer.method(self._scope), route))
        if error_type:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
