"""Log records that other code made, as events: with their body, and with what they say of an exception."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry._logs import LogRecord
from opentelemetry.semconv.attributes import exception_attributes as exception
from opentelemetry.util.types import AnyValue

from otel_setup.catalogue import attributes as a
from otel_setup.events.log_records import event_from_attributes
from otel_setup.events.record import SystemEvent
from otel_setup.failure import stack_of
from otel_setup.text import clean_text

BODY = "body"
"""Entry of an event's data that holds the body of its record; events of the catalogue have none."""

IsExcluded = Callable[[str], bool]
"""Whether the records of an instrumentation scope are no events, by its name."""


def excludes(scopes: tuple[str, ...]) -> IsExcluded:
    """Excludes some scopes, with all below them: ``fastapi`` stands for ``fastapi.websocket`` as well."""
    beginnings = tuple(f"{scope}." for scope in scopes)
    return lambda name: f"{name}.".startswith(beginnings)


def event_of_foreign(record: LogRecord, otherwise: str = "") -> SystemEvent:
    """The event a log record is; the record stays as it is.

    Parameters:
        otherwise: the event's name where the record has none.
    """
    given = record.attributes or {}
    # The SDK keeps them in a dict of its own, which is copied in a tenth of the time that its wrapping takes.
    attributes: dict[str, AnyValue] = dict(getattr(given, "_dict", given))
    if record.body is not None:
        attributes[BODY] = record.body
    error = getattr(record, "exception", None)  # a record of another class may know no exceptions
    if error is not None:
        # The SDK's loggers tell the whole stack, which may be long, and its end is what matters.
        attributes = {**_told_of(error), **attributes, exception.EXCEPTION_STACKTRACE: stack_of(error)}
    return event_from_attributes(
        record.event_name or otherwise,
        attributes,
        timestamp_ns=record.timestamp or record.observed_timestamp or 0,
        severity_number=getattr(record.severity_number, "value", None) or 0,
        trace_id=format(record.trace_id, "032x") if record.trace_id else "",
        span_id=format(record.span_id, "016x") if record.span_id else "",
    )


def _told_of(error: BaseException) -> dict[str, AnyValue]:
    """What the SDK's loggers tell of an exception, and what the catalogue's events do."""
    kind = type(error)
    qualified = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = clean_text(error)
    return {
        a.ERROR_TYPE.name: kind.__qualname__,
        a.ERROR_MESSAGE.name: message,
        exception.EXCEPTION_TYPE: qualified,
        exception.EXCEPTION_MESSAGE: message,
    }
