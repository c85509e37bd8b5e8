"""Options that change what the SDK does: propagators, views, label sets, histograms, /metrics by itself."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from urllib.request import urlopen

import pytest
from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_setup
from deploy.ports import free_ports
from otel_setup.telemetry import reset
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import Receiver, receiving

SPOKEN = trace.set_span_in_context(
    NonRecordingSpan(
        SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False, TraceFlags(TraceFlags.SAMPLED))
    )
)


@pytest.mark.parametrize(
    ("propagators", "expected"),
    [
        (None, {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}),
        (["b3"], {"b3": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"}),
        (
            ["b3multi"],
            {
                "x-b3-traceid": "0af7651916cd43dd8448eb211c80319c",
                "x-b3-spanid": "b7ad6b7169203331",
                "x-b3-sampled": "1",
            },
        ),
        ([], {}),
    ],
)
def test_context_leaves_in_the_formats_asked_for(
    telemetry: Recorded, propagators: list[str] | None, expected: dict[str, str]
) -> None:
    otel_setup.configure(collector=False, propagators=propagators)
    carrier: dict[str, str] = {}
    propagate.inject(carrier, SPOKEN)
    assert carrier == expected


def test_the_propagator_before_comes_back(telemetry: Recorded) -> None:
    before = propagate.get_global_textmap()
    otel_setup.configure(collector=False, propagators=["b3"])
    assert propagate.get_global_textmap() is not before
    reset()
    assert propagate.get_global_textmap() is before


def points_of(receiver: Receiver, name: str) -> list[object]:
    return [
        point
        for metric in receiver.metrics()
        if metric.name == name
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def test_label_sets_beyond_the_limit_are_one_and_nothing_is_lost(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url, metric_interval=3600, cardinality_limit=500)
        counter = metrics.get_meter("application").create_counter("application.hits")
        for number in range(1000):
            counter.add(1, {"who": f"player{number}"})
        asyncio.run(telemetry.monitor.record_room_created("room1"))
        on_metrics = {key: value for key, value in telemetry.samples().items() if key[0] == "application_hits_total"}
        assert handle.shutdown(10)
    points = points_of(receiver, "application.hits")
    overflow = [point for point in points if any(a.key == "otel.metric.overflow" for a in point.attributes)]  # type: ignore[attr-defined]
    assert len(points) == 501, "the limit, and the one for the rest"
    assert len(overflow) == 1
    assert sum(point.as_int for point in points) == 1000  # type: ignore[attr-defined]
    assert len(on_metrics) == 501
    assert sum(on_metrics.values()) == 1000


def test_a_hundred_thousand_label_values_cost_no_more_than_the_limit(telemetry: Recorded) -> None:
    """Without a limit they took 120 MB, and each collection a second of the interpreter."""
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url, metric_interval=3600, log_level=False)
        counter = metrics.get_meter("application").create_counter("application.hits")
        for number in range(2_500):
            counter.add(1, {"who": f"player{number}"})
        tracemalloc.start()
        try:
            for number in range(2_500, 100_000):
                counter.add(1, {"who": f"player{number}"})
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert handle.shutdown(20)
    points = points_of(receiver, "application.hits")
    assert len(points) == 2001
    assert sum(point.as_int for point in points) == 100_000  # type: ignore[attr-defined]
    assert grown < 1_000_000, "bytes"


def test_a_limit_below_what_the_catalogue_declares_is_refused(telemetry: Recorded) -> None:
    with pytest.raises(otel_setup.ConfigError, match=r"cardinality_limit is 10; .* label sets by declaration"):
        otel_setup.configure(collector=False, cardinality_limit=10)


def test_exponential_histograms_by_otlp_and_explicit_ones_on_metrics(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(
            collector=receiver.url, metric_interval=3600, histograms="base2_exponential_bucket_histogram"
        )
        asyncio.run(telemetry.monitor.record_phase_duration("game1", "TURN", 2.5))
        buckets = [name for name, _ in telemetry.samples() if name == "liap_tui_phase_duration_seconds_bucket"]
        assert handle.shutdown(10)
    [metric] = [metric for metric in receiver.metrics() if metric.name == "liap_tui.phase.duration"]
    assert metric.WhichOneof("data") == "exponential_histogram"
    assert [point.sum for point in metric.exponential_histogram.data_points] == [2.5]
    assert buckets


def test_a_view_applies(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(
            collector=receiver.url,
            metric_interval=3600,
            views=[
                View(instrument_name="application.noise", aggregation=DropAggregation()),
                View(instrument_name="application.hits", name="application.renamed", attribute_keys={"kept"}),
            ],
        )
        meter = metrics.get_meter("application")
        meter.create_counter("application.noise").add(1)
        meter.create_counter("application.hits").add(1, {"kept": "yes", "dropped": "x"})
        assert handle.shutdown(10)
    names = {metric.name for metric in receiver.metrics()}
    assert "application.renamed" in names
    assert not {"application.noise", "application.hits"} & names
    [point] = points_of(receiver, "application.renamed")
    assert [attribute.key for attribute in point.attributes] == ["kept"]  # type: ignore[attr-defined]


def test_metrics_are_served_by_themselves_until_shutdown(telemetry: Recorded) -> None:
    [port] = free_ports(1)
    handle = otel_setup.configure(collector=False, metrics_port=port, metrics_host="127.0.0.1")
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b"liap_tui_games_active" in answer.read()
    handle.shutdown()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_a_port_that_is_taken_does_not_stop_the_game(telemetry: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        port = int(receiver.url.rsplit(":", 1)[1])
        with caplog.at_level(logging.WARNING, "otel_setup"):
            otel_setup.configure(collector=False, metrics_port=port, metrics_host="127.0.0.1")
    assert f"/metrics is not served at port {port}" in caplog.text


def test_what_is_logged_is_exported_with_its_trace(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url)

        async def act() -> None:
            async with telemetry.monitor.monitor_action_processing("game1", "play", "player1"):
                logging.getLogger("game.rules").warning("an odd move")

        asyncio.run(act())
        assert handle.shutdown(10)
    [line] = [record for record in receiver.log_records() if record.body.string_value == "an odd move"]
    [span] = receiver.spans()
    assert (line.trace_id, line.span_id) == (span.trace_id, span.span_id)
    assert line.severity_text == "WARNING"


@pytest.mark.parametrize("options", [{"log_level": False}, {"log_level": "ERROR"}, {"logs": False}])
def test_what_is_logged_stays_here_if_so_configured(telemetry: Recorded, options: dict[str, object]) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url, **options)  # type: ignore[arg-type]
        logging.getLogger("game.rules").warning("an odd move")
        assert handle.shutdown(10)
    assert not [record for record in receiver.log_records() if record.body.string_value]
