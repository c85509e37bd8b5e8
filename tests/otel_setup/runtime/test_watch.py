"""Who holds the loop: planted blockages, found from a thread beside it, told once, and nothing else told."""

from __future__ import annotations

import asyncio
import gc
import linecache
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from otel_setup.catalogue import EventType, Severity
from otel_setup.diagnosis.rules import Subject
from otel_setup.runtime.gc_pauses import PAUSES
from otel_setup.runtime.stack import is_waiting, stack_text
from otel_setup.runtime.watch import LoopWatch
from otel_setup.testing import Recorded
from otel_setup.text import MAX_TEXT_LENGTH
from tests.otel_setup.runtime.helpers import FakeClock, in_forked_child, needs_fork, soon

SLOW_CALLBACKS = "asyncio_event_loop_slow_callbacks_total"
DEADLINE = 30.0
EVENT_SECONDS = 10.0


def until(condition: Callable[[], Any]) -> None:
    """Waits without giving the loop back: a blockage that lasts as long as it has to."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "otel_setup-loop-watch"]


def hooked() -> bool:
    return PAUSES._hook in gc.callbacks


def stacks(telemetry: Recorded) -> list[Any]:
    return [event.data["stack_trace"] for event in telemetry.events(EventType.EVENT_LOOP_BLOCKED)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def watch(telemetry: Recorded, clock: FakeClock) -> AsyncIterator[LoopWatch]:
    """Looks when it is told to, and goes by a clock that stands still; its timer does not come by itself."""
    core = telemetry.monitor.core
    watch = LoopWatch(
        lambda: core,
        asyncio.get_running_loop(),
        slow_callback=0.1,
        blocked_event_seconds=EVENT_SECONDS,
        clock=clock,
    )
    watch._probe._interval = 3600.0
    watch._probe.start()
    yield watch
    watch._probe.stop()


def late(watch: LoopWatch, clock: FakeClock, seconds: float) -> None:
    """The timer was due so long ago."""
    watch._probe._set()
    watch._probe.due = clock.now
    clock.now += seconds


def look_from_beside(watch: LoopWatch) -> None:
    """A look while the loop's thread is here."""
    thread = threading.Thread(target=watch.look)
    thread.start()
    thread.join(DEADLINE)


# --- what is found ---------------------------------------------------------------------------------------------------


async def test_a_planted_blockage_is_found_while_it_lasts(telemetry: Recorded) -> None:
    monitor = telemetry.monitor

    def sleeps_on_the_loop() -> None:
        until(lambda: any("sleeps_on_the_loop" in (stack or "") for stack in stacks(telemetry)))
        done.set()

    await monitor.start()
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(sleeps_on_the_loop)
    async with asyncio.timeout(DEADLINE):
        await done.wait()
    await soon(lambda: (monitor.core.system.max_loop_lag() or 0) >= 0.1)
    lag = monitor.core.system.max_loop_lag()
    await monitor.stop()
    found = telemetry.events(EventType.EVENT_LOOP_BLOCKED)
    [event] = [event for event in found if "sleeps_on_the_loop" in (event.data["stack_trace"] or "")]
    assert event.severity is Severity.WARN
    assert event.data["blocked_seconds"] >= 0.1
    assert __file__ in event.data["stack_trace"]
    assert "time.sleep(0.005)" in event.data["stack_trace"] or "until(" in event.data["stack_trace"]
    assert "base_events" not in event.data["stack_trace"], "the loop's own calls say nothing"
    assert (telemetry.value(SLOW_CALLBACKS) or 0) >= 1
    assert lag is not None
    assert lag >= event.data["blocked_seconds"]
    assert telemetry.value("asyncio_event_loop_max_lag_seconds") == lag
    assert (telemetry.value("asyncio_event_loop_lag_seconds_sum") or 0) >= lag


async def test_a_blockage_counts_once_however_often_it_is_looked_at(
    telemetry: Recorded, watch: LoopWatch, clock: FakeClock
) -> None:
    assert telemetry.value(SLOW_CALLBACKS) == 0, "there from the start, so that the first one shows"
    late(watch, clock, 0.11)
    look_from_beside(watch)
    clock.now += 5
    look_from_beside(watch)
    assert telemetry.value(SLOW_CALLBACKS) == 1
    assert len(stacks(telemetry)) == 1
    late(watch, clock, 0.11)
    look_from_beside(watch)
    assert telemetry.value(SLOW_CALLBACKS) == 2


async def test_what_is_not_slow_is_not_told(telemetry: Recorded, watch: LoopWatch, clock: FakeClock) -> None:
    late(watch, clock, 0.09)
    look_from_beside(watch)
    assert telemetry.value(SLOW_CALLBACKS) == 0


async def test_while_somebody_looks_closely_less_is_told_too_and_counted_nowhere(
    telemetry: Recorded, watch: LoopWatch, clock: FakeClock
) -> None:
    rules = telemetry.monitor.core.debug.rules
    late(watch, clock, 0.03)
    look_from_beside(watch)
    assert telemetry.events(EventType.EVENT_LOOP_SLOW) == [], "nobody looks"
    rules.add(Subject("r1"), 60)
    for _ in range(2):
        look_from_beside(watch)
    (event,) = telemetry.events(EventType.EVENT_LOOP_SLOW)
    assert (event.severity, event.data["blocked_seconds"]) == (Severity.DEBUG, 0.03)
    assert "look_from_beside" in event.data["stack_trace"]
    assert (telemetry.value(SLOW_CALLBACKS), stacks(telemetry)) == (0, [])
    clock.now += 0.1
    look_from_beside(watch)
    assert (telemetry.value(SLOW_CALLBACKS), len(stacks(telemetry))) == (1, 1), "the same callback, slow by now"
    late(watch, clock, 0.01)
    look_from_beside(watch)
    assert len(telemetry.events(EventType.EVENT_LOOP_SLOW)) == 1


async def test_events_keep_their_distance_and_the_ones_left_out_are_counted(
    telemetry: Recorded, watch: LoopWatch, clock: FakeClock
) -> None:
    for _ in range(4):
        late(watch, clock, 1.0)
        look_from_beside(watch)
    assert len(stacks(telemetry)) == 1
    assert telemetry.value(SLOW_CALLBACKS) == 4
    assert telemetry.value("otel_setup_dropped_total", {"bound": "blocked_event_seconds"}) == 3
    clock.now += EVENT_SECONDS
    late(watch, clock, 1.0)
    look_from_beside(watch)
    assert len(stacks(telemetry)) == 2


async def test_a_loop_that_waits_is_not_held_by_anybody(
    telemetry: Recorded, watch: LoopWatch, clock: FakeClock
) -> None:
    """Late all the same: then it is the machine that is busy."""
    loop_thread = threading.get_ident()
    late(watch, clock, 100.0)

    def look_once_it_waits() -> None:
        until(lambda: is_waiting(sys._current_frames()[loop_thread]))
        watch.look()

    await asyncio.to_thread(look_once_it_waits)
    assert telemetry.value(SLOW_CALLBACKS) == 0


async def test_a_stack_is_told_only_of_what_still_holds_the_loop(
    telemetry: Recorded, watch: LoopWatch, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the clock and the look at the stack the loop may have gone on."""
    late(watch, clock, 1.0)
    frames = sys._current_frames

    def meanwhile() -> Any:
        watch._probe.due += 1
        return frames()

    monkeypatch.setattr(sys, "_current_frames", meanwhile)
    look_from_beside(watch)
    assert stacks(telemetry) == [None]
    assert telemetry.value(SLOW_CALLBACKS) == 1


def test_a_loop_that_does_not_run_is_not_slow(telemetry: Recorded) -> None:
    clock = FakeClock()
    core = telemetry.monitor.core
    loop = asyncio.new_event_loop()
    watch = LoopWatch(lambda: core, loop, slow_callback=0.1, clock=clock)

    async def start() -> None:
        watch._probe.start()

    loop.run_until_complete(start())
    clock.now += 100
    watch.look()
    assert telemetry.value(SLOW_CALLBACKS) == 0
    loop.close()


# --- what is recorded ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet_gc")
async def test_lags_and_pauses_reach_their_histograms_and_drops_their_counter(
    telemetry: Recorded, watch: LoopWatch
) -> None:
    watch._probe._lags.extend([0.002, 0.03, 0.4])
    watch._probe.dropped = 7
    PAUSES.start()
    gc.collect()
    gc.collect(1)
    PAUSES.stop()
    watch.record()
    watch.record()
    assert telemetry.value("asyncio_event_loop_lag_seconds_count") == 3
    assert telemetry.value("asyncio_event_loop_lag_seconds_sum") == pytest.approx(0.432)
    assert telemetry.value("asyncio_event_loop_lag_seconds_bucket", {"le": "0.025"}) == 1
    assert telemetry.value("asyncio_event_loop_max_lag_seconds") == 0.4
    for generation, expected in {"0": None, "1": 1, "2": 1}.items():
        labels = {"cpython_gc_generation": generation}
        assert telemetry.value("cpython_gc_pause_duration_seconds_count", labels) == expected
    assert telemetry.value("otel_setup_dropped_total", {"bound": "max_loop_lags"}) == 7
    assert telemetry.value("otel_setup_dropped_total", {"bound": "max_gc_pauses"}) == 0


@pytest.mark.usefixtures("quiet_gc")
async def test_dropped_pauses_are_counted(
    telemetry: Recorded, watch: LoopWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PAUSES, "_max", 1)
    PAUSES.start()
    for _ in range(4):
        gc.collect()
    PAUSES.stop()
    watch.record()
    assert telemetry.value("otel_setup_dropped_total", {"bound": "max_gc_pauses"}) == 3


# --- its life --------------------------------------------------------------------------------------------------------


async def test_it_lives_from_start_to_stop_and_records_what_waits_at_the_end(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    assert (threads(), hooked()) == ([], False)
    await monitor.start()
    await monitor.start()
    assert (len(threads()), hooked()) == (1, True)
    gc.collect()
    await monitor.stop()
    assert (threads(), hooked()) == ([], False)
    assert (telemetry.value("cpython_gc_pause_duration_seconds_count", {"cpython_gc_generation": "2"}) or 0) >= 1
    await monitor.start()
    assert (len(threads()), hooked()) == (1, True)
    await monitor.stop()
    assert (threads(), hooked()) == ([], False)


def test_it_ends_with_a_loop_that_was_closed_under_it(telemetry: Recorded) -> None:
    loop = asyncio.new_event_loop()
    core = telemetry.monitor.core
    watch = LoopWatch(lambda: core, loop, slow_callback=0.1)

    async def start() -> None:
        watch.start()

    loop.run_until_complete(start())
    assert (len(threads()), hooked()) == (1, True)
    loop.close()
    until(lambda: not threads())
    assert not hooked()
    watch.stop()
    assert PAUSES._listeners == 0


async def test_a_fault_in_it_is_counted_and_does_not_end_it(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(range(2))
    record = LoopWatch.record

    def fails_twice(self: LoopWatch) -> None:
        for _ in failures:
            raise ZeroDivisionError
        record(self)

    monkeypatch.setattr(LoopWatch, "record", fails_twice)
    await telemetry.monitor.start()
    await soon(lambda: telemetry.monitor.core.system.max_loop_lag() is not None)
    await telemetry.monitor.stop()
    assert telemetry.monitor.core.faults.counts["runtime"] == 2


@needs_fork
async def test_a_forked_child_of_a_running_probe_is_unwatched_until_it_starts_itself(telemetry: Recorded) -> None:
    monitor = telemetry.monitor
    await monitor.start()
    await soon(lambda: monitor.core.system.max_loop_lag() is not None)

    def blocks_the_child() -> None:
        until(lambda: any("blocks_the_child" in (stack or "") for stack in stacks(telemetry)))

    async def live() -> list[Any]:
        await monitor.start()
        started = [monitor._background.running, len(threads()), hooked()]
        blocks_the_child()
        await soon(lambda: monitor.core.system.max_loop_lag() is not None)
        gc.collect()
        await monitor.stop()
        counts = telemetry.value("cpython_gc_pause_duration_seconds_count", {"cpython_gc_generation": "2"}) or 0
        return [*started, (telemetry.value(SLOW_CALLBACKS) or 0) >= 1, counts >= 1]

    def report() -> Any:
        inherited = [monitor._background.running, len(threads()), hooked(), monitor.core.system.max_loop_lag()]
        return [inherited, asyncio.run(live()), [monitor._background.running, len(threads()), hooked()]]

    assert in_forked_child(report) == [
        [False, 0, False, None],
        [True, 1, True, True, True],
        [False, 0, False],
    ]
    assert (monitor._background.running, len(threads()), hooked()) == (True, 1, True)
    assert monitor._background._watch is not None
    probe = monitor._background._watch._probe
    timer = probe._timer
    await soon(lambda: probe._timer is not timer)
    await monitor.stop()


# --- stacks as text --------------------------------------------------------------------------------------------------


def frame_in(filename: str, source: str) -> Any:
    """The frame of a generator's code, with that file's name and source."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names: dict[str, Any] = {"sys": sys}
    exec(compile(source, filename, "exec"), names)  # noqa: S102 - the source is right above the call
    return names["innermost"]


def test_a_stack_s_text_is_clean_and_keeps_the_innermost_calls() -> None:
    body = "innermost = None\ndef deep(n):\n    global innermost\n    if n:\n        deep(n - 1)\n"
    body += "    else:\n        innermost = sys._getframe()  # \u202eevil\x07\ndeep(300)\n"
    filename = "ga\u202eme\x1b[31m.py"
    text = stack_text(frame_in(filename, body))
    linecache.cache.pop(filename)
    assert len(text) <= MAX_TEXT_LENGTH
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "innermost = sys._getframe()" in text.splitlines()[-1]
    assert text.count("deep(n - 1)") > 5


def test_a_hostile_file_name_of_any_length_is_cut() -> None:
    filename = "x" * 100_000
    assert len(stack_text(frame_in(filename, "innermost = sys._getframe()\n"))) <= MAX_TEXT_LENGTH
