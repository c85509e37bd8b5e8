"""A forked child reports its own numbers, and waits for no thread of its parent."""

from __future__ import annotations

import gc
import os
import resource
import threading
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import MIB, FakeClock, in_forked_child, needs_fork, needs_proc, take_samples


@needs_fork
@needs_proc
def test_a_forked_child_reports_its_own_memory() -> None:
    collector = SystemMetricsCollector()
    parent_before = collector.memory_mb()["rss"]  # whatever this caches must not follow the fork

    def report() -> dict[str, float]:
        ballast = bytearray(os.urandom(1)) * (80 * MIB)
        measured = collector.memory_mb()["rss"]
        with open("/proc/self/statm") as statm:
            kernel = int(statm.read().split()[1]) * resource.getpagesize() / MIB
        return {"measured": measured, "kernel": kernel, "ballast": len(ballast)}

    child = in_forked_child(report)
    assert child["measured"] == pytest.approx(child["kernel"], abs=2)
    assert child["kernel"] > 80
    # What the parent sees of itself must not include the child's ballast (with tolerance for its own life).
    assert collector.memory_mb()["rss"] < parent_before + 40


@needs_fork
@pytest.mark.usefixtures("quiet_gc")
def test_a_forked_child_starts_its_counts_afresh(memory: SimpleNamespace) -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock, max_samples=3)
    take_samples(collector, clock, memory, [(0, 100), (300, 200), (310, 210), (320, 220)])
    collector.note_asyncio_tasks(40)
    collector.record_gc_collection(0, 10, 1)
    collector.record_gc_collection(9, 0, 0)
    for _ in range(3):
        gc.collect()
    assert (collector.samples_dropped, collector.gc_records_refused) == (1, 1)

    def report() -> dict[str, Any]:
        summary = collector.get_gc_summary()
        at_first = {
            "samples": collector.get_memory_summary()["samples"],
            "growth": collector.growth_rate_mb_per_hour(),
            "tasks": collector.asyncio_tasks(),
            "collections": list(collector.gc_collections().values()),
            "recorded": summary["by_generation"][0]["collections"],
            "counters": [collector.samples_dropped, collector.gc_records_refused],
        }
        gc.collect()
        return {"first": at_first, "own collections": list(collector.gc_collections().values())}

    assert in_forked_child(report) == {
        "first": {
            "samples": 0,
            "growth": None,
            "tasks": None,
            "collections": [0, 0, 0],
            "recorded": 0,
            "counters": [0, 0],
        },
        "own collections": [0, 0, 1],
    }
    assert collector.gc_collections()[2] == 3
    assert collector.asyncio_tasks() == 40


@needs_fork
def test_a_forked_child_measures_its_own_cpu_time() -> None:
    while time.process_time() < 0.5:  # the parent has used more than the child will
        sum(range(1000))
    collector = SystemMetricsCollector(cpu_interval=0.01)

    def report() -> float | None:
        collector.cpu_percent()
        end = time.process_time() + 0.1
        while time.process_time() < end:
            sum(range(1000))
        return collector.cpu_percent()

    percent = in_forked_child(report)
    assert percent is not None
    assert 0 < percent <= 110  # the parent's baseline would make it negative


@needs_fork
def test_a_fork_in_the_middle_of_a_sample_leaves_no_lock_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = SystemMetricsCollector()
    sampling, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    def slow_in_the_parent(self: psutil.Process) -> SimpleNamespace:
        if os.getpid() == parent:
            sampling.set()
            go_on.wait(30)
        return SimpleNamespace(rss=50 * MIB, vms=90 * MIB)

    monkeypatch.setattr(psutil.Process, "memory_info", slow_in_the_parent)
    sampler = threading.Thread(target=collector.sample)
    sampler.start()
    assert sampling.wait(30)

    def report() -> int:
        collector.sample()
        samples: int = collector.get_memory_summary()["samples"]
        return samples

    try:
        assert in_forked_child(report) == 1
    finally:
        go_on.set()
        sampler.join(30)


@needs_fork
@needs_proc
def test_a_forked_child_is_warned_of_its_own_memory_and_growth() -> None:
    clock = FakeClock()
    collector = SystemMetricsCollector(clock=clock)
    limit = collector.memory_mb()["rss"] + 60
    collector.sample()

    def report() -> list[list[str]]:
        collector.sample()
        at_first = [kind for kind, _ in collector.memory_alerts(rss_limit_mb=limit)]
        ballast = bytearray(os.urandom(1)) * (100 * MIB)
        clock.now += 360
        collector.sample()
        return [at_first, [kind for kind, _ in collector.memory_alerts(rss_limit_mb=limit)], [str(len(ballast))]]

    assert in_forked_child(report)[:2] == [[], ["HighMemoryUsage", "HighMemoryGrowth"]]
    clock.now += 360
    collector.sample()
    assert collector.memory_alerts(rss_limit_mb=limit) == [], "the child's ballast is not the parent's"
