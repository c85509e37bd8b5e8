"""An OpenTelemetry logger that feeds the local stream first and the exporter after.

It is never a no-op: before ``configure()``, or with logs off, records reach the local stream all the same. Code that
speaks OpenTelemetry's Logs API publishes events with it, under any name.
"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.util.types import AnyValue, Attributes

from otel_setup.catalogue import attributes as a
from otel_setup.events.log_records import event_of
from otel_setup.events.record import SystemEvent
from otel_setup.faults import Faults
from otel_setup.text import clean_text

MESSAGE_EVENT = "log.message"
"""Name of the event that a record without ``event_name`` becomes."""


class EventTee(Logger):
    """Publishes log records as events.

    Parameters:
        publish: takes an event in.
        faults: where what fails is counted; nothing is raised to the caller.
    """

    def __init__(self, publish: Callable[[SystemEvent], object], faults: Faults) -> None:
        super().__init__("otel_setup")
        self._publish = publish
        self._faults = faults

    def emit(
        self,
        record: LogRecord | None = None,
        *,
        timestamp: int | None = None,
        observed_timestamp: int | None = None,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        severity_text: str | None = None,
        body: AnyValue | None = None,
        attributes: Attributes = None,
        event_name: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Publishes a record. A body, which events do not need, becomes the attribute ``body``."""
        record = record or LogRecord(
            timestamp=timestamp,
            observed_timestamp=observed_timestamp,
            context=context,
            severity_text=severity_text,
            severity_number=severity_number,
            body=body,
            attributes=attributes,
            event_name=event_name,
            exception=exception,
        )
        with self._faults.guard("stream"):
            self._publish(event_of(_with_everything_in_attributes(record)))

    def enabled(
        self,
        *,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Always: the local stream takes every event."""
        return True


def _with_everything_in_attributes(record: LogRecord) -> LogRecord:
    extra: dict[str, AnyValue] = {}
    if record.body is not None:
        extra["body"] = record.body
    if record.exception is not None:
        extra[a.ERROR_TYPE.name] = type(record.exception).__qualname__
        extra[a.ERROR_MESSAGE.name] = clean_text(record.exception)
    record.attributes = {**(record.attributes or {}), **extra}
    record.event_name = record.event_name or MESSAGE_EVENT
    return record
