"""The names of the API this product succeeds can be imported, and the rarer ones do what they say."""

from __future__ import annotations

import pytest

import otel_setup
from otel_setup.testing import Recorded

NAMES = """
EnterpriseMonitor get_enterprise_monitor configure_enterprise_monitoring GameMetricsCollector GameStats GameMetricType
SystemMetricsCollector StateTracer TraceContext SpanKind configure_tracing get_tracer CorrelationContext
get_correlation_id set_correlation_id add_correlation_metadata clear_correlation with_correlation
propagate_correlation_to_thread propagate_correlation_to_task inject_correlation_header extract_correlation_header
CorrelationMiddleware CorrelatedLogger SystemEvent EventType EventFilter EventSubscriber EventStream EventLogger
get_event_stream configure_event_stream StateVisualizationProvider VisualizationType PrometheusExporter
prometheus_router MetricConfig MetricTag configure_metrics
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_name_can_be_imported(name: str) -> None:
    assert getattr(otel_setup, name) is not None
    assert name in otel_setup.__all__


async def test_a_live_games_stats(telemetry: Recorded) -> None:
    await telemetry.monitor.record_game_start("g", "r", 4, 1)
    await telemetry.monitor.record_turn_completed("g", "ann")
    await telemetry.monitor.record_phase_duration("g", "TURN", 2.5)
    stats = telemetry.monitor.game_metrics.get_game_stats("g")
    assert stats is not None
    assert (stats.room_id, stats.player_count, stats.bot_count, stats.total_turns) == ("r", 4, 1, 1)
    assert stats.phase_durations == {"turn": 2.5}
    assert not stats.is_completed
    assert stats.average_turn_time == stats.duration_seconds
    assert telemetry.monitor.game_metrics.get_game_stats("nobody") is None


def test_the_streams_bounds_can_be_changed(telemetry: Recorded) -> None:
    stream = otel_setup.configure_event_stream(history_size=7, max_subscribers=3)
    assert stream is otel_setup.get_event_stream()
    statistics = stream.get_statistics()
    assert (statistics["history_limit"], statistics["max_subscribers"]) == (7, 3)


def test_the_visualisations_writers_reach_the_views(telemetry: Recorded) -> None:
    views = telemetry.monitor.visualization
    views.update_state_transition("WAITING", "PREPARATION", 4.0)
    views.update_state_node("TURN", active_games_delta=5, duration_sample=2.0, error_occurred=True)
    views.update_room_visualization("r1", error_occurred=True, current_state="TURN")
    diagram = views.get_state_diagram()
    edge = next(e for e in diagram["edges"] if (e["from"], e["to"]) == ("waiting", "preparation"))
    assert (edge["count"], edge["avg_duration_ms"]) == (1, 4.0)
    turn = next(node for node in diagram["nodes"] if node["name"] == "turn")
    assert (turn["active_games"], turn["avg_duration_seconds"], turn["error_count"]) == (0, 2.0, 2)
    assert [room["room_id"] for room in views.get_room_status()["rooms"]] == ["r1"]
    views.cleanup_old_data(hours=1)


def test_configure_tracing_gives_the_tracer(telemetry: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert otel_setup.configure_tracing("lobby") is otel_setup.get_tracer()
    assert telemetry.monitor.service_name == "lobby"
