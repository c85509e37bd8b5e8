"""``MetricConfig`` as the first document shows it, with a shorter interval, in a real Prometheus.

The 30 seconds of the document themselves are a drill.
"""

from __future__ import annotations

import statistics
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.process import wait_until
from otel_setup import build
from tests.e2e.metric_config import GAUGE, OURS, PREFIX, RETENTION, TAG, VALUE, configured, play, spacings, times
from tests.e2e.support import SETTLE_SECONDS

pytestmark = [pytest.mark.peer("otelcol"), pytest.mark.peer("prometheus")]

INTERVAL = timedelta(seconds=1)
POINTS = 6


async def test_prefix_tag_interval_and_retention_take_effect(tmp_path: Path) -> None:
    with configured(tmp_path, INTERVAL) as (store, monitor):
        await play(monitor)
        tagged = f'{GAUGE}{{{TAG}="{VALUE}"}}'
        when = wait_until(lambda: times(store, tagged), lambda found: len(found) >= POINTS, SETTLE_SECONDS, "points")
        completed = store.wait_for(f'{PREFIX}_games_completed_total{{{TAG}="{VALUE}"}} == 1')
        ours = store.query(f"count by (__name__, {TAG}) (last_over_time({OURS}[10m]))")
        others = store.query('last_over_time({__name__=~"liap_tui_.+"}[10m])')
        hours = monitor.get_visualization_data("errors")["hours"]
    assert len(completed) == 1
    # Steady metrics alone: some of a process are known only after a while, or on some systems.
    steady = {metric.prometheus for metric in build(prefix=PREFIX).metrics if "_games_" in metric.prometheus}
    assert steady <= {labels["__name__"] for labels, _ in ours}
    assert {labels.get(TAG) for labels, _ in ours} == {VALUE}, "every metric has the tag"
    assert others == []
    # The spacing is the interval's, and not the default's, which is ten times as long.
    assert 0.5 < statistics.median(spacings(when)) / INTERVAL.total_seconds() < 3
    assert len(hours) == RETENTION / timedelta(hours=1)


async def test_a_tag_that_the_deployment_does_not_promote_is_no_label(tmp_path: Path) -> None:
    """The control: the label comes from the tag, which the settings of the deployment have to name."""
    with configured(tmp_path, INTERVAL, promoted=False) as (store, _):
        ((labels, _),) = store.wait_for(GAUGE, timeout=SETTLE_SECONDS)
        assert TAG not in labels
        assert store.wait_for(f'target_info{{{TAG}="{VALUE}"}}', timeout=SETTLE_SECONDS)
