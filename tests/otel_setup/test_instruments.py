"""The guard before the metrics, the zeros they begin with, and readings that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_setup import LIAP_TUI, Attribute, Kind, Metric
from otel_setup.catalogue import METRICS, M, build
from otel_setup.instruments import Instruments, Readings
from otel_setup.testing import Recorded
from tests.otel_setup.catalogue.arena import ARENA

Labels = frozenset[tuple[str, object]]


class Recording:
    """Instruments on a real SDK, and what it collects from them."""

    def __init__(self, readings: Readings | None = None, model: Any = LIAP_TUI, extra: tuple[Metric, ...] = ()) -> None:
        self.reader = InMemoryMetricReader()
        self.faults: list[Exception] = []
        meter = MeterProvider([self.reader], shutdown_on_exit=False).get_meter("test")
        self.instruments = Instruments(build(model, extra=extra), [meter], readings or {}, self.faults.append)

    def series(self) -> dict[str, dict[Labels, Any]]:
        data = self.reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        return {
            metric.name: {
                frozenset((point.attributes or {}).items()): getattr(point, "value", None)
                if hasattr(point, "value")
                else point.sum
                for point in metric.data.data_points
            }
            for scope in scopes
            for metric in scope.metrics
        }


def labels(**values: object) -> Labels:
    return frozenset(values.items())


# --- the guard ------------------------------------------------------------------------------------------------------


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value", ["zzz", "TURN", "", "turn ", None, 7, "\ud800", "x" * 10_000, Unprintable(), ["turn"]]
)
def test_a_value_outside_its_set_is_other_and_counted(value: object) -> None:
    recording = Recording()
    recording.instruments.add(M.STATE_ERRORS, state=value)
    series = recording.series()
    assert series["liap_tui.state.errors"] == {labels(state="other"): 1}
    assert series["otel_setup.labels.replaced"] == {labels(): 1}


def test_a_value_of_its_set_is_itself_and_so_is_other() -> None:
    recording = Recording()
    recording.instruments.add(M.STATE_ERRORS, 2, state="turn")
    recording.instruments.add(M.STATE_ERRORS, 3, state="other")
    series = recording.series()
    assert series["liap_tui.state.errors"] == {labels(state="turn"): 2, labels(state="other"): 3}
    assert "otel_setup.labels.replaced" not in series


def test_a_label_that_is_not_given_is_other_and_no_fault_of_the_game() -> None:
    recording = Recording()
    recording.instruments.add(M.STATE_TRANSITIONS, **{"from": "turn"})
    series = recording.series()
    assert series["liap_tui.state.transitions"] == {frozenset({("from", "turn"), ("to", "other")}): 1}
    assert "otel_setup.labels.replaced" not in series


def test_a_label_that_is_not_declared_is_dropped_and_counted() -> None:
    recording = Recording()
    recording.instruments.add(M.TURNS, player="ann", room="r1")
    series = recording.series()
    assert series["liap_tui.turns"] == {labels(): 1}
    assert series["otel_setup.labels.replaced"] == {labels(): 2}


def test_the_number_of_series_does_not_depend_on_what_players_send() -> None:
    recording = Recording()
    for number in range(500):
        name = f"needle-{number}"
        recording.instruments.add(M.ACTIONS, action_type=name, outcome=name, actor=name, player=name)
        recording.instruments.record(M.ACTION_DURATION, 0.1, action_type=name, outcome="accepted")
        recording.instruments.add(M.MESSAGES, direction="receive", message_type=name)
    series = recording.series()
    assert {name: len(points) for name, points in series.items()} == {
        "liap_tui.actions": 1,
        "liap_tui.action.duration": 1,
        "liap_tui.websocket.messages": 1,
        "otel_setup.labels.replaced": 1,
    }
    assert "needle" not in str(series)


def test_counters_add_histograms_collect_and_gauges_keep_the_last() -> None:
    tokens = Metric(name="tokens", kind=Kind.GAUGE, unit="", description="Tokens.", moves="They are spent.")
    recording = Recording(extra=(tokens,))
    for value in (1, 2.5):
        recording.instruments.add(M.TURNS, value)
        recording.instruments.record(M.BROADCAST_TIME, value)
        recording.instruments.record(tokens, value)
    series = recording.series()
    assert [series[f"liap_tui.{name}"][labels()] for name in ("turns", "websocket.broadcast_time", "tokens")] == [
        3.5,
        3.5,
        2.5,
    ]


# --- zeros ----------------------------------------------------------------------------------------------------------

# The sizes of the closed sets, from the game's description: 8 phases, 11 actions, 9 legal transitions, 17 messages in
# and 15 out, 4 seats; and of RFC 6455: 15 close codes are assigned (1000-1003, 1005-1015).
ZEROS = {
    "asyncio.event_loop.slow_callbacks": 1,
    "liap_tui.games.started": 1,
    "liap_tui.games.completed": 1,
    "liap_tui.games.abandoned": 1,
    "liap_tui.rounds": 1,
    "liap_tui.turns": 1,
    "liap_tui.redeals": 4,
    "liap_tui.declarations": 3,
    "liap_tui.state.transitions": 9,
    "liap_tui.state.illegal_transitions": (8 + 1) * (8 + 1) - 9,
    "liap_tui.state.errors": 8 + 1,
    "liap_tui.actions": 11 * 5 * 3,
    "liap_tui.action.timeouts": 11,
    "liap_tui.seats": 2,
    "liap_tui.player.wins": 2,
    "liap_tui.seat.wins": 4,
    "liap_tui.player.wins.unattributed": 1,
    "liap_tui.players.joined": 2,
    "liap_tui.players.left": 2,
    "liap_tui.players.disconnected": 1,
    "liap_tui.players.reconnected": 1,
    "liap_tui.bot.takeovers": 1,
    "liap_tui.rooms.created": 1,
    "liap_tui.rooms.closed": 1,
    "liap_tui.websocket.connections.opened": 1,
    "liap_tui.websocket.connections.closed": 1,
    "liap_tui.websocket.closes": 15,
    "liap_tui.websocket.messages": 17 + 15,
    "liap_tui.websocket.io": 17 + 15,
    "liap_tui.websocket.broadcasts": 2,
    "liap_tui.websocket.broadcast.recipients": 1,
    "otel_setup.input.refused": 5,
    "otel_setup.input.irregular": 12,
    "otel_setup.labels.replaced": 1,
}


def test_the_zeros_are_those_declared_and_no_others() -> None:
    recording = Recording()
    assert recording.series() == {}
    recording.instruments.export_zeros()
    series = recording.series()
    assert {name: len(points) for name, points in series.items()} == ZEROS
    assert {value for points in series.values() for value in points.values()} == {0}


def test_a_zero_exists_for_each_legal_transition_and_an_illegal_one_for_every_other_pair() -> None:
    recording = Recording()
    recording.instruments.export_zeros()
    series = recording.series()
    legal = {tuple(dict(point)[label] for label in ("from", "to")) for point in series["liap_tui.state.transitions"]}
    assert ("scoring", "game_over") in legal
    assert ("waiting", "scoring") not in legal
    illegal = {
        tuple(dict(point)[label] for label in ("from", "to")) for point in series["liap_tui.state.illegal_transitions"]
    }
    assert legal.isdisjoint(illegal)
    assert {("waiting", "scoring"), ("game_over", "waiting"), ("other", "other"), ("turn", "other")} <= illegal


def test_zeros_change_nothing_that_was_counted() -> None:
    recording = Recording()
    recording.instruments.add(M.TURNS, 7)
    recording.instruments.export_zeros()
    assert recording.series()["liap_tui.turns"] == {labels(): 7}


def test_another_game_has_zeros_of_its_own() -> None:
    recording = Recording(model=ARENA)
    recording.instruments.export_zeros()
    series = recording.series()
    assert not [name for name in series if "liap" in name]
    assert len(series["arena.state.transitions"]) == len(ARENA.transitions)
    assert "arena.seat.wins" not in series  # it has no seats


def test_a_business_counters_zeros_are_all_its_labels_allow() -> None:
    weapons = Attribute(name="weapon", values=("bow", "sling"), description="With what.")
    ranges = Attribute(name="range", values=("near", "far"), description="From where.")
    shots = Metric(
        name="shots", kind=Kind.COUNTER, unit="{shot}", description="Shots.", moves="War.", attributes=(weapons, ranges)
    )
    recording = Recording(extra=(shots,))
    recording.instruments.export_zeros()
    assert recording.series()["liap_tui.shots"] == {
        labels(weapon=weapon, range=distance): 0 for weapon in ("bow", "sling") for distance in ("near", "far")
    }


# --- readings -------------------------------------------------------------------------------------------------------


def test_a_failing_reading_does_not_hide_the_others_and_is_told_of() -> None:
    def fails() -> Any:
        raise ZeroDivisionError

    def fails_later() -> Any:
        yield 1.0, {"type": "rss"}
        raise LookupError

    recording = Recording(
        {
            M.GAMES_ACTIVE.name: lambda: [(3, {})],
            M.THREADS_ACTIVE.name: fails,
            M.MEMORY_USAGE.name: fails_later,
            M.ROOMS_ACTIVE.name: lambda: [(1, {"state": "turn"}), (2, {"state": "waiting"})],
        }
    )
    series = recording.series()
    assert series == {
        "liap_tui.games.active": {labels(): 3},
        "liap_tui.rooms.active": {labels(state="turn"): 1, labels(state="waiting"): 2},
    }
    assert {type(fault) for fault in recording.faults} == {ZeroDivisionError, LookupError}


async def test_a_failing_reading_is_counted_and_everything_else_is_scraped(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await telemetry.monitor.record_game_start("g", "r", 4, 0)
    before = telemetry.samples()

    def fails() -> float:
        raise OSError("no /proc today")

    monkeypatch.setattr(telemetry.monitor.core.system, "cpu_percent", fails)
    monkeypatch.setattr(telemetry.monitor.core.system, "threads_active", fails)
    after = telemetry.samples()
    gone = {name for name, _ in before.keys() - after.keys()}
    assert gone <= {"liap_tui_cpu_usage_percent", "liap_tui_threads_active"}
    assert "liap_tui_threads_active" in gone
    assert telemetry.value("liap_tui_games_active") == 1
    assert (telemetry.value("otel_setup_internal_errors_total", {"component": "measures"}) or 0) >= 2


def test_every_observable_metric_has_a_reading(telemetry: Recorded) -> None:
    """Metrics that nothing reads would be declared in vain."""
    from otel_setup.readings import readings

    observable = {metric.name for metric in METRICS if metric.kind.is_observable}
    found: Mapping[str, Callable[[], Any]] = readings(telemetry.monitor.core)
    assert found.keys() == observable
    declared = {built.declared.name: built.labels for built in build(LIAP_TUI).metrics}
    for name, read in found.items():
        for value, attributes in read():
            assert isinstance(value, int | float)
            assert attributes.keys() == declared[name].keys()
            assert all(text in (*declared[name][label], "other") for label, text in attributes.items())
