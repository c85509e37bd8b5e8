"""What ``build()`` makes of a game, and what it refuses, by name and all at once."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.catalogue import METRICS, Attribute, Kind, M, Metric, build

from .arena import ARENA, ARENA_WITH_SHOTS, SHOTS


def metric(name: str = "coins.earned", **changes: Any) -> Metric:
    """A sound business metric, with changes."""
    sound: dict[str, Any] = {"kind": Kind.COUNTER, "unit": "{coin}", "description": "Coins.", "moves": "Up."}
    return Metric(name=name, **(sound | changes))


def refusal(*extra: Metric, prefix: str | None = None) -> str:
    """The text with which ``build()`` refuses the metrics."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        build(ARENA, prefix, extra)
    return str(caught.value)


def label(name: str = "colour", **changes: Any) -> Attribute:
    """A sound label, with changes."""
    sound: dict[str, Any] = {"values": ("red", "blue"), "description": "Colour."}
    return Attribute(name=name, **(sound | changes))


def test_a_sound_business_metric_is_accepted() -> None:
    # The refusals below differ from this one in what they name.
    built = build(ARENA, extra=[metric(attributes=(label(),))])[metric()]
    assert (built.name, built.prometheus) == ("arena.coins.earned", "arena_coins_earned_total")


def test_a_name_declared_twice_is_refused() -> None:
    assert "'coins.earned' is declared twice" in refusal(metric(), metric(unit="{gem}"))


def test_a_name_the_catalogue_has_already_is_refused() -> None:
    assert "'games.started' is declared twice" in refusal(metric("games.started"))


def test_unit_one_is_refused() -> None:
    text = refusal(metric("luck", kind=Kind.GAUGE, unit="1"))
    assert "'luck'" in text
    assert "unit '1'" in text


def test_a_unit_without_a_known_suffix_is_refused() -> None:
    text = refusal(metric("weight", unit="kg"))
    assert "weight" in text
    assert "'kg'" in text


def test_an_open_label_is_refused() -> None:
    text = refusal(metric(attributes=(label("country", values=None),)))
    assert "'coins.earned'" in text
    assert "'country' needs a closed set" in text


@pytest.mark.parametrize("flag", ["identifies", "personal"])
def test_a_label_that_identifies_is_refused_even_with_a_closed_set(flag: str) -> None:
    text = refusal(metric(attributes=(label("hero", **{flag: True}),)))
    assert "'coins.earned'" in text
    assert "'hero'" in text


def test_a_label_that_declares_the_reserved_value_is_refused() -> None:
    text = refusal(metric(attributes=(label(values=("red", "other")),)))
    assert "'colour' declares 'other'" in text


@pytest.mark.parametrize("name", ["Colour", "player.colour", "colour__", "2nd"])
def test_a_label_that_prometheus_would_change_is_refused(name: str) -> None:
    text = refusal(metric(attributes=(label(name),)))
    assert "'coins.earned'" in text
    assert repr(name) in text


@pytest.mark.parametrize(
    ("kind", "buckets"),
    [(Kind.HISTOGRAM, ()), (Kind.COUNTER, (1.0, 2.0))],
    ids=["a histogram without", "a counter with"],
)
def test_buckets_belong_to_histograms_alone(kind: Kind, buckets: tuple[float, ...]) -> None:
    text = refusal(metric("purse", kind=kind, buckets=buckets))
    assert "'purse'" in text
    assert "buckets belong to histograms" in text


@pytest.mark.parametrize("buckets", [(2.0, 1.0), (1.0, 1.0)], ids=["falling", "repeated"])
def test_buckets_that_do_not_rise_are_refused(buckets: tuple[float, ...]) -> None:
    text = refusal(metric("purse", kind=Kind.HISTOGRAM, buckets=buckets))
    assert "'purse': buckets must rise" in text


@pytest.mark.parametrize("prefix", ["", "Arena", "my-game", "1up", "a..b", "a__b", "game_"])
def test_a_prefix_that_prometheus_would_change_is_refused(prefix: str) -> None:
    assert f"prefix {prefix!r}" in refusal(prefix=prefix)


@pytest.mark.parametrize("name", ["Coins", "coins earned", "coins.", "coins__earned", "münzen"])
def test_a_name_that_prometheus_would_change_is_refused(name: str) -> None:
    assert f"metric {name!r}: the name" in refusal(metric(name))


@pytest.mark.parametrize(
    ("name", "unit", "word"), [("time.seconds.left", "s", "seconds"), ("coins.total", "{coin}", "total")]
)
def test_a_name_that_says_its_suffix_is_refused(name: str, unit: str, word: str) -> None:
    # Prometheus's OTLP receiver drops the repetition, the Python exporter keeps it where it is not at the end.
    text = refusal(metric(name, unit=unit))
    assert name in text
    assert repr(word) in text


def test_two_names_that_are_one_in_prometheus_are_refused() -> None:
    text = refusal(metric("coins.earned"), metric("coins_earned"))
    assert "'coins.earned' and 'coins_earned' are both arena_coins_earned_total" in text


def test_everything_wrong_is_said_in_one_error() -> None:
    text = refusal(
        metric("luck", kind=Kind.GAUGE, unit="1"),
        metric("purse", kind=Kind.HISTOGRAM),
        metric("visits", attributes=(label("country", values=None), label("hero", identifies=True))),
        metric("weight", unit="kg"),
        prefix="My Game",
    )
    for culprit in ("'My Game'", "'luck'", "'purse'", "'country'", "'hero'", "'kg'"):
        assert culprit in text


def test_business_metrics_have_the_games_prefix_its_labels_and_its_zeros() -> None:
    built = ARENA_WITH_SHOTS[SHOTS]
    assert (built.name, built.series) == ("arena.shots.fired", ("arena_shots_fired_total",))
    assert built.labels == {"weapon": ("bow", "staff")}
    assert list(built.zeros) == [{"weapon": "bow"}, {"weapon": "staff"}]
    assert ARENA_WITH_SHOTS.business("shots.fired") is built


def test_only_declared_business_metrics_are_business() -> None:
    assert ARENA_WITH_SHOTS.business("games.started") is None
    assert ARENA_WITH_SHOTS.business("coins.earned") is None
    assert [metric.name for metric in ARENA_WITH_SHOTS.metrics if metric.business] == ["arena.shots.fired"]


def test_a_prefix_goes_before_the_games_metrics_and_not_before_the_products_own() -> None:
    catalogue = build(ARENA, prefix="colosseum")
    assert catalogue[M.GAMES_STARTED].prometheus == "colosseum_games_started_total"
    assert catalogue[M.INTERNAL_ERRORS].prometheus == "otel_setup_internal_errors_total"


def test_every_metric_of_the_list_is_in_the_catalogue_once() -> None:
    assert [built.declared for built in build(ARENA).metrics] == list(METRICS)
