"""Counts of the garbage collector."""

from __future__ import annotations

import gc
import json

import pytest

from otel_setup.runtime import SystemMetricsCollector
from tests.otel_setup.runtime.helpers import make_garbage


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
