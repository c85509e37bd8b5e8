"""Names of the API this product succeeds that programs reach through the monitor's attributes, and what they give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import otel_setup
from otel_setup import Attribute, EnterpriseMonitor, EventType, Kind, Metric, Seat, SpanKind
from otel_setup.testing import Recorded

Call = Callable[[EnterpriseMonitor], Awaitable[None]]


async def played(telemetry: Recorded) -> EnterpriseMonitor:
    """A game of ann against a bot, which ann won after one phase and one action; and one that goes on."""
    monitor = telemetry.monitor
    games = monitor.game_metrics
    await games.record_game_start("g1", "r1", 2, 1)
    await monitor.record_game_start("g2", "r2", 2, 1, players=[Seat("bo"), Seat("Bot 2", is_bot=True)])
    await games.record_phase_duration("g1", "TURN", 10.0)
    await games.record_player_action("ann", "declare", 40.0, "g1")
    await monitor.record_turn_completed("g1", "ann")
    await games.record_game_end("g1", "ann", {"ann": 50, "Bot 2": 12})
    return monitor


# --- game metrics: recorders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "name", "labels"),
    [
        (lambda m: m.record_game_start("g", "r", 4, 0), "games_started_total", {}),
        (lambda m: m.record_game_end("live", "ann", {}), "games_completed_total", {}),
        (lambda m: m.record_game_end("live", None, {}, abandoned=True), "games_abandoned_total", {}),
        (
            lambda m: m.record_player_action("ann", "declare", 40.0, "live"),
            "actions_total",
            {"action_type": "declare", "outcome": "accepted", "actor": "human"},
        ),
        (
            lambda m: m.record_player_action("ann", "declare", 40.0),
            "actions_total",
            {"action_type": "declare", "outcome": "accepted", "actor": "unknown"},
        ),
        (
            lambda m: m.record_player_action("ann", "declare", 40.0, "live"),
            "action_duration_seconds_count",
            {"action_type": "declare", "outcome": "accepted"},
        ),
        (
            lambda m: m.record_state_transition("live", "WAITING", "PREPARATION", 12.0),
            "state_transitions_total",
            {"from": "waiting", "to": "preparation"},
        ),
        (
            lambda m: m.record_state_transition("live", "WAITING", "PREPARATION", 12.0),
            "state_active_games",
            {"state": "preparation"},
        ),
        (lambda m: m.record_phase_duration("live", "TURN", 5.0), "phase_duration_seconds_count", {"phase": "turn"}),
        (lambda m: m.record_websocket_connection("c", True), "websocket_connections_opened_total", {}),
        (lambda m: m.record_websocket_connection("c", False), "websocket_connections_closed_total", {}),
        (lambda m: m.record_websocket_broadcast("r", 4, 0.5), "websocket_broadcasts_total", {"outcome": "success"}),
        (
            lambda m: m.record_websocket_broadcast("r", 4, 0.5, success=False),
            "websocket_broadcasts_total",
            {"outcome": "failure"},
        ),
    ],
)
async def test_every_recorder_moves_its_metric(
    telemetry: Recorded, call: Callable[[Any], Awaitable[None]], name: str, labels: dict[str, str]
) -> None:
    await telemetry.monitor.record_game_start("live", "r", 1, 0, players=[Seat("ann")])
    before = telemetry.value(f"liap_tui_{name}", labels) or 0
    await call(telemetry.monitor.game_metrics)
    assert telemetry.value(f"liap_tui_{name}", labels) == before + 1


async def test_a_finished_transition_moves_its_game_however_it_is_told(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    tellers: list[Call] = [
        lambda m: m.game_metrics.record_state_transition("g", "WAITING", "PREPARATION", 1.0),
        lambda m: m.event_logger.log_state_transition("g", "PREPARATION", "ROUND_START"),
        lambda m: m.record_event("state.transition.complete", game_id="g", from_state="ROUND_START", to_state="TURN"),
    ]
    await monitor.record_game_start("g", "r", 4, 0)
    states = []
    for tell in tellers:
        await tell(monitor)
        states.append(monitor.core.ledger.state_of("g"))
    assert states == ["preparation", "round_start", "turn"]


# --- game metrics: readers ------------------------------------------------------------------------------------------


async def test_the_hourly_report_has_the_keys_of_the_earlier_api(telemetry: Recorded) -> None:
    monitor = await played(telemetry)
    (hour, report), *_ = monitor.game_metrics.get_hourly_metrics(hours=24).items()
    when = telemetry.events(EventType.GAME_STARTED)[0].timestamp
    assert hour == when.strftime("%Y-%m-%d-%H")
    assert report == {
        "games_started": 2,
        "games_completed": 1,
        "games_abandoned": 0,
        "total_players": 4,
        "total_turns": 1,
    }


async def test_the_players_report_has_the_keys_of_the_earlier_api(telemetry: Recorded) -> None:
    monitor = await played(telemetry)
    assert monitor.game_metrics.get_player_metrics("ann") == {
        "games_played": 1,
        "games_won": 1,
        "total_score": 50,
        "actions_taken": 1,
        "avg_response_time": 40.0,
    }
    assert set(monitor.game_metrics.get_player_metrics()) == {
        "total_players",
        "average_games_per_player",
        "overall_win_rate",
        "bot_win_rate",
        "human_win_rate",
    }


async def test_the_phase_report_has_the_keys_of_the_earlier_api(telemetry: Recorded) -> None:
    monitor = await played(telemetry)
    await monitor.record_phase_duration("g2", "turn", 30.0)
    assert monitor.game_metrics.get_phase_metrics() == {
        "turn": {"avg_seconds": 20.0, "min_seconds": 10.0, "max_seconds": 30.0, "p95_seconds": 30.0}
    }
    assert telemetry.value("liap_tui_phase_duration_seconds_bucket", {"phase": "turn", "le": "10.0"}) == 1
    assert telemetry.value("liap_tui_phase_duration_seconds_bucket", {"phase": "turn", "le": "+Inf"}) == 2
    assert telemetry.value("liap_tui_phase_duration_seconds_sum", {"phase": "turn"}) == 40.0


async def test_the_analytics_have_the_keys_of_the_earlier_api(telemetry: Recorded) -> None:
    before = telemetry.monitor.game_metrics.get_game_analytics()
    assert set(before) == {"total_games", "active_games", "avg_duration", "avg_players", "completion_rate"}
    monitor = await played(telemetry)
    analytics = monitor.game_metrics.get_game_analytics()
    duration = analytics.pop("avg_duration_minutes")
    assert 0 <= duration < 1
    assert analytics == {
        "total_games": 2,
        "active_games": 1,
        "completed_games": 1,
        "abandoned_games": 0,
        "avg_players": 2,
        "completion_rate": 1.0,
        "games_per_hour": 1,
    }


# --- the collector of a game's own metrics --------------------------------------------------------------------------

WEAPON = Attribute(name="weapon", values=("bow", "sling"), description="With what.")
COMMON: dict[str, Any] = {"description": "X.", "moves": "Y."}
SHOTS = Metric(name="shots", kind=Kind.COUNTER, unit="{shot}", attributes=(WEAPON,), **COMMON)
TOKENS = Metric(name="tokens", kind=Kind.GAUGE, unit="", **COMMON)
FLIGHT = Metric(name="flight", kind=Kind.HISTOGRAM, unit="s", buckets=(0.1, 1.0, 60.0), **COMMON)


@pytest.fixture
def collecting(telemetry: Recorded) -> Recorded:
    otel_setup.configure(collector=False, business_metrics=[SHOTS, TOKENS, FLIGHT])
    return telemetry


def refused(telemetry: Recorded, reason: str) -> float | None:
    return telemetry.value("otel_setup_input_refused_total", {"reason": reason})


async def test_declared_metrics_are_recorded_each_as_its_kind(collecting: Recorded) -> None:
    collector = collecting.monitor.metrics_collector
    await collector.increment("shots", tags={"weapon": "bow"})
    await collector.increment("shots", 2.5, {"weapon": "bow"})
    await collector.gauge("tokens", 3)
    await collector.gauge("tokens", -1)
    await collector.histogram("flight", 0.5)
    with collector.timer("flight"):
        pass
    assert collector.get_metrics() == ["shots", "tokens", "flight"]
    assert collecting.value("liap_tui_shots_total", {"weapon": "bow"}) == 3.5
    assert collecting.value("liap_tui_tokens") == -1
    assert collecting.value("liap_tui_flight_seconds_count") == 2
    assert 0.5 < (collecting.value("liap_tui_flight_seconds_sum") or 0) < 30


async def test_a_timer_measures_what_raises_and_lets_it_pass(collecting: Recorded) -> None:
    with pytest.raises(ValueError, match="own"), collecting.monitor.metrics_collector.timer("flight"):
        raise ValueError("own")
    assert collecting.value("liap_tui_flight_seconds_count") == 1


async def test_undeclared_metrics_are_refused_whatever_they_are_called(collecting: Recorded) -> None:
    collector: Any = collecting.monitor.metrics_collector
    for name in ("nothing", "games.started", "liap_tui.shots", None, 7, "x" * 10_000):
        await collector.increment(name)
    with collector.timer("nothing"):
        pass
    assert refused(collecting, "undeclared_metric") == 7
    assert collecting.value("liap_tui_games_started_total") == 0


async def test_a_metric_is_not_recorded_as_another_kind(collecting: Recorded) -> None:
    collector = collecting.monitor.metrics_collector
    await collector.gauge("shots", 100, {"weapon": "bow"})
    await collector.increment("tokens")
    await collector.histogram("shots", 5, {"weapon": "bow"})
    assert refused(collecting, "undeclared_metric") == 3
    assert collecting.value("liap_tui_shots_total", {"weapon": "bow"}) == 0
    assert collecting.value("liap_tui_tokens") is None


@pytest.mark.parametrize("tags", [{"player": "ann"}, {1: "bow"}, {"weapon": "bow", "x": "y"}, "weapon", [1]])
async def test_undeclared_labels_are_refused(collecting: Recorded, tags: Any) -> None:
    await collecting.monitor.metrics_collector.increment("shots", 1, tags)
    assert refused(collecting, "undeclared_attribute") == 1
    assert collecting.value("liap_tui_shots_total", {"weapon": "bow"}) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "1", None, True, 10**400, [1]])
async def test_values_that_no_counter_can_take_are_refused(collecting: Recorded, value: Any) -> None:
    await collecting.monitor.metrics_collector.increment("shots", value, {"weapon": "bow"})
    assert refused(collecting, "invalid_value") == 1
    assert collecting.value("liap_tui_shots_total", {"weapon": "bow"}) == 0


# --- views and tracer -----------------------------------------------------------------------------------------------


def test_the_views_answer_by_their_names(telemetry: Recorded) -> None:
    views = telemetry.monitor.visualization
    assert set(views.get_state_diagram()) >= {"type", "nodes", "edges", "timestamp"}
    assert set(views.get_room_status()) >= {"type", "summary", "rooms_by_state", "rooms", "timestamp"}
    assert set(views.get_performance_metrics(5)) >= {"type", "window_minutes", "timeline", "aggregates", "timestamp"}
    assert set(views.get_error_heatmap()) >= {"type", "data", "timestamp"}
    everything = telemetry.monitor.get_visualization_data()
    assert set(everything) >= {"state_diagram", "room_status", "performance_metrics", "error_heatmap", "generated_at"}


async def test_samples_and_errors_told_to_the_views_are_in_them(telemetry: Recorded) -> None:
    views: Any = telemetry.monitor.visualization
    views.record_performance_sample("GET /rooms", 12.5)
    views.record_performance_sample("GET /rooms", 37.5, error=True)
    views.record_performance_sample("odd", "fast")
    performance = views.get_performance_metrics()
    assert [(sample["endpoint"], sample["response_time"]) for sample in performance["timeline"]][:2] == [
        ("GET /rooms", 12.5),
        ("GET /rooms", 37.5),
    ]
    assert performance["aggregates"]["total_requests"] == len(performance["timeline"])
    views.record_error("TURN", "ValueError")
    (error,) = views.get_error_heatmap()["data"]
    assert error.items() >= {"state": "turn", "error_type": "ValueError", "count": 1}.items()
    assert telemetry.value("liap_tui_state_errors_total", {"state": "turn"}) == 1


def test_span_kinds_are_those_of_the_earlier_api() -> None:
    assert {kind.value for kind in SpanKind} == {
        "state_transition",
        "action_processing",
        "phase_execution",
        "websocket_message",
        "database_operation",
        "external_service",
    }


@pytest.mark.parametrize(
    "name",
    [
        "service_name",
        "metrics_collector",
        "game_metrics",
        "system_metrics",
        "tracer",
        "event_stream",
        "event_logger",
        "visualization",
    ],
)
def test_the_monitor_has_the_attributes_of_the_earlier_api(telemetry: Recorded, name: str) -> None:
    assert getattr(telemetry.monitor, name) is not None
