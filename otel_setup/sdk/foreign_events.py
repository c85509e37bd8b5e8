"""Events of others: log records with an ``event_name`` that any code emits through the Logs API enter the stream too.

The record gets its ``log.record.uid`` on the way, of the same numbering as the monitor's own events, so it stands
before everything that exports. "It is the processor's responsibility to handle any exceptions" (OpenTelemetry's SDK
passes them to whoever emitted the record), so nothing is raised here.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord

from otel_setup.catalogue import attributes as a
from otel_setup.events.foreign import IsExcluded, event_of_foreign
from otel_setup.events.record import SystemEvent

TakeIn = Callable[[SystemEvent], SystemEvent | None]
"""Takes an event in whose record is on its way already; gives it as it stands in the stream."""

_TAKEN = "_otel_setup_taken"
# What the record is told of its event, where it did not say so itself.
_COMPLETED = {attribute.data_key: attribute.name for attribute in (a.ROOM_ID, a.CORRELATION_ID)}


class ForeignEvents(LogRecordProcessor):
    """Takes each record that is an event into the stream, once, and stamps it. Any thread may call it.

    Parameters:
        take_in: see :data:`TakeIn`.
        is_excluded: whose records are no events; the monitor's own are excluded, since they come out of the stream.
        on_fault: told of what fails; the record goes on without an id.
    """

    def __init__(
        self, take_in: TakeIn, is_excluded: IsExcluded, on_fault: Callable[[Exception], object] = lambda fault: None
    ) -> None:
        self._take_in = take_in
        self._is_excluded = is_excluded
        self._on_fault = on_fault

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Takes a record in, if it is an event that nobody has taken in yet."""
        try:
            if log_record.log_record.event_name and not self._is_none_of_ours(log_record):
                # An adopted provider keeps the processors of earlier configurations.
                setattr(log_record, _TAKEN, True)
                event = self._take_in(event_of_foreign(log_record.log_record))
                if event is not None:
                    _stamp(log_record.log_record.attributes, event)
        except Exception as fault:  # noqa: BLE001 - it would reach whoever emitted the record
            self._on_fault(fault)

    def _is_none_of_ours(self, log_record: ReadWriteLogRecord) -> bool:
        scope = log_record.instrumentation_scope
        return hasattr(log_record, _TAKEN) or (scope is not None and self._is_excluded(scope.name))

    def shutdown(self) -> None:
        """Has nothing to end: the stream goes on."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Holds nothing back."""
        return True


def _stamp(attributes: Any, event: SystemEvent) -> None:
    if isinstance(attributes, MutableMapping):
        attributes[a.RECORD_UID.name] = event.event_id
        for key, name in _COMPLETED.items():
            if (value := getattr(event, key)) is not None:
                attributes.setdefault(name, value)


def put_first(provider: LoggerProvider, processor: LogRecordProcessor) -> None:
    """Adds a processor in front of those that a provider has, which the SDK has no method for.

    Should a release of it keep them elsewhere, the processor comes last: what the application itself exports then has
    no ``log.record.uid``, and all else is as it was.
    """
    provider.add_log_record_processor(processor)
    with suppress(AttributeError):
        chain = provider._multi_log_record_processor
        with chain._lock:
            others = tuple(each for each in chain._log_record_processors if each is not processor)
            chain._log_record_processors = (processor, *others)
