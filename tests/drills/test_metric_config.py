"""The first document's ``MetricConfig``: in a real Prometheus, points are 30 seconds apart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deploy.process import wait_until
from tests.drills.proof import Finding, write_proof
from tests.e2e.metric_config import GAUGE, OURS, PREFIX, TAG, VALUE, configured, play, spacings, times

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(540),
    pytest.mark.peer("otelcol"),
    pytest.mark.peer("prometheus"),
]

INTERVAL = timedelta(seconds=30)
POINTS = 5
TOLERANCE_SECONDS = 1.0
"""The reader's own wake-up; Prometheus stores milliseconds."""


async def test_points_are_thirty_seconds_apart(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    with configured(tmp_path, INTERVAL) as (store, monitor):
        await play(monitor)
        tagged = f'{GAUGE}{{{TAG}="{VALUE}"}}'
        wanted = POINTS * INTERVAL.total_seconds() + 60
        when = wait_until(lambda: times(store, tagged), lambda found: len(found) >= POINTS, wanted, "the points")
        names = store.query(f"count(count by (__name__) (last_over_time({OURS}[10m])))")
        untagged = store.query(f'last_over_time({{__name__=~"{PREFIX}_.+", {TAG}!="{VALUE}"}}[10m])')
    # The first point is the export of the zeros, which does not wait for the interval.
    apart = spacings(when[1:])
    findings = [
        Finding(f"points of {GAUGE} looked at", f"{POINTS} or more", f"{len(when)}"),
        Finding("seconds from the zeros to the first regular point", None, f"{when[1] - when[0]:.3f}"),
        Finding("seconds between regular points", "30 each", ", ".join(f"{seconds:.3f}" for seconds in apart)),
        Finding(f"metrics that begin with {PREFIX}_", None, f"{names[0][1]:g}"),
        Finding(f'of their series without {TAG}="{VALUE}"', "0", f"{len(untagged)}"),
    ]
    what = f"MetricConfig({PREFIX!r}, {TAG}={VALUE}, 30 s, 48 h) through a real Collector into a real Prometheus."
    write_proof(pytestconfig, "metric-config", what, findings)
    assert len(apart) >= POINTS - 2
    assert all(abs(seconds - INTERVAL.total_seconds()) < TOLERANCE_SECONDS for seconds in apart)
    assert untagged == []
