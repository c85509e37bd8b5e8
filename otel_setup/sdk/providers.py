"""The SDK's providers for a configuration, started and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opentelemetry._logs import LoggerProvider as AnyLoggerProvider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
    _Gauge,  # the one name under which the SDK exports it
)
from opentelemetry.sdk.metrics.export import (
    CardinalityLimits,
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import TracerProvider as AnyTracerProvider
from opentelemetry.util.types import Attributes
from prometheus_client import CollectorRegistry

from otel_setup.config import Settings
from otel_setup.core import SCOPE
from otel_setup.events.foreign import excludes
from otel_setup.privacy.exporters import SanitizingLogExporter, SanitizingSpanExporter
from otel_setup.privacy.sanitizer import Sanitizer
from otel_setup.prometheus.reader import make_reader
from otel_setup.sdk.account import LOGS, METRICS, TRACES, ExportCounts
from otel_setup.sdk.batching import LogBatches, SpanBatches
from otel_setup.sdk.correlating import CorrelateRecords, CorrelateSpans
from otel_setup.sdk.exporters import CountedLogs, CountedMetrics, CountedSpans
from otel_setup.sdk.foreign_events import ForeignEvents, TakeIn, put_first
from otel_setup.sdk.resource import make_resource
from otel_setup.sdk.sampling import Keeping, KeepMarks, make_exemplar_filter, make_sampler

FIRST_COLLECTION_SECONDS = 1.0
"""How long ``configure()`` waits at most until the zeros are collected; it takes some milliseconds."""
MARGIN_SECONDS = 0.2
"""What a processor whose time is up takes to say what it lost."""
_OTLP, _CONSOLE = "otlp", "console"
_INSTRUMENTS = (
    Counter,
    UpDownCounter,
    Histogram,
    _Gauge,
    ObservableCounter,
    ObservableUpDownCounter,
    ObservableGauge,
)


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """Providers that the application installed. A signal's is None where the application has none."""

    tracers: TracerProvider | None
    loggers: LoggerProvider | None


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What is added to a configuration's own parts, by tests."""

    span_processors: Sequence[SpanProcessor] = ()
    log_processors: Sequence[LogRecordProcessor] = ()
    metric_readers: Sequence[MetricReader] = ()
    id_generator: IdGenerator | None = None


class _PeriodicReader(PeriodicExportingMetricReader):
    """The SDK's; ``collected`` is set once there was a collection, which may not be exported yet."""

    def __init__(self, exporter: MetricExporter, export_interval_millis: float, limits: CardinalityLimits) -> None:
        self.collected = threading.Event()
        super().__init__(exporter, export_interval_millis=export_interval_millis, cardinality_limits=limits)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self.collected.set()
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Providers:
    """Running providers.

    Attributes:
        tracers, loggers: None where the signal is off.
        registry: what /metrics shows.
        periodic: exports metrics; None where they are not exported by OTLP.
        resource: who exports.
        log_processors: all that log records go through, after the stream; none where ``loggers`` is adopted.
        flushes: export what waits, each given its milliseconds.
        stops: export what waits and end.
    """

    meters: MeterProvider
    tracers: AnyTracerProvider | None
    loggers: AnyLoggerProvider | None
    registry: CollectorRegistry
    periodic: _PeriodicReader | None
    resource: Resource
    log_processors: tuple[LogRecordProcessor, ...]
    flushes: tuple[Callable[[int], object], ...]
    stops: tuple[Callable[[int], object], ...]
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
        """Exports what waits, within ``timeout`` seconds. False where something did not arrive by then.

        The reader behind /metrics is left alone: a flush would queue a second collection for its next scrape.
        """
        milliseconds = int(timeout * 1000)
        arrived: list[bool] = []

        def run(flush: Callable[[int], object]) -> None:
            arrived.append(bool(flush(milliseconds)))

        # The margin is for those whose time is up to say so.
        in_time = _within(timeout + MARGIN_SECONDS, [partial(run, flush) for flush in self.flushes])
        return in_time and all(arrived)

    def shutdown(self, timeout: float) -> bool:
        """Exports what waits and stops, all signals side by side, within ``timeout`` seconds in all. Once is enough.

        Returns:
            False where the time was up before everything was exported.
        """
        if self.stopped.is_set():
            return True
        self.stopped.set()
        milliseconds = int(timeout * 1000)
        return _within(timeout + MARGIN_SECONDS, [partial(stop, milliseconds) for stop in self.stops])


def resource_of(settings: Settings) -> Resource:
    """Who exports: service, version, environment, instance, what was configured beyond, and what is found out."""
    named = {
        "service.name": settings.service,
        "service.version": settings.version,
        "service.instance.id": settings.instance_id,
        "deployment.environment.name": settings.environment,
    }
    given = {**settings.resource, **settings.tags}
    return make_resource({**given, **{key: value for key, value in named.items() if value}}, settings.detect)


class _Start:
    """One start of providers: a configuration, and what its parts have in common."""

    def __init__(
        self,
        settings: Settings,
        counts: ExportCounts,
        sanitizer: Sanitizer | None,
        additions: Additions,
        watched: Callable[[Attributes], bool] | None,
        on_fault: Callable[[Exception], object],
    ) -> None:
        self.settings = settings
        self.counts = counts
        self.sanitizer = sanitizer
        self.additions = additions
        self.watched = watched
        self.on_fault = on_fault
        self.resource = resource_of(settings)
        self.keeping = Keeping(settings.exemplar_ratio)
        # Limits by class: the SDK knows no general one.
        self.limits: CardinalityLimits = dict.fromkeys(_INSTRUMENTS, settings.cardinality_limit)

    def exports(self, signal: str, exporters: Sequence[str]) -> bool:
        """Whether a signal leaves by OTLP."""
        return not self.settings.disabled and _OTLP in exporters and signal in self.settings.destinations

    def prints(self, exporters: Sequence[str]) -> bool:
        """Whether a signal is printed."""
        return not self.settings.disabled and _CONSOLE in exporters

    def readers(self) -> tuple[list[MetricReader], _PeriodicReader | None, CollectorRegistry]:
        """The reader behind /metrics, those that export, and of those the one to a Collector."""
        settings = self.settings
        scraped, registry = make_reader(tuple(settings.tags), self.limits)
        readers: list[MetricReader] = [scraped, *self.additions.metric_readers]
        milliseconds = settings.metric_interval * 1000
        periodic = None
        if self.exports(METRICS, settings.metrics):
            exponential = settings.histograms.startswith("base2")
            exporter = CountedMetrics(settings.destinations[METRICS], self.counts, exponential=exponential)
            periodic = _PeriodicReader(exporter, milliseconds, self.limits)
            readers.append(periodic)
        if self.prints(settings.metrics):
            readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(), export_interval_millis=milliseconds))
        return readers, periodic, registry

    def span_processors(self) -> list[SpanProcessor]:
        """What spans go through; none where nobody wants them."""
        settings = self.settings
        processors = list(self.additions.span_processors)
        if self.exports(TRACES, settings.traces):
            spans = SpanBatches(
                self._sanitised_spans(CountedSpans(settings.destinations[TRACES], self.counts)),
                partial(self.counts.drop, TRACES),
                self.on_fault,
                queue_size=settings.span_queue_size,
                batch_size=settings.span_batch_size,
                delay=settings.span_batch_delay,
            )
            self.counts.waiting[TRACES] = lambda: spans.waiting
            processors.append(spans)
        if self.prints(settings.traces):
            processors.append(BatchSpanProcessor(self._sanitised_spans(ConsoleSpanExporter())))
        return [KeepMarks(self.keeping), CorrelateSpans(but_not=SCOPE), *processors] if processors else []

    def log_processors(self) -> list[LogRecordProcessor]:
        """What log records go through; none where nobody wants them."""
        settings = self.settings
        processors = list(self.additions.log_processors)
        if self.exports(LOGS, settings.logs):
            records = LogBatches(
                self._sanitised_logs(CountedLogs(settings.destinations[LOGS], self.counts)),
                partial(self.counts.drop, LOGS),
                self.on_fault,
                queue_size=settings.queue_size,
                batch_size=settings.batch_size,
                delay=settings.batch_delay,
            )
            self.counts.waiting[LOGS] = lambda: records.waiting
            processors.append(records)
        if self.prints(settings.logs):
            processors.append(BatchLogRecordProcessor(self._sanitised_logs(ConsoleLogRecordExporter())))
        return [CorrelateRecords(but_not=SCOPE), *processors] if processors else []

    def tracers(self) -> TracerProvider:
        """A tracer provider of our own."""
        settings = self.settings
        sampler = make_sampler(settings.sampler, settings.sampler_ratio, settings.sample_rules, self.watched)
        return TracerProvider(
            sampler=sampler,
            resource=self.resource,
            shutdown_on_exit=False,
            id_generator=self.additions.id_generator,
        )

    def _sanitised_spans(self, exporter: SpanExporter) -> SpanExporter:
        return SanitizingSpanExporter(exporter, self.sanitizer, self.on_fault) if self.sanitizer else exporter

    def _sanitised_logs(self, exporter: LogRecordExporter) -> LogRecordExporter:
        return SanitizingLogExporter(exporter, self.sanitizer, self.on_fault) if self.sanitizer else exporter


def start(
    settings: Settings,
    counts: ExportCounts,
    sanitizer: Sanitizer | None = None,
    *,
    adopted: Adopted | None = None,
    additions: Additions | None = None,
    watched: Callable[[Attributes], bool] | None = None,
    take_in: TakeIn | None = None,
    on_fault: Callable[[Exception], object] = lambda fault: None,
) -> Providers:
    """Starts the providers of a configuration.

    Parameters:
        counts: takes the account of exports.
        sanitizer: makes what leaves fit to leave; None where nothing does.
        adopted: providers to add the exports to, instead of starting some for these signals.
        additions: what is added for tests.
        watched: whether somebody looks at what a first span's attributes name.
        take_in: takes in the events that others emit; they are none of the stream's where not given.
        on_fault: told what an exporter raised, and what could not be sanitised and therefore did not leave.
    """
    begun = _Start(settings, counts, sanitizer, additions or Additions(), watched, on_fault)
    readers, periodic, registry = begun.readers()
    meters = MeterProvider(
        metric_readers=readers,
        resource=begun.resource,
        views=settings.views,
        exemplar_filter=make_exemplar_filter(settings.exemplars, begun.keeping),
        shutdown_on_exit=False,
    )
    flushes: list[Callable[[int], object]] = [periodic.force_flush] if periodic is not None else []
    stops: list[Callable[[int], object]] = [meters.shutdown]

    tracers: TracerProvider | None = None
    if span_processors := begun.span_processors():
        tracers = (adopted and adopted.tracers) or begun.tracers()
        for span_processor in span_processors:
            tracers.add_span_processor(span_processor)
            flushes.append(span_processor.force_flush)
            stops.append(_stop_of(span_processor))
    loggers: LoggerProvider | None = None
    theirs = adopted.loggers if adopted else None
    log_processors = begun.log_processors()
    if log_processors:
        loggers = theirs or LoggerProvider(resource=begun.resource, shutdown_on_exit=False)
    # Theirs emits records, and so events, even where ours do not leave.
    if take_in is not None and (emitting := loggers or theirs) is not None:
        put_first(emitting, ForeignEvents(take_in, excludes((SCOPE, *settings.excluded_event_scopes)), on_fault))
    if loggers is not None:
        for log_processor in log_processors:
            loggers.add_log_record_processor(log_processor)
            flushes.append(log_processor.force_flush)
            stops.append(_stop_of(log_processor))
    return Providers(
        meters=meters,
        tracers=tracers,
        loggers=loggers,
        registry=registry,
        periodic=periodic,
        resource=begun.resource,
        log_processors=() if theirs else tuple(log_processors),
        flushes=tuple(flushes),
        stops=tuple(stops),
    )


def _stop_of(processor: SpanProcessor | LogRecordProcessor) -> Callable[[int], object]:
    """The shutdown of a processor; only ours have a time for it."""
    if isinstance(processor, SpanBatches | LogBatches):
        return processor.shutdown
    return lambda _milliseconds: processor.shutdown()


def _within(timeout: float, work: Sequence[Callable[[], object]]) -> bool:
    """Runs everything side by side and waits ``timeout`` seconds in all; what is not done by then is left to itself."""
    threads = [threading.Thread(target=task, daemon=True, name="otel_setup-stop") for task in work]
    deadline = time.monotonic() + timeout
    for thread, task in zip(threads, work, strict=True):
        try:
            thread.start()
        except RuntimeError:  # Python 3.12.0 to 3.12.2 start none while the interpreter exits
            task()
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
