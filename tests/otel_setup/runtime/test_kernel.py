"""The process under its standard names, against /proc read by hand."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from otel_setup.runtime import SystemMetricsCollector
from otel_setup.testing import Recorded
from tests.otel_setup.runtime.helpers import MIB, in_forked_child, make_garbage, needs_fork, needs_proc

TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


def stat(field: int) -> int:
    """A field of /proc/self/stat, numbered as in proc(5)."""
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[field - 3])


def status(path: str, field: str) -> int:
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:"))


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        os.getppid()  # both in the kernel and outside


@needs_proc
def test_cpu_time_is_what_the_kernel_charges() -> None:
    collector = SystemMetricsCollector()
    burn(0.1)
    before = {"user": stat(14) * TICK, "system": stat(15) * TICK}
    measured = collector.cpu_times()
    after = {"user": stat(14) * TICK, "system": stat(15) * TICK}
    assert measured.keys() == before.keys()
    for mode, seconds in measured.items():
        assert before[mode] - TICK <= seconds <= after[mode] + 2 * TICK  # the kernel's are cut to whole ticks
    assert sum(measured.values()) >= 0.1


@needs_proc
def test_page_faults_are_what_the_kernel_counts() -> None:
    collector = SystemMetricsCollector()
    collector.paging_faults()
    before = {"minor": stat(10), "major": stat(12)}
    measured = collector.paging_faults()
    after = {"minor": stat(10), "major": stat(12)}
    assert all(before[kind] <= count <= after[kind] for kind, count in measured.items())
    assert measured["minor"] > measured["major"]


@needs_proc
def test_voluntary_switches_are_counted_in_every_thread() -> None:
    collector = SystemMetricsCollector()
    before = collector.context_switches()
    switches = []

    def waits() -> None:
        own = f"/proc/self/task/{threading.get_native_id()}/status"
        at_first = status(own, "voluntary_ctxt_switches")
        for _ in range(50):
            time.sleep(0.0001)
        switches.append(status(own, "voluntary_ctxt_switches") - at_first)

    thread = threading.Thread(target=waits)
    thread.start()
    thread.join()
    after = collector.context_switches()
    assert switches[0] > 25, "nearly each sleep gives the processor away"
    assert after["voluntary"] - before["voluntary"] >= switches[0]
    assert after["involuntary"] >= before["involuntary"]


@needs_proc
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "asked for"])
def test_threads_are_what_the_kernel_counts(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not listed:

        def refuse(*_: object) -> Any:
            raise FileNotFoundError

        monkeypatch.setattr(os, "listdir", refuse)
    collector = SystemMetricsCollector()
    leave = threading.Event()
    threads = [threading.Thread(target=leave.wait, args=(30,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    measured = collector.thread_count()
    counted = status("/proc/self/status", "Threads")
    leave.set()
    for thread in threads:
        thread.join()
    assert measured == counted >= 4


@needs_proc
def test_uptime_is_the_time_since_the_kernel_made_the_process() -> None:
    with open("/proc/uptime") as file:
        booted = float(file.read().split()[0])
    # The time of boot, which psutil goes by, is in whole seconds.
    assert SystemMetricsCollector().uptime() == pytest.approx(booted - stat(22) * TICK, abs=1.1)


def test_uptime_goes_on_when_the_time_of_day_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = SystemMetricsCollector()
    before = collector.uptime()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    after = collector.uptime()
    assert before is not None
    assert after is not None
    assert 0 <= after - before < 60


def test_an_uptime_that_the_system_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "create_time", refuse)
    collector = SystemMetricsCollector()
    assert collector.uptime() is None
    assert collector.read_failures == 1


@needs_fork
@needs_proc
def test_a_forked_child_tells_its_own() -> None:
    collector = SystemMetricsCollector()
    burn(0.3)
    assert (collector.uptime() or 0) > 0
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, args=(30,))
    thread.start()

    def report() -> list[Any]:
        return [
            sum(collector.cpu_times().values()),
            stat(14) * TICK + stat(15) * TICK,
            collector.thread_count(),
            status("/proc/self/status", "Threads"),  # one; two where something else in this process starts its own anew
            collector.uptime(),
            float(open("/proc/uptime").read().split()[0]) - stat(22) * TICK,
        ]

    cpu, charged, threads, counted, uptime, lived = in_forked_child(report)
    in_the_parent = status("/proc/self/status", "Threads")
    leave.set()
    thread.join()
    assert cpu == pytest.approx(charged, abs=3 * TICK)
    assert threads == counted < in_the_parent
    assert uptime == pytest.approx(lived, abs=1.1)


# --- one source for both names ---------------------------------------------------------------------------------------


def test_memory_has_one_source(telemetry: Recorded, memory: SimpleNamespace) -> None:
    memory.rss, memory.vms = 123 * MIB, 456 * MIB
    assert telemetry.value("process_memory_usage_bytes") == 123 * MIB
    assert telemetry.value("process_memory_virtual_bytes") == 456 * MIB
    assert telemetry.value("liap_tui_memory_usage_mb", {"type": "rss"}) == 123
    assert telemetry.value("liap_tui_memory_usage_mb", {"type": "vms"}) == 456


@pytest.mark.usefixtures("quiet_gc")
def test_garbage_has_one_source(telemetry: Recorded) -> None:
    system = telemetry.monitor.system_metrics
    before = telemetry.samples()
    system.force_gc_collection(0)
    make_garbage(20)
    freed = system.force_gc_collection()["collected"]
    after = telemetry.samples()

    def grown(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before[key]

    for generation, collections, objects in (("0", 1, 0), ("1", 0, 0), ("2", 1, freed)):
        assert grown("cpython_gc_collections_total", cpython_gc_generation=generation) == collections
        assert grown("liap_tui_gc_collections_total", generation=generation) == collections
        assert grown("cpython_gc_collected_objects_total", cpython_gc_generation=generation) == pytest.approx(objects)
        assert grown("cpython_gc_uncollectable_objects_total", cpython_gc_generation=generation) == 0
    assert freed >= 40
    assert grown("liap_tui_gc_objects_collected_total") == freed


def test_descriptors_have_one_source(telemetry: Recorded) -> None:
    seen = telemetry.samples()
    key = frozenset[tuple[str, str]]()
    assert seen["process_unix_file_descriptor_count", key] == seen["liap_tui_file_descriptors_open", key] > 0
