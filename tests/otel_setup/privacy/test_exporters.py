"""Between processor and exporter: copies are whole but for what must not leave, and a fault loses one item."""

from __future__ import annotations

import warnings

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind

from otel_setup.privacy import Pseudonyms, Redaction
from otel_setup.privacy.exporters import SanitizingLogExporter, SanitizingSpanExporter
from otel_setup.privacy.sanitizer import Sanitizer
from tests.otel_setup.privacy.helpers import KEY, logs_about, sent_spans, spans_about


@pytest.fixture
def sanitizer() -> Sanitizer:
    return Sanitizer(Pseudonyms(KEY), Redaction())


def a_span(name: str = "work", **attributes: str) -> ReadableSpan:
    memory = InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1, max_event_attributes=1, max_link_attributes=1)
    provider = TracerProvider(resource=Resource({"token": "x"}, "https://schema"), span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    links = [Link(SpanContext(1, 2, is_remote=True), {"a": 1, "b": 2})] * 2
    tracer = provider.get_tracer("scope", "1.0", attributes={"x": 1})
    with tracer.start_as_current_span("outer"):
        span = tracer.start_span(name, kind=SpanKind.SERVER, links=links, attributes={"c": 1, "d": 2, **attributes})
        span.add_event("first")
        span.add_event("second", {"a": 1, "b": 2})
        span.end()
    return memory.get_finished_spans()[0]


def test_a_copy_is_the_original_where_there_is_nothing_to_hide() -> None:
    off = Sanitizer(Pseudonyms.off(), Redaction((), ()))
    span = a_span(e="3")
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (1, 1, 1)
    assert encode_spans([off.span(span)]) == encode_spans([span])
    assert off.span(span).to_json() == span.to_json()


def test_logs_too() -> None:
    off = Sanitizer(Pseudonyms.off(), Redaction((), ()))
    log = logs_about("ada")[1]
    assert off.log_record(log).to_json() == log.to_json()


def test_log_records_keep_the_count_of_what_they_had_dropped(sanitizer: Sanitizer) -> None:
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        provider.get_logger("x").emit(body="b", attributes={f"k{n}": n for n in range(130)})
    log = memory.get_finished_logs()[0]
    assert sanitizer.log_record(log).dropped_attributes == log.dropped_attributes == 2


def test_the_original_is_not_changed(sanitizer: Sanitizer) -> None:
    spans, logs = spans_about("ada"), logs_about("ada")
    before = [span.to_json() for span in spans], [repr(vars(log.log_record)) for log in logs]
    _ = [sanitizer.span(span) for span in spans], [sanitizer.log_record(log) for log in logs]
    assert before == ([span.to_json() for span in spans], [repr(vars(log.log_record)) for log in logs])


def test_resources_lose_their_secrets_and_stay_one_object(sanitizer: Sanitizer) -> None:
    span = a_span()
    one, other = sanitizer.span(span), sanitizer.span(span)
    assert one.resource is other.resource
    assert dict(one.resource.attributes) == {"token": "[redacted]"}
    assert one.resource.schema_url == "https://schema"
    plain = Resource({"service.name": "game"})
    assert sanitizer.resource(plain) is plain
    for n in range(200):
        sanitizer.resource(Resource({"n": n}))
    assert len(sanitizer._resources) <= 64


def test_names_of_spans_are_searched_unless_they_are_routes_or_declared(sanitizer: Sanitizer) -> None:
    rooms = sanitizer.pseudonyms.of("rooms")
    sanitizer.pseudonyms.of("turn")
    route = {"http.route": "/rooms/{id}"}
    assert sanitizer.span(a_span("GET /rooms/{id}", **route)).name == "GET /rooms/{id}"
    assert sanitizer.span(a_span("phase.turn")).name == "phase.turn"
    assert sanitizer.span(a_span("kick rooms")).name == f"kick {rooms}"
    left = Sanitizer(sanitizer.pseudonyms, Redaction(), span_names=False)
    assert left.span(a_span("kick rooms")).name == "kick rooms"


class Broken(Pseudonyms):
    """Fails on one player."""

    def of(self, name: object) -> str:
        if name == "bad":
            raise RuntimeError("broken")
        return super().of(name)


def test_what_cannot_be_sanitised_is_not_exported_but_counted() -> None:
    sanitizer, faults = Sanitizer(Broken(KEY), Redaction()), []
    spans, memory = [*spans_about("good"), *spans_about("bad")], InMemorySpanExporter()
    exporter = SanitizingSpanExporter(memory, sanitizer, faults.append)
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert len(memory.get_finished_spans()) == exporter.dropped == len(faults) == 1
    assert b"bad" not in sent_spans(list(memory.get_finished_spans()))
    assert exporter.export(spans[1:]) is SpanExportResult.FAILURE
    logs, kept = [*logs_about("good"), logs_about("bad")[0]], InMemoryLogRecordExporter()
    log_exporter = SanitizingLogExporter(kept, sanitizer)
    assert log_exporter.export(logs) is LogRecordExportResult.SUCCESS
    assert len(kept.get_finished_logs()) == 3
    assert log_exporter.dropped == 1
    assert log_exporter.export(logs[3:]) is LogRecordExportResult.FAILURE


def test_the_other_exporter_is_flushed_and_shut_down(sanitizer: Sanitizer) -> None:
    memory, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    exporter = SanitizingSpanExporter(memory, sanitizer)
    assert exporter.force_flush(10)
    exporter.shutdown()
    assert exporter.export(spans_about("x")) is SpanExportResult.FAILURE
    other = SanitizingLogExporter(logs, sanitizer)
    other.shutdown()
    assert other.force_flush(10)
    assert other.export(logs_about("x")) is LogRecordExportResult.FAILURE
