"""What would have left the process, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import DataPointT, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_setup.config import Resolved, Settings
from otel_setup.sdk.providers import Additions
from otel_setup.telemetry import current_core
from otel_setup.testing.standins import FakeClock, SequentialIds

INSTANCE = "test"
"""The instance id in a test, where the configuration gives none."""


class Memory:
    """Receives spans, metrics and log records in the place of a Collector, from one configuration to the next.

    Parameters:
        clock: the test's.
        ids: the test's.
    """

    def __init__(self, clock: FakeClock, ids: SequentialIds) -> None:
        self.spans = _Spans()
        self.logs = _Logs(clock)
        self._ids = ids
        self._reader = InMemoryMetricReader()

    def points(self) -> dict[str, list[DataPointT]]:
        """The points of every OpenTelemetry metric, by its name, collected now."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def adapted(self, resolved: Resolved) -> Resolved:
        """A configuration without what reaches out of the process, and without what would make two runs differ."""
        settings = resolved.settings
        generated = resolved.sources["instance_id"] == "default"
        adapted = replace(
            settings,
            instance_id=INSTANCE if generated else settings.instance_id,
            destinations={},
            # Still on, if they were, but neither printed nor served.
            traces=settings.traces and ("otlp",),
            metrics=settings.metrics and ("otlp",),
            logs=settings.logs and ("otlp",),
            metrics_port=None,
            control_socket=False,
            handle_sigterm=False,
            detect=(),
            # A test looks at every span, and at the names it chose itself: no key of its machine's comes into it.
            sampler="parentbased_always_on",
            sample_rules=(),
            # By ids that count, the share would be all or nothing.
            exemplar_ratio=0.0 if resolved.sources["exemplar_ratio"] == "default" else settings.exemplar_ratio,
            pseudonyms=False,
        )
        return replace(resolved, settings=adapted)

    def additions(self, settings: Settings) -> Additions:
        """What receives, for one configuration."""
        self._reader = InMemoryMetricReader()  # a reader belongs to one provider
        return Additions(
            span_processors=(self.spans,) if settings.traces and not settings.disabled else (),
            log_processors=(self.logs,) if settings.logs and not settings.disabled else (),
            metric_readers=(self._reader,),
            id_generator=self._ids,
        )


class _Spans(SpanProcessor):
    """Keeps spans, in the order in which they began.

    Attributes:
        begun: each span, with the number of events published before it.
    """

    def __init__(self) -> None:
        self.begun: list[tuple[int, Span]] = []
        self.finished: dict[int, ReadableSpan] = {}
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        with self._lock:
            self.begun.append((current_core().stream.total_events, span))

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None:
            self.finished[span.context.span_id] = span


class _Logs(LogRecordProcessor):
    """Keeps log records, dated by the test's clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.records: list[LogRecord] = []
        self._clock = clock

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record = log_record.log_record
        record.observed_timestamp = self._clock.time_ns()
        self.records.append(record)

    def shutdown(self) -> None:
        """What is kept stays."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits."""
        return True


@contextmanager
def spans_dated_by(clock: FakeClock) -> Iterator[None]:
    """Spans begin and end by a test's clock.

    The SDK has no parameter for its clock, so the name under which its module knows the system's is replaced; should
    a release of it no longer have the name, this raises AttributeError.
    """
    with mock.patch("opentelemetry.sdk.trace.time_ns", clock.time_ns):
        yield
