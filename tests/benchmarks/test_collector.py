"""The benchmark of the Collector's roles runs, sends what it says, and fails where anything is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.collector import measure, run
from benchmarks.collector.load import SIGNALS
from benchmarks.collector.measure import Bench, Subject
from benchmarks.collector.stores import HUB, stores
from deploy.collector.roles import events
from tests.support.peers import require

pytestmark = [pytest.mark.slow, pytest.mark.peer("otelcol")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    require("otelcol")
    with stores(tmp_path_factory.mktemp("stores"), run.settings()) as running:
        yield Bench(running, 300)


def test_the_load_is_what_it_is_said_to_be(bench: Bench) -> None:
    metrics, traces, logs = bench.load
    assert [each.signal for each in bench.load] == ["metrics", "traces", "logs"]
    assert all(300 <= each.items < 1000 for each in bench.load)
    assert 3 <= traces.items / traces.traces <= 5
    assert 0.45 < logs.events / logs.items < 0.55
    assert metrics.events == metrics.traces == 0


@pytest.mark.parametrize("name", [run.PLAIN, run.STANDALONE])
def test_everything_comes_and_takes_time(bench: Bench, name: str) -> None:
    found = bench.round(run.ROLES[name])
    assert set(found.cpu) == set(found.elapsed) == set(SIGNALS)
    assert found.total(SIGNALS) > 0
    assert found.memory > 20


def test_a_round_in_which_something_is_missing_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ARRIVAL_SECONDS", 1.0)
    with pytest.raises(TimeoutError, match=HUB):
        bench.round(Subject(events, {HUB: 2}))  # to which they come once
