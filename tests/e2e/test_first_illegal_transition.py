"""The first illegal transition of a process is visible to ``increase()``, although its series begins with it.

Prometheus counts an increase from one sample to the next, so a series whose first sample is 1 has increased by nothing.
Two things help, and each does alone: the process exports its zeros before the game begins, and Prometheus takes the
start time that OTLP carries for a sample of 0.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, NumberDataPoint, ResourceMetrics

import otel_setup
from deploy.prometheus import FEATURES
from otel_setup.instruments import Instruments
from otel_setup.sdk.exporters import CountedMetrics
from otel_setup.sdk.providers import Providers
from otel_setup.testing import fresh_telemetry
from tests.e2e.support import METRIC_INTERVAL, SETTLE_SECONDS
from tests.support.peers import free_settings, running_collector, running_prometheus

ZERO_FROM_START_TIME = "created-timestamp-zero-ingestion"
COUNTER = 'liap_tui_state_illegal_transitions_total{from="turn", to="waiting"}'


def without_zero_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had thought of it: no zeros, and no export before the first interval is over."""
    monkeypatch.setattr(Instruments, "export_zeros", lambda _: None)
    monkeypatch.setattr(Providers, "export_zeros", lambda _: None)


async def increase(tmp_path: Path, *, feature: bool) -> float:
    """What Prometheus says after one illegal transition right after start-up."""
    assert ZERO_FROM_START_TIME in FEATURES, "production has it"
    features = [name for name in FEATURES if feature or name != ZERO_FROM_START_TIME]
    settings = free_settings()
    with (
        running_prometheus(tmp_path, features=features, settings=settings) as store,
        running_collector(tmp_path, store.url, settings) as collector,
        fresh_telemetry() as recorded,
    ):
        otel_setup.configure(collector=collector.otlp_http, metric_interval=METRIC_INTERVAL)
        await recorded.monitor.record_illegal_transition("game1", "TURN", "WAITING")
        # Several samples of 1: from then on more of them change nothing.
        store.wait_for(f"{COUNTER} == 1 and count_over_time({COUNTER}[5m]) >= 4", timeout=SETTLE_SECONDS)
        ((_, value),) = store.query(f"increase({COUNTER}[5m])")
        return value


@pytest.mark.parametrize(
    ("zero_export", "feature"),
    [
        pytest.param(True, False, id="zero export alone"),
        pytest.param(False, True, id="Prometheus feature alone"),
        pytest.param(True, True, id="both"),
    ],
)
async def test_it_is_visible(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    zero_export: bool,
    feature: bool,
) -> None:
    if not zero_export:
        without_zero_export(monkeypatch)
    found = await increase(tmp_path, feature=feature)
    with capsys.disabled():
        print(f"\nincrease of the first illegal transition ({zero_export=}, {feature=}): {found:.3f}")
    assert found > 0


async def test_it_would_not_be_without_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: else the tests above would pass by some other cause."""
    without_zero_export(monkeypatch)
    found = await increase(tmp_path, feature=False)
    with capsys.disabled():
        print(f"\nincrease of the first illegal transition with neither: {found:.3f}")
    assert found == 0


async def test_the_zeros_come_first_however_soon_the_game_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: dict[str, list[list[float]]] = defaultdict(list)

    def export(_: object, data: MetricsData, *__: object, **___: object) -> MetricExportResult:
        (resource,) = data.resource_metrics
        exported[str(resource.resource.attributes["service.instance.id"])].append(illegal_transitions(resource))
        return MetricExportResult.SUCCESS

    monkeypatch.setattr(CountedMetrics, "export", export)
    for _ in range(20):
        with fresh_telemetry() as recorded:
            telemetry = otel_setup.configure(collector="http://127.0.0.1:9", traces=False, logs=False)
            await recorded.monitor.record_illegal_transition("game1", "TURN", "WAITING")
            assert telemetry.flush(SETTLE_SECONDS)
        assert exported[telemetry.settings.instance_id][:2] == [[0], [1]]


def illegal_transitions(resource: ResourceMetrics) -> list[float]:
    """The values of that one series."""
    return [
        point.value
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "liap_tui.state.illegal_transitions"
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint) and point.attributes == {"from": "turn", "to": "waiting"}
    ]
