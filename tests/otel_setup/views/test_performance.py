"""Durations over a window, and the heat map of errors."""

from __future__ import annotations

from otel_setup.catalogue import EventType
from otel_setup.views import error_heatmap, performance_metrics
from tests.otel_setup.ledger.builder import World, as_json


def test_transitions_and_actions_of_the_window() -> None:
    world = World()
    world.start()
    world.acted("ann", ms=900)
    world.wait(31 * 60)
    world.moved("waiting", "preparation", 1, ms=10)
    world.wait(1)
    world.failed("preparation", "round_start", 2)
    world.acted("ann", action="play_piece", ms=4)
    view = performance_metrics(world.ledger, 30, world.now_ns)
    assert as_json(view) == {
        "type": "performance_metrics",
        "window_minutes": 30,
        "timeline": [
            {
                "timestamp": "2026-03-01T12:31:00+00:00",
                "endpoint": "transition.waiting_to_preparation",
                "response_time": 10.0,
                "error": False,
                "metadata": {},
            },
            {
                "timestamp": "2026-03-01T12:31:01+00:00",
                "endpoint": "transition.preparation_to_round_start",
                "response_time": 1.0,
                "error": True,
                "metadata": {},
            },
            {
                "timestamp": "2026-03-01T12:31:01+00:00",
                "endpoint": "action.play_pieces",
                "response_time": 4.0,
                "error": False,
                "metadata": {},
            },
        ],
        "aggregates": {"avg_response_time_ms": 5.0, "error_rate": 1 / 3, "total_requests": 3},
        "timestamp": "2026-03-01T12:31:01+00:00",
    }
    assert performance_metrics(world.ledger, 60, world.now_ns)["aggregates"]["total_requests"] == 4


def test_the_aggregates_count_what_the_timeline_no_longer_holds() -> None:
    world = World()
    for number in range(1_500):
        world.acted("ann", ms=number % 2)
    world.tell(EventType.ACTION_FAILED, player="ann", action_type="declare", outcome="failed", duration_ms=0.0)
    view = performance_metrics(world.ledger, 60, world.now_ns)
    assert len(view["timeline"]) == 1_000
    assert view["aggregates"] == {
        "avg_response_time_ms": 750 / 1_501,
        "error_rate": 1 / 1_501,
        "total_requests": 1_501,
    }


def test_a_sample_of_somebody_elses_counts_too_and_never_as_nan() -> None:
    world = World()
    world.ledger.add_sample(world.now_ns, "GET /rooms", 8.0, error=True)
    world.ledger.add_sample(world.now_ns, "GET /rooms", float("nan"), error=False)
    view = as_json(performance_metrics(world.ledger, 60, world.now_ns))
    assert [row["response_time"] for row in view["timeline"]] == [8.0, 0.0]
    assert view["aggregates"] == {"avg_response_time_ms": 4.0, "error_rate": 0.5, "total_requests": 2}


def test_nothing_happened() -> None:
    view = performance_metrics(World().ledger)
    assert view["timeline"] == []
    assert view["aggregates"] == {"avg_response_time_ms": 0.0, "error_rate": 0.0, "total_requests": 0}
    assert view["window_minutes"] == 60


def test_types_of_actions_outside_the_model_are_one_endpoint() -> None:
    world = World()
    world.acted("ann", action="<b>x</b>")
    assert [row["endpoint"] for row in performance_metrics(world.ledger, 60, world.now_ns)["timeline"]] == [
        "action.other"
    ]


# --- heat map -------------------------------------------------------------------------------------------------------


def test_errors_by_phase_type_and_hour() -> None:
    world = World(retention_hours=3)
    world.start()
    world.error("KeyError")
    world.wait(3600)
    world.moved("scoring", "turn", 1)
    world.error("KeyError")
    world.error("KeyError")
    world.error("Alpha")
    world.error("Lost", game=None)
    world.wait(3600)
    world.error("KeyError")
    heatmap = error_heatmap(world.ledger, world.now_ns)
    assert as_json(heatmap) == {
        "type": "error_heatmap",
        "data": [
            {"state": "waiting", "error_type": "KeyError", "count": 1, "per_hour": [1, 0, 0]},
            {"state": "turn", "error_type": "Alpha", "count": 1, "per_hour": [0, 1, 0]},
            {"state": "turn", "error_type": "KeyError", "count": 3, "per_hour": [0, 2, 1]},
            {"state": "other", "error_type": "Lost", "count": 1, "per_hour": [0, 1, 0]},
        ],
        "hours": ["2026-03-01T12:00:00+00:00", "2026-03-01T13:00:00+00:00", "2026-03-01T14:00:00+00:00"],
        "timestamp": "2026-03-01T14:00:00+00:00",
    }
    world.wait(3600)
    assert [row["error_type"] for row in error_heatmap(world.ledger, world.now_ns)["data"]] == [
        "Alpha",
        "KeyError",
        "Lost",
    ]
    world.wait(3 * 3600)
    assert error_heatmap(world.ledger, world.now_ns)["data"] == []


def test_an_error_without_a_type_has_one_all_the_same() -> None:
    world = World()
    world.start()
    world.error("")
    assert error_heatmap(world.ledger, world.now_ns)["data"][0]["error_type"] == "Error"
