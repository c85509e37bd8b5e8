"""Amounts that wait for a collection are in it: each once, whoever counts and whoever collects."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_setup.catalogue import M, build
from otel_setup.game_model import LIAP_TUI
from otel_setup.instruments import MAX_WAITING, Instruments
from otel_setup.prometheus.reader import make_reader

CATALOGUE = build(LIAP_TUI, "test", ())
LABELS = {"action_type": LIAP_TUI.action_types[0], "outcome": "accepted", "actor": "human"}


def instruments(provider: MeterProvider, *, observed: bool = True) -> Instruments:
    readings = {M.GAMES_ACTIVE.name: lambda: [(1.0, {})]} if observed else {}
    return Instruments(CATALOGUE, (provider.get_meter("test"),), readings, lambda fault: None)


def total(reader: InMemoryMetricReader) -> float:
    data = reader.get_metrics_data()
    return sum(point.value for point in _points(data)) if data else 0


def _points(data: Any) -> Sequence[Any]:
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return [point for m in metrics if m.name.endswith(M.ACTIONS.name) for point in m.data.data_points]


def test_each_reader_sees_every_amount_so_far() -> None:
    readers = InMemoryMetricReader(), InMemoryMetricReader()
    counted = instruments(MeterProvider(readers))
    for amount in (1, 2.5, 4):
        counted.count(M.ACTIONS, amount, **LABELS)
    assert [total(reader) for reader in (*readers, *readers)] == [7.5] * 4
    counted.count(M.ACTIONS, **LABELS)
    assert [total(reader) for reader in readers] == [8.5] * 2


def test_nothing_waits_where_no_callback_tells_of_a_collection() -> None:
    reader = InMemoryMetricReader()
    counted = instruments(MeterProvider([reader]), observed=False)
    counted.count(M.ACTIONS, **LABELS)
    assert total(reader) == 1


def test_what_nobody_collects_is_handed_over_before_it_grows() -> None:
    provider = MeterProvider([make_reader()[0]])
    counted = instruments(provider)
    for _ in range(3 * MAX_WAITING):
        counted.count(M.ACTIONS, **LABELS)
        [series] = counted._bound[M.ACTIONS.name].known()
        assert len(series.waiting) < MAX_WAITING


@pytest.mark.parametrize("label", ["no such type", ["a", "list"], None])
def test_labels_outside_their_set_are_guarded_as_ever(label: object) -> None:
    reader = InMemoryMetricReader()
    counted = instruments(MeterProvider([reader]))
    counted.count(M.ACTIONS, **{**LABELS, "action_type": label})
    [point] = _points(reader.get_metrics_data())
    assert dict(point.attributes)["action_type"] == "other"


def test_no_amount_is_lost_or_counted_twice_among_threads() -> None:
    reader = InMemoryMetricReader()
    counted = instruments(MeterProvider([reader]))
    times, done = 5000, threading.Event()

    def count() -> None:
        for _ in range(times):
            counted.count(M.ACTIONS, **LABELS)

    def collect() -> None:
        while not done.is_set():
            reader.get_metrics_data()

    threads = [threading.Thread(target=count) for _ in range(4)]
    collecting = threading.Thread(target=collect)
    for thread in (collecting, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collecting.join()
    assert total(reader) == 4 * times
