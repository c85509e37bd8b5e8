"""The OTLP/HTTP exporters, with an account of what the Collector took and what was lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_setup.catalogue.attributes import SIGNALS

ResultT = TypeVar("ResultT", SpanExportResult, LogRecordExportResult, MetricExportResult)


class ExportCounts:
    """Items accepted and failed, by signal. Every signal is there from the start. ``pid`` is whose they are."""

    def __init__(self) -> None:
        self.accepted: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.failed: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self._lock = threading.RLock()
        self.pid = os.getpid()

    def count(self, signal: str, items: int, *, accepted: bool) -> None:
        """Takes the outcome of one export in."""
        with self._lock:
            (self.accepted if accepted else self.failed)[signal] += items


class CountingSpanExporter(OTLPSpanExporter):
    """OTLP/HTTP for spans."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        super().__init__(endpoint=f"{endpoint}/v1/traces", headers=headers)
        self._counts = counts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        export = super().export
        return _counted(lambda: export(spans), self._counts, "traces", len(spans), SpanExportResult)


class CountingLogExporter(OTLPLogExporter):
    """OTLP/HTTP for log records."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        super().__init__(endpoint=f"{endpoint}/v1/logs", headers=headers)
        self._counts = counts

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sends a batch."""
        export = super().export
        return _counted(lambda: export(batch), self._counts, "logs", len(batch), LogRecordExportResult)


class CountingMetricExporter(OTLPMetricExporter):
    """OTLP/HTTP for metrics."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        super().__init__(endpoint=f"{endpoint}/v1/metrics", headers=headers)
        self._counts = counts

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Sends one collection."""
        export = super().export
        return _counted(
            lambda: export(metrics_data, timeout_millis, **kwargs),
            self._counts,
            "metrics",
            _points(metrics_data),
            MetricExportResult,
        )


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _counted(
    export: Callable[[], ResultT], counts: ExportCounts, signal: str, items: int, results: type[ResultT]
) -> ResultT:
    if os.getpid() != counts.pid:
        return results.FAILURE  # a forked child's copy: what it holds is the parent's, who exports it
    accepted = False
    try:
        result = export()
        accepted = result is results.SUCCESS
        return result
    finally:
        counts.count(signal, items, accepted=accepted)
