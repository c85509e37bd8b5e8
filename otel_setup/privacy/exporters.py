"""Exporters in front of exporters: what they hand on is sanitised, and what cannot be is not handed on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_setup.privacy.sanitizer import Sanitizer
from otel_setup.sdk.pacing import in_portions

_T = TypeVar("_T")


class _Copier:
    """Copies batches; an item that fails is left out, counted in ``dropped`` and reported."""

    def __init__(self, failed: Callable[[Exception], object] | None) -> None:
        self.dropped = 0
        self._failed = failed or (lambda fault: None)
        self._lock = threading.Lock()

    def copies(self, batch: Sequence[_T], copy: Callable[[_T], _T]) -> list[_T]:
        made = []
        for item in in_portions(batch):
            try:
                made.append(copy(item))
            except Exception as fault:  # noqa: BLE001 - better lost than exported with a name in it
                with self._lock:
                    self.dropped += 1
                self._failed(fault)
        return made


class SanitizingSpanExporter(SpanExporter):
    """Hands sanitised copies of spans to another exporter.

    Parameters:
        exporter: the other one.
        sanitizer: makes the copies.
        failed: told of each fault; the span it happened with is not exported.
    """

    def __init__(
        self, exporter: SpanExporter, sanitizer: Sanitizer, failed: Callable[[Exception], object] | None = None
    ) -> None:
        self._exporter = exporter
        self._sanitizer = sanitizer
        self._copier = _Copier(failed)

    @property
    def dropped(self) -> int:
        """Spans that were not exported because they could not be sanitised."""
        return self._copier.dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports copies of a batch; FAILURE where there is none that may leave."""
        copies = self._copier.copies(spans, self._sanitizer.span)
        return SpanExportResult.FAILURE if spans and not copies else self._exporter.export(copies)

    def shutdown(self) -> None:
        """Shuts the other exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the other exporter, within ``timeout_millis`` milliseconds."""
        return self._exporter.force_flush(timeout_millis)


class SanitizingLogExporter(LogRecordExporter):
    """Hands sanitised copies of log records to another exporter; as :class:`SanitizingSpanExporter`."""

    def __init__(
        self, exporter: LogRecordExporter, sanitizer: Sanitizer, failed: Callable[[Exception], object] | None = None
    ) -> None:
        self._exporter = exporter
        self._sanitizer = sanitizer
        self._copier = _Copier(failed)

    @property
    def dropped(self) -> int:
        """Log records that were not exported because they could not be sanitised."""
        return self._copier.dropped

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Exports copies of a batch; FAILURE where there is none that may leave."""
        copies = self._copier.copies(batch, self._sanitizer.log_record)
        return LogRecordExportResult.FAILURE if batch and not copies else self._exporter.export(copies)

    def shutdown(self) -> None:
        """Shuts the other exporter down."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the other exporter, within ``timeout_millis`` milliseconds."""
        return self._exporter.force_flush(timeout_millis)
