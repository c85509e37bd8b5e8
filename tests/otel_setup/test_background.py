"""Background work: what it tells, how it starts and stops, and that nothing in it stops the rest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

import otel_setup
from otel_setup import EventFilter, EventSubscriber, EventType, Seat, background
from otel_setup.testing import Recorded


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("otel_setup-")}


ALL = {f"otel_setup-{name}" for name in ("heartbeat", "snapshots", "tasks", "sample", "sweep", "cleanup")}


def is_running(telemetry: Recorded) -> bool:
    return bool(telemetry.monitor.get_monitoring_status()["background_running"])


@pytest.fixture
async def fast(telemetry: Recorded) -> AsyncIterator[Recorded]:
    """Rounds that follow each other closely; stopped at the end."""
    otel_setup.configure(collector=False, heartbeat_interval=0.005, snapshot_interval=0.005)
    yield telemetry
    await telemetry.monitor.stop()


async def reader(telemetry: Recorded, event_type: EventType) -> EventSubscriber:
    return await telemetry.monitor.subscribe_to_events(event_filter=EventFilter(event_types={event_type}))


async def next_data(subscriber: EventSubscriber) -> Any:
    event = await subscriber.get_event(timeout=30)
    assert event is not None
    return event.data


# --- starting and stopping ------------------------------------------------------------------------------------------


async def test_it_runs_from_start_to_stop_and_starts_once(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    assert not is_running(telemetry)
    await monitor.start()
    first = {task for task in asyncio.all_tasks() if task.get_name() in ALL}
    await monitor.start()
    assert {task for task in asyncio.all_tasks() if task.get_name() in ALL} == first
    assert (tasks(), len(first), is_running(telemetry)) == (ALL, len(ALL), True)
    await monitor.stop()
    assert (tasks(), is_running(telemetry)) == (set(), False)
    assert all(task.done() for task in first)
    await monitor.stop()
    await monitor.start()
    assert (tasks(), is_running(telemetry)) == (ALL, True)
    await monitor.stop()


async def test_importing_configuring_and_recording_start_no_task(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False)
    await telemetry.monitor.record_game_start("g", "r", 4, 0)
    await telemetry.monitor.record_game_end("g", None, {})
    assert tasks() == set()


def test_starting_without_a_loop_is_counted_and_harms_nobody(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for coroutine in (monitor.start(), monitor.stop()):
            with pytest.raises(StopIteration):
                coroutine.send(None)
        gc.collect()  # a coroutine that was never awaited would warn now
    assert not is_running(telemetry)
    assert monitor.core.faults.counts["runtime"] == 1


def test_it_starts_again_on_another_loop_when_the_first_was_closed_under_it(telemetry: Recorded) -> None:
    async def start() -> None:
        await telemetry.monitor.start()

    abandoned = asyncio.new_event_loop()
    abandoned.run_until_complete(start())
    left = asyncio.all_tasks(abandoned)
    assert not is_running(telemetry)
    abandoned.close()

    async def on_another() -> None:
        await telemetry.monitor.start()
        assert (tasks(), is_running(telemetry)) == (ALL, True)
        await telemetry.monitor.stop()
        assert tasks() == set()

    asyncio.run(on_another())
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(RuntimeError):
            task.get_coro().close()  # type: ignore[union-attr]


def test_started_on_another_loop_it_ends_where_it_was(telemetry: Recorded) -> None:
    """A loop that only pauses must not go on beside the new one when it is run again."""
    paused = asyncio.new_event_loop()
    paused.run_until_complete(telemetry.monitor.start())
    left = asyncio.all_tasks(paused)

    async def on_another() -> None:
        await telemetry.monitor.start()
        assert tasks() == ALL
        await telemetry.monitor.stop()

    asyncio.run(on_another())
    paused.run_until_complete(asyncio.wait(left, timeout=30))
    assert all(task.cancelled() for task in left)
    paused.close()


def test_stopping_from_another_loop_ends_the_tasks_too(telemetry: Recorded) -> None:
    first = asyncio.new_event_loop()
    first.run_until_complete(telemetry.monitor.start())
    left = asyncio.all_tasks(first)
    asyncio.run(telemetry.monitor.stop())
    first.run_until_complete(asyncio.wait(left))
    assert all(task.cancelled() for task in left)
    first.close()


async def test_a_cancelled_stop_is_cancelled(telemetry: Recorded) -> None:
    await telemetry.monitor.start()
    task = asyncio.create_task(telemetry.monitor.stop())
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    while tasks():
        await asyncio.sleep(0)
    assert not is_running(telemetry)


async def test_nothing_of_it_belongs_to_the_request_that_started_it(fast: Recorded) -> None:
    heartbeats = await reader(fast, EventType.PRODUCER_HEARTBEAT)
    otel_setup.set_correlation_id("corr_0123456789abcdef")
    await fast.monitor.start()
    otel_setup.clear_correlation()
    event = await heartbeats.get_event(timeout=30)
    assert event is not None
    assert not event.correlation_id


# --- what it tells --------------------------------------------------------------------------------------------------


async def test_heartbeats_tell_epoch_events_sent_and_live_games(fast: Recorded) -> None:
    heartbeats = await reader(fast, EventType.PRODUCER_HEARTBEAT)
    await fast.monitor.start()
    core = fast.monitor.core
    assert await next_data(heartbeats) == {
        "epoch": core.epoch,
        "last_sequence": 0,
        "live_games": 0,
        "heartbeat_seconds": 0.005,
        "snapshot_seconds": 0.005,
    }
    await fast.monitor.record_game_start("g1", "r1", 4, 0)
    await fast.monitor.record_game_start("g2", "r2", 4, 0)
    while (data := await next_data(heartbeats))["live_games"] == 0:
        pass
    assert data["live_games"] == 2


async def test_a_heartbeat_counts_the_events_handed_on_before_it(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry._logs import NoOpLogger

    class Taking(NoOpLogger):
        def enabled(self, **_: object) -> bool:
            return True

    core = telemetry.monitor.core
    monkeypatch.setattr(core._connection, "logger", Taking("x"))
    for _ in range(3):
        await telemetry.monitor.record_room_created("r")
    heartbeats = await reader(telemetry, EventType.PRODUCER_HEARTBEAT)
    await telemetry.monitor.start()
    event = await heartbeats.get_event(timeout=30)
    await telemetry.monitor.stop()
    assert event is not None
    assert event.data["last_sequence"] == 3
    assert event.event_id == f"{core.settings.instance_id}-{core.epoch}-4"


async def test_every_live_game_is_published_whole_with_its_seats(fast: Recorded) -> None:
    monitor = fast.monitor
    await monitor.record_game_start("g1", "r1", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])
    await monitor.record_game_start("ended", "r3", 4, 0)
    await monitor.record_game_end("ended", None, {})
    async with monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
        pass
    await monitor.record_round_started("g1", 3)
    await monitor.record_turn_completed("g1", "ann")
    await monitor.record_player_disconnected("g1", "ann")
    await monitor.record_bot_takeover("g1", "ann")
    snapshots = await reader(fast, EventType.GAME_SNAPSHOT)
    await monitor.start()
    event = await snapshots.get_event(timeout=30)
    again = await snapshots.get_event(timeout=30)
    assert event is not None
    assert (event.game_id, event.room_id) == ("g1", "r1")
    assert event.data == {
        "state": "preparation",
        "ordinal": 1,
        "round_number": 3,
        "turns": 1,
        "player_count": 2,
        "bot_count": 1,
        "players": [
            {"player": "ann", "is_bot": False, "bot_plays": True},
            {"player": "Bot 2", "is_bot": True, "bot_plays": True},
        ],
    }
    assert again is not None, "and again after the interval"
    assert again.data == event.data


async def test_many_live_games_do_not_hold_the_loop(fast: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_SNAPSHOTS_AT_ONCE", 2)
    for number in range(6):
        await fast.monitor.record_game_start(f"g{number}", f"r{number}", 4, 0)
    before = len(fast.events(EventType.GAME_SNAPSHOT))
    turns: list[int] = []
    rounds = background.Background(fast.monitor)._snapshots()
    with contextlib.suppress(StopIteration):
        while True:
            rounds.send(None)
            turns.append(len(fast.events(EventType.GAME_SNAPSHOT)) - before)
    assert turns == [2, 4, 6]


async def test_memory_over_its_limit_becomes_an_error_event(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = telemetry.monitor
    alerts = [("HighMemoryUsage", "resident memory is 2000.0 MB"), ("HighMemoryGrowth", "it grows")]
    monkeypatch.setattr(monitor.core.system, "memory_alerts", lambda *limits: alerts)
    errors = await reader(telemetry, EventType.ERROR_OCCURRED)
    await monitor.start()
    found = [await next_data(errors) for _ in alerts]
    await monitor.stop()
    assert [(data["error_type"], data["error_message"]) for data in found] == alerts
    assert telemetry.value("liap_tui_state_errors_total", {"state": "other"}) == 2


async def test_the_tasks_of_the_loop_are_counted_while_it_runs(telemetry: Recorded) -> None:
    assert telemetry.value("liap_tui_asyncio_tasks") is None
    await telemetry.monitor.start()
    while telemetry.monitor.core.system.asyncio_tasks() is None:
        await asyncio.sleep(0)
    expected = len(asyncio.all_tasks())
    assert telemetry.value("liap_tui_asyncio_tasks") == telemetry.value("asyncio_task_count") == expected
    await telemetry.monitor.stop()
    assert telemetry.value("liap_tui_asyncio_tasks") is None, "nobody counts them any more"


# --- what goes wrong ------------------------------------------------------------------------------------------------


async def test_a_fault_in_one_round_does_not_stop_the_next(fast: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, publish = fast.monitor, fast.monitor.core.publish_state
    failures = iter(range(3))

    def fails_thrice(*arguments: Any) -> None:
        for _ in failures:
            raise ZeroDivisionError
        publish(*arguments)

    monkeypatch.setattr(monitor.core, "publish_state", fails_thrice)
    heartbeats = await reader(fast, EventType.PRODUCER_HEARTBEAT)
    await monitor.start()
    assert (await next_data(heartbeats))["live_games"] == 0
    assert monitor.core.faults.counts["runtime"] == 3


async def test_intervals_of_a_later_configuration_take_effect(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False, heartbeat_interval=0.005)
    heartbeats = await reader(telemetry, EventType.PRODUCER_HEARTBEAT)
    await telemetry.monitor.start()
    first = await next_data(heartbeats)
    otel_setup.configure(collector=False, heartbeat_interval=0.006, service="other")
    while (second := await next_data(heartbeats))["epoch"] == first["epoch"]:
        pass
    await telemetry.monitor.stop()
    assert second["epoch"] == telemetry.monitor.core.epoch


async def test_sweeping_gives_up_games_that_went_quiet(telemetry: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    otel_setup.configure(collector=False, bounds=otel_setup.Bounds(game_idle_timeout=10.0))
    now = 1000.0
    monitor = telemetry.monitor
    monkeypatch.setattr(monitor.core.ledger, "clock", lambda: now)
    await monitor.record_game_start("g", "r", 4, 0)
    now = 1011.0
    snapshots = await reader(telemetry, EventType.GAME_SNAPSHOT)
    await monitor.start()
    assert (await next_data(snapshots))["turns"] == 0, "its snapshot is no activity of the game"
    await asyncio.sleep(0)  # the round of the sweep comes after that of the snapshots
    await monitor.stop()
    assert telemetry.value("liap_tui_games_active") == 0
    assert telemetry.value("otel_setup_dropped_total", {"bound": "game_idle_timeout"}) == 1


async def test_the_limits_of_memory_are_those_that_are_configured(telemetry: Recorded) -> None:
    otel_setup.configure(collector=False, memory_limit_mb=0.001, slow_callback=0.5)
    errors = await reader(telemetry, EventType.ERROR_OCCURRED)
    await telemetry.monitor.start()
    found = await next_data(errors)
    await telemetry.monitor.stop()
    assert found["error_type"] == "HighMemoryUsage"
    assert found["error_message"].endswith("over the limit of 0.001 MB")
