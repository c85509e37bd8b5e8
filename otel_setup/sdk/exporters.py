"""The OTLP exporters, over HTTP and gRPC, with an account of what the Collector took and what was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_setup.config.settings import Destination
from otel_setup.sdk.account import LOGS, METRICS, TRACES, ExportCounts
from otel_setup.sdk.encoding import encode_faster
from otel_setup.sdk.ended import end_series
from otel_setup.sdk.grpc_tls import grpc_credentials
from otel_setup.sdk.http_session import ExportSession
from otel_setup.sdk.repeating import RepeatingAccount


class CountedSpans(SpanExporter):
    """Spans to a Collector."""

    def __init__(self, destination: Destination, counts: ExportCounts) -> None:
        self._account = RepeatingAccount(TRACES, destination.endpoint, counts)
        self._exporter: SpanExporter = _official(TRACES, destination)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        return self._account.kept(lambda: self._exporter.export(spans), len(spans), SpanExportResult)

    def shutdown(self) -> None:
        """Ends an export that is under way as soon as it can be, and begins no other."""
        self._account.close()
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


class CountedLogs(LogRecordExporter):
    """Log records to a Collector."""

    def __init__(self, destination: Destination, counts: ExportCounts) -> None:
        self._account = RepeatingAccount(LOGS, destination.endpoint, counts)
        self._exporter: LogRecordExporter = _official(LOGS, destination)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sends a batch."""
        return self._account.kept(lambda: self._exporter.export(batch), len(batch), LogRecordExportResult)

    def shutdown(self) -> None:
        """Ends an export that is under way as soon as it can be, and begins no other."""
        self._account.close()
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
        self._account = RepeatingAccount(METRICS, destination.endpoint, counts, retry_seconds=0)
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
        self._account.close()
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
    if destination.protocol == "grpc":
        return _over_grpc(signal, destination)
    return encode_faster(_over_http(signal, destination))


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
