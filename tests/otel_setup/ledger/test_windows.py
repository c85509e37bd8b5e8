"""Sums over trailing windows."""

from __future__ import annotations

import random

from otel_setup.ledger.windows import TimeBuckets


def test_what_is_older_than_the_span_is_not_read() -> None:
    buckets = TimeBuckets(10, 100, ("n",))
    for second in range(0, 300, 10):
        buckets.add(second, "n")
    assert buckets.total("n", 295) == 10
    assert buckets.total("n", 295, 20) == 2
    assert [start for start, _ in buckets.items(295, 30)] == [270, 280, 290]


def test_no_window_is_longer_than_the_span() -> None:
    buckets = TimeBuckets(10, 100, ("n",))
    for second in range(0, 110, 10):
        buckets.add(second, "n")
    assert buckets.total("n", 105, 10_000) == buckets.total("n", 105) == 10


def test_reading_needs_no_writing_to_expire() -> None:
    buckets = TimeBuckets(10, 100, ("n",))
    buckets.add(0, "n", 7)
    assert buckets.total("n", 99) == 7
    assert buckets.total("n", 100) == 0


def test_fields_are_apart() -> None:
    buckets = TimeBuckets(1, 10, ("games", "seconds"))
    buckets.add(5, "games")
    buckets.add(5.9, "seconds", 60.5)
    assert list(buckets.items(6)) == [(5, {"games": 1.0, "seconds": 60.5})]
    assert buckets.sums("seconds", 6) == {5: 60.5}


def test_memory_is_bounded_whatever_times_are_claimed() -> None:
    chance = random.Random(1)  # noqa: S311
    times = [*range(100_000, 0, -7), *(chance.randrange(10**9) for _ in range(5_000)), *range(0, 100_000, 3)]
    buckets = TimeBuckets(1, 60, ("n",))
    for time in times:
        buckets.add(time, "n")
    assert len(buckets.sums("n", 0)) <= 61


def test_one_event_of_the_far_future_leaves_the_rest_alone() -> None:
    buckets = TimeBuckets(1, 60, ("n",))
    for second in range(59):
        buckets.add(second, "n")
    buckets.add(10**9, "n")
    for second in range(59, 90):
        buckets.add(second, "n")
    assert sum(count for start, count in buckets.sums("n", 89).items() if start < 1000) == 60
