"""Faults inside monitoring: kept from the game, counted always, logged once a kind."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from otel_setup.catalogue.attributes import COMPONENTS
from otel_setup.faults import MAX_KINDS_LOGGED, Faults
from otel_setup.testing import Recorded


def test_every_component_is_there_before_the_first_fault() -> None:
    assert Faults().counts == dict.fromkeys(COMPONENTS, 0)


def test_a_fault_goes_no_further_than_its_guard() -> None:
    faults = Faults()
    with faults.guard("ledger"):
        raise ValueError("inside")
    assert faults.counts["ledger"] == 1
    assert sum(faults.counts.values()) == 1


@pytest.mark.parametrize("passing", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_cancellation_and_exits_pass_and_are_no_faults(passing: type[BaseException]) -> None:
    faults = Faults()
    with pytest.raises(passing), faults.guard("ledger"):
        raise passing
    assert sum(faults.counts.values()) == 0


def test_the_first_of_each_kind_is_logged_with_its_trace_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for fault in (ValueError("first"), ValueError("second"), KeyError("other")):
        faults.count("stream", fault)
    faults.count("export", ValueError("elsewhere"))
    assert [(record.levelno, str(record.exc_info[1])) for record in caplog.records if record.exc_info] == [
        (logging.ERROR, "first"),
        (logging.ERROR, "'other'"),
        (logging.ERROR, "elsewhere"),
    ]
    assert (faults.counts["stream"], faults.counts["export"]) == (3, 1)


def test_odd_input_is_a_warning_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for kind in ("unknown_state", "unknown_state", "unknown_action"):
        faults.note(kind, f"about {kind}")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert sum(faults.counts.values()) == 0


def test_the_kinds_that_are_logged_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for number in range(3 * MAX_KINDS_LOGGED):
        faults.count("stream", type(f"Error{number}", (Exception,), {})())
    assert len(caplog.records) == MAX_KINDS_LOGGED
    assert faults.counts["stream"] == 3 * MAX_KINDS_LOGGED


class BrokenHandler(logging.Handler):
    """A logging handler of an application, as bad as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def handle(self, record: logging.LogRecord) -> bool:
        self.asked += 1
        raise RuntimeError("no log today")


@pytest.fixture
def broken_handler() -> Iterator[BrokenHandler]:
    handler = BrokenHandler()
    logger = logging.getLogger("otel_setup")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_an_applications_broken_log_handler_costs_no_event(
    telemetry: Recorded, broken_handler: BrokenHandler
) -> None:
    monitor = telemetry.monitor
    await monitor.record_phase_duration("g", "NO_SUCH_PHASE", 1.0)
    await monitor.record_phase_duration("g", "TURN", -1.0)
    await monitor.record_round_started("g", -1)
    await monitor.record_game_start("g\x00", "r", 4, 0)
    async with monitor.monitor_state_transition("g\x00", "NO", "WAY"):
        pass
    assert broken_handler.asked >= 4
    names = [event.event_type.value for event in telemetry.events()]
    assert names == [
        "phase.completed",
        "round.started",
        "game.started",
        "game.snapshot",
        "state.transition.illegal",
        "state.transition.start",
        "state.transition.complete",
    ]
    assert sum(monitor.get_monitoring_status()["internal_errors"].values()) == 0


def test_counting_is_exact_from_many_threads() -> None:
    faults = Faults()
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(2000):
            faults.count("export", ValueError())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.counts["export"] == 8000


async def test_every_place_that_counts_faults_is_in_the_metric_and_in_the_status(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = telemetry.monitor
    monkeypatch.setattr(monitor.core.stream, "_counted_name", None)  # the stream counts its own
    await monitor.record_room_created("r")
    monkeypatch.undo()
    monkeypatch.setattr(monitor.core.ledger, "apply", None)
    await monitor.record_room_created("r")
    monkeypatch.undo()
    monitor.core.faults.count("runtime", ValueError())
    expected = dict.fromkeys(COMPONENTS, 0) | {"stream": 1, "ledger": 1, "runtime": 1}
    assert monitor.get_monitoring_status()["internal_errors"] == expected
    samples = telemetry.samples()
    for component, count in expected.items():
        assert samples[("otel_setup_internal_errors_total", frozenset({("component", component)}))] == count


async def test_an_event_the_ledger_fails_on_is_still_streamed_and_measured(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry.monitor.core.ledger, "apply", None)
    await telemetry.monitor.record_turn_completed("g", "ann")
    assert len(telemetry.events("turn.completed")) == 1
    assert telemetry.value("liap_tui_turns_total") == 1
