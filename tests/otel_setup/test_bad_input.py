"""Odd input: recorded or refused by the rules of docs/input-rules.md, counted, logged once, never raised."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import otel_setup
from otel_setup import EnterpriseMonitor, EventType, Kind, Metric, Seat
from otel_setup.catalogue import Attribute
from otel_setup.testing import Recorded

Call = Callable[[EnterpriseMonitor], Awaitable[None]]
NAN, INFINITY = float("nan"), float("inf")
HOSTILE = "\x1b[31m\x00" + "\u202e" + "x" * 10_000


def irregular(telemetry: Recorded, kind: str) -> float | None:
    return telemetry.value("otel_setup_input_irregular_total", {"kind": kind})


def refused(telemetry: Recorded, reason: str) -> float | None:
    return telemetry.value("otel_setup_input_refused_total", {"reason": reason})


def faults(telemetry: Recorded) -> float:
    return sum(value for (name, _), value in telemetry.samples().items() if name == "otel_setup_internal_errors_total")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


async def test_an_unknown_state_is_recorded_as_other_and_logged_once(
    telemetry: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "otel_setup")
    for _ in range(3):
        async with telemetry.monitor.monitor_state_transition("g", "BOGUS", "TURN"):
            pass
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "other", "to": "turn"}) == 3
    assert telemetry.value("liap_tui_state_illegal_transitions_total", {"from": "other", "to": "turn"}) == 3
    assert irregular(telemetry, "unknown_state") == 3
    assert len([message for message in caplog.messages if "BOGUS" in message or "bogus" in message]) == 1


async def test_an_unknown_action_is_recorded_as_other(telemetry: Recorded) -> None:
    async with telemetry.monitor.monitor_action_processing("g", "<script>", "ann"):
        pass
    labels = {"action_type": "other", "outcome": "accepted", "actor": "unknown"}
    assert telemetry.value("liap_tui_actions_total", labels) == 1
    assert irregular(telemetry, "unknown_action") == 1


async def test_an_outcome_the_catalogue_does_not_know_is_other(telemetry: Recorded) -> None:
    async with telemetry.monitor.monitor_action_processing("g", "declare", "ann") as action:
        action.outcome("meh")
    labels = {"action_type": "declare", "outcome": "other", "actor": "unknown"}
    assert telemetry.value("liap_tui_actions_total", labels) == 1
    assert (telemetry.value("otel_setup_labels_replaced_total") or 0) >= 1


async def test_starting_and_ending_twice_count_once(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    for _ in range(2):
        await monitor.record_game_start("g", "r", 4, 0)
    assert telemetry.value("liap_tui_games_started_total") == 1
    for _ in range(2):
        await monitor.record_game_end("g", "ann", {"ann": 50})
    assert telemetry.value("liap_tui_games_completed_total") == 1
    assert telemetry.value("liap_tui_games_active") == 0
    assert irregular(telemetry, "game_started_twice") == 1
    assert irregular(telemetry, "game_ended_twice") == 1


async def test_the_end_of_an_unknown_game_counts_no_game(telemetry: Recorded) -> None:
    await telemetry.monitor.record_game_end("never", "ann", {})
    assert telemetry.value("liap_tui_games_completed_total") == 0
    assert irregular(telemetry, "unknown_game_ended") == 1


@pytest.mark.parametrize("seconds", [NAN, INFINITY, -INFINITY, -1, "5", None, True])
async def test_what_is_no_duration_is_refused(telemetry: Recorded, seconds: Any) -> None:
    await telemetry.monitor.record_phase_duration("g", "TURN", seconds)
    assert refused(telemetry, "invalid_duration") == 1
    assert telemetry.value("liap_tui_phase_duration_seconds_count", {"phase": "turn"}) is None
    assert telemetry.events(EventType.PHASE_COMPLETED) == []


async def test_a_broadcast_with_an_odd_time_counts_without_it(telemetry: Recorded) -> None:
    data = {"recipient_count": 3, "broadcast_time_ms": NAN}
    await telemetry.monitor.record_websocket_event("", "broadcast", "r", data)
    assert telemetry.value("liap_tui_websocket_broadcasts_total", {"outcome": "success"}) == 1
    assert telemetry.value("liap_tui_websocket_broadcast_recipients_total") == 3
    assert (telemetry.value("liap_tui_websocket_broadcast_time_count") or 0) == 0
    assert refused(telemetry, "invalid_duration") == 1


async def test_a_hostile_id_of_10_kb_is_cut_and_cleaned_and_stays_distinct(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await monitor.record_game_start(HOSTILE + "1", "r", 4, 0)
    await monitor.record_game_start(HOSTILE + "2", "r", 4, 0)
    assert telemetry.value("liap_tui_games_active") == 2
    ids = [event.game_id or "" for event in telemetry.events(EventType.GAME_STARTED)]
    assert all(len(game_id) <= 128 and game_id.isprintable() for game_id in ids)
    assert (irregular(telemetry, "text_cleaned") or 0) >= 2
    await monitor.record_game_end(HOSTILE + "1", None, {})
    assert telemetry.value("liap_tui_games_active") == 1


async def test_no_player_room_or_game_becomes_a_label(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    before = len(telemetry.samples())
    for number in range(20):
        game = f"needle-{number}"
        await monitor.record_game_start(game, game, 1, 0, players=[Seat(f"needle-player-{number}")])
        async with monitor.monitor_action_processing(game, "declare", f"needle-player-{number}"):
            pass
        await monitor.record_websocket_event(f"needle-{number}", "connect", game)
    after_twenty = telemetry.samples()
    assert not [key for key in after_twenty if "needle" in str(key)]
    await monitor.record_game_start("needle-more", "needle-more", 1, 0)
    assert len(telemetry.samples()) == len(after_twenty) >= before


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.record_game_start(None, None, None, None),
        lambda m: m.record_game_start("g", "r", -4, "many"),
        lambda m: m.record_game_start("g", "r", 4, 0, players="ann"),
        lambda m: m.record_game_start("g", "r", 4, 0, players=[1, 2]),
        lambda m: m.record_game_end("g", 5, [1, 2]),
        lambda m: m.record_game_end(Unprintable(), Unprintable(), {Unprintable(): Unprintable()}),
        lambda m: m.record_phase_duration(None, Unprintable(), 1),
        lambda m: m.record_websocket_event(None, None),
        lambda m: m.record_websocket_event("c", "connect", data={"event_type": 1, "game_id": {"a": object()}}),
        lambda m: m.record_websocket_event("c", "broadcast", data={"recipient_count": "x", "success": Unprintable()}),
        lambda m: m.record_websocket_event("c", "disconnect", data={"code": Unprintable()}),
        lambda m: m.record_socket_message("c", "sideways", "play", 1),
        lambda m: m.record_socket_message("c", "receive", Unprintable(), NAN),
        lambda m: m.record_event(Unprintable(), game_id=object()),
        lambda m: m.record_event("game.error", data=object(), event_type="x", self=1),
        lambda m: m.record_metric(None, None),
        lambda m: m.record_metric(Unprintable(), object()),
        lambda m: m.record_round_started("g", -1, Unprintable()),
        lambda m: m.record_redeal("g", "ann", Unprintable()),
        lambda m: m.record_declaration("g", "ann", None, NAN),
        lambda m: m.record_illegal_transition(None, None, None, Unprintable()),
        lambda m: m.record_timeout(None, None, None),
        lambda m: m.record_room_closed(b"\xff", object()),
        lambda m: m.event_logger.log_error(Unprintable(), Unprintable()),
        lambda m: m.event_logger.log_action("g", "a", "p", Unprintable(), data=object()),
        lambda m: m.game_metrics.record_player_action("p", "a", "fast"),
        lambda m: m.metrics_collector.increment("nothing", NAN, {"x": "y"}),
        lambda m: m.event_stream.publish_event(object()),
    ],
)
async def test_no_call_raises_whatever_it_is_given(telemetry: Recorded, call: Call) -> None:
    await call(telemetry.monitor)


async def test_blocks_take_anything(telemetry: Recorded) -> None:
    monitor: Any = telemetry.monitor
    async with monitor.monitor_state_transition(None, Unprintable(), object(), correlation_id=HOSTILE):
        pass
    async with monitor.monitor_action_processing(object(), None, Unprintable(), token=None) as action:
        action.outcome(Unprintable())
    assert faults(telemetry) == 0
    assert len(telemetry.events("action.completed")) == 1
    assert len(telemetry.events("state.transition.complete")) == 1


async def test_data_that_json_does_not_know_is_kept_as_text(telemetry: Recorded) -> None:
    data = {"set": {1}, "nan": NAN, "object": Unprintable(), "deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}}
    await telemetry.monitor.record_websocket_event("c", "connect", "r", data)
    event = telemetry.events(EventType.CONNECTION_OPENED)[0]
    assert event.data["set"] == [1]
    assert event.data["nan"] == "nan"
    assert event.data["object"] == "<unprintable Unprintable>"
    assert '"nan":"nan"' in event.to_json()


async def test_a_fault_inside_is_counted_and_kept_from_the_game(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside monitoring")

    monkeypatch.setattr(telemetry.monitor.core.ledger, "apply", broken)
    for _ in range(3):
        async with telemetry.monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            pass
    assert faults(telemetry) == 6
    assert len([r for r in caplog.records if r.exc_info and r.exc_info[0] is ZeroDivisionError]) == 1


SHOTS = Metric(
    name="shots.fired",
    kind=Kind.COUNTER,
    unit="{shot}",
    description="Shots.",
    moves="Somebody shoots.",
    attributes=(Attribute(name="weapon", values=("bow", "sling"), description="With what."),),
)


async def test_business_metrics_are_recorded_if_declared_and_refused_if_not(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False, business_metrics=[SHOTS])
    monitor = telemetry.monitor
    assert telemetry.value("liap_tui_shots_fired_total", {"weapon": "sling"}) == 0
    await monitor.record_metric("shots.fired", 2, weapon="bow")
    await monitor.record_metric("shots.fired", 1, weapon="cannon")
    assert telemetry.value("liap_tui_shots_fired_total", {"weapon": "bow"}) == 2
    assert telemetry.value("liap_tui_shots_fired_total", {"weapon": "other"}) == 1
    await monitor.record_metric("shots.missed", 1)
    await monitor.record_metric("games.started", 1)
    await monitor.record_metric("shots.fired", 1, player="ann")
    await monitor.record_metric("shots.fired", -1, weapon="bow")
    await monitor.record_metric("shots.fired", NAN, weapon="bow")
    assert refused(telemetry, "undeclared_metric") == 2
    assert refused(telemetry, "undeclared_attribute") == 1
    assert refused(telemetry, "invalid_value") == 2
    assert telemetry.value("liap_tui_games_started_total") == 0
