"""What a test sees through the fixture, by which clock, under which ids."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import baggage, context, metrics, trace

import otel_setup
from otel_setup import GameModel, correlated, get_correlation_id, get_enterprise_monitor, set_correlation_id
from otel_setup.testing import FakeClock, Recording, SequentialIds, recording
from tests.otel_setup.receiver import receiving

NOON = 1_893_499_200 * 10**9  # 2030-01-01T12:00:00Z; date -u -d 2030-01-01T12:00:00Z +%s
CHESS = GameModel(
    name="chess",
    title="Chess",
    phases=("opening", "over"),
    initial="opening",
    terminal=frozenset({"over"}),
    transitions=frozenset({("opening", "over")}),
    action_types=("move",),
)


async def play(telemetry: Recording, player: str = "Ann") -> None:
    """A game of 15 s: after 2 s an action that takes half a second, a broken one at its end."""
    monitor = telemetry.monitor
    await monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
    async with monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
        telemetry.clock.advance(2)
        async with monitor.monitor_action_processing("g1", "declare", player):
            telemetry.clock.advance(0.5)
    telemetry.clock.advance(12.5)
    with pytest.raises(KeyError):
        async with monitor.monitor_action_processing("g1", "play_pieces", player):
            raise KeyError("a piece")
    await monitor.record_game_end("g1", winner_id=player)


# --- the clock --------------------------------------------------------------------------------------------------------


async def test_every_signal_goes_by_the_fake_clock(telemetry: Recording) -> None:
    await play(telemetry)
    assert telemetry.assert_event("action.completed").data["duration_ms"] == 500.0
    assert telemetry.assert_event("game.ended").timestamp == datetime(2030, 1, 1, 12, 0, 15, tzinfo=UTC)
    telemetry.assert_metric("game_lifetime_seconds_sum", 15.0)
    span = telemetry.assert_span("action.declare")
    assert (span.start_time, span.end_time) == (NOON + 2 * 10**9, NOON + 2_500_000_000)
    assert telemetry.seconds(span) == 0.5
    ended = telemetry.logs()[-1]
    assert (ended.event_name, ended.timestamp, ended.observed_timestamp) == ("game.ended", *[NOON + 15 * 10**9] * 2)


async def test_a_queued_action_waits_by_the_fake_clock(telemetry: Recording) -> None:
    token = telemetry.monitor.capture()
    telemetry.clock.advance(3.25)
    async with telemetry.monitor.monitor_action_processing("g1", "declare", "Ann", token=token):
        pass
    telemetry.assert_event("action.processing", queue_wait_ms=3250.0)


def test_small_steps_add_up() -> None:
    clock = FakeClock()
    for _ in range(1000):
        clock.advance(0.001)
    assert clock.monotonic() == clock.elapsed == 1.0
    assert clock.time_ns() == NOON + 10**9
    assert clock.now == datetime(2030, 1, 1, 12, 0, 1, tzinfo=UTC)
    clock.advance(1.001)  # 1000999999.9999999 ns as floats multiply
    assert clock.time_ns() == NOON + 2_001_000_000


@pytest.mark.parametrize("seconds", [-0.001, float("nan")])
def test_time_does_not_go_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="time only passes"):
        FakeClock().advance(seconds)


async def test_the_clock_stands_still_by_itself_and_holds_up_no_shutdown(telemetry: Recording) -> None:
    handle = otel_setup.configure(service="games")
    await asyncio.sleep(0.01)
    assert telemetry.clock.elapsed == 0
    assert handle.flush(20)
    assert handle.shutdown(20)


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_of_each_length_count_from_one() -> None:
    ids = SequentialIds()
    assert [ids.token_hex(2), ids.token_hex(2), ids.token_hex(1)] == ["0001", "0002", "01"]
    assert (ids.generate_trace_id(), ids.generate_trace_id(), ids.generate_span_id()) == (1, 2, 1)


async def everything_told() -> tuple[object, ...]:
    with recording() as telemetry:
        await play(telemetry)
        spans = [(span.name, span.context, span.parent) for span in telemetry.spans()]
        return telemetry.story(), telemetry.events(), spans


async def test_a_second_run_tells_the_same_to_the_last_id() -> None:
    first, second = await everything_told(), await everything_told()
    assert len(first[1]) > 10
    assert first == second


async def test_ids_are_in_sequence(telemetry: Recording) -> None:
    await play(telemetry)
    outer, inner, alone = telemetry.spans()
    assert [span.context.trace_id for span in (outer, inner, alone)] == [1, 1, 2]
    assert outer.context.span_id < inner.context.span_id < alone.context.span_id < 10
    correlations = [event.correlation_id for event in telemetry.events("action.completed")]
    assert correlations == [f"corr_{1:016x}"]
    uids = [event.event_id for event in telemetry.events()]
    stem = uids[0].rpartition("-")[0]
    assert stem.startswith("test-")
    assert uids == [f"{stem}-{number}" for number in range(1, len(uids) + 1)]


# --- what is seen -----------------------------------------------------------------------------------------------------


async def test_a_configuration_of_the_games_own_is_obeyed_and_nothing_leaves(
    telemetry: Recording, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with receiving() as receiver:
        handle = otel_setup.configure(
            service="chess-server",
            collector=receiver.url,
            console=True,
            model=CHESS,
            prefix="chess",
            sampler="always_off",
            metrics_port=True,
        )
        async with telemetry.monitor.monitor_action_processing("g1", "move", "Ann"):
            pass
        assert signal.getsignal(signal.SIGTERM) is before
        telemetry.assert_metric("chess_actions_total", 1, action_type="move", outcome="accepted")
        assert handle.flush(20)
        assert handle.shutdown(20)
        assert not any(receiver.requests.values())
    telemetry.assert_span("action.move", status="unset")
    telemetry.assert_event("action.completed", action_type="move", player_id="Ann")
    action, stopped = telemetry.logs()[-2:]
    assert (action.attributes["player.id"], stopped.event_name) == ("Ann", "producer.stopped")
    assert "action.move" not in capfd.readouterr().out


async def test_the_same_configuration_again_forgets_nothing(telemetry: Recording) -> None:
    otel_setup.configure(service="chess-server")
    await telemetry.monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
    otel_setup.configure(service="chess-server")
    telemetry.assert_metric("games_started_total", 1)
    assert [point.value for point in telemetry.points("liap_tui.games.started")] == [1]


@pytest.mark.parametrize(("off", "what"), [("traces", "spans"), ("logs", "logs")])
async def test_a_signal_that_is_off_is_off(telemetry: Recording, off: str, what: str) -> None:
    otel_setup.configure(**{off: False})  # type: ignore[misc]
    await play(telemetry)
    assert getattr(telemetry, what)() == []
    telemetry.assert_event("game.ended")


async def test_a_disabled_sdk_in_the_environment_does_not_blind_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with recording() as telemetry:
        await play(telemetry)
        telemetry.assert_span("action.declare")
        telemetry.assert_metric("games_started_total", 1)
        assert telemetry.logs()


def test_the_games_own_spans_and_metrics_are_seen(telemetry: Recording) -> None:
    with trace.get_tracer("game").start_as_current_span("lobby.match", attributes={"players": 4}):
        metrics.get_meter("game").create_counter("matches", unit="{match}").add(2, {"mode": "duel"})
    telemetry.assert_span("lobby.match", players=4, parent=None)
    telemetry.assert_metric("matches_total", 2, mode="duel")
    (point,) = telemetry.points("matches")
    assert (point.value, dict(point.attributes)) == (2, {"mode": "duel"})


async def test_what_was_told_before_a_shutdown_is_still_there(telemetry: Recording) -> None:
    handle = otel_setup.configure(service="games")
    await play(telemetry)
    told = telemetry.story()
    assert handle.shutdown(20)
    *before, end = telemetry.story().splitlines()
    assert "\n".join(before) == told
    assert "producer.stopped" in end
    assert len(telemetry.spans()) == 3
    with pytest.raises(AssertionError, match="telemetry was shut down, and its metrics ended"):
        telemetry.assert_metric("games_started_total", 1)


def test_a_span_that_has_not_ended_is_no_finished_one(telemetry: Recording) -> None:
    span = trace.get_tracer("game").start_span("lobby.match")
    with pytest.raises(AssertionError, match=r"the span 'lobby.match' has begun and not ended"):
        telemetry.assert_span("lobby.match")
    assert telemetry.story() == "    0.000  ▸ lobby.match (not ended)"
    telemetry.clock.advance(1)
    span.end()
    assert telemetry.story() == "    0.000  ▸ lobby.match (1.000 s)"


# --- isolation --------------------------------------------------------------------------------------------------------


def test_a_recording_begins_with_nothing_of_the_one_before() -> None:
    tracer = trace.get_tracer("game")
    with recording() as first:
        get_enterprise_monitor().event_logger  # noqa: B018 - makes sure there is a monitor
        set_correlation_id("corr_of_the_first")
        context.attach(baggage.set_baggage("table", "7"))
        late = tracer.start_span("late")
        context.attach(trace.set_span_in_context(tracer.start_span("left open")))
        first.clock.advance(5)
    assert get_correlation_id() is None
    assert baggage.get_all() == {}
    with recording() as second:
        assert not trace.get_current_span().get_span_context().is_valid
        late.end()
        assert second.spans() == second.events() == second.logs() == []
        assert second.story() == "nothing happened"
        assert second.clock.elapsed == 0
    assert [span.name for span in first.spans()] == ["late"]
    assert get_correlation_id() is None


def test_what_the_surroundings_had_is_theirs_again_afterwards() -> None:
    with correlated("corr_outside"):
        token = context.attach(baggage.set_baggage("table", "7"))
        with recording():
            assert baggage.get_baggage("table") is None
        assert baggage.get_baggage("table") == "7"
        context.detach(token)


async def test_metrics_begin_at_zero_each_time() -> None:
    for _ in range(2):
        with recording() as telemetry:
            await play(telemetry)
            telemetry.assert_metric("games_started_total", 1)


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with recording() as telemetry:
        otel_setup.configure(service="games")
        telemetry.samples()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert set(threading.enumerate()) <= before


def test_the_real_clock_and_ids_are_back_afterwards() -> None:
    from opentelemetry.sdk import trace as sdk_trace

    from otel_setup import clock

    before = (clock.time_ns, clock.monotonic, clock.token_hex, sdk_trace.time_ns)
    with contextlib.suppress(ZeroDivisionError), recording():
        assert clock.time_ns() == sdk_trace.time_ns() == NOON
        raise ZeroDivisionError
    assert (clock.time_ns, clock.monotonic, clock.token_hex, sdk_trace.time_ns) == before


def test_wrong_options_say_what_is_wrong() -> None:
    with pytest.raises(otel_setup.ConfigError, match="colector: there is no such option"), recording({"colector": 1}):  # type: ignore[typeddict-unknown-key]
        pass


def test_a_server_that_configures_itself_is_observed_from_its_start_to_its_end(telemetry: Recording) -> None:
    app = FastAPI()

    @app.get("/rooms/{room_id}")
    async def room(room_id: str) -> str:
        telemetry.clock.advance(0.75)
        await get_enterprise_monitor().record_room_created(room_id)
        return get_correlation_id() or ""

    observed = otel_setup.configure(service="games", collector="http://localhost:9").asgi(app)
    with TestClient(observed) as client:
        told = client.get("/rooms/r1").json()
        telemetry.assert_metric("http_server_request_duration_seconds_count", 1, http_route="/rooms/{room_id}")
    span = telemetry.assert_span("GET /rooms/{room_id}", {"http.response.status_code": 200}, parent=None)
    assert telemetry.seconds(span) == 0.75
    created = telemetry.assert_event("room.created", room_id="r1", correlation_id=told)
    assert created.trace_id == f"{span.context.trace_id:032x}"
