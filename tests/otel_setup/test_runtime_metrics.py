"""Tests of the process's own numbers. Expected values are computed by hand, or read from the kernel another way."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_setup.runtime_metrics import SystemMetricsCollector
from otel_setup.runtime_metrics import __file__ as runtime_metrics_file

MIB = 1024 * 1024
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc as the independent record")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


class FakeClock:
    def __init__(self, now: float = 5000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the operating system reports as this process's memory, in bytes."""
    reported = SimpleNamespace(rss=100 * MIB, vms=400 * MIB)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=reported.rss, vms=reported.vms))
    return reported


@pytest.fixture
def quiet_gc() -> Iterator[None]:
    """No collection but those a test asks for."""
    was_enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.collect()
    gc.disable()
    yield
    gc.set_threshold(*thresholds)
    if was_enabled:
        gc.enable()


def in_forked_child(report: Callable[[], Any]) -> Any:
    """Fork, run `report` in the child and return its JSON-able answer; a child that hangs is killed and fails."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, json.dumps(report()).encode())
        except BaseException as error:
            os.write(write_end, json.dumps({"child failed": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        answered, _, _ = select.select([read_end], [], [], 30)
        if not answered:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the forked child hung")
        answer = json.loads(os.read(read_end, 65536))
    finally:
        os.close(read_end)
        os.waitpid(pid, 0)
    assert not (isinstance(answer, dict) and "child failed" in answer), answer
    return answer


def take_samples(
    collector: SystemMetricsCollector, clock: FakeClock, memory: SimpleNamespace, points: list[tuple[float, float]]
) -> None:
    start = clock.now
    for seconds, megabytes in points:
        clock.now = start + seconds
        memory.rss = round(megabytes * MIB)
        collector.sample()


# --- memory ----------------------------------------------------------------------------------------------------------


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


# --- growth ----------------------------------------------------------------------------------------------------------


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


# --- CPU -------------------------------------------------------------------------------------------------------------


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


# --- garbage collection ----------------------------------------------------------------------------------------------


def make_garbage(pairs: int) -> None:
    for _ in range(pairs):
        one: list[Any] = []
        one.append([one])


@pytest.mark.usefixtures("quiet_gc")
def test_collections_and_freed_objects_are_counted_from_the_collectors_start() -> None:
    gc.collect()  # before its time
    collector = SystemMetricsCollector()
    assert collector.gc_collections() == {0: 0, 1: 0, 2: 0}
    assert collector.gc_objects_collected() == 0
    gc.collect(0)
    gc.collect(0)
    gc.collect(1)
    make_garbage(50)
    gc.collect()
    assert collector.gc_collections() == {0: 2, 1: 1, 2: 1}
    assert collector.gc_objects_collected() >= 100


@pytest.mark.usefixtures("quiet_gc")
def test_force_collection_frees_garbage_and_says_so() -> None:
    collector = SystemMetricsCollector()
    make_garbage(500)
    result = collector.force_gc_collection()
    assert set(result) == {"collected", "before_counts", "after_counts"}
    assert result["collected"] >= 1000
    assert result["before_counts"][0] >= 1000
    assert result["after_counts"][0] < 1000
    assert collector.gc_collections() == {0: 0, 1: 0, 2: 1}


@pytest.mark.usefixtures("quiet_gc")
def test_force_collection_of_one_generation() -> None:
    collector = SystemMetricsCollector()
    collector.force_gc_collection(0)
    collector.force_gc_collection(generation=1)
    assert collector.gc_collections() == {0: 1, 1: 1, 2: 0}
    with pytest.raises(ValueError, match="generation"):
        collector.force_gc_collection(3)


@pytest.mark.usefixtures("quiet_gc")
def test_gc_summary() -> None:
    collector = SystemMetricsCollector()
    collector.set_gc_thresholds(701, 11, 12)
    collector.record_gc_collection(1, collected=5, uncollectable=2)
    collector.record_gc_collection(1, collected=7, uncollectable=0)
    collector.record_gc_collection(9, collected=1, uncollectable=0)
    make_garbage(10)
    gc.collect()
    summary = collector.get_gc_summary()
    assert summary["enabled"] is False
    assert summary["thresholds"] == [701, 11, 12]
    assert summary["total_collections"] == 1
    assert summary["total_collected"] == summary["generations"][2]["collected"] >= 20
    assert summary["total_uncollectable"] == 0
    assert summary["by_generation"] == {
        0: {"collections": 0, "collected": 0, "uncollectable": 0},
        1: {"collections": 2, "collected": 12, "uncollectable": 2},
        2: {"collections": 0, "collected": 0, "uncollectable": 0},
    }
    assert collector.gc_records_refused == 1
    json.dumps(summary)


@pytest.mark.usefixtures("quiet_gc")
def test_thresholds_reach_the_interpreter_and_negative_ones_do_not() -> None:
    collector = SystemMetricsCollector()
    collector.set_gc_thresholds(800, 12, 13)
    assert gc.get_threshold() == (800, 12, 13)
    with pytest.raises(ValueError, match="negative"):
        collector.set_gc_thresholds(700, -1, 10)
    assert gc.get_threshold() == (800, 12, 13)


# --- threads, tasks, descriptors -------------------------------------------------------------------------------------


def test_threads_are_counted() -> None:
    collector = SystemMetricsCollector()
    before = collector.threads_active()
    leave = threading.Event()
    threads = [threading.Thread(target=leave.wait, args=(30,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert collector.threads_active() == before + 3
    leave.set()
    for thread in threads:
        thread.join()
    assert collector.threads_active() == before


def test_asyncio_tasks_are_what_was_noted_last() -> None:
    collector = SystemMetricsCollector()
    assert collector.asyncio_tasks() is None
    collector.note_asyncio_tasks(7)
    collector.note_asyncio_tasks(0)
    assert collector.asyncio_tasks() == 0


def count_descriptors_one_by_one() -> int:
    count = 0
    for descriptor in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0] if sys.platform == "darwin" else 4096):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        count += 1
    return count


@needs_proc
@pytest.mark.parametrize("kernel_gives_the_count", [True, False])
def test_open_descriptors_are_counted(kernel_gives_the_count: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = SystemMetricsCollector()
    collector.file_descriptors_open()
    listing = 0
    if not kernel_gives_the_count:  # as before Linux 6.2
        monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_size=0))
        listing = 1
    elif os.stat("/proc/self/fd").st_size == 0:
        pytest.skip("this kernel does not give the count")
    assert collector.file_descriptors_open() == count_descriptors_one_by_one() + listing
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    assert collector.file_descriptors_open() == count_descriptors_one_by_one() + listing
    with_ten = collector.file_descriptors_open()
    for descriptor in opened:
        os.close(descriptor)
    assert with_ten is not None
    assert collector.file_descriptors_open() == with_ten - 10


# --- fork ------------------------------------------------------------------------------------------------------------


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


def test_readers_do_not_wait_for_a_sample_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = SystemMetricsCollector(cpu_interval=1e-9)
    sampling, go_on = threading.Event(), threading.Event()

    def slow_in_the_sampler(self: psutil.Process) -> SimpleNamespace:
        if threading.current_thread() is sampler:
            sampling.set()
            go_on.wait(30)
        return SimpleNamespace(rss=50 * MIB, vms=90 * MIB)

    monkeypatch.setattr(psutil.Process, "memory_info", slow_in_the_sampler)
    sampler = threading.Thread(target=collector.sample)
    sampler.start()
    assert sampling.wait(30)
    finished = threading.Event()

    def read_everything() -> None:
        collector.sample()
        collector.growth_rate_mb_per_hour()
        collector.memory_mb()
        collector.cpu_percent()
        collector.gc_collections()
        collector.get_memory_summary()
        finished.set()

    reader = threading.Thread(target=read_everything)
    reader.start()
    try:
        assert finished.wait(20), "a reader waited for the sampler"
    finally:
        go_on.set()
        sampler.join(30)
        reader.join(30)


# --- construction and import -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"collection_interval": 0}, "collection_interval"),
        ({"growth_window": -1}, "growth_window"),
        ({"growth_window": float("nan")}, "growth_window"),
        ({"cpu_interval": 0}, "cpu_interval"),
        ({"growth_window": 60, "min_growth_span": 61}, "min_growth_span"),
        ({"max_samples": 1}, "max_samples"),
    ],
)
def test_impossible_settings_are_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SystemMetricsCollector(**arguments)


def test_import_does_no_work() -> None:
    program = (
        "import collections, functools, gc, importlib.util, os, psutil, sys, threading\n"
        "def refuse(*a, **k): raise SystemExit('work at import')\n"
        "psutil.Process = threading.Thread.start = gc.get_stats = os.register_at_fork = refuse\n"
        "spec = importlib.util.spec_from_file_location('alone', sys.argv[1])\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "print('imported', len(gc.callbacks))\n"
    )
    command = [sys.executable, "-c", program, runtime_metrics_file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("imported 0", 0), done.stderr
