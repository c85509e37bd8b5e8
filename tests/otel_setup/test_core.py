"""Locks and exchanges: what may not wait for what, and that nothing is lost while everything is exchanged."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry._logs import NoOpLogger
from opentelemetry.metrics import NoOpMeter

import otel_setup
from otel_setup import Seat
from otel_setup.background import Background
from otel_setup.core import Core
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import Receiver, receiving


def is_free(lock: Any) -> bool:
    """Whether another thread could take the lock now."""
    taken: list[bool] = []

    def take() -> None:
        taken.append(lock.acquire(timeout=20))
        if taken[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(5)  # a free lock is taken at once; a held one is given up on before it is free again
    return taken == [True]


class Watching(NoOpLogger):
    """An exporter that notes whether the core's lock is free while it works, as it may take long."""

    def __init__(self, core: Core) -> None:
        super().__init__("watching")
        self.core = core
        self.lock_was_free: dict[str, bool] = {}

    def enabled(self, *, event_name: str | None = None, **_: object) -> bool:
        self.lock_was_free[f"enabled {event_name}"] = is_free(self.core.lock)
        return True

    def emit(self, *_: object, event_name: str | None = None, **__: object) -> None:
        self.lock_was_free[f"emit {event_name}"] = is_free(self.core.lock)


async def everything(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await monitor.record_game_start("g", "r", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])
    await monitor.record_player_disconnected("g", "ann")
    await Background(monitor)._heartbeat()
    await Background(monitor)._snapshots()
    async with monitor.monitor_state_transition("g", "WAITING", "TURN"):
        pass
    await monitor.record_game_end("g", "ann", {})


async def test_no_lock_is_held_while_an_event_is_handed_on(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = telemetry.monitor.core
    watching = Watching(core)
    monkeypatch.setattr(core._connection, "logger", watching)
    await everything(telemetry)
    names = {key.split()[1] for key in watching.lock_was_free}
    assert {"game.snapshot", "producer.heartbeat", "game.started", "state.transition.illegal"} <= names
    assert [key for key, was_free in watching.lock_was_free.items() if not was_free] == []


async def test_no_lock_is_held_while_a_metric_is_recorded(telemetry: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    core = telemetry.monitor.core
    was_free: list[bool] = []
    monkeypatch.setattr(core.instruments, "_record", lambda *_: was_free.append(is_free(core.lock)))
    await everything(telemetry)
    assert len(was_free) >= 4
    assert all(was_free)


class CollectingMeter(NoOpMeter):
    """A meter of an SDK that is collecting: it holds the lock that registering takes, and reads gauges meanwhile."""

    def __init__(self, register: Callable[[], None]) -> None:
        super().__init__("collecting")
        self._register = register

    def create_observable_gauge(self, *args: Any, **kwargs: Any) -> Any:
        self._register()
        return super().create_observable_gauge(*args, **kwargs)


def test_connecting_waits_for_no_one_who_waits_for_the_core(telemetry: Recorded) -> None:
    core = telemetry.monitor.core
    was_free: list[bool] = []
    meter = CollectingMeter(lambda: was_free.append(is_free(core.lock)))
    core.connect(core.settings, [meter], None, NoOpLogger("none"))
    assert was_free
    assert all(was_free)


@pytest.fixture
def pair() -> Any:
    with receiving() as first, receiving() as second:
        yield first, second


def uids(receiver: Receiver) -> list[str]:
    return [
        attribute.value.string_value
        for record in receiver.log_records()
        for attribute in record.attributes
        if attribute.key == "log.record.uid"
    ]


def test_nothing_is_lost_while_configurations_are_exchanged_under_load(
    telemetry: Recorded, pair: tuple[Receiver, Receiver]
) -> None:
    """Every event leaves by one configuration, under the next number of its epoch, and no number is left out."""
    handle = otel_setup.configure(collector=pair[0].url, metric_interval=3600)
    monitor, stop = telemetry.monitor, threading.Event()

    def publish() -> None:
        while not stop.is_set():
            asyncio.run(monitor.record_turn_completed("g", "ann"))

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 9):
        events = monitor.event_stream.total_events
        pair[0].wait_for(lambda events=events: monitor.event_stream.total_events > events + 20)
        handle = otel_setup.configure(collector=pair[number % 2].url, metric_interval=3600)
    stop.set()
    for thread in threads:
        thread.join()
    assert handle.flush(30)
    published = monitor.event_stream.total_events
    pair[0].wait_for(lambda: len(uids(pair[0])) + len(uids(pair[1])) >= published, timeout=30)
    exported = Counter(uids(pair[0]) + uids(pair[1]))
    assert set(exported.values()) == {1}
    epochs: dict[str, list[int]] = {}
    for uid in exported:
        epoch, number = uid.rsplit("-", 1)
        epochs.setdefault(epoch, []).append(int(number))
    assert len(epochs) == 9
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in epochs.values())
    assert sum(map(len, epochs.values())) == published
    assert sum(monitor.get_monitoring_status()["internal_errors"].values()) == 0


class Taking(NoOpLogger):
    """An exporter that takes what it is given, when it is let."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        super().__init__("taking")
        self.before = before
        self.uids: list[str] = []

    def enabled(self, **_: object) -> bool:
        return True

    def emit(self, *_: object, attributes: Any = None, **__: object) -> None:
        self.before()
        self.uids.append(attributes["log.record.uid"])


async def test_an_event_that_meets_a_new_configuration_leaves_by_that_one(telemetry: Recorded) -> None:
    core, new = telemetry.monitor.core, Taking()

    class Replaced(Taking):
        def enabled(self, **_: object) -> bool:
            if core._connection.logger is self:
                core.connect(core.settings, [], None, new)
            return True

    old = Replaced()
    core.connect(core.settings, [], None, old)
    await telemetry.monitor.record_turn_completed("g", "ann")
    assert old.uids == []
    assert new.uids == [f"{core.settings.instance_id}-{core.epoch}-1"]
    assert len(telemetry.events("turn.completed")) == 1


def test_a_shutdown_waits_for_what_is_being_handed_on(telemetry: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = otel_setup.configure(collector=False)
    entered, stopped, order = threading.Event(), threading.Event(), []

    def slowly() -> None:
        entered.set()
        stopped.wait(0.5)  # long enough for a shutdown that does not wait
        order.append("handed on")

    class Stopping:
        def shutdown(self, timeout: float) -> bool:
            order.append("stopped")
            stopped.set()
            return timeout > 0

    monkeypatch.setattr(handle.core._connection, "logger", Taking(slowly))
    monkeypatch.setattr(handle, "_providers", Stopping())
    publishing = threading.Thread(target=lambda: asyncio.run(telemetry.monitor.record_turn_completed("g", "ann")))
    publishing.start()
    assert entered.wait(30)
    assert handle.shutdown(30)
    publishing.join()
    assert order == ["handed on", "handed on", "stopped"], "the event, and the end of its epoch"


def test_what_the_application_uses_does_nothing_after_a_shutdown(
    telemetry: Recorded, pair: tuple[Receiver, Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry import metrics, trace

    tracer, counter = trace.get_tracer("app"), metrics.get_meter("app").create_counter("app.things")
    handle = otel_setup.configure(collector=pair[0].url, metric_interval=3600)
    assert handle.shutdown(20)
    assert handle.shutdown(20), "again is no failure"
    with tracer.start_as_current_span("late") as span:
        counter.add(1)
        assert not span.is_recording()
    again = otel_setup.configure(collector=pair[0].url, metric_interval=3600)
    assert again is not handle
    with tracer.start_as_current_span("later"):
        counter.add(1)
    assert again.flush(20)
    assert [span.name for span in pair[0].spans()] == ["later"]
    assert [record for record in caplog.records if "shut" in record.getMessage().lower()] == []


async def test_live_games_outlive_a_new_configuration_unless_the_game_is_another(telemetry: Recorded) -> None:
    from tests.otel_setup.catalogue.arena import ARENA

    monitor = telemetry.monitor
    await monitor.record_game_start("g", "r", 4, 0)
    otel_setup.configure(collector=False, service="other")
    assert telemetry.value("liap_tui_games_active") == 1
    otel_setup.configure(collector=False, model=ARENA)
    assert telemetry.value("arena_games_active") == 0
    await monitor.record_game_start("a", "r", 4, 0)
    async with monitor.monitor_state_transition("a", "LOBBY", "FIGHT"):
        pass
    assert telemetry.value("arena_state_active_games", {"state": "fight"}) == 1


def test_faults_of_the_global_providers_count_before_there_is_a_core(telemetry: Recorded) -> None:
    from otel_setup.telemetry import _state

    _state._fault(ValueError("early"))
    assert _state._core is None
    assert telemetry.monitor.get_monitoring_status()["internal_errors"]["export"] == 1
    assert telemetry.value("otel_setup_internal_errors_total", {"component": "export"}) == 1


async def test_what_happens_inside_a_reader_of_events_deadlocks_nobody(telemetry: Recorded) -> None:
    """A filter is the application's own code, and runs under the lock: it may publish itself."""
    from otel_setup import EventFilter, EventType

    monitor, depth = telemetry.monitor, itertools.count()

    class Publishing(EventFilter):
        def matches(self, event: Any) -> bool:
            if next(depth) < 3:
                with pytest.raises(StopIteration):
                    monitor.record_room_created("from inside").send(None)
            return True

    await monitor.subscribe_to_events("odd", Publishing())
    await monitor.record_room_created("r")
    assert len(telemetry.events(EventType.ROOM_CREATED)) == 4
    assert telemetry.value("liap_tui_rooms_created_total") == 4
