"""OpenTelemetry loggers that feed the local stream first and the exporter after.

They are never no-ops: before ``configure()``, or with logs off, records reach the local stream all the same. Code that
speaks OpenTelemetry's Logs API publishes events with them, under any name.
"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry._logs import Logger, LoggerProvider, LogRecord, NoOpLogger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.util.types import AnyValue, Attributes

from otel_setup.events.foreign import event_of_foreign
from otel_setup.events.record import SystemEvent

MESSAGE_EVENT = "log.message"
"""Name of the event that a record without ``event_name`` becomes."""


class EventTee(Logger):
    """Publishes log records as events.

    Parameters:
        publish: takes an event in.
        on_fault: told of what fails; nothing is raised to the caller.
        name: of the instrumentation scope.
        messages: whether records without ``event_name`` are events too.
    """

    def __init__(
        self,
        publish: Callable[[SystemEvent], object],
        on_fault: Callable[[Exception], object],
        name: str = "otel_setup",
        *,
        messages: bool = True,
    ) -> None:
        super().__init__(name)
        self._publish = publish
        self._on_fault = on_fault
        self._messages = messages

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
        try:
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
            if record.event_name or self._messages:
                self._publish(event_of_foreign(record, MESSAGE_EVENT))
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            self._on_fault(fault)

    def enabled(
        self,
        *,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Always: the local stream takes every event."""
        return True


class LocalEvents(LoggerProvider):
    """Stands where nothing is exported: the records of its loggers that are events reach the local stream all the same.

    Parameters:
        take_in: takes an event in, with the name of the instrumentation scope it comes from.
        on_fault: told of what fails.
        own: name of the scope whose records come out of the stream, and must not enter it again.
    """

    def __init__(
        self,
        take_in: Callable[[SystemEvent, str], object],
        on_fault: Callable[[Exception], object],
        own: str,
    ) -> None:
        self._take_in = take_in
        self._on_fault = on_fault
        self._own = own

    def get_logger(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> Logger:
        """A logger of that scope."""
        if name == self._own:
            return NoOpLogger(name)
        return EventTee(lambda event: self._take_in(event, name), self._on_fault, name, messages=False)
