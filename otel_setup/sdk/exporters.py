"""The OTLP exporters, over HTTP and gRPC, with an account of what the Collector took and what was lost."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.config.settings import Destination
from otel_setup.sdk.ended import end_series
from otel_setup.sdk.export_log import ExportLog, listening, reason_in
from otel_setup.sdk.grpc_tls import grpc_credentials
from otel_setup.sdk.http_session import ExportSession

ResultT = TypeVar("ResultT", SpanExportResult, LogRecordExportResult, MetricExportResult)

TRACES, METRICS, LOGS = SIGNALS


class ExportCounts:
    """Items accepted and failed, by signal; every signal is there from the start.

    Attributes:
        pid: whose they are.
        log: says when exports begin to fail, and when they work again.
        accepted_at: when the Collector last took something, by signal; seconds of the monotonic clock.
        failing_since: when exports began to fail, by signal; signals that work are not there.
    """

    def __init__(self) -> None:
        self.log = ExportLog()
        self.accepted: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.failed: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self.accepted_at: dict[str, float] = {}
        self.failing_since: dict[str, float] = {}
        self._lock = threading.RLock()
        self.pid = os.getpid()

    def count(self, signal: str, items: int, *, accepted: bool) -> None:
        """Takes the outcome of one export in."""
        with self._lock:
            (self.accepted if accepted else self.failed)[signal] += items
            if accepted:
                self.accepted_at[signal] = time.monotonic()
                self.failing_since.pop(signal, None)
            else:
                self.failing_since.setdefault(signal, time.monotonic())


@dataclass(frozen=True)
class _Account:
    """Keeps the account of one signal's exports to one endpoint."""

    signal: str
    endpoint: str
    counts: ExportCounts

    @property
    def of_this_process(self) -> bool:
        """False in a forked child's copy: what that holds is the parent's, who exports it."""
        return os.getpid() == self.counts.pid

    def kept(self, export: Callable[[], ResultT], items: int, results: type[ResultT]) -> ResultT:
        """Runs an export and takes its outcome in."""
        if not self.of_this_process:
            return results.FAILURE
        accepted, heard = False, ["it raised"]
        try:
            with listening() as heard:
                result = export()
            accepted = result is results.SUCCESS
            return result
        finally:
            self.counts.count(self.signal, items, accepted=accepted)
            self.counts.log.note(self.endpoint, self.signal, items, None if accepted else reason_in(heard))


class CountedSpans(SpanExporter):
    """Spans to a Collector."""

    def __init__(self, destination: Destination, counts: ExportCounts) -> None:
        self._account = _Account(TRACES, destination.endpoint, counts)
        self._exporter: SpanExporter = _official(TRACES, destination)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        return self._account.kept(lambda: self._exporter.export(spans), len(spans), SpanExportResult)

    def shutdown(self) -> None:
        """Ends an export that is under way as soon as it can be, and begins no other."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


class CountedLogs(LogRecordExporter):
    """Log records to a Collector."""

    def __init__(self, destination: Destination, counts: ExportCounts) -> None:
        self._account = _Account(LOGS, destination.endpoint, counts)
        self._exporter: LogRecordExporter = _official(LOGS, destination)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sends a batch."""
        return self._account.kept(lambda: self._exporter.export(batch), len(batch), LogRecordExportResult)

    def shutdown(self) -> None:
        """Ends an export that is under way as soon as it can be, and begins no other."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # so the SDK declares it

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


class CountedMetrics(MetricExporter):
    """Metrics to a Collector. Its end is the end of the series that say how things are now.

    Parameters:
        exponential: histograms with exponential buckets.
    """

    def __init__(self, destination: Destination, counts: ExportCounts, *, exponential: bool = False) -> None:
        preferred = {Histogram: ExponentialBucketHistogramAggregation()} if exponential else {}
        super().__init__(preferred_aggregation=preferred)  # type: ignore[arg-type]  # the SDK's own type is too narrow
        self._account = _Account(METRICS, destination.endpoint, counts)
        self._destination = destination
        self._exporter: MetricExporter = _official(METRICS, destination)
        self._last_taken: MetricsData | None = None

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> MetricExportResult:
        """Sends one collection."""
        result = self._account.kept(
            lambda: self._exporter.export(metrics_data, timeout_millis, **kwargs),
            _points(metrics_data),
            MetricExportResult,
        )
        self._last_taken = metrics_data if result is MetricExportResult.SUCCESS else None
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Ends the series, where the Collector has just been there to hear of it, and then exporting."""
        if self._last_taken is not None and self._account.of_this_process:
            # Should the Collector have gone in this moment, its series end by themselves some minutes later.
            with contextlib.suppress(Exception):
                end_series(self._last_taken, self._destination)
        self._exporter.shutdown(timeout_millis, **kwargs)


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _official(signal: str, destination: Destination) -> Any:
    """OpenTelemetry's own exporter. It gets every option, or it would look into the environment by its own rules."""
    return _over_grpc(signal, destination) if destination.protocol == "grpc" else _over_http(signal, destination)


def _over_http(signal: str, destination: Destination) -> Any:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter: Any = {TRACES: OTLPSpanExporter, METRICS: OTLPMetricExporter, LOGS: OTLPLogExporter}[signal]
    return exporter(
        endpoint=destination.endpoint,
        headers=dict(destination.headers),
        timeout=destination.timeout,
        compression=Compression(destination.compression),
        session=ExportSession(destination),
    )


def _over_grpc(signal: str, destination: Destination) -> Any:
    # Imported only where it is used: gRPC takes some 14 MB.
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter: Any = {TRACES: OTLPSpanExporter, METRICS: OTLPMetricExporter, LOGS: OTLPLogExporter}[signal]
    insecure = urlsplit(destination.endpoint).scheme == "http"
    return exporter(
        endpoint=destination.endpoint,
        insecure=insecure,
        credentials=None if insecure else grpc_credentials(destination),
        headers=tuple((name.lower(), value) for name, value in destination.headers.items()),
        timeout=destination.timeout,
        compression=grpc.Compression.Gzip if destination.compression == "gzip" else grpc.Compression.NoCompression,
    )
