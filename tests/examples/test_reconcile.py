"""The comparison: what is equal, what differs and how it is shown."""

from __future__ import annotations

import pytest

from examples.common.record import Series
from examples.reconcile import WIDTH, from_exposition, from_prometheus, reconcile


def series(family: str, **labels: str) -> Series:
    return family, frozenset(labels.items())


ACTIONS = {"action_type": "play_pieces", "outcome": "accepted", "actor": "human"}
EXPECTED = {
    series("games_started_total"): 20.0,
    series("actions_total", **ACTIONS): 1234.0,
    series("actions_total", **ACTIONS | {"actor": "bot"}): 6.0,
    series("state_errors_total"): 0.0,
}


def test_equal_sources_are_equal() -> None:
    result = reconcile(EXPECTED, {"/metrics": dict(EXPECTED), "Prometheus": dict(EXPECTED)})
    assert result.equal
    assert result.differences() == []
    assert "≠" not in result.render()
    assert result.render().splitlines()[-1] == "3 families, 2 sources: all equal to the record"


def test_one_differing_series_is_found_and_expanded() -> None:
    wrong = EXPECTED | {series("actions_total", **ACTIONS): 1230.0}
    result = reconcile(EXPECTED, {"/metrics": dict(EXPECTED), "Prometheus": wrong})
    assert not result.equal
    [(family, differing)] = result.differences()
    assert (family.name, family.expected, family.found) == ("actions_total", 1240.0, (1240.0, 1236.0))
    assert (differing.expected, differing.found) == (1234.0, (1234.0, 1230.0))
    lines = result.render().splitlines()
    assert [line.split() for line in lines if line.startswith("actions_total")] == [
        ["actions_total", "1240", "1240", "≠1236", "✗"]
    ]
    assert "  {action_type=play_pieces, actor=human, outcome=accepted}" in result.render()
    assert "actor=bot" not in result.render()
    assert lines[-1] == "3 families, 2 sources: 1 series differ"


def test_differences_that_cancel_out_in_the_sum_are_found() -> None:
    bot = series("actions_total", **ACTIONS | {"actor": "bot"})
    swapped = EXPECTED | {series("actions_total", **ACTIONS): 1233.0, bot: 7.0}
    result = reconcile(EXPECTED, {"/metrics": swapped})
    assert not result.equal
    assert len(result.differences()) == 2


def test_an_absent_series_is_right_only_where_nothing_is_expected() -> None:
    lacks = {key: value for key, value in EXPECTED.items() if value}
    assert reconcile(EXPECTED, {"/metrics": lacks}).equal
    del lacks[series("games_started_total")]
    result = reconcile(EXPECTED, {"/metrics": lacks})
    assert not result.equal
    assert "games_started_total" in result.render()
    assert "absent" in result.render()


def test_what_only_a_source_shows_is_a_difference_in_compared_families_alone() -> None:
    more = EXPECTED | {series("state_errors_total", state="turn"): 1.0}
    result = reconcile(EXPECTED, {"/metrics": more})
    assert [differing.name for _, differing in result.differences()] == ["{state=turn}"]
    zeros = EXPECTED | {series("state_errors_total", state="turn"): 0.0, series("memory_usage_mb", type="rss"): 80.0}
    assert reconcile(EXPECTED, {"/metrics": zeros}).equal


def test_nothing_to_compare_is_an_error_and_not_agreement() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        reconcile({}, {"/metrics": dict(EXPECTED)})
    with pytest.raises(ValueError, match="nothing to compare"):
        reconcile(EXPECTED, {})


def test_the_table_fits_its_width_and_loses_no_label() -> None:
    long = series("websocket_io_bytes_total", direction="transmit", message_type="player_reconnected_" * 7)
    expected = EXPECTED | {long: 71_460_340.0}
    names = ("/metrics", "Collector", "Prometheus", "stream", "hub", "a source with a long name")
    result = reconcile(expected, {name: {} for name in names})
    rendered = result.render()
    assert max(map(len, rendered.splitlines())) <= WIDTH
    assert "player_reconnected_" * 7 in "".join(line.strip() for line in rendered.splitlines())
    assert rendered.splitlines()[0].split()[:3] == ["family", "record", "/metrics"]


def test_exposition_is_read_by_prefix_with_the_labels_of_the_game() -> None:
    text = (
        "# TYPE arena_games_started counter\n"
        'arena_games_started_total{otel_scope_name="otel_setup"} 3\n'
        "# TYPE arena_phase_duration_seconds histogram\n"
        'arena_phase_duration_seconds_bucket{phase="warmup",le="1"} 1\n'
        'arena_phase_duration_seconds_bucket{phase="warmup",le="+Inf"} 2\n'
        'arena_phase_duration_seconds_count{phase="warmup"} 2\n'
        'arena_phase_duration_seconds_sum{phase="warmup"} 4.5\n'
        "# TYPE python_info gauge\n"
        "python_info 1\n"
    )
    values = from_exposition(text, "arena_")
    assert values[series("games_started_total")] == 3
    assert values[series("phase_duration_seconds_count", phase="warmup")] == 2
    assert not [key for key in values if "python" in key[0]]


def test_prometheus_answers_are_read_and_instances_added_up() -> None:
    def result(instance: str, value: str) -> dict[str, object]:
        metric = {"__name__": "arena_rooms_created_total", "job": "arena", "instance": instance}
        return {"metric": metric, "value": [1_700_000_000.0, value]}

    answer = {"status": "success", "data": {"resultType": "vector", "result": [result("a", "3"), result("b", "4")]}}
    assert from_prometheus(answer, "arena_") == {series("rooms_created_total"): 7.0}
    with pytest.raises(ValueError, match="not the answer"):
        from_prometheus({"status": "error", "error": "parse error"}, "arena_")
