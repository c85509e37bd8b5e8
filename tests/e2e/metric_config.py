"""The first document's own configuration of metrics, and what a real Prometheus then holds of it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest import mock
from urllib.parse import urlencode

from deploy.native import Prometheus
from deploy.process import http_get
from otel_setup import EnterpriseMonitor, MetricConfig, MetricTag, configure_metrics, get_enterprise_monitor
from otel_setup.testing import fresh_telemetry
from settings import MetricSettings, Settings
from tests.e2e.environment_runs import ENDPOINT
from tests.e2e.play import play_everything
from tests.support.peers import free_settings, running_stack

PREFIX, TAG, VALUE = "custom_app", "env", "production"
RETENTION = timedelta(hours=48)
GAUGE = f"{PREFIX}_games_active"
"""A gauge: of counters Prometheus also makes a first sample of its own, from the time at which they began."""
OURS = f'{{__name__=~"{PREFIX}_.+"}}'


@contextmanager
def configured(
    folder: Path, interval: timedelta, *, promoted: bool = True
) -> Iterator[tuple[Prometheus, EnterpriseMonitor]]:
    """A game that is configured as the first document shows and has been played, and the Prometheus that hears of it.

    Parameters:
        interval: between exports.
        promoted: whether the deployment's settings name the tag among those that become labels.
    """
    base = Settings(metrics=MetricSettings(export_interval_seconds=interval.total_seconds()))
    if promoted:
        names = (*base.prometheus.promoted_attributes, TAG)
        base = replace(base, prometheus=replace(base.prometheus, promoted_attributes=names))
    with (
        running_stack(folder, free_settings(base)) as stack,
        mock.patch.dict(os.environ, {ENDPOINT: stack.collector.otlp_http}),
        fresh_telemetry(),
    ):
        config = MetricConfig(
            prefix=PREFIX,
            default_tags=[MetricTag(TAG, VALUE)],
            export_interval=interval,
            retention_period=RETENTION,
        )
        configure_metrics(PREFIX, config)
        monitor = get_enterprise_monitor()
        yield stack.prometheus, monitor


async def play(monitor: EnterpriseMonitor) -> None:
    """Something to tell of every metric that a game has."""
    await play_everything(monitor)


def times(store: Prometheus, selector: str) -> list[float]:
    """When the samples of one series were taken, seconds since 1970, as they are stored."""
    _, body = http_get(f"{store.url}/api/v1/query?{urlencode({'query': f'{selector}[10m]'})}")
    (series,) = json.loads(body)["data"]["result"] or [{"values": []}]
    return [float(when) for when, _ in series["values"]]


def spacings(when: list[float]) -> list[float]:
    """Seconds from each sample to the next."""
    return [later - earlier for earlier, later in itertools.pairwise(when)]
