"""The fast encoder against OpenTelemetry's own: the same message for whatever is encoded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_setup.events.log_records import EventRecord
from otel_setup.events.record import EventType, SystemEvent
from otel_setup.privacy import Pseudonyms
from otel_setup.sdk import encoding
from otel_setup.sdk.encoding import encode_faster, encode_logs, encode_spans
from tests.otel_setup.receiver import receiving

CHECKED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Values that OTLP has no form for are among them: the official encoder leaves their attribute out.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.sampled_from([2**64, object(), "\ud800", SeverityNumber.INFO, StatusCode.OK]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)
ATTRIBUTES = st.one_of(st.none(), st.dictionaries(st.text(max_size=10), VALUES, max_size=5))
TIMES = st.integers(0, 2**64 - 1)
RESOURCES = st.builds(
    Resource,
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    st.sampled_from([None, "", "http://s"]),
)
SCOPES = st.one_of(
    st.none(),
    st.builds(
        InstrumentationScope,
        st.text(max_size=5),
        st.one_of(st.none(), st.text(max_size=5)),
        st.one_of(st.none(), st.text(max_size=5)),
        st.one_of(st.none(), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)),
    ),
)
STATES = st.builds(
    TraceState, st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), unique_by=lambda p: p[0])
)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    STATES,
)


@st.composite
def log_records(draw: st.DrawFn) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=draw(st.one_of(st.none(), TIMES)),
        observed_timestamp=draw(TIMES),
        severity_text=draw(st.one_of(st.none(), st.text(max_size=5))),
        severity_number=draw(st.one_of(st.none(), st.sampled_from(SeverityNumber))),
        body=draw(VALUES.filter(_has_a_form)),
        attributes=draw(ATTRIBUTES),
        event_name=draw(st.one_of(st.none(), st.text(max_size=10))),
    )
    record.trace_id, record.span_id = draw(st.integers(0, 2**128 - 1)), draw(st.integers(0, 2**64 - 1))
    record.trace_flags = TraceFlags(draw(st.integers(0, 1)))
    if record.attributes and draw(st.booleans()):
        record.attributes = BoundedAttributes(2, record.attributes, extended_attributes=True)
    return ReadableLogRecord(record, draw(RESOURCES), draw(SCOPES))


def _has_a_form(value: Any) -> bool:
    """A body without a form fails the whole batch, with either encoder."""
    try:
        official_logs([ReadableLogRecord(LogRecord(body=value), Resource({}))])
    except Exception:
        return False
    return True


@st.composite
def spans(draw: st.DrawFn) -> ReadableSpan:
    status = draw(st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "it failed")]))
    return ReadableSpan(
        draw(st.text(max_size=10)),
        draw(CONTEXTS),
        draw(st.one_of(st.none(), CONTEXTS)),
        draw(RESOURCES),
        draw(ATTRIBUTES),
        draw(st.lists(st.builds(Event, st.text(max_size=5), ATTRIBUTES, TIMES), max_size=2)),
        draw(st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2)),
        draw(st.sampled_from(SpanKind)),
        status=status,
        start_time=draw(st.one_of(st.none(), TIMES)),
        end_time=draw(st.one_of(st.none(), TIMES)),
        instrumentation_scope=draw(SCOPES),
    )


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@CHECKED
@given(st.lists(log_records(), max_size=4))
def test_log_records_are_encoded_as_by_the_official_encoder(batch: list[ReadableLogRecord]) -> None:
    batch = [*batch, *batch[:1]]  # so that a resource and a scope come again
    assert encode_logs(batch).SerializeToString() == official_logs(batch).SerializeToString()


@CHECKED
@given(st.lists(spans(), max_size=4))
@example([])
def test_spans_are_encoded_as_by_the_official_encoder(batch: list[ReadableSpan]) -> None:
    batch = [*batch, *batch[:1]]
    assert encode_spans(batch).SerializeToString() == official_spans(batch).SerializeToString()


def test_an_event_is_encoded_as_by_the_official_encoder() -> None:
    event = SystemEvent(event_type=EventType.ACTION_QUEUED, game_id="g", player_id="Ada", data={"status": "queued"})
    context = SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1))
    batch = [ReadableLogRecord(EventRecord(event, Pseudonyms(b"k" * 32), context), Resource({"a": "b"}))]
    assert encode_logs(batch).SerializeToString() == official_logs(batch).SerializeToString()


class Unencodable(Exception):
    """Tells whose encoder was asked."""


def _refuse(_batch: Sequence[object]) -> None:
    raise Unencodable


def test_an_exporter_made_faster_sends_what_the_official_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ReadableLogRecord(LogRecord(event_name="e", attributes={"a": 1}), Resource({"r": "1"}))
    context = SpanContext(5, 6, is_remote=False)
    span = ReadableSpan("s", context, attributes={"b": "2"}, resource=Resource({"r": "1"}))
    with receiving() as receiver:
        for compression in (Compression.NoCompression, Compression.Gzip):
            logs = encode_faster(OTLPLogExporter(f"{receiver.url}/v1/logs", compression=compression))
            traces = encode_faster(OTLPSpanExporter(f"{receiver.url}/v1/traces", compression=compression))
            assert logs.export([log]) is LogRecordExportResult.SUCCESS
            assert traces.export([span]) is SpanExportResult.SUCCESS
        assert receiver.requests["/v1/logs"] == [official_logs([log])] * 2
        assert receiver.requests["/v1/traces"] == [official_spans([span])] * 2


def test_only_the_exporter_made_faster_has_the_other_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_ENCODERS", {"encode_logs": _refuse, "encode_spans": _refuse})
    log = ReadableLogRecord(LogRecord(event_name="e"), Resource({}))
    span = ReadableSpan("s", SpanContext(5, 6, is_remote=False))
    with receiving() as receiver:
        logs, traces = OTLPLogExporter(f"{receiver.url}/v1/logs"), OTLPSpanExporter(f"{receiver.url}/v1/traces")
        # Fails where the SDK has changed so that our encoders are not found any more, and is slower without saying so.
        assert encode_faster(OTLPLogExporter(f"{receiver.url}/v1/logs")).export([log]) is not logs.export([log])
        assert encode_faster(OTLPSpanExporter(f"{receiver.url}/v1/traces")).export([span]) is not traces.export([span])
    assert len(receiver.requests["/v1/logs"]) == len(receiver.requests["/v1/traces"]) == 1
