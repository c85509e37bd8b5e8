"""Threads, tasks, descriptors, and what else the kernel counts."""

from __future__ import annotations

import os
import resource
import sys
import threading
from types import SimpleNamespace

import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import needs_proc


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
