"""The probe: late by what the clock says, at no expense of the loop's, and gone when told to."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from otel_setup.runtime.loop_probe import LoopProbe
from otel_setup.runtime.loop_state import LoopState
from tests.otel_setup.runtime.helpers import FakeClock, soon

SOON = 0.001


async def next_due(probe: LoopProbe) -> None:
    """Waits until the timer has run once more; the clock must move for that to show."""
    timer = probe._timer
    async with asyncio.timeout(30):
        while probe._timer is timer:
            await asyncio.sleep(0)


async def test_a_lag_is_what_the_clock_went_beyond_the_time_it_was_due() -> None:
    clock = FakeClock()
    probe = LoopProbe(asyncio.get_running_loop(), SOON, clock=clock)
    probe.start()
    for late in (0.0, 0.5, 3.25):
        clock.now = probe.due + late
        await next_due(probe)
    probe.stop()
    assert probe.drain() == pytest.approx([0.0, 0.5, 3.25], abs=1e-9)
    assert probe.drain() == []


async def test_early_is_not_late() -> None:
    clock = FakeClock()
    probe = LoopProbe(asyncio.get_running_loop(), SOON, clock=clock)
    probe.start()
    await next_due(probe)  # the loop's clock went on and this one did not
    probe.stop()
    assert probe.drain() == [0.0]


async def test_what_nobody_drains_is_bounded_and_counted() -> None:
    probe = LoopProbe(asyncio.get_running_loop(), SOON, max_loop_lags=2)
    probe.start()
    for _ in range(5):
        await next_due(probe)
    probe.stop()
    assert (len(probe.drain()), probe.dropped) == (2, 3)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on the loop", "from a thread"])
async def test_a_stopped_probe_leaves_no_timer(elsewhere: bool) -> None:
    probe = LoopProbe(asyncio.get_running_loop(), 3600.0)
    probe.start()
    timer = probe._timer
    assert timer is not None
    if elsewhere:
        await asyncio.to_thread(probe.stop)
    else:
        probe.stop()
    await soon(timer.cancelled)
    assert probe.due == math.inf


async def test_an_abandoned_probe_does_not_set_its_timer_again() -> None:
    probe = LoopProbe(asyncio.get_running_loop(), SOON)
    probe.start()
    timer = probe._timer
    probe.abandon()
    await asyncio.sleep(2 * SOON)
    assert probe._timer is timer
    assert probe.drain() == []


def test_stopping_after_the_loop_was_closed_harms_nobody() -> None:
    async def start() -> LoopProbe:
        probe = LoopProbe(asyncio.get_running_loop())
        probe.start()
        return probe

    asyncio.run(start()).stop()


def test_a_loop_that_did_not_run_was_not_late() -> None:
    clock = FakeClock()
    loop = asyncio.new_event_loop()
    probe = LoopProbe(loop, 3600.0, clock=clock)

    def on_the_loop(call: Callable[[], None]) -> None:
        async def calls() -> None:
            call()

        loop.run_until_complete(calls())

    on_the_loop(probe.start)
    probe.pause()
    clock.now += 10_000
    on_the_loop(probe._tick)
    assert probe.drain() == []
    clock.now = probe.due + 1
    on_the_loop(probe._tick)
    assert probe.drain() == [1.0]
    probe.stop()
    loop.close()


async def test_it_knows_the_thread_of_the_loop() -> None:
    probe = LoopProbe(asyncio.get_running_loop())
    probe.start()
    probe.stop()
    assert probe.thread_id == threading.get_ident()


class Request:
    """Something that a context holds."""


async def test_it_keeps_nothing_of_its_caller_s_context() -> None:
    current: ContextVar[Request | None] = ContextVar("request", default=None)
    request = Request()
    gone = weakref.ref(request)
    token = current.set(request)
    probe = LoopProbe(asyncio.get_running_loop(), 3600.0)
    probe.start()
    current.reset(token)
    del token, request
    gc.collect()
    assert gone() is None
    probe.stop()


# --- the greatest lag ------------------------------------------------------------------------------------------------


def test_the_greatest_lag_is_that_of_the_last_minute() -> None:
    clock = FakeClock(now=0.0)
    state = LoopState(clock)
    assert state.max_lag() is None
    state.note_lags([0.2, 0.9, 0.1])
    state.note_lags([0.3])
    state.note_lags([])
    assert state.max_lag() == 0.9
    clock.now = 30.0
    state.note_lags([0.4])
    clock.now = 49.0
    assert state.max_lag() == 0.9
    clock.now = 61.0
    assert state.max_lag() == 0.4
    clock.now = 95.0
    assert state.max_lag() is None, "nobody measures any more"


def test_the_greatest_lag_needs_no_more_room_as_time_goes_by() -> None:
    clock = FakeClock()
    state = LoopState(clock)
    for _ in range(1000):
        clock.now += 5
        state.note_lags([1.0])
    assert len(state._greatest) <= 6
