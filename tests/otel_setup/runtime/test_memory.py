"""Memory: what the kernel says, the summary, and the alerts."""

from __future__ import annotations

import os
import resource
from types import SimpleNamespace

import psutil
import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import MIB, FakeClock, needs_proc, take_samples


def test_memory_is_in_units_of_two_to_the_twentieth(memory: SimpleNamespace) -> None:
    memory.rss, memory.vms = 123 * 1_048_576, 456 * 1_048_576
    assert SystemMetricsCollector().memory_mb() == {"rss": 123.0, "vms": 456.0}


@needs_proc
def test_memory_agrees_with_the_kernel() -> None:
    ballast = b"x" * (64 * MIB)  # large enough that a mistaken unit or process shows
    collector = SystemMetricsCollector()
    with open("/proc/self/statm") as statm:
        vms_pages, rss_pages = statm.read().split()[:2]
    measured = collector.memory_mb()
    assert measured["rss"] == pytest.approx(int(rss_pages) * resource.getpagesize() / MIB, abs=1.5)
    assert measured["vms"] == pytest.approx(int(vms_pages) * resource.getpagesize() / MIB, abs=1.5)
    assert measured["rss"] > len(ballast) / MIB


def test_memory_summary_holds_the_named_keys(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    assert collector.get_memory_summary()["growth_rate_mb_per_hour"] is None
    take_samples(collector, clock, memory, [(0, 100), (300, 101)])
    memory.rss, memory.vms = 150 * MIB, 600 * MIB
    summary = collector.get_memory_summary()
    assert summary.pop("current_percent") == pytest.approx(100 * 150 * MIB / psutil.virtual_memory().total)
    assert summary == {
        "current_rss_mb": 150.0,
        "current_vms_mb": 600.0,
        "growth_rate_mb_per_hour": pytest.approx(12.0),  # 1 MB in 300 s
        "samples": 2,
    }


def test_a_reading_the_system_refuses_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise psutil.AccessDenied

    for method in ("memory_info", "memory_percent", "num_fds"):
        monkeypatch.setattr(psutil.Process, method, refuse)
    collector = SystemMetricsCollector()
    assert collector.memory_mb() == {}
    assert collector.read_failures == 1
    collector.sample()
    assert collector.read_failures == 2
    summary = collector.get_memory_summary()
    assert summary["current_rss_mb"] is None
    assert summary["current_percent"] is None
    assert summary["samples"] == 0
    assert collector.read_failures == 4
    assert collector.memory_alerts(rss_limit_mb=0) == []
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_size=0))
    assert collector.file_descriptors_open() is None
    assert collector.read_failures == 6


def test_a_process_that_cannot_be_opened_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(*_: object) -> None:
        raise psutil.NoSuchProcess(os.getpid())

    monkeypatch.setattr(psutil, "Process", vanish)
    collector = SystemMetricsCollector()
    assert collector.memory_mb() == {}
    assert collector.get_memory_summary()["current_vms_mb"] is None


def test_alerts_name_what_is_over_its_limit_and_nothing_else(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    memory.rss = 1000 * MIB
    assert collector.memory_alerts() == []  # at the limit is not over it
    memory.rss = 1001 * MIB
    assert [kind for kind, _ in collector.memory_alerts()] == ["HighMemoryUsage"]
    take_samples(collector, clock, memory, [(0, 100), (360, 105)])  # 50 MB/h
    assert collector.memory_alerts() == []
    collector = SystemMetricsCollector(clock=clock)
    take_samples(collector, clock, memory, [(0, 1500), (360, 1506)])  # 60 MB/h
    texts = dict(collector.memory_alerts())
    assert list(texts) == ["HighMemoryUsage", "HighMemoryGrowth"]
    assert "1506.0 MB" in texts["HighMemoryUsage"]
    assert "1000 MB" in texts["HighMemoryUsage"]
    assert "60.0 MB" in texts["HighMemoryGrowth"]
    assert "50 MB" in texts["HighMemoryGrowth"]


def test_alert_limits_can_be_chosen(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    take_samples(collector, clock, memory, [(0, 100), (360, 104)])  # 40 MB/h
    assert collector.memory_alerts() == []
    alerts = collector.memory_alerts(rss_limit_mb=103.5, growth_limit_mb_per_hour=39)
    assert [kind for kind, _ in alerts] == ["HighMemoryUsage", "HighMemoryGrowth"]
