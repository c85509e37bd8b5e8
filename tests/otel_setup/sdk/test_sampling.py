"""Which traces are recorded, and which measurements may point to theirs."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.util.types import Attributes

import otel_setup
from otel_setup.config.sampling import SampleRule
from otel_setup.sdk.sampling import Keeping, KeepMarks, make_exemplar_filter, make_sampler
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving

MANY = 2000


def recorded_share(name: str, span: str, ratio: float = 1.0, rules: tuple[SampleRule, ...] = ()) -> float:
    tracer = TracerProvider(sampler=make_sampler(name, ratio, rules)).get_tracer("test")
    return sum(tracer.start_span(span).is_recording() for _ in range(MANY)) / MANY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("always_on", 1.0),
        ("always_off", 0.0),
        ("parentbased_always_on", 1.0),
        ("parentbased_always_off", 0.0),
    ],
)
def test_a_sampler_by_its_standard_name(name: str, expected: float) -> None:
    assert recorded_share(name, "action.play") == expected


@pytest.mark.parametrize("name", ["traceidratio", "parentbased_traceidratio"])
def test_a_ratio_records_about_its_share(name: str) -> None:
    assert recorded_share(name, "action.play", 0.25) == pytest.approx(0.25, abs=0.06)


def test_the_first_rule_that_fits_wins_over_the_sampler() -> None:
    rules = (SampleRule("GET /health*", 0.0), SampleRule("action.*", 0.5), SampleRule("*", 1.0))
    assert recorded_share("always_off", "GET /healthz", rules=rules) == 0.0
    assert recorded_share("always_off", "action.play", rules=rules) == pytest.approx(0.5, abs=0.07)
    assert recorded_share("always_off", "anything", rules=rules) == 1.0
    assert recorded_share("always_off", "action.play", rules=rules[:1]) == 0.0


@pytest.mark.parametrize("sampled", [True, False])
def test_what_the_caller_decided_holds_whatever_the_rules_say(sampled: bool) -> None:
    sampler = make_sampler("parentbased_always_on", 1.0, (SampleRule("*", 0.0 if sampled else 1.0),))
    tracer = TracerProvider(sampler=sampler).get_tracer("test")
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    parent = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=flags))
    span = tracer.start_span("action.play", trace_api.set_span_in_context(parent))
    assert span.is_recording() is sampled


def test_what_somebody_watches_is_recorded() -> None:
    def watched(attributes: Attributes) -> bool:
        return (attributes or {}).get("room.id") == "room7"

    tracer = TracerProvider(sampler=make_sampler("parentbased_always_off", 1.0, (), watched)).get_tracer("test")
    assert tracer.start_span("x", attributes={"room.id": "room7"}).is_recording()
    assert not tracer.start_span("x", attributes={"room.id": "room8"}).is_recording()


@pytest.mark.parametrize(("span", "ratio"), [("", 0.5), ("x", -0.1), ("x", 1.1), ("x", True), ("x", "half"), (7, 0.5)])
def test_a_rule_that_makes_no_sense_is_refused(span: object, ratio: object) -> None:
    with pytest.raises(ValueError, match="give a"):
        SampleRule(span, ratio)  # type: ignore[arg-type]


def test_sampling_by_configure(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(
            collector=receiver.url, sampler="always_off", sample_rules=[SampleRule("action.play_*", 1.0)]
        )

        async def act() -> None:
            for action in ("play", "declare"):
                async with telemetry.monitor.monitor_action_processing("g", action, "p"):
                    pass

        asyncio.run(act())
        handle.shutdown()
    assert [span.name for span in receiver.spans()] == ["action.play_pieces"]


# --- exemplars --------------------------------------------------------------------------------------------------------


class Measured:
    """A tracer and a histogram whose exemplars go by one filter."""

    def __init__(self, name: str, ratio: float) -> None:
        keeping = Keeping(ratio)
        self.exporter = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(KeepMarks(keeping))
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("test")
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader], exemplar_filter=make_exemplar_filter(name, keeping))
        # Every value has a bucket of its own, so that no exemplar takes another's place.
        self.histogram = meters.get_meter("test").create_histogram(
            "h", explicit_bucket_boundaries_advisory=[float(bound) for bound in range(MANY)]
        )

    def measure(self, times: int, *, mark: bool = False) -> None:
        for value in range(times):
            with self.tracer.start_as_current_span("s") as span:
                if mark:
                    span.set_attribute("otel_setup.trace.kept", True)
                self.histogram.record(value)

    def pointed_to(self) -> set[int]:
        data = self.reader.get_metrics_data()
        assert data is not None
        [metric] = data.resource_metrics[0].scope_metrics[0].metrics
        return {exemplar.trace_id for point in metric.data.data_points for exemplar in point.exemplars}

    def marked(self) -> set[int]:
        return {
            span.context.trace_id
            for span in self.exporter.get_finished_spans()
            if (span.attributes or {}).get("otel_setup.trace.kept")
        }


def test_every_trace_pointed_to_is_marked_and_the_share_is_as_asked() -> None:
    measured = Measured("kept", 0.1)
    measured.measure(MANY)
    assert measured.pointed_to() == measured.marked()
    assert len(measured.marked()) / MANY == pytest.approx(0.1, abs=0.04)


def test_a_marked_trace_is_pointed_to_whatever_its_id() -> None:
    measured = Measured("kept", 0.0)
    measured.measure(20, mark=True)
    assert len(measured.pointed_to()) == 20


def test_ordinary_traces_are_not_pointed_to_without_a_share() -> None:
    measured = Measured("kept", 0.0)
    measured.measure(20)
    assert measured.pointed_to() == set()


@pytest.mark.parametrize(("name", "expected"), [("trace_based", 20), ("always_on", 20), ("always_off", 0)])
def test_the_specifications_filters(name: str, expected: int) -> None:
    measured = Measured(name, 0.0)
    measured.measure(20)
    assert len(measured.pointed_to()) == expected


def test_the_share_is_independent_of_head_sampling() -> None:
    """Were both by the same bits of the id, all that is sampled would be marked, or nothing."""
    keeping = Keeping(0.5)
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(sampler=make_sampler("traceidratio", 0.2))
    tracers.add_span_processor(KeepMarks(keeping))
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    for _ in range(MANY):
        tracers.get_tracer("test").start_span("s").end()
    spans = exporter.get_finished_spans()
    marked = sum("otel_setup.trace.kept" in (span.attributes or {}) for span in spans)
    assert marked / len(spans) == pytest.approx(0.5, abs=0.15)
