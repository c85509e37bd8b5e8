"""Closed value sets, and the label sets that counters export as 0 before anything has happened."""

from __future__ import annotations

from itertools import product

import pytest

from otel_setup.catalogue import BuiltMetric, Catalogue, Kind, M, build

from .arena import ARENA_WITH_SHOTS

LIAP_TUI_PHASES = (
    "waiting",
    "preparation",
    "round_start",
    "declaration",
    "turn",
    "turn_results",
    "scoring",
    "game_over",
)
LIAP_TUI_EDGES = {
    ("waiting", "preparation"),
    ("preparation", "round_start"),
    ("round_start", "declaration"),
    ("declaration", "turn"),
    ("turn", "turn_results"),
    ("turn_results", "turn"),
    ("turn_results", "scoring"),
    ("scoring", "preparation"),
    ("scoring", "game_over"),
}
ARENA_PHASES = ("lobby", "fight", "storm", "podium")
ARENA_EDGES = {("lobby", "fight"), ("fight", "storm"), ("storm", "podium"), ("fight", "podium")}

CATALOGUES = {"default": build(), "arena": ARENA_WITH_SHOTS}
METRICS = [
    pytest.param(metric, id=f"{game}-{metric.declared.name}")
    for game, catalogue in CATALOGUES.items()
    for metric in catalogue.metrics
]


def edges(metric: BuiltMetric) -> list[tuple[str, str]]:
    """The zeros of a metric labelled from and to, as pairs."""
    return [(zero["from"], zero["to"]) for zero in metric.zeros]


@pytest.mark.parametrize("metric", METRICS)
def test_zeros_hold_every_label_with_an_allowed_value_and_each_set_once(metric: BuiltMetric) -> None:
    for zero in metric.zeros:
        assert set(zero) == set(metric.labels)
        for label, value in zero.items():
            assert value in (*metric.labels[label], "other")
    distinct = {tuple(sorted(zero.items())) for zero in metric.zeros}
    assert len(distinct) == len(metric.zeros)


@pytest.mark.parametrize("metric", METRICS)
def test_counters_and_only_counters_begin_at_zero(metric: BuiltMetric) -> None:
    # An observable counter's callback reports its own zeros; a counter whose label has no values has none.
    expected = metric.declared.kind is Kind.COUNTER and all(metric.labels.values())
    assert bool(metric.zeros) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_label_values_are_distinct_and_none_is_the_reserved_one(metric: BuiltMetric) -> None:
    for values in metric.labels.values():
        assert len(set(values)) == len(values)
        assert "other" not in values


@pytest.mark.parametrize(
    ("catalogue", "phases", "legal"),
    [
        (CATALOGUES["default"], LIAP_TUI_PHASES, LIAP_TUI_EDGES),
        (CATALOGUES["arena"], ARENA_PHASES, ARENA_EDGES),
    ],
    ids=list(CATALOGUES),
)
def test_legal_and_illegal_edges_share_out_every_pair(
    catalogue: Catalogue, phases: tuple[str, ...], legal: set[tuple[str, str]]
) -> None:
    everything = set(product((*phases, "other"), repeat=2))
    assert set(edges(catalogue[M.STATE_TRANSITIONS])) == legal
    assert set(edges(catalogue[M.STATE_ILLEGAL_TRANSITIONS])) == everything - legal


def test_errors_begin_at_zero_in_every_phase_and_outside_all_of_them() -> None:
    zeros = [zero["state"] for zero in CATALOGUES["default"][M.STATE_ERRORS].zeros]
    assert sorted(zeros) == sorted((*LIAP_TUI_PHASES, "other"))


def test_messages_begin_at_zero_in_the_direction_they_take() -> None:
    zeros = {(zero["direction"], zero["message_type"]) for zero in CATALOGUES["arena"][M.MESSAGES].zeros}
    assert zeros == {("receive", "input"), ("transmit", "world"), ("transmit", "input")}


def test_a_game_without_seats_has_no_wins_by_seat() -> None:
    assert CATALOGUES["arena"][M.SEAT_WINS].zeros == ()
    assert [zero["seat"] for zero in CATALOGUES["default"][M.SEAT_WINS].zeros] == ["0", "1", "2", "3"]
