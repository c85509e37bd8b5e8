"""The metrics that the product's first document promises, typed from it, against the catalogue."""

from __future__ import annotations

import pytest

from otel_setup.catalogue import build
from otel_setup.catalogue.render import prometheus_type
from otel_setup.cli import reference

PHASES = {
    "waiting",
    "preparation",
    "round_start",
    "declaration",
    "turn",
    "turn_results",
    "scoring",
    "game_over",
}

SEED = {
    "liap_tui_games_active": ("gauge", {}),
    "liap_tui_games_completed_total": ("counter", {}),
    "liap_tui_games_per_hour": ("gauge", {}),
    "liap_tui_game_duration_minutes": ("gauge", {}),
    "liap_tui_player_win_rate": ("gauge", {"type": {"bot", "human"}}),
    "liap_tui_phase_duration_seconds": ("histogram", {"phase": PHASES}),
    "liap_tui_memory_usage_mb": ("gauge", {"type": {"rss", "vms"}}),
    "liap_tui_memory_growth_rate": ("gauge", {}),
    "liap_tui_cpu_usage_percent": ("gauge", {}),
    "liap_tui_gc_collections_total": ("counter", {"generation": {"0", "1", "2"}}),
    "liap_tui_threads_active": ("gauge", {}),
    "liap_tui_state_active_games": ("gauge", {"state": PHASES}),
    "liap_tui_state_transitions_total": ("counter", {"from": PHASES, "to": PHASES}),
    "liap_tui_websocket_connections_active": ("gauge", {}),
    "liap_tui_websocket_broadcast_time": ("histogram", {}),
}
"""Exact name: type, labels with their values."""

NOT_EXACT = {
    "liap_tui_state_errors": (
        "liap_tui.state.errors",
        "liap_tui_state_errors_total",
        "liap_tui_state_errors",
        {"state": PHASES},
    ),
    "liap_tui_websocket_connections.opened": (
        "liap_tui.websocket.connections.opened",
        "liap_tui_websocket_connections_opened_total",
        "liap_tui_websocket_connections_opened",
        {},
    ),
    "liap_tui_websocket_connections.closed": (
        "liap_tui.websocket.connections.closed",
        "liap_tui_websocket_connections_closed_total",
        "liap_tui_websocket_connections_closed",
        {},
    ),
}
"""The seed's names that Prometheus cannot carry: OpenTelemetry name, series, alias, labels."""


@pytest.mark.parametrize("name", SEED)
def test_a_seed_metric_is_exported_under_its_exact_name(name: str) -> None:
    kind, labels = SEED[name]
    found = {metric.prometheus: metric for metric in build().metrics}
    assert name in found
    assert prometheus_type(found[name].declared.kind) == kind
    assert {label: set(values) for label, values in found[name].labels.items()} == labels


@pytest.mark.parametrize("name", NOT_EXACT)
def test_a_seed_metric_that_prometheus_cannot_carry_is_a_counter_in_the_table(name: str) -> None:
    otel, series, alias, labels = NOT_EXACT[name]
    [metric] = [metric for metric in build().metrics if metric.name == otel]
    assert metric.series == (series,)
    assert prometheus_type(metric.declared.kind) == "counter"
    assert {label: set(values) for label, values in metric.labels.items()} == labels
    page = reference.files(build())["seed-names.md"]
    assert f"| `{name}` | `{otel}` | `{series}` | `{alias}` |" in page


def test_the_table_holds_no_other_name() -> None:
    page = reference.files(build())["seed-names.md"]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(NOT_EXACT)
