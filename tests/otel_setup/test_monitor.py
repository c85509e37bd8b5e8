"""The facade as a whole: what it answers, what one call means everywhere, and use from anywhere."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

import otel_setup
from otel_setup import EnterpriseMonitor, EventType, Seat, SystemEvent
from otel_setup.catalogue import Severity
from otel_setup.testing import Recorded
from tests.otel_setup.traced import INNER, Traced

Call = Callable[[Any], Awaitable[None]]


async def start(monitor: EnterpriseMonitor, game: str = "g") -> None:
    seats = [Seat("ann"), Seat("Bot 2", is_bot=True)]
    await monitor.record_game_start(game, f"room-{game}", 2, 1, players=seats)


# --- what it answers ------------------------------------------------------------------------------------------------


async def test_the_status_tells_what_runs_and_how_much_is_held(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await start(monitor)
    monitor.tracer.create_trace_context()
    status = monitor.get_monitoring_status()
    # the first seven are the earlier API's
    assert list(status)[:2] == ["service_name", "collectors"]
    assert set(status) == {
        "service_name",
        "collectors",
        "event_stream",
        "game_analytics",
        "system_summary",
        "active_traces",
        "visualization_rooms",
        "background_running",
        "internal_errors",
        "exported",
        "export_failures",
    }
    assert status["collectors"] == {"metrics": True, "game_metrics": True, "system_metrics": True, "tracer": True}
    assert status["event_stream"]["total_events"] == 2  # game.started and its snapshot
    assert status["game_analytics"]["active_games"] == 1
    assert status["system_summary"]["current_rss_mb"] > 1
    assert (status["active_traces"], status["visualization_rooms"]) == (1, 1)


@pytest.mark.parametrize("off", [{"traces": False}, {"disabled": True}])
def test_the_status_says_that_tracing_is_off(telemetry: Recorded, off: dict[str, bool]) -> None:
    otel_setup.configure(collector=False, **off)  # type: ignore[arg-type]
    assert telemetry.monitor.get_monitoring_status()["collectors"]["tracer"] is False


def test_there_is_one_monitor_whoever_asks() -> None:
    found: list[EnterpriseMonitor] = []
    threads = [threading.Thread(target=lambda: found.append(otel_setup.get_enterprise_monitor())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


async def test_forgetting_everything_forgets_trace_contexts_games_and_faults(telemetry: Recorded) -> None:
    from otel_setup.telemetry import reset

    await start(telemetry.monitor)
    telemetry.monitor.tracer.create_trace_context()
    telemetry.monitor.core.faults.count("runtime", ValueError())
    reset()
    status = telemetry.monitor.get_monitoring_status()
    assert (status["active_traces"], status["visualization_rooms"], status["event_stream"]["total_events"]) == (0, 0, 0)
    assert sum(status["internal_errors"].values()) == 0
    assert telemetry.value("liap_tui_games_started_total") == 0


# --- one call means the same everywhere -----------------------------------------------------------------------------


async def test_after_a_transition_the_diagram_has_one_game_fewer_there_and_one_more_here(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await start(monitor)
    async with monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
        pass
    diagram = monitor.get_visualization_data("state_diagram")
    games = {node["name"]: node["active_games"] for node in diagram["nodes"]}
    assert (games["waiting"], games["preparation"]) == (0, 1)
    (edge,) = (edge for edge in diagram["edges"] if edge["count"])
    assert (edge["from"], edge["to"], edge["count"], edge["error_rate"]) == ("waiting", "preparation", 1, 0)
    assert edge["avg_duration_ms"] > 0


async def test_a_failing_transition_is_an_event_an_error_of_its_state_and_no_move(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await start(monitor)
    with pytest.raises(ValueError, match="no cards"):
        async with monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            raise ValueError("no cards")
    (failed,) = telemetry.events(EventType.STATE_TRANSITION_FAILED)
    assert (failed.data["error"], failed.data["success"], failed.severity) == ("no cards", False, Severity.ERROR)
    heat = monitor.get_visualization_data("errors")["data"]
    assert [(cell["state"], cell["error_type"], cell["count"]) for cell in heat] == [("waiting", "ValueError", 1)]
    edges = monitor.get_visualization_data("state_diagram")["edges"]
    assert [edge["error_rate"] for edge in edges if (edge["from"], edge["to"]) == ("waiting", "preparation")] == [1]


@pytest.mark.parametrize("stopped", [asyncio.CancelledError, GeneratorExit])
async def test_work_that_is_stopped_from_outside_is_no_error_anywhere(
    telemetry: Recorded, stopped: type[BaseException]
) -> None:
    """The last transition may cancel the very task that runs it; a closing loop throws coroutines away."""
    monitor = telemetry.monitor
    await start(monitor)
    for block in (
        monitor.monitor_state_transition("g", "WAITING", "PREPARATION"),
        monitor.monitor_action_processing("g", "declare", "ann"),
    ):
        with pytest.raises(stopped):
            async with block:
                raise stopped
    (transition,) = telemetry.events(EventType.STATE_TRANSITION_FAILED)
    (action,) = telemetry.events(EventType.ACTION_FAILED)
    assert [event.data["outcome"] for event in (transition, action)] == ["cancelled"] * 2
    assert [event.severity for event in (transition, action)] == [Severity.INFO] * 2
    assert monitor.get_visualization_data("errors")["data"] == []
    assert telemetry.value("liap_tui_state_errors_total", {"state": "waiting"}) == 0


async def test_start_and_end_carry_counts_winner_scores_and_abandonment(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await start(monitor)
    await monitor.record_game_end("g", "ann", {"ann": 51, "Bot 2": 7})
    await start(monitor, "g2")
    await monitor.record_game_end("g2", None, {}, abandoned=True)
    started, _ = telemetry.events(EventType.GAME_STARTED)
    assert (started.room_id, started.data["player_count"], started.data["bot_count"]) == ("room-g", 2, 1)
    decided, abandoned = telemetry.events(EventType.GAME_ENDED)
    assert (decided.data["winner_id"], decided.data["final_scores"]) == ("ann", {"ann": 51, "Bot 2": 7})
    assert (decided.data["abandoned"], abandoned.data["abandoned"]) == (False, True)
    assert decided.room_id == "room-g"
    assert decided.data["game_seconds"] > 0


async def test_one_correlation_id_is_on_the_event_the_log_record_and_the_span(traced: Traced) -> None:
    wanted = otel_setup.set_correlation_id()
    await traced.act()
    span = traced.spans()[INNER]
    on_span = {item.key: item.value.string_value for item in span.attributes}["correlation.id"]
    on_records = {
        item.value.string_value
        for record in traced.receiver.log_records()
        for item in record.attributes
        if item.key == "correlation.id"
    }
    assert (on_span, on_records) == (wanted, {wanted})


async def test_a_snapshot_is_no_activity_of_its_room(telemetry: Recorded) -> None:
    """Else no room would ever be idle, and no game be given up, while snapshots are published."""
    monitor = telemetry.monitor
    await start(monitor)
    room = monitor.core.ledger.rooms["room-g"]
    before = room.last_activity_ns, monitor.core.ledger.games["g"].last_activity_at
    monitor.publish_snapshot("g")
    assert len(telemetry.events(EventType.GAME_SNAPSHOT)) == 2
    assert (room.last_activity_ns, monitor.core.ledger.games["g"].last_activity_at) == before


# --- input the recorder must survive ---------------------------------------------------------------------------------


class Hostile:  # noqa: PLW1641 - its hash is among what it refuses
    """Refuses whatever is asked of it."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("no")

    __str__ = __bool__ = __iter__ = __len__ = __int__ = __float__ = __getitem__ = __hash__ = _no  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


HUGE = 10**400
CALLS: list[Call] = [
    lambda m: m.record_round_started("g", HUGE, "ann"),
    lambda m: m.record_round_completed("g", HUGE),
    lambda m: m.record_declaration("g", "ann", HUGE, HUGE),
    lambda m: m.record_phase_duration("g", "turn", HUGE),
    lambda m: m.record_game_start("g", "r", HUGE, HUGE),
    lambda m: m.record_socket_message("c", "receive", "play", HUGE),
    lambda m: m.record_websocket_event("c", "broadcast", "r", {"recipient_count": HUGE, "broadcast_time_ms": HUGE}),
    lambda m: m.record_game_end("g", itertools.repeat("ann"), {}),
    lambda m: m.record_game_start("g2", "r", 4, 0, players=(Seat(str(n)) for n in itertools.count())),
    lambda m: m.record_player_joined("r", "ann", Hostile()),
    lambda m: m.record_player_left("r", Hostile(), Hostile()),
    lambda m: m.record_turn_completed(Hostile(), Hostile()),
    lambda m: m.record_event(Hostile()),
    lambda m: m.record_event("game.error", own=Hostile(), game_id=Hostile(), correlation_id=Hostile()),
    lambda m: m.record_metric(Hostile(), Hostile(), own=Hostile()),
    lambda m: m.record_websocket_event(Hostile(), Hostile(), Hostile(), Hostile()),
    lambda m: m.record_player_reconnected(Hostile(), Hostile()),
    lambda m: m.game_metrics.record_player_action(Hostile(), Hostile(), Hostile(), Hostile()),
]


@pytest.mark.parametrize("call", CALLS)
async def test_no_call_raises_or_never_returns(telemetry: Recorded, call: Call) -> None:
    await call(telemetry.monitor)


async def test_a_count_of_hundreds_of_digits_is_no_count_and_no_fault(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await monitor.record_round_started("g", HUGE)
    await monitor.record_phase_duration("g", "turn", HUGE)
    assert [event.data["round_number"] for event in telemetry.events(EventType.ROUND_STARTED)] == [0]
    assert telemetry.value("otel_setup_input_irregular_total", {"kind": "invalid_count"}) == 1
    assert telemetry.value("otel_setup_input_refused_total", {"reason": "invalid_duration"}) == 1
    assert sum(monitor.get_monitoring_status()["internal_errors"].values()) == 0


async def test_seats_winners_and_scores_are_bounded(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await monitor.record_game_start("g", "r", 4, 0, players=(Seat(f"p{n}") for n in itertools.count()))
    await monitor.record_game_end("g", (f"p{n}" for n in itertools.count()), {f"p{n}": n for n in range(9999)})
    (started,), (ended,) = telemetry.events(EventType.GAME_STARTED), telemetry.events(EventType.GAME_ENDED)
    listed = started.data["players"], ended.data["winner_id"], ended.data["final_scores"]
    assert list(map(len, listed)) == [256, 256, 256]


async def test_a_number_too_large_to_export_spoils_no_counter(traced: Traced) -> None:
    """OTLP's integers have 64 bits, and a sum is exported again and again."""
    monitor = traced.monitor
    for _ in range(3):
        await monitor.record_socket_message("c", "receive", "play", 2**62)
        await monitor.record_websocket_event("c", "broadcast", "r", {"recipient_count": 1e300})
    assert traced.handle.flush(20)
    assert [metric for metric in traced.receiver.metrics() if metric.name == "liap_tui.websocket.io"]
    assert monitor.core.exports.failed["metrics"] == 0


async def test_a_game_ends_whatever_its_winner_is(telemetry: Recorded) -> None:
    monitor: Any = telemetry.monitor
    for number, winner in enumerate([5, b"ann", 1.5, object(), ("ann", "bo"), {"ann"}, None]):
        await monitor.record_game_start(f"g{number}", "r", 4, 0)
        await monitor.record_game_end(f"g{number}", winner, {"ann": 50})
    assert telemetry.value("liap_tui_games_completed_total") == 7
    assert telemetry.value("liap_tui_games_active") == 0


async def test_a_game_starts_whatever_its_seats_are(telemetry: Recorded) -> None:
    monitor: Any = telemetry.monitor
    for number, players in enumerate(["ann", [1, 2], 7, Hostile()]):
        await monitor.record_game_start(f"g{number}", "r", 4, 0, players=players)
    assert telemetry.value("liap_tui_games_started_total") == 4
    assert telemetry.value("otel_setup_input_refused_total", {"reason": "invalid_value"}) == 4


async def test_ids_of_blocks_are_cleaned_and_counted_as_everywhere(telemetry: Recorded) -> None:
    async with telemetry.monitor.monitor_state_transition("g\x00", "WAITING", "PREPARATION"):
        pass
    async with telemetry.monitor.monitor_action_processing("g", "declare", "ann\u202e"):
        pass
    assert {event.game_id for event in telemetry.events()} == {"g�", "g"}
    assert telemetry.value("otel_setup_input_irregular_total", {"kind": "text_cleaned"}) == 2


async def test_what_is_no_token_is_as_if_there_were_none(telemetry: Recorded) -> None:
    monitor: Any = telemetry.monitor
    for token in ("x", 7, Hostile()):
        async with monitor.monitor_action_processing("g", "declare", "ann", token=token):
            pass
    assert len(telemetry.events(EventType.ACTION_COMPLETED)) == 3


# --- from anywhere --------------------------------------------------------------------------------------------------


def run_to_its_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Without any event loop: what awaits nothing ends at the first step."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_recording_needs_no_loop(telemetry: Recorded) -> None:
    monitor = telemetry.monitor

    async def whole_game() -> None:
        await start(monitor)
        async with monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            pass
        async with monitor.monitor_action_processing("g", "declare", "ann", token=monitor.capture()):
            pass
        await monitor.record_game_end("g", "ann", {})
        await monitor.event_stream.publish_event(SystemEvent(event_type=EventType("own")))

    run_to_its_end(whole_game())
    assert telemetry.value("liap_tui_games_completed_total") == 1


def test_threads_record_at_once_and_nothing_is_lost(telemetry: Recorded) -> None:
    monitor, games = telemetry.monitor, 60
    barrier = threading.Barrier(4)

    def play(server: int) -> None:
        async def server_of_its_own() -> None:
            for number in range(games):
                game = f"{server}-{number}"
                await start(monitor, game)
                async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
                    pass
                await monitor.record_game_end(game, "ann", {"ann": 50})

        barrier.wait()
        asyncio.run(server_of_its_own())

    threads = [threading.Thread(target=play, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = {name: value for (name, labels), value in telemetry.samples().items() if not labels}
    assert samples["liap_tui_games_started_total"] == samples["liap_tui_games_completed_total"] == 4 * games
    assert samples["liap_tui_games_active"] == 0
    assert telemetry.value("liap_tui_state_transitions_total", {"from": "waiting", "to": "preparation"}) == 4 * games
    events = telemetry.events()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.event_id for event in events}) == len(events) == 4 * games * 5
    assert sum(monitor.get_monitoring_status()["internal_errors"].values()) == 0
