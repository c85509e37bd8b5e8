"""The OTLP/HTTP exporters, with an account of what the Collector took and what was lost."""

from __future__ import annotations

# Requests imports it in the thread of the first export. A child forked meanwhile would wait for that import for ever.
import netrc  # noqa: F401
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from otel_setup.sdk.export_log import ExportLog, listening, reason_in

ResultT = TypeVar("ResultT", SpanExportResult, LogRecordExportResult, MetricExportResult)


class ExportCounts:
    """Items accepted and failed, by signal; every signal is there from the start.

    ``pid`` is whose they are; ``log`` says when exports begin to fail, and when they work again.
    """

    def __init__(self) -> None:
        self.log = ExportLog()
        self.accepted: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.failed: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self._lock = threading.RLock()
        self.pid = os.getpid()

    def count(self, signal: str, items: int, *, accepted: bool) -> None:
        """Takes the outcome of one export in."""
        with self._lock:
            (self.accepted if accepted else self.failed)[signal] += items


@dataclass(frozen=True)
class _Account:
    """Keeps the account of one signal's exports to one endpoint."""

    signal: str
    endpoint: str
    counts: ExportCounts

    def kept(self, export: Callable[[], ResultT], items: int, results: type[ResultT]) -> ResultT:
        """Runs an export and takes its outcome in."""
        if os.getpid() != self.counts.pid:
            return results.FAILURE  # a forked child's copy: what it holds is the parent's, who exports it
        accepted, heard = False, ["it raised"]
        try:
            with listening() as heard:
                result = export()
            accepted = result is results.SUCCESS
            return result
        finally:
            self.counts.count(self.signal, items, accepted=accepted)
            self.counts.log.note(self.endpoint, self.signal, items, None if accepted else reason_in(heard))


class CountingSpanExporter(OTLPSpanExporter):
    """OTLP/HTTP for spans."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        self._account = _Account("traces", f"{endpoint}/v1/traces", counts)
        super().__init__(endpoint=self._account.endpoint, headers=headers)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        export = super().export
        return self._account.kept(lambda: export(spans), len(spans), SpanExportResult)


class CountingLogExporter(OTLPLogExporter):
    """OTLP/HTTP for log records."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        self._account = _Account("logs", f"{endpoint}/v1/logs", counts)
        super().__init__(endpoint=self._account.endpoint, headers=headers)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sends a batch."""
        export = super().export
        return self._account.kept(lambda: export(batch), len(batch), LogRecordExportResult)


class CountingMetricExporter(OTLPMetricExporter):
    """OTLP/HTTP for metrics."""

    def __init__(self, endpoint: str, headers: dict[str, str], counts: ExportCounts) -> None:
        self._account = _Account("metrics", f"{endpoint}/v1/metrics", counts)
        super().__init__(endpoint=self._account.endpoint, headers=headers)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Sends one collection."""
        export = super().export
        return self._account.kept(
            lambda: export(metrics_data, timeout_millis, **kwargs), _points(metrics_data), MetricExportResult
        )


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
