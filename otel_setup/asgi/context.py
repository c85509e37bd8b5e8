"""Trace and correlation across the border of a process, and out of a handler's context.

What comes in was written by a client: it is read by the global propagator (W3C by default) from copies that hold text
only, and whatever is malformed is as if it were not there.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from opentelemetry import context as context_api
from opentelemetry import propagate
from opentelemetry.context import Context

from otel_setup.catalogue import attributes as a
from otel_setup.correlation import clear_correlation, get_correlation_id, inject_correlation_header

T = TypeVar("T")
Carrier = TypeVar("Carrier", bound=MutableMapping[str, str])

MAX_FIELD_LENGTH = 8192
"""Characters of one propagated field that are read; a longer one is as if it were not there (W3C Baggage, 4.3.2)."""


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """The context that a request's headers carry, and nothing of the current one; empty where they carry none."""
    found: dict[str, list[str]] = {}
    fields = propagate.get_global_textmap().fields
    for name, value in headers:
        key = name.decode("latin-1").lower()
        if key in fields:
            found.setdefault(key, []).append(value.decode("latin-1"))
    # RFC 9110, 5.3: several headers of one name are a list. As one, several traceparents are malformed, as they should.
    return _extract({key: ",".join(values) for key, values in found.items()})


def from_message(carrier: object) -> Context:
    """As :func:`from_headers`, of a mapping that came in a message; anything else, and what is no text, is ignored."""
    if not isinstance(carrier, Mapping):
        return Context()
    fields = propagate.get_global_textmap().fields
    return _extract({key: value for key, value in carrier.items() if key in fields and isinstance(value, str)})


def _extract(carrier: Mapping[str, str]) -> Context:
    short = {key: value for key, value in carrier.items() if len(value) <= MAX_FIELD_LENGTH}
    # Without a context of our own the propagators would add to the current one, which belongs to somebody else.
    return propagate.extract(short, context=Context())


def current_correlation() -> dict[str, str]:
    """The attribute that tells a span of the current correlation; empty without one."""
    correlation_id = get_correlation_id()
    return {a.CORRELATION_ID.name: correlation_id} if correlation_id else {}


def inject_context(carrier: Carrier) -> Carrier:
    """Writes the current trace, baggage and correlation id into a mapping and returns it.

    Parameters:
        carrier: HTTP headers of an outgoing request, or a field of an outgoing message.
    """
    propagate.inject(carrier)
    return inject_correlation_header(carrier)


def detached_context() -> contextvars.Context:
    """A copy of the current context without trace, baggage and correlation; other context variables stay.

    For ``task_group.create_task(loop(), context=detached_context())`` and ``detached_context().run(function)``.
    """
    context = contextvars.copy_context()
    context.run(context_api.attach, Context())
    context.run(clear_correlation)
    return context


def create_detached_task(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """Starts a task that belongs to nothing that runs now: no trace, no monitor span, no correlation.

    A task inherits its creator's context for as long as it lives. A game loop that a request or a socket message
    starts would put a whole game into that message's trace and under its correlation id; this one begins its own.
    Keep a reference to the task, as with any.

    Parameters:
        work: the coroutine to run.
        name: the task's name.

    Raises:
        RuntimeError: no loop runs.
    """
    return asyncio.get_running_loop().create_task(work, name=name, context=detached_context())
