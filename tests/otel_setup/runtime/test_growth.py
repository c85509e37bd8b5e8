"""Growth of the memory: expected values are computed by hand, or by the statistics module."""

from __future__ import annotations

import statistics
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import FakeClock, take_samples


def test_growth_is_the_least_squares_slope(memory: SimpleNamespace) -> None:
    # By hand: mean t = 200, mean MB = 116;
    # sum (t-200)(MB-116) = 3200 + 600 + 0 + 1400 + 3800 = 9000; sum (t-200)^2 = 100000; 0.09 MB/s = 324 MB/h.
    # The line from the first sample to the last would give 315.
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    take_samples(collector, clock, memory, [(0, 100), (100, 110), (200, 105), (300, 130), (400, 135)])
    assert collector.growth_rate_mb_per_hour() == pytest.approx(324.0, rel=1e-6)


@given(st.lists(st.integers(min_value=1, max_value=64_000), min_size=11, max_size=20))
def test_growth_agrees_with_the_statistics_module(megabytes: list[int]) -> None:
    clock = FakeClock(now=1e6)  # a machine that has been up for days must not lose digits
    points = [(30.0 * index, float(value)) for index, value in enumerate(megabytes)]
    reported = SimpleNamespace()
    collector = SystemMetricsCollector(clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=reported.rss, vms=0))
        take_samples(collector, clock, reported, points)
    expected = statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope * 3600
    assert collector.growth_rate_mb_per_hour() == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_shrinking_memory_is_negative_growth(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    take_samples(collector, clock, memory, [(0, 200), (360, 190)])
    assert collector.growth_rate_mb_per_hour() == pytest.approx(-100.0)


def test_growth_is_unknown_until_the_samples_span_half_the_window(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(growth_window=600, clock=clock)
    assert collector.growth_rate_mb_per_hour() is None
    take_samples(collector, clock, memory, [(0, 50), (0, 60), (60, 300), (299, 310)])
    assert collector.growth_rate_mb_per_hour() is None
    take_samples(collector, clock, memory, [(1, 310)])
    assert collector.growth_rate_mb_per_hour() is not None


def test_min_growth_span_can_be_chosen(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock, min_growth_span=10)
    take_samples(collector, clock, memory, [(0, 100), (10, 101)])
    assert collector.growth_rate_mb_per_hour() == pytest.approx(360.0)


def test_growth_forgets_what_is_older_than_the_window(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(growth_window=600, clock=clock)
    take_samples(collector, clock, memory, [(0, 0), (300, 1000), (600, 1000), (900, 1000)])
    assert collector.growth_rate_mb_per_hour() == pytest.approx(0.0)  # the jump at the start has left
    assert collector.get_memory_summary()["samples"] == 3
    assert collector.samples_dropped == 0  # aged, not dropped


def test_growth_is_not_reported_long_after_sampling_stopped(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(growth_window=600, clock=clock)
    take_samples(collector, clock, memory, [(0, 100), (300, 110)])
    clock.now += 600
    assert collector.growth_rate_mb_per_hour() == pytest.approx(120.0)
    clock.now += 1
    assert collector.growth_rate_mb_per_hour() is None


def test_samples_are_bounded_and_the_dropped_ones_counted(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock, max_samples=5)
    take_samples(collector, clock, memory, [(float(second), 100) for second in range(12)])
    assert collector.get_memory_summary()["samples"] == 5
    assert collector.samples_dropped == 7


def test_reading_takes_no_sample(memory: SimpleNamespace) -> None:
    collector = SystemMetricsCollector()
    collector.get_memory_summary()
    collector.memory_mb()
    collector.memory_alerts()
    assert collector.get_memory_summary()["samples"] == 0
