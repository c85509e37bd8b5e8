"""Readers wait for nobody; impossible settings are refused; importing does no work."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import MIB


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


def test_importing_starts_and_makes_nothing() -> None:
    program = (
        "import gc, threading\n"
        "import otel_setup.runtime.watch\n"
        "ours = [thread.name for thread in threading.enumerate() if thread.name.startswith('otel_setup')]\n"
        "made = [x for x in gc.get_objects() if isinstance(x, otel_setup.SystemMetricsCollector)]\n"
        "print('imported', gc.callbacks, ours, made)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("imported [] [] []", 0), done.stderr
