"""Which spans and log records are told the correlation they began under, and which tell it themselves."""

from __future__ import annotations

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_setup import correlated
from otel_setup.sdk.correlating import CorrelateRecords, CorrelateSpans


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(CorrelateSpans(but_not="ours"))
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


def test_a_span_of_anybody_has_the_id_it_began_under(provider: TracerProvider, spans: InMemorySpanExporter) -> None:
    tracer = provider.get_tracer("a database driver")
    with correlated("c1"):
        begun = tracer.start_span("inside")
    begun.end()
    with correlated("c2"):
        tracer.start_span("told", attributes={"correlation.id": "its own"}).end()
    tracer.start_span("outside").end()
    told = {span.name: dict(span.attributes or {}) for span in spans.get_finished_spans()}
    assert told == {"inside": {"correlation.id": "c1"}, "told": {"correlation.id": "its own"}, "outside": {}}


def test_a_scope_that_tells_the_id_itself_is_left_alone(provider: TracerProvider, spans: InMemorySpanExporter) -> None:
    with correlated("c1"):
        provider.get_tracer("ours").start_span("ours").end()
    (span,) = spans.get_finished_spans()
    assert not span.attributes


def test_a_record_of_anybody_has_the_id_it_was_made_under() -> None:
    records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(CorrelateRecords(but_not="ours"))
    provider.add_log_record_processor(SimpleLogRecordProcessor(records))
    theirs, ours = provider.get_logger("a web framework"), provider.get_logger("ours")
    with correlated("c1"):
        theirs.emit(LogRecord(body="inside"))
        theirs.emit(LogRecord(body="told", attributes={"correlation.id": "its own"}))
        ours.emit(LogRecord(body="ours"))
    theirs.emit(LogRecord(body="outside", attributes={"a": 1}))
    told = {r.log_record.body: dict(r.log_record.attributes or {}) for r in records.get_finished_logs()}
    assert told == {
        "inside": {"correlation.id": "c1"},
        "told": {"correlation.id": "its own"},
        "ours": {},
        "outside": {"a": 1},
    }
