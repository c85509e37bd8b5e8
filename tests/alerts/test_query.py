"""Expressions from the catalogue: what they look like, and what they refuse."""

from __future__ import annotations

from decimal import Decimal

import pytest

from alerts.query import Query, QueryError, le, number, span
from otel_setup.catalogue import M, build
from otel_setup.catalogue import attributes as a
from settings import Settings, parse

QUERY = Query(build(), Settings())


def test_a_rate_is_summed_by_job_over_a_window_as_people_write_it() -> None:
    said = QUERY.rate(M.ACTIONS, 300, {a.OUTCOME: ("failed", "cancelled")})
    assert said == 'sum by (job) (rate(liap_tui_actions_total{outcome=~"failed|cancelled"}[5m]))'


def test_a_quantile_keeps_the_bounds_apart() -> None:
    said = QUERY.quantile(M.ACTION_DURATION, 0.99, 3600, by=("job", "instance"))
    inner = "sum by (job, instance, le) (rate(liap_tui_action_duration_seconds_bucket[1h]))"
    assert said == f"histogram_quantile(0.99, {inner})"


def test_another_game_has_its_own_prefix() -> None:
    assert Query(build(prefix="chess"), Settings()).now(M.GAMES_ACTIVE) == "sum by (job) (chess_games_active)"


def test_a_scale_shrinks_windows() -> None:
    scaled = Query(build(), parse({"alerts": {"time_scale": 0.01}}))
    assert scaled.increase(M.GAMES_STARTED, 3600).endswith("[36s]))")


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda: QUERY.select(M.GAMES_STARTED, {a.OUTCOME: "failed"}), "has no label 'outcome'"),
        (lambda: QUERY.select(M.ACTIONS, {a.OUTCOME: "explosion"}), "outcome is never 'explosion'"),
        (lambda: QUERY.select(M.ACTIONS, part="bucket"), "no such series"),
        (lambda: QUERY.rate(M.GAMES_ACTIVE, 60), "is no counter"),
        (lambda: QUERY.now(M.GAMES_STARTED), "only rises"),
        (lambda: QUERY.quantile(M.ACTIONS, 0.5, 60), "is no histogram"),
    ],
    ids=["a label", "a value", "a part", "rate of a gauge", "value of a counter", "quantile of a counter"],
)
def test_what_does_not_exist_is_refused(ask: object, why: str) -> None:
    assert callable(ask)
    with pytest.raises(QueryError, match=why):
        ask()


def test_numbers_have_no_exponent_and_no_dust() -> None:
    assert number(Decimal("14.4") * (1 - Decimal("99.9") / 100)) == "0.0144"
    assert number(0.1 + 0.2) == "0.30000000000000004", "dust that came in stays: count in decimals"
    assert (number(Decimal("6.000")), number(100), number(1e-7)) == ("6", "100", "0.0000001")


def test_spans_take_the_largest_unit_that_comes_out_even() -> None:
    assert [span(s) for s in (300, 5400, 7200, 86_400, 36, 0.5)] == ["5m", "90m", "2h", "1d", "36s", "500ms"]


def test_whole_bounds_of_buckets_match_by_otlp_and_as_scraped() -> None:
    assert (le(0.25), le(15.0)) == ('le="0.25"', 'le=~"15|15\\\\.0"')
