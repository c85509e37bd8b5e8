"""Pauses of the garbage collector: planted garbage whose end takes a known time on a clock that stands still."""

from __future__ import annotations

import gc
import threading

import pytest

from otel_setup.runtime.gc_pauses import PAUSES, GcPauses
from tests.otel_setup.runtime.helpers import FakeClock, in_forked_child, needs_fork

pytestmark = pytest.mark.usefixtures("quiet_gc")


class Slow:
    """Part of a cycle, whose end takes some time."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self.clock, self.seconds, self.cycle = clock, seconds, self

    def __del__(self) -> None:
        self.clock.now += self.seconds


def plant(clock: FakeClock, seconds: float) -> None:
    Slow(clock, seconds)


def test_a_pause_lasts_from_the_collection_s_start_to_its_end() -> None:
    clock = FakeClock()
    pauses = GcPauses(clock=clock)
    pauses.start()
    plant(clock, 0.25)
    gc.collect(1)
    clock.now += 5  # between two collections nothing waits for them
    gc.collect(0)
    plant(clock, 0.5)
    plant(clock, 1.0)
    gc.collect()
    pauses.stop()
    assert sorted(pauses.drain()) == [(0, 0.0), (1, 0.25), (2, 1.5)]
    assert list(pauses.drain()) == [], "each is taken once"


def test_nobody_listens_before_the_first_start_and_after_the_last_stop() -> None:
    before = list(gc.callbacks)
    pauses = GcPauses()
    gc.collect()
    pauses.start()
    pauses.start()
    gc.collect()
    pauses.stop()
    gc.collect()
    assert len(list(pauses.drain())) == 2, "two listeners, and yet each pause once"
    pauses.stop()
    gc.collect()
    assert list(pauses.drain()) == []
    assert gc.callbacks == before


def test_what_finds_no_room_is_counted() -> None:
    pauses = GcPauses(max_gc_pauses=3)
    pauses.start()
    for _ in range(5):
        gc.collect()
    gc.collect(0)
    pauses.stop()
    assert [generation for generation, _ in pauses.drain()] == [0, 2, 2, 2]
    assert pauses.take_dropped() == 2
    assert pauses.take_dropped() == 0, "told once"


def test_a_collection_may_begin_while_the_lock_is_held() -> None:
    pauses = GcPauses()
    pauses.start()

    def collect_inside() -> None:
        with pauses._starting:
            gc.collect()

    thread = threading.Thread(target=collect_inside, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the hook waits for a lock that its own thread holds"
    pauses.stop()
    assert len(list(pauses.drain())) == 1


def test_a_start_in_the_middle_of_a_collection_waits_for_the_next() -> None:
    pauses = GcPauses()
    pauses._hook("stop", {"generation": 2})
    assert list(pauses.drain()) == []


def test_stopping_after_somebody_emptied_the_list_breaks_nothing() -> None:
    pauses = GcPauses()
    pauses.start()
    gc.callbacks.remove(pauses._hook)
    pauses.stop()


@needs_fork
def test_a_forked_child_listens_only_when_it_starts_itself() -> None:
    PAUSES.start()
    try:
        gc.collect()

        def report() -> list[int]:
            gc.collect()
            inherited = len(list(PAUSES.drain()))
            hooked = len(gc.callbacks)
            PAUSES.start()
            gc.collect()
            own = len(list(PAUSES.drain()))
            PAUSES.stop()
            return [inherited, hooked, own, len(gc.callbacks)]

        others = len(gc.callbacks) - 1
        with PAUSES._starting:  # as if another thread were starting just now
            answer = in_forked_child(report)
        assert answer == [0, others, 1, others]
        assert len(list(PAUSES.drain())) == 1, "the parent has its own"
    finally:
        PAUSES.stop()
