"""The SDK's providers for a configuration, started and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from prometheus_client import CollectorRegistry

from otel_setup.config import Settings
from otel_setup.privacy import Sanitizer, SanitizingLogExporter, SanitizingSpanExporter
from otel_setup.prometheus import make_reader
from otel_setup.sdk.exporters import CountingLogExporter, CountingMetricExporter, CountingSpanExporter, ExportCounts

FIRST_COLLECTION_SECONDS = 1.0
"""How long ``configure()`` waits at most until the zeros are collected; it takes some milliseconds."""


@dataclass(frozen=True)
class Sanitise:
    """Who takes names and secrets out, and who is told what could not be sanitised and therefore did not leave."""

    sanitizer: Sanitizer
    failed: Callable[[Exception], object]


class _PeriodicReader(PeriodicExportingMetricReader):
    """The SDK's; ``collected`` is set once there was a collection, which may not be exported yet."""

    def __init__(self, exporter: CountingMetricExporter, export_interval_millis: float) -> None:
        self.collected = threading.Event()
        super().__init__(exporter, export_interval_millis=export_interval_millis)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self.collected.set()
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Providers:
    """Running providers. ``tracers`` and ``loggers`` are None where the signal is off."""

    meters: MeterProvider
    tracers: TracerProvider | None
    loggers: LoggerProvider | None
    registry: CollectorRegistry
    periodic: _PeriodicReader | None
    stopped: threading.Event = field(default_factory=threading.Event)

    def export_zeros(self) -> None:
        """Collects what counters there are, now, and exports them in the background.

        What happens next must come in a later export, or the first event of a series is its first value, in which
        Prometheus sees no increase.
        """
        if self.periodic is not None:
            threading.Thread(target=self.periodic.force_flush, daemon=True, name="otel_setup-zeros").start()
            self.periodic.collected.wait(FIRST_COLLECTION_SECONDS)

    def flush(self, timeout: float) -> bool:
        """Exports what waits, within ``timeout`` seconds.

        The reader behind /metrics is left alone: a flush would queue a second collection for its next scrape.
        """
        milliseconds = int(timeout * 1000)
        work: list[Callable[[], object]] = []
        if self.periodic is not None:
            periodic = self.periodic
            work.append(lambda: periodic.force_flush(milliseconds))
        if self.tracers is not None:
            tracers = self.tracers
            work.append(lambda: tracers.force_flush(milliseconds))
        if self.loggers is not None:
            loggers = self.loggers
            work.append(lambda: loggers.force_flush(milliseconds))
        return _within(timeout, work)

    def shutdown(self, timeout: float) -> bool:
        """Exports what waits and stops, all signals side by side, within ``timeout`` seconds in all. Once is enough.

        Returns:
            False where the time was up before everything was exported.
        """
        if self.stopped.is_set():
            return True
        self.stopped.set()
        providers = (self.meters, self.tracers, self.loggers)
        return _within(timeout, [provider.shutdown for provider in providers if provider is not None])


def resource_of(settings: Settings) -> Resource:
    """Who exports: service, version, environment, instance, and what was configured beyond."""
    named = {
        "service.name": settings.service,
        "service.version": settings.version,
        "service.instance.id": settings.instance_id,
        "deployment.environment.name": settings.environment,
    }
    given = {**settings.resource, **settings.tags}
    return Resource.create({**given, **{key: value for key, value in named.items() if value}})


def start(settings: Settings, counts: ExportCounts, sanitise: Sanitise | None = None) -> Providers:
    """Starts the providers of a configuration.

    Parameters:
        counts: takes the account of exports.
        sanitise: makes what leaves fit to leave; None where nothing does.
    """
    resource = resource_of(settings)
    exporting = bool(settings.collector) and not settings.disabled
    prometheus_reader, registry = make_reader(tuple(settings.tags))
    readers: list[MetricReader] = [prometheus_reader]
    periodic = None
    headers = dict(settings.headers)
    if exporting and settings.metrics:
        exporter = CountingMetricExporter(settings.collector, headers, counts)
        periodic = _PeriodicReader(exporter, export_interval_millis=settings.metric_interval * 1000)
        readers.append(periodic)
    return Providers(
        meters=MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False),
        tracers=_tracers(settings, resource, counts, sanitise, exporting=exporting),
        loggers=_loggers(settings, resource, counts, sanitise, exporting=exporting),
        registry=registry,
        periodic=periodic,
    )


def _tracers(
    settings: Settings, resource: Resource, counts: ExportCounts, sanitise: Sanitise | None, *, exporting: bool
) -> TracerProvider | None:
    if settings.disabled or not settings.traces or not (exporting or settings.console):
        return None  # spans that nobody receives would cost as much as others
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporting:
        provider.add_span_processor(
            BatchSpanProcessor(
                _sanitised_spans(CountingSpanExporter(settings.collector, dict(settings.headers), counts), sanitise),
                max_queue_size=settings.queue_size,
                max_export_batch_size=settings.batch_size,
                schedule_delay_millis=settings.batch_delay * 1000,
            )
        )
    if settings.console:
        provider.add_span_processor(BatchSpanProcessor(_sanitised_spans(ConsoleSpanExporter(), sanitise)))
    return provider


def _loggers(
    settings: Settings, resource: Resource, counts: ExportCounts, sanitise: Sanitise | None, *, exporting: bool
) -> LoggerProvider | None:
    if settings.disabled or not settings.logs or not (exporting or settings.console):
        return None
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    if exporting:
        provider.add_log_record_processor(
            BatchLogRecordProcessor(
                _sanitised_logs(CountingLogExporter(settings.collector, dict(settings.headers), counts), sanitise),
                max_queue_size=settings.queue_size,
                max_export_batch_size=settings.batch_size,
                schedule_delay_millis=settings.batch_delay * 1000,
            )
        )
    if settings.console:
        provider.add_log_record_processor(
            BatchLogRecordProcessor(_sanitised_logs(ConsoleLogRecordExporter(), sanitise))
        )
    return provider


def _sanitised_spans(exporter: SpanExporter, sanitise: Sanitise | None) -> SpanExporter:
    return SanitizingSpanExporter(exporter, sanitise.sanitizer, sanitise.failed) if sanitise else exporter


def _sanitised_logs(exporter: LogRecordExporter, sanitise: Sanitise | None) -> LogRecordExporter:
    return SanitizingLogExporter(exporter, sanitise.sanitizer, sanitise.failed) if sanitise else exporter


def _within(timeout: float, work: list[Callable[[], object]]) -> bool:
    """Runs everything side by side and waits ``timeout`` seconds in all; what is not done by then is left to itself."""
    threads = [threading.Thread(target=task, daemon=True, name="otel_setup-stop") for task in work]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
