"""Budgets: the numbers of the Site Reliability Workbook, and what is left out."""

from __future__ import annotations

from alerts import slo
from alerts.parts import Alert, Recording
from alerts.query import Query
from otel_setup.catalogue import build
from settings import Settings, parse


def alerts_of(name: str, settings: Settings) -> dict[tuple[str, str], Alert]:
    group = slo.rules(Query(build(), settings))
    return {(alert.labels["long"], alert.labels["short"]): alert for alert in group.alerts if alert.name == name}


def test_the_burn_rates_are_those_of_the_workbook() -> None:
    """Table 5-8: 2 % of the budget in 1 h, 5 % in 6 h, 10 % in 3 d; 10 % in 1 d as most generators add."""
    spent = {burn.long: float(burn.factor) * burn.long / (30 * 86_400) for burn in slo.BURNS}
    assert {seconds: round(share, 6) for seconds, share in spent.items()} == {
        3600: 0.02,
        21_600: 0.05,
        86_400: 0.1,
        259_200: 0.1,
    }
    assert [burn.severity.value for burn in slo.BURNS] == ["critical", "critical", "warning", "warning"]
    # A short window is a twelfth of the long one (the workbook, "Multiwindow, Multi-Burn-Rate Alerts").
    assert {burn.long / burn.short for burn in slo.BURNS} == {12}


def test_a_threshold_is_the_budget_times_the_factor() -> None:
    found = alerts_of("ActionSuccessBudgetBurn", parse({"alerts": {"objectives": {"action_success_percent": 99.5}}}))
    expected = {("1h", "5m"): "0.072", ("6h", "30m"): "0.03", ("1d", "2h"): "0.015", ("3d", "6h"): "0.005"}
    for windows, limit in expected.items():
        first, second, _ = found[windows].expr.splitlines()
        assert first.endswith(f"> {limit}"), windows
        assert second.endswith(f"> {limit}"), windows
    assert found.keys() == expected.keys()


def test_a_burn_rate_that_cannot_be_reached_is_no_alert() -> None:
    """Of games a tenth may be abandoned: 14.4 times that would be more than all."""
    assert ("1h", "5m") not in alerts_of("GameCompletionBudgetBurn", Settings())
    assert ("6h", "30m") in alerts_of("GameCompletionBudgetBurn", Settings())


def test_every_window_of_an_alert_is_recorded() -> None:
    group = slo.rules(Query(build(), Settings()))
    recorded = {rule.record for rule in group.rules if isinstance(rule, Recording)}
    for alert in group.alerts:
        for window in (alert.labels["long"], alert.labels["short"]):
            assert f"slo:errors:ratio_rate{window}" in recorded


def test_actions_are_in_time_by_their_own_limit() -> None:
    """Liap Tui's plays pause up to 12 s on purpose; everything else has a quarter of a second (game_model.py)."""
    group = slo.rules(Query(build(), Settings()))
    (errors,) = (
        rule.expr
        for rule in group.rules
        if isinstance(rule, Recording) and rule.record == slo.ERRORS and rule.labels["slo"] == "action_latency"
    )
    assert 'action_type="play_pieces",le=~"15|15' in errors
    assert 'continue_round",le="0.25"' in errors
