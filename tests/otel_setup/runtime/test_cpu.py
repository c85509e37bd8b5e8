"""CPU use, by hand and against the times that the kernel charges."""

from __future__ import annotations

import os
import threading
import time

import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import FakeClock


def make_cpu_collector() -> tuple[SystemMetricsCollector, FakeClock, FakeClock]:
    clock, cpu = FakeClock(), FakeClock(now=40.0)
    return SystemMetricsCollector(clock=clock, cpu_clock=cpu, cpu_interval=1.0), clock, cpu


def test_cpu_is_cpu_time_over_wall_time_in_percent_of_one_core() -> None:
    collector, clock, cpu = make_cpu_collector()
    clock.now += 10
    cpu.now += 2.5
    assert collector.cpu_percent() == pytest.approx(25.0)
    clock.now += 4
    cpu.now += 6  # two cores, three quarters busy
    assert collector.cpu_percent() == pytest.approx(150.0)


def test_cpu_is_unknown_before_a_first_interval() -> None:
    collector, clock, cpu = make_cpu_collector()
    assert collector.cpu_percent() is None
    clock.now += 0.5
    cpu.now += 0.5
    assert collector.cpu_percent() is None
    clock.now += 0.5
    assert collector.cpu_percent() == pytest.approx(50.0)


def test_a_second_reader_close_behind_sees_what_the_first_saw() -> None:
    collector, clock, cpu = make_cpu_collector()
    clock.now += 10
    cpu.now += 4
    first = collector.cpu_percent()
    clock.now += 0.01  # psutil's own cpu_percent would now say 0
    second = collector.cpu_percent()
    assert first == second == pytest.approx(40.0)
    clock.now += 9.99
    cpu.now += 1
    assert collector.cpu_percent() == pytest.approx(10.0)  # and the next interval has lost nothing


def test_parallel_readers_never_see_a_torn_interval() -> None:
    collector, clock, cpu = make_cpu_collector()
    clock.now += 10
    cpu.now += 3
    collector.cpu_percent()
    rounds, readers = 200, 4
    start, done = threading.Barrier(readers + 1), threading.Barrier(readers + 1)
    seen: list[list[float | None]] = [[] for _ in range(readers)]

    def read(values: list[float | None]) -> None:
        for _ in range(rounds):
            start.wait(30)
            values.append(collector.cpu_percent())
            done.wait(30)

    threads = [threading.Thread(target=read, args=(values,)) for values in seen]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        clock.now += 10
        cpu.now += 3 if number % 2 else 7
        start.wait(30)
        done.wait(30)
        assert collector.cpu_percent() == pytest.approx(30.0 if number % 2 else 70.0)
    for thread in threads:
        thread.join(30)
    for values in seen:
        assert len(values) == rounds
        for value in values:  # the former interval's or this one's, never a piece of one
            assert value == pytest.approx(30.0) or value == pytest.approx(70.0)


def test_cpu_agrees_with_the_times_the_kernel_charges() -> None:
    collector = SystemMetricsCollector(cpu_interval=0.05)
    wall, charged = time.monotonic(), sum(os.times()[:2])
    while time.process_time() < 0.4 + charged:
        sum(range(1000))
    measured = collector.cpu_percent()
    expected = 100 * (sum(os.times()[:2]) - charged) / (time.monotonic() - wall)
    assert measured == pytest.approx(expected, rel=0.2)
