"""Where spans, metrics and events go, and where in a trace they belong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from opentelemetry import trace as trace_api
from opentelemetry._logs import Logger
from opentelemetry.trace import Span, SpanContext, Tracer

from otel_setup import clock
from otel_setup.instruments import Instruments

_POLL_SECONDS = 0.001


class Place(NamedTuple):
    """Where in a trace something happens: hexadecimal ids of trace and span, "" where there are none, and the same as
    OpenTelemetry has it.
    """

    trace_id: str
    span_id: str
    context: SpanContext

    @classmethod
    def of(cls, span: Span) -> Place:
        """In a span."""
        context = span.get_span_context()
        if context.is_valid:
            return cls(f"{context.trace_id:032x}", f"{context.span_id:016x}", context)
        return cls("", "", context)

    @classmethod
    def current(cls) -> Place:
        """In the current span."""
        return cls.of(trace_api.get_current_span())


@dataclass(slots=True, eq=False)
class Connection:
    """Where spans, metrics and events go from one ``connect()`` to the next.

    An event goes one and the same way to its end, whatever is configured meanwhile: so no number of an epoch is given
    to an event that leaves by another.

    Attributes:
        epoch: names this time in the ids of its events.
        sent: events that have an id of this epoch.
        under_way: events that have one and are not handed to the logger yet.
    """

    instruments: Instruments
    tracer: Tracer
    logger: Logger
    epoch: str = field(default_factory=lambda: clock.token_hex(4))
    sent: int = 0
    under_way: int = 0

    def wait_until_quiet(self, timeout: float) -> None:
        """Waits until what is under way has arrived, ``timeout`` seconds at most; then its logger may be stopped."""
        deadline = time.monotonic() + timeout
        while self.under_way and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
