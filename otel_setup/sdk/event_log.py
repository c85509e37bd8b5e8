"""The monitor's events on their way to the SDK's log processors, without the detours a log record takes.

The SDK's logger checks and copies every attribute in the caller's thread, which takes as long as all the rest of an
event. The monitor's own are sound, and nobody changes them: they are handed to the processors as they are, and become
attributes in the thread that exports them.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from otel_setup.events.log_records import EventRecord, EventTaker
from otel_setup.events.record import SystemEvent
from otel_setup.privacy import Pseudonyms


class EventLog(EventTaker):
    """A logger that also takes events as they are. Other records go through the SDK's logger.

    Parameters:
        name: of the instrumentation scope.
        logger: the SDK's logger, with the same processors.
        processors: what log records go through.
        resource: who exports.
    """

    def __init__(self, name: str, logger: Logger, processors: Sequence[LogRecordProcessor], resource: Resource) -> None:
        super().__init__(name)
        self._logger = logger
        self._processors = tuple(processors)
        self._resource = resource
        self._scope = InstrumentationScope(name)
        self._limits = LogRecordLimits()

    def take(self, event: SystemEvent, pseudonyms: Pseudonyms, context: SpanContext) -> None:
        """Hands an event to the processors; none of them blocks."""
        emitted = _Sound(EventRecord(event, pseudonyms, context), self._resource, self._scope, self._limits)
        for processor in self._processors:
            processor.on_emit(emitted)

    def emit(self, record: LogRecord | None = None, **fields: object) -> None:
        """Any other record."""
        self._logger.emit(record, **fields) if record is not None else self._logger.emit(**fields)  # type: ignore[call-overload]

    def enabled(
        self,
        *,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Always: events are made whether somebody exports them or not."""
        return True


class _Sound(ReadWriteLogRecord):
    """A record whose attributes stay as they are."""

    def __post_init__(self) -> None:
        """Leaves out what the SDK does here: it copies the attributes one by one, to check and to cut them."""


def make_event_log(name: str, logger: Logger, processors: Sequence[LogRecordProcessor], resource: Resource) -> Logger:
    """The logger that events are handed to: an :class:`EventLog`, or where attributes are to be cut, the SDK's.

    Parameters:
        name: of the instrumentation scope.
        logger: the SDK's logger of that scope, on a provider of our own.
        processors: all that were added to that provider.
        resource: that provider's.
    """
    cuts = LogRecordLimits().max_log_record_attribute_length is not None  # OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT
    return logger if cuts else EventLog(name, logger, processors, resource)
