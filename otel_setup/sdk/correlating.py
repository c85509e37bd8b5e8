"""The correlation id on every span and log record, whoever makes it.

What the monitor and the bridge from logging make has it already. This is for the application's own, a web framework's,
a database driver's.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_setup.catalogue import attributes as a
from otel_setup.correlation import get_correlation_id


class CorrelateSpans(SpanProcessor):
    """Tells of each span under which correlation it began. One that has an id keeps it.

    Parameters:
        but_not: instrumentation scope whose spans are left alone, because it tells the id by itself.
    """

    def __init__(self, but_not: str = "") -> None:
        self._but_not = but_not

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Adds the attribute."""
        if _is(span.instrumentation_scope, self._but_not):
            return
        correlation_id = get_correlation_id()
        if correlation_id is not None and a.CORRELATION_ID.name not in (span.attributes or {}):
            span.set_attribute(a.CORRELATION_ID.name, correlation_id)


class CorrelateRecords(LogRecordProcessor):
    """As :class:`CorrelateSpans`, of log records."""

    def __init__(self, but_not: str = "") -> None:
        self._but_not = but_not

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Adds the attribute."""
        if _is(log_record.instrumentation_scope, self._but_not):
            return
        correlation_id, attributes = get_correlation_id(), log_record.log_record.attributes
        if correlation_id is not None and isinstance(attributes, MutableMapping):
            attributes.setdefault(a.CORRELATION_ID.name, correlation_id)

    def shutdown(self) -> None:
        """Has nothing to end."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Holds nothing back."""
        return True


def _is(scope: InstrumentationScope | None, name: str) -> bool:
    return scope is not None and scope.name == name
